"""What a store has published, as records: one an id, with its final metrics and its artifacts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa

from reports import fields as specification
from reports.errors import ReportError
from reports.fields import Fields, Named
from reports.names import own_names
from reports.needs import needed, teacher

TEST = "test"  # the split that figures are of

#: Fields of a specification that are axes, or columns of their own, and so no part of a configuration.
AXES = frozenset({"family", "model", "dataset", "batch.multiplier", "budget.rule", "seed", "reading"})

#: A row of each (id, revision): the first to be published, should a crash in a compaction have left two.
FIRST = """
    select * from trials
    qualify row_number() over (partition by id, revision order by ended nulls last, attempt) = 1
"""
#: The newest published row of each id; a row that was read twice, and older revisions, count once.
NEWEST = f"""
    select id, revision, attempt, family, model, dataset, noise_law, noise_refresh, batch, batch_multiplier,
        budget_rule, samples, steps, seed, reading, parameters, realised_rate, spec, data_sha256, git, versions, cpu,
        device, threads, tokens_per_second, flops_utilisation
    from ({FIRST})
    qualify row_number() over (partition by id order by ended desc nulls last, attempt desc, revision desc) = 1
"""
FINAL = f"""
    select m.id, m.split, m.metric, m.value
    from metrics m join ({NEWEST}) t on m.id = t.id and m.attempt = t.attempt
    where m.final
    qualify row_number() over (
        partition by m.id, m.split, m.metric order by m.samples desc, m.step desc, m.value desc
    ) = 1
    order by m.id, m.split, m.metric
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
    """What a trial was to be. ``configuration`` is its specification less the axes and the noise: field -> JSON text.

    ``variant`` is what the noise has beside law, refresh, map and ratio: its unit, where it stands, its teacher.
    """

    id: str
    family: str
    model: str
    dataset: str  # name@version; of users' own data the name they gave
    law: str
    refresh: str
    mapping: str  # JSON of noise.map; "" for none
    variant: Named
    ratio: Fraction
    multiplier: int
    rule: str
    base_samples: int | None  # budget.samples; None where the specification has none
    samples: int
    seed: int
    reading: str
    configuration: Named
    data_sha256: str  # "" where nothing was published

    @property
    def rate(self) -> Fraction:
        """e = r / (1 + r)."""
        return self.ratio / (1 + self.ratio)


@dataclass(frozen=True)
class Published(Trial):
    """One published trial. ``metrics`` are final and of the test set; ``elsewhere`` are those of other splits."""

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
    tokens_per_second: float | None
    flops_utilisation: float | None
    metrics: Mapping[str, float | None]
    elsewhere: Mapping[tuple[str, str], float | None]  # by split and metric
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
    metrics: dict[str, dict[tuple[str, str], float | None]] = {}
    for row in final:
        metrics.setdefault(row["id"], {})[row["split"], row["metric"]] = row["value"]
    artifacts: dict[str, dict[str, Kept]] = {}
    for row in kept:
        artifacts.setdefault(row["id"], {})[row["role"]] = Kept(row["path"], row["bytes"], row["sha256"])
    specs = {row["id"]: specification.read(row["spec"]) for row in (*begun, *newest)}
    given = own_names((specification.word(specs[row["id"]], "dataset"), row["dataset"]) for row in newest)
    specs = {trial: specification.renamed(fields, given) for trial, fields in specs.items()}

    def arranged(seeds: frozenset[str]) -> tuple[list[Published], list[Trial]]:
        done = (
            _published(row, specs, seeds, metrics.get(row["id"], {}), artifacts.get(row["id"], {}))
            for row in sorted(newest, key=lambda row: str(row["id"]))
        )
        planned = (_attempted(row["id"], specs, seeds) for row in begun)
        return [one for one in done if one is not None], [one for one in planned if one is not None]

    trials, attempted = arranged(frozenset())
    mixed = _ambiguous([*trials, *attempted])
    if mixed:
        trials, attempted = arranged(mixed)
    read = {trial.id for trial in (*trials, *attempted)}
    unread = [str(row["id"]) for row in sorted(newest, key=lambda row: str(row["id"])) if row["id"] not in read]
    unnamed = [row["id"] for row in begun if row["id"] not in read]
    known: dict[str, Trial] = {trial.id: trial for trial in (*trials, *attempted)}
    failures = tuple(Failure(**{**row, "reason": row["reason"] or ""}, trial=known.get(row["id"])) for row in failed)
    return Rows(tuple(trials), tuple(attempted), failures, tuple(unread), tuple(unnamed))


def _records(connection: Any, query: str) -> list[dict[str, Any]]:
    result = connection.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _ambiguous(trials: Iterable[Trial]) -> frozenset[str]:
    """Families in which trials would share a cell that need one trial of several seeds: there the seeds tell."""
    cells = Counter((_cell(trial), trial.family) for trial in trials)
    return frozenset(family for (_, family), times in cells.items() if times > 1)


def _cell(trial: Trial) -> tuple[object, ...]:
    noise = (trial.law, trial.refresh, trial.mapping, trial.variant, trial.ratio) if trial.ratio else ()
    return (
        trial.model, trial.dataset, trial.configuration, noise, trial.rule, trial.multiplier, trial.seed, trial.reading,
    )  # fmt: skip


def _published(
    row: Mapping[str, Any],
    specs: Mapping[str, Fields],
    seeds: frozenset[str],
    metrics: Mapping[tuple[str, str], float | None],
    artifacts: Mapping[str, Kept],
) -> Published | None:
    fields = specs[row["id"]]
    ratio = specification.ratio(fields)
    if ratio is None:
        return None
    return Published(
        id=row["id"],
        revision=row["revision"],
        family=row["family"],
        model=row["model"],
        dataset=specification.word(fields, "dataset") or row["dataset"],
        law=row["noise_law"],
        refresh=row["noise_refresh"],
        mapping=specification.mapping(fields),
        variant=_variant(fields, specs),
        ratio=ratio,
        batch=row["batch"],
        multiplier=row["batch_multiplier"],
        rule=row["budget_rule"],
        base_samples=specification.whole(fields, "budget.samples"),
        samples=row["samples"],
        steps=row["steps"],
        seed=row["seed"],
        reading=row["reading"],
        parameters=row["parameters"],
        realised_rate=row["realised_rate"],
        configuration=_configuration(fields, specs, row["family"] in seeds),
        data_sha256=row["data_sha256"],
        git=row["git"] or "",
        versions=row["versions"] or "",
        cpu=row["cpu"] or "",
        device=row["device"] or "",
        threads=row["threads"],
        tokens_per_second=row["tokens_per_second"],
        flops_utilisation=row["flops_utilisation"],
        metrics={metric: value for (split, metric), value in metrics.items() if split == TEST},
        elsewhere={place: value for place, value in metrics.items() if place[0] != TEST},
        artifacts=artifacts,
    )


def _attempted(trial: str, specs: Mapping[str, Fields], seeds: frozenset[str]) -> Trial | None:
    fields = specs[trial]
    ratio = specification.ratio(fields)
    names = ("batch.multiplier", "seed", "budget.samples")
    multiplier, seed, base = (specification.whole(fields, name) for name in names)
    if ratio is None or multiplier is None or seed is None:
        return None
    word = specification.word
    family, rule = word(fields, "family"), word(fields, "budget.rule")
    return Trial(
        id=trial,
        family=family,
        model=word(fields, "model"),
        dataset=word(fields, "dataset"),
        law=word(fields, "noise.law"),
        refresh=word(fields, "noise.refresh"),
        mapping=specification.mapping(fields),
        variant=_variant(fields, specs),
        ratio=ratio,
        multiplier=multiplier,
        rule=rule,
        base_samples=base,
        samples=math.ceil((base or 0) * (1 + ratio if rule == "scaled" else 1)),
        seed=seed,
        reading=word(fields, "reading"),
        configuration=_configuration(fields, specs, family in seeds),
        data_sha256="",
    )


def _configuration(fields: Fields, specs: Mapping[str, Fields], seeds: bool) -> Named:
    own = ((name, value) for name, value in fields.items() if name not in AXES)
    bare = ((name, value) for name, value in own if not name.startswith(("noise.", "needs.")))
    return tuple(sorted((*bare, *needed(fields, specs, seeds=seeds))))


def _variant(fields: Fields, specs: Mapping[str, Fields]) -> Named:
    return tuple(sorted((*specification.noise_variant(fields), *teacher(fields, specs))))
