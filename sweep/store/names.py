"""File names of a store, and what they alone tell: what is published, what failed, who died.

    trials/<id>-<revision>.parquet                         the published trial, created last and exclusively
    metrics/<id>-<attempt>.parquet                         likewise artifacts/
    attempts/<id>-<revision>-<attempt>-<event>.parquet
    checks/verify-<token>.parquet                          rows of one verification
    files/<id>-<attempt>/<file>                            artifacts' content
    leases/<id>-<revision>.<generation>.json
    revisions/<revision>.json                              what a revision was made of
    <table>/compacted-<digest>.parquet                     rows of many such files
    compacted/<table>/compacted-<digest>.names             names of those files, a line each; a trial's winner beside it

Nothing here opens a table.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

TABLES = ("trials", "metrics", "attempts", "artifacts", "checks")
SUFFIX = ".parquet"
COMPACTED = "compacted-"
LIST_SUFFIX = ".names"

#: Ends of an attempt, as they stand in file names and in the column ``outcome``.
OUTCOMES = ("done", "lost", "raised", "died", "failed", "interrupted", "abandoned")
#: Those after which a trial counts as failed until it is resumed.
FAILURES = frozenset({"raised", "failed"})


def attempt_id() -> str:
    """A fresh attempt id: it sorts by time of start (to the millisecond) and is unique by 40 random bits."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(5)}"


def trial_name(trial: str, revision: str) -> str:
    return f"{trial}-{revision}"


def part_name(trial: str, attempt: str) -> str:
    return f"{trial}-{attempt}"


def list_name(table: str, stem: str) -> str:
    """The list of names that belongs to a compacted file."""
    return f"compacted/{table}/{stem}{LIST_SUFFIX}"


def event_name(trial: str, revision: str, attempt: str, event: str) -> str:
    return f"{trial}-{revision}-{attempt}-{event}"


def is_compacted(stem: str) -> bool:
    """Whether a file of this name, without suffix, stands for others."""
    return stem.startswith(COMPACTED)


def row_name(table: str, row: Mapping[str, Any]) -> str:
    """The name of the file that a row was written in; rows of ``checks`` share a file and have names of their own."""
    if table == "trials":
        return trial_name(row["id"], row["revision"])
    if table == "attempts":
        return event_name(row["id"], row["revision"], row["attempt"], row["outcome"] or row["event"])
    if table == "checks":
        return f"{row['id']}-{row['attempt']}-{row['what']}-{row['at']}"
    return part_name(row["id"], row["attempt"])


@dataclass
class Index:
    """What the names of a store tell."""

    published: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    failures: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    deaths: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def done(self, trial: str, revision: str | None) -> bool:
        """Whether the trial is published in this revision; in any, where the present one is unknown."""
        have = self.published.get(trial, set())
        return bool(have) if revision is None else revision in have

    def stale(self, trial: str, revision: str | None) -> bool:
        """Whether only older revisions are published."""
        return revision is not None and bool(self.published.get(trial)) and not self.done(trial, revision)


def index(trials: Iterable[str], attempts: Iterable[str]) -> Index:
    """Read names (without folder and suffix) of the tables ``trials`` and ``attempts``; foreign names are skipped."""
    found = Index()
    for name in trials:
        parts = name.split("-")
        if len(parts) == 2:
            found.published[parts[0]].add(parts[1])
    for name in attempts:
        parts = name.split("-")
        if len(parts) != 4:
            continue
        trial, revision, _, event = parts
        if event in FAILURES:
            found.failures[(trial, revision)] += 1
        elif event == "died":
            found.deaths[(trial, revision)] += 1
    return found
