"""Parameters of a trial's model, counted in a child process so that the planner never holds torch, and kept.

As a program, ``python -m sweep.parameters``, it reads specifications (JSON) on standard input and writes counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweep.revision import source_digests
from sweep.trial import Trial
from trainers import registry
from trainers.protocol import UNKNOWN_CLASSES
from trainers.spec import NoiseSpec

#: Parts of a specification that change no network: what it is trained on, how, how long, and what is measured of it.
#: A field that is not named here may shape the network. One that does not costs a count more, and no wrong number.
IRRELEVANT = frozenset(
    {
        *("noise", "seed", "batch", "budget", "reading"),  # of every trial
        *("optimiser", "schedule", "evaluation", "augment", "precision"),  # of training
        *("measure", "analysed", "split", "reference_samples"),  # of an analysis
    }
)
CHILD_SECONDS = 300


def counted(trials: Sequence[Trial]) -> dict[str, int | None]:
    """Trial id -> parameters that receive a gradient; None where they could not be counted."""
    keys = {trial.id: _key(trial) for trial in trials}
    known = _kept()
    asked: dict[str, Trial] = {keys[trial.id]: trial for trial in trials if keys[trial.id] not in known}
    if asked:
        known |= _count(asked)
        _keep({key: known[key] for key in asked if known.get(key) is not None})
    return {trial: known.get(key) for trial, key in keys.items()}


def _key(trial: Trial) -> str:
    fields: dict[str, Any] = json.loads(trial.canonical)
    relevant = {name: value for name, value in fields.items() if name not in IRRELEVANT}
    relevant["needs"] = sorted(trial.needs)  # roles: which trial fills one changes nothing of the network
    spec = trial.spec
    sources = source_digests(spec.family, NoiseSpec().law, spec.dataset)  # a law's module builds no network
    return hashlib.sha256(json.dumps([relevant, sources], sort_keys=True).encode()).hexdigest()[:24]


def _count(asked: Mapping[str, Trial]) -> dict[str, int | None]:
    request = {key: [trial.spec.family, trial.spec.model_dump(mode="json")] for key, trial in asked.items()}
    try:
        child = subprocess.run(
            [sys.executable, "-m", "sweep.parameters"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=True,
        )
        answer: dict[str, int | None] = json.loads(child.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return dict.fromkeys(asked)
    return answer


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "noisegrid" / "parameters"


def _kept() -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    with suppress(OSError):
        for path in _folder().glob("*.json"):
            with suppress(OSError, ValueError):
                found |= json.loads(path.read_text())
    return found


def _keep(counts: Mapping[str, int | None]) -> None:
    """A file of its own each time: planners that run side by side do not overwrite one another."""
    if not counts:
        return
    with suppress(OSError):  # a cache that cannot be written costs a few seconds next time, nothing else
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{secrets.token_hex(8)}"
        temporary.write_text(json.dumps(dict(counts)))
        temporary.rename(folder / f"{secrets.token_hex(8)}.json")


def _serve() -> None:
    answer: dict[str, int | None] = {}
    for key, (family, fields) in json.load(sys.stdin).items():
        kind = registry.family(family)
        try:
            spec = kind.spec.model_validate(fields)
            known = registry.dataset(spec.dataset).classes != UNKNOWN_CLASSES  # or the data is not here to tell
            answer[key] = kind.count_parameters(spec) if known else None
        except Exception as error:  # noqa: BLE001 - a plug-in's own fault: the plan shows a dash, the run will tell
            sys.stderr.write(f"{family}: {error!r}\n")
            answer[key] = None
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    _serve()
