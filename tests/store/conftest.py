"""Fixtures of the store's tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweep.store.store import Store, create


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A new, empty store."""
    return create(str(tmp_path / "store"))


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of stores are torn in one test; none of them has to outlive a power cut."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
