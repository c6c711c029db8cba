"""What all tests share: reproducible property tests, and a cache folder of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("contracts.noise_law", "contracts.corpus", "contracts.dataset", "contracts.trainer")

#: Examples are drawn from a fixed seed, so that a run that fails fails again; set HYPOTHESIS_PROFILE=wander to explore.
settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=60)
settings.register_profile("wander", deadline=None, max_examples=500, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's cache is neither read nor written by tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.delenv("NOISEGRID_DATA", raising=False)
        patch.delenv("RAY_ADDRESS", raising=False)
        yield folder
