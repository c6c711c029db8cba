"""The toy plug-in for every test here, and a writer of grid files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.toy import installed

from sweep.space import load_space
from sweep.trial import Space

Load = Callable[..., Space]


@pytest.fixture(scope="session", autouse=True)
def toy() -> Iterator[None]:
    with installed():
        yield


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads grid files given as text."""

    def write_and_load(text: str | bytes, overrides: dict[str, Any] | None = None) -> Space:
        path = tmp_path / "grid.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_space(path, overrides)

    return write_and_load
