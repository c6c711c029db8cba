"""What a store has published, as records: one an id, with its final metrics and its artifacts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa

from reports.errors import ReportError

#: As the canonical JSON writes a ratio. Longer digits, or an exponent, could take for ever to read.
RATIO = re.compile(r"\d{1,18}(/[1-9]\d{0,17})?")

#: Fields of a specification that are axes, or columns of their own, and so no part of a configuration.
AXES = frozenset({"family", "model", "dataset", "batch.multiplier", "budget.rule", "seed", "reading"})
#: Roles that only tell a noisy trial from its clean twin.
ROLES_OF_NOISE = frozenset({"needs.twin", "needs.teacher"})

#: A row of each (id, revision): the first to be published, should a crash in a compaction have left two.
FIRST = """
    select * from trials
    qualify row_number() over (partition by id, revision order by ended nulls last, attempt) = 1
"""
#: The newest published row of each id; a row that was read twice, and older revisions, count once.
NEWEST = f"""
    select id, revision, attempt, family, model, dataset, noise_law, noise_refresh, batch, batch_multiplier,
        budget_rule, samples, steps, seed, reading, parameters, realised_rate, spec, data_sha256, git, versions, cpu,
        device, threads
    from ({FIRST})
    qualify row_number() over (partition by id order by ended desc nulls last, attempt desc, revision desc) = 1
"""
FINAL = f"""
    select m.id, m.metric, m.value
    from metrics m join ({NEWEST}) t on m.id = t.id and m.attempt = t.attempt
    where m.final and m.split = 'test'
    qualify row_number() over (partition by m.id, m.metric order by m.samples desc, m.step desc, m.value desc) = 1
    order by m.id, m.metric
"""
KEPT = f"""
    select a.id, a.role, a.path, a.bytes, a.sha256
    from artifacts a join ({NEWEST}) t on a.id = t.id and a.attempt = t.attempt
    qualify row_number() over (partition by a.id, a.role order by a.path, a.sha256) = 1
    order by a.id, a.role
"""
#: A process that died is the machine's doing where its trial was published since, and a loss where it was not.
FAILED = """
    select a.id, a.revision, a.attempt, a.outcome, max(a.reason) as reason, a.id in (select id from trials) as published
    from attempts a where a.event = 'ended' and (
        a.outcome in ('raised', 'failed') or a.outcome = 'died' and a.id not in (select id from trials)
    )
    group by all order by a.id, a.attempt, a.outcome
"""
#: Trials that were begun, or given up, and never published. A specification is the same at every start: its hash is
#: the id.
ATTEMPTED = """
    select id, max(spec) as spec
    from attempts where id not in (select id from trials) group by id order by id
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """An artifact's file, relative to the store."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Trial:
    """What a trial was to be. ``configuration`` is its specification less the axes: dotted field -> JSON text."""

    id: str
    family: str
    model: str
    dataset: str  # name@version
    law: str
    refresh: str
    mapping: str  # JSON of noise.map; "" for none
    ratio: Fraction
    multiplier: int
    rule: str
    base_samples: int | None  # budget.samples; None where the specification has none
    samples: int
    seed: int
    reading: str
    configuration: tuple[tuple[str, str], ...]
    data_sha256: str  # "" where nothing was published

    @property
    def rate(self) -> Fraction:
        """e = r / (1 + r)."""
        return self.ratio / (1 + self.ratio)


@dataclass(frozen=True)
class Published(Trial):
    """One published trial."""

    revision: str
    batch: int
    steps: int
    parameters: int | None
    realised_rate: float | None
    git: str
    versions: str
    cpu: str
    device: str
    threads: int | None
    metrics: Mapping[str, float | None]
    artifacts: Mapping[str, Kept]


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that ended with an error, and whether its trial has been published all the same.

    ``trial`` is None where no attempt left a specification that can be read.
    """

    id: str
    revision: str
    attempt: str
    outcome: str
    reason: str
    published: bool
    trial: Trial | None


@dataclass(frozen=True)
class Rows:
    """All that a report is made of. ``unread`` are ids whose specification could not be understood.

    ``attempted`` are trials that were begun and not published, ``unnamed`` those of them without a specification.
    """

    trials: tuple[Published, ...]
    attempted: tuple[Trial, ...]
    failures: tuple[Failure, ...]
    unread: tuple[str, ...]
    unnamed: tuple[str, ...]


def read_rows(tables: Mapping[str, pa.Table]) -> Rows:
    """Query whole tables of a store, in whatever order and however often their rows were read.

    Raises:
        ReportError: the tables cannot be queried.
    """
    import duckdb

    try:
        with duckdb.connect(config={"threads": "1", "enable_external_access": "false"}) as connection:
            for name in ("trials", "metrics", "attempts", "artifacts"):
                connection.register(name, tables[name])
            found = [_records(connection, query) for query in (NEWEST, FINAL, KEPT, FAILED, ATTEMPTED)]
    except (duckdb.Error, UnicodeDecodeError) as error:
        raise ReportError(
            f"the store's tables cannot be queried ({error}); look at them with 'sweep verify'"
        ) from error
    newest, final, kept, failed, begun = found
    metrics: dict[str, dict[str, float | None]] = {}
    for row in final:
        metrics.setdefault(row["id"], {})[row["metric"]] = row["value"]
    artifacts: dict[str, dict[str, Kept]] = {}
    for row in kept:
        artifacts.setdefault(row["id"], {})[row["role"]] = Kept(row["path"], row["bytes"], row["sha256"])
    trials, unread = [], []
    for row in sorted(newest, key=lambda row: str(row["id"])):
        trial = _published(row, metrics.get(row["id"], {}), artifacts.get(row["id"], {}))
        if trial is None:
            unread.append(row["id"])
        else:
            trials.append(trial)
    attempted, unnamed = [], []
    for row in begun:
        planned = _attempted(row["id"], row["spec"])
        if planned is None:
            unnamed.append(row["id"])
        else:
            attempted.append(planned)
    known: dict[str, Trial] = {trial.id: trial for trial in (*trials, *attempted)}
    failures = tuple(Failure(**{**row, "reason": row["reason"] or ""}, trial=known.get(row["id"])) for row in failed)
    return Rows(tuple(trials), tuple(attempted), failures, tuple(unread), tuple(unnamed))


def _records(connection: Any, query: str) -> list[dict[str, Any]]:
    result = connection.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _published(
    row: Mapping[str, Any], metrics: Mapping[str, float | None], artifacts: Mapping[str, Kept]
) -> Published | None:
    fields = _fields(row["spec"])
    ratio = _ratio(fields.get("noise.ratio"))
    if ratio is None:
        return None
    return Published(
        id=row["id"],
        revision=row["revision"],
        family=row["family"],
        model=row["model"],
        dataset=_word(fields, "dataset") or row["dataset"],
        law=row["noise_law"],
        refresh=row["noise_refresh"],
        mapping=_mapping(fields),
        ratio=ratio,
        batch=row["batch"],
        multiplier=row["batch_multiplier"],
        rule=row["budget_rule"],
        base_samples=_whole(fields, "budget.samples"),
        samples=row["samples"],
        steps=row["steps"],
        seed=row["seed"],
        reading=row["reading"],
        parameters=row["parameters"],
        realised_rate=row["realised_rate"],
        configuration=_configuration(fields),
        data_sha256=row["data_sha256"],
        git=row["git"] or "",
        versions=row["versions"] or "",
        cpu=row["cpu"] or "",
        device=row["device"] or "",
        threads=row["threads"],
        metrics=metrics,
        artifacts=artifacts,
    )


def _attempted(trial: str, spec: str | None) -> Trial | None:
    fields = _fields(spec)
    ratio = _ratio(fields.get("noise.ratio"))
    multiplier, seed, base = (_whole(fields, name) for name in ("batch.multiplier", "seed", "budget.samples"))
    if ratio is None or multiplier is None or seed is None:
        return None
    rule = _word(fields, "budget.rule")
    return Trial(
        id=trial,
        family=_word(fields, "family"),
        model=_word(fields, "model"),
        dataset=_word(fields, "dataset"),
        law=_word(fields, "noise.law"),
        refresh=_word(fields, "noise.refresh"),
        mapping=_mapping(fields),
        ratio=ratio,
        multiplier=multiplier,
        rule=rule,
        base_samples=base,
        samples=math.ceil((base or 0) * (1 + ratio if rule == "scaled" else 1)),
        seed=seed,
        reading=_word(fields, "reading"),
        configuration=_configuration(fields),
        data_sha256="",
    )


def _fields(spec: str | None) -> dict[str, str]:
    """Dotted field -> canonical JSON of its value; nothing where there is no specification that can be read."""
    try:
        return dict(_flat(json.loads(spec or "")))
    except (ValueError, RecursionError):
        return {}


def _configuration(fields: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    outside = AXES | ROLES_OF_NOISE
    return tuple(sorted((name, text) for name, text in fields.items() if name not in outside and name[:6] != "noise."))


def _mapping(fields: Mapping[str, str]) -> str:
    mapping = fields.get("noise.map", "null")
    return "" if mapping == "null" else mapping


def _word(fields: Mapping[str, str], name: str) -> str:
    """A field's text; "" where it is absent or no text."""
    value = json.loads(fields.get(name, "null"))
    return value if isinstance(value, str) else ""


def _whole(fields: Mapping[str, str], name: str) -> int | None:
    """A field's whole number of at most 18 digits; None where it is absent or anything else."""
    value = fields.get(name, "")
    return int(value) if value.isdigit() and len(value) < 19 else None


def _flat(spec: object, prefix: str = "") -> list[tuple[str, str]]:
    """Dotted field -> canonical JSON of its value; empty mappings vanish.

    Raises:
        ValueError: ``spec`` is no mapping.
    """
    if not isinstance(spec, dict):
        raise ValueError("a specification is a mapping")  # noqa: TRY004
    found: list[tuple[str, str]] = []
    for name, value in spec.items():
        if isinstance(value, dict):
            found.extend(_flat(value, f"{prefix}{name}."))
        else:
            found.append((f"{prefix}{name}", json.dumps(value, sort_keys=True, separators=(",", ":"))))
    return found


def _ratio(text: str | None) -> Fraction | None:
    # A plug-in's canonical JSON may hold a whole ratio as a number: both forms read the same without quotes.
    bare = (text or "").strip('"')
    return Fraction(bare) if RATIO.fullmatch(bare) else None
