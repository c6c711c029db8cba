"""The table of failed trials: what each was, how often it failed, and the newest reason."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from reports import text
from reports.rows import Failure, Trial

FAILURES_SHOWN = 30


def shown(failures: tuple[Failure, ...]) -> dict[str, Any]:
    """A row a trial and outcome, the newest attempt's reason; attempt ids sort by time."""
    attempts: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for failure in failures:
        attempts[failure.id, failure.outcome].append(failure)
    rows = []
    for (trial, outcome), found in sorted(attempts.items(), key=lambda item: (item[1][0].published, item[0])):
        newest = max(found, key=lambda one: one.attempt)
        rows.append(
            [
                text.breakable(trial, 24),
                _named(newest.trial),
                text.clean(outcome, 16),
                str(len(found)),
                "yes" if newest.published else "no",
                text.breakable(newest.reason, 200) or text.NOTHING,
            ]
        )
    left = len(rows) - FAILURES_SHOWN
    return {
        "heads": ["trial", "what it was", "outcome", "attempts", "published", "reason of the newest"],
        "rows": rows[:FAILURES_SHOWN],
        "more": f"{text.count(left, 'more row')} in tables/failures.csv" if left > 0 else "",
    }


def _named(trial: Trial | None) -> str:
    """Family, model, data set, law, r, batch multiplier and seed."""
    if trial is None:
        return "no specification"
    noise = f"{trial.law} r = {text.ratio(trial.ratio)}" if trial.ratio else "r = 0"
    words = (
        f"{text.clean(trial.family, 40)} {text.clean(trial.model, 40)}, {text.clean(trial.dataset, 40)}, "
        f"{text.clean(noise, 60)}, batch × {trial.multiplier}, seed {trial.seed}"
    )
    return text.breakable(words, 240)
