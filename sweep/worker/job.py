"""What a worker is told of a trial and of the sweep. Plain text and numbers, so that Ray moves it cheaply."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sweep.revision import Revision
from sweep.trial import Trial
from trainers import registry
from trainers.spec import TrialSpec


@dataclass(frozen=True)
class Job:
    """One trial to run, in one revision.

    ``needs`` maps a role to (id, revision) of the trial that fills it. ``failures`` and ``deaths`` are those that
    the store held when the run was planned: only what comes on top happened in this run.
    """

    id: str
    revision: str
    family: str
    fields: str  # the specification as JSON
    canonical: str
    sources: str  # digest of the sources that the revision was made of
    data_sha256: str
    needs: dict[str, tuple[str, str]]
    failures: int = 0
    deaths: int = 0
    options: dict[str, int | bool] = field(default_factory=dict)  # of the family's build; they change no science

    @classmethod
    def of(
        cls,
        trial: Trial,
        revision: Revision,
        needs: dict[str, tuple[str, str]],
        *,
        failures: int = 0,
        deaths: int = 0,
    ) -> Job:
        fields = trial.spec.model_dump_json()
        family = trial.spec.family
        of = (revision.sources_digest, revision.data)
        return cls(
            trial.id,
            revision.digest,
            family,
            fields,
            trial.canonical,
            *of,
            needs,
            failures,
            deaths,
            dict(trial.claim.options),
        )

    def spec(self) -> TrialSpec:
        """The specification as its family's own model."""
        return registry.family(self.family).spec.model_validate_json(self.fields)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        fields: dict[str, Any] = json.loads(text)
        fields["needs"] = {role: (one[0], one[1]) for role, one in fields["needs"].items()}
        return cls(**fields)


@dataclass(frozen=True)
class Context:
    """What all trials of one run share."""

    store: str
    data_root: str | None
    run: str
    git: str

    @property
    def data_path(self) -> Path | None:
        return Path(self.data_root) if self.data_root else None
