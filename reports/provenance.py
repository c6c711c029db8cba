"""Where the numbers come from: programs, machines, revisions and data of the published trials."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable

from reports import text
from reports.analysis import Analysis
from reports.rows import Published

REVISIONS_SHOWN = 20
THROUGHPUTS_SHOWN = 12


def rows(analysis: Analysis) -> list[list[str]]:
    """Name and value of each line."""
    trials = analysis.trials
    told = [["store digest", text.digest(analysis.digest)]]
    told += _counted("git", (trial.git or "not recorded" for trial in trials))
    told += _counted("processor", (trial.cpu or "not recorded" for trial in trials))
    told += _counted("device", (trial.device or "not recorded" for trial in trials))
    told += _counted("threads", ("not recorded" if one.threads is None else str(one.threads) for one in trials))
    told += _throughput(trials)
    packages: dict[str, list[str]] = defaultdict(list)
    for trial in trials:
        for name, version in _versions(trial.versions).items():
            packages[name].append(version)
    for name, versions in sorted(packages.items())[:20]:
        told += _counted(name, versions)
    told += _revisions(trials)
    data = sorted({(trial.dataset, trial.data_sha256) for trial in trials})
    told += [["data SHA-256", f"{text.breakable(dataset, 40)} {text.digest(found)}"] for dataset, found in data[:20]]
    return told


def _counted(name: str, values: Iterable[str]) -> list[list[str]]:
    counts = Counter(values)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [text.digest(value) + (f" ({times})" if len(ordered) > 1 else "") for value, times in ordered[:6]]
    more = [f"and {len(ordered) - 6} more"] if len(ordered) > 6 else []
    return [[text.breakable(name, 40), "; ".join([*shown, *more])]]


def _throughput(trials: Iterable[Published]) -> list[list[str]]:
    """Tokens a second, and the share of the device's peak FLOPs where that is known, a line a model and device."""
    rates: dict[tuple[str, str, str], list[tuple[float, float | None]]] = defaultdict(list)
    for trial in trials:
        if trial.tokens_per_second is not None:
            place = (trial.family, trial.model, trial.device or "device not recorded")
            rates[place].append((trial.tokens_per_second, trial.flops_utilisation))
    told = []
    for (family, model, device), found in sorted(rates.items())[:THROUGHPUTS_SHOWN]:
        speeds, shares = [speed for speed, _ in found], [share for _, share in found if share is not None]
        words = f"{family} {model} on {device}: {_span(speeds, '{:,.0f}')} tokens a second"
        words += f", model FLOPs utilisation {_span(shares, '{:.3f}')}" if shares else ""
        told.append(["throughput", text.breakable(f"{words} ({text.count(len(found), 'trial')})", 200)])
    left = len(rates) - THROUGHPUTS_SHOWN
    return told + ([["", f"{text.count(left, 'more model')} in tables/trials.csv"]] if left > 0 else [])


def _span(values: Iterable[float], form: str) -> str:
    found = sorted(values)
    return " to ".join(dict.fromkeys((form.format(found[0]), form.format(found[-1]))))


def _versions(recorded: str) -> dict[str, str]:
    try:
        found = json.loads(recorded)
    except (ValueError, RecursionError):
        return {}
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}


def _revisions(trials: Iterable[Published]) -> list[list[str]]:
    """A line a revision and data set: a revision is a digest of the family's sources, the data and what is needed."""
    counts = Counter((trial.family, trial.dataset, trial.revision) for trial in trials)
    told = [
        [
            "revision",
            f"{text.breakable(f'{family} on {dataset}', 80)}: {text.digest(revision)}, {text.count(n, 'trial')}",
        ]
        for (family, dataset, revision), n in sorted(counts.items())[:REVISIONS_SHOWN]
    ]
    left = len(counts) - REVISIONS_SHOWN
    return told + ([["", f"{text.count(left, 'more revision')} in tables/trials.csv"]] if left > 0 else [])
