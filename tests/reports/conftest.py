"""The synthetic study, written once and reported once for all tests that only look at it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.report_store import study

from reports.report import Written, write_report


@pytest.fixture(scope="session")
def study_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic study as a store."""
    return study().write(tmp_path_factory.mktemp("study") / "store")


@pytest.fixture(scope="session")
def study_report(study_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Its report."""
    return write_report(study_store, tmp_path_factory.mktemp("report") / "out")
