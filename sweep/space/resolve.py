"""From a grid file to trials: fields checked by the family, conditions applied, ``needs`` resolved to ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sweep.errors import BadInputError
from sweep.space.conditions import matches, reader
from sweep.space.expand import Cell, Expansion, nest
from sweep.space.explain import dotted_fields, nearest, validation_text
from sweep.space.grid import Group, Need, Resources, SpaceFile
from sweep.space.source import Path_, Source, read
from sweep.trial import Claim, Space, Trial
from trainers import registry
from trainers.errors import SpecError
from trainers.protocol import Dataset, Family
from trainers.spec import TrialSpec, canonical_json, trial_id

#: Fields that a group states elsewhere than in set, grid and zip.
_GROUP_LEVEL = {"family", "needs"}


def load_space(path: Path, overrides: Mapping[str, Any] | None = None) -> Space:
    """Read, check and expand a grid file.

    Args:
        overrides: dotted field -> value, set in every group in place of what the file says (``--set``).

    Raises:
        BadInputError: anything in the file is wrong; the message names file, line, key and what is allowed.
    """
    return resolve(read(path), overrides or {})


def resolve(source: Source, overrides: Mapping[str, Any]) -> Space:
    """Resolve a parsed file; see :func:`load_space`."""
    if not isinstance(source.data, dict):
        raise BadInputError(f"{source.name}: a grid file is a mapping with 'name' and 'groups'")
    try:
        file = SpaceFile.model_validate(source.data)
    except ValidationError as error:
        raise BadInputError(validation_text(error, source, (), _file_keys)) from None
    index: dict[str, int] = {}
    for position, group in enumerate(file.groups):
        where = source.where(("groups", position, "name"))
        if group.name in index:
            first = source.where(("groups", index[group.name], "name"))
            raise BadInputError(f"{where}: the group name {group.name!r} is given twice (first at {first})")
        index[group.name] = position
    made: dict[str, list[Trial]] = {}
    for name in _needs_first(file.groups, index, source):
        position = index[name]
        resolver = _GroupResolver(file.groups[position], ("groups", position), source, made, overrides)
        made[name] = resolver.trials()
    known: dict[str, Trial] = {}
    for name in [*made]:  # groups in the order in which they can run
        for trial in made[name]:
            known.setdefault(trial.id, trial)
    order = {group.name: position for position, group in enumerate(file.groups)}
    first: dict[str, str] = {}
    for group in file.groups:
        for trial in made[group.name]:
            first.setdefault(trial.id, group.name)
    trials = [replace(trial, group=first[trial.id]) for trial in known.values()]
    trials.sort(key=lambda trial: order[trial.group])
    return Space(file.name, file.about, source.name, tuple(trials))


def _file_keys(path: Path_) -> Iterable[str]:
    model: type[BaseModel] = SpaceFile
    if path and path[0] == "groups":
        model = Group
        if len(path) > 2:
            model = {"needs": Need, "resources": Resources}.get(str(path[2]), Group)
    return model.model_fields


def _needs_first(groups: list[Group], index: Mapping[str, int], source: Source) -> list[str]:
    """Group names, what is needed before what needs it, else in file order."""
    done: list[str] = []
    visiting: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        position = index[name]
        visiting.append(name)
        for role, need in groups[position].needs.items():
            where = source.where(("groups", position, "needs", role, "group"))
            if need.group not in index:
                raise BadInputError(f"{where}: needs.{role}: unknown group {need.group!r}{nearest(need.group, index)}")
            if need.group in visiting:
                circle = " -> ".join([*visiting[visiting.index(need.group) :], need.group])
                raise BadInputError(f"{where}: needs.{role}: groups need each other in a circle: {circle}")
            visit(need.group)
        visiting.pop()
        done.append(name)

    for group in groups:
        visit(group.name)
    return done


class _GroupResolver:
    """Trials of one group; what they need has been resolved before."""

    def __init__(
        self,
        group: Group,
        base: Path_,
        source: Source,
        made: Mapping[str, list[Trial]],
        overrides: Mapping[str, Any],
    ) -> None:
        self.group, self.base, self.source, self.made = group, base, source, made
        self.family: Family = self._known(lambda: registry.family(group.family), (*base, "family"))
        self.keys = frozenset({*dotted_fields(self.family.spec), "noise.rate"} - _GROUP_LEVEL)
        if overrides:
            self.group = self._overridden(overrides)
        self.claim = Claim(group.resources.cpu, group.resources.gpu)
        self.checked: set[tuple[Any, ...]] = set()
        self.datasets: dict[str, Dataset] = {}

    def _known(self, look: Callable[[], Any], path: Path_) -> Any:
        try:
            return look()
        except SpecError as error:
            raise BadInputError(f"{self.source.where(path)}: {error}") from None

    def _overridden(self, overrides: Mapping[str, Any]) -> Group:
        group = self.group
        for key in overrides:
            if key not in self.keys:
                raise BadInputError(f"--set {key}: unknown field {key!r}{nearest(key, self.keys)}")
        drop = set(overrides)
        if drop & {"noise.ratio", "noise.rate"}:
            drop |= {"noise.ratio", "noise.rate"}
        from sweep.space.expand import flatten

        kept = {key: item.value for key, item in flatten(group.set, ()).items() if key not in drop}
        bundles = [group.zip] if isinstance(group.zip, dict) else group.zip
        return group.model_copy(
            update={
                "set": {**kept, **overrides},
                "grid": {key: values for key, values in group.grid.items() if key not in drop},
                "zip": [{key: v for key, v in bundle.items() if key not in drop} for bundle in bundles],
            }
        )

    def trials(self) -> list[Trial]:
        conditions = {
            kind: [
                reader(condition, (*self.base, kind, i), self.source, self.keys)
                for i, condition in enumerate(getattr(self.group, kind))
            ]
            for kind in ("when", "exclude")
        }
        self._check_needs()
        expansion = Expansion(self.group, self.base, self.source, self.keys)
        found: dict[str, Trial] = {}
        for cell in expansion.cells():
            spec = self._spec(cell)
            if conditions["when"] and not any(matches(spec, one) for one in conditions["when"]):
                continue
            if any(matches(spec, one) for one in conditions["exclude"]):
                continue
            trial = self._trial(spec, cell)
            found.setdefault(trial.id, trial)
        if not found:
            raise BadInputError(
                f"{self.source.where(self.base)}: group {self.group.name!r} has no cell left after 'when' and 'exclude'"
            )
        return list(found.values())

    def _spec(self, cell: Cell) -> TrialSpec:
        try:
            return self.family.spec.model_validate({**nest(cell), "family": self.group.family})
        except ValidationError as error:
            raise BadInputError(self._spec_text(error, cell)) from None

    def _spec_text(self, error: ValidationError, cell: Cell) -> str:
        lines = []
        for finding in error.errors(include_url=False):
            loc = [part for part in finding["loc"] if isinstance(part, str)]
            dotted = next(
                (".".join(loc[:n]) for n in range(len(loc), 0, -1) if ".".join(loc[:n]) in self.keys), ".".join(loc)
            )
            if dotted == "noise" and "noise.rate" in cell:  # refused while r was computed from e
                dotted = "noise.rate"
            if finding["type"] == "missing":
                place = self.source.where(self.base)
                lines.append(f"{place}: {dotted!r} is missing; give it in set, grid or zip of {self.group.name!r}")
                continue
            given = cell.get(dotted)
            place = self.source.where(given.path if given else self.base)
            value = f" = {given.value!r}" if given else ""
            message = finding["msg"].removeprefix("Value error, ")
            line = f"{place}: {dotted}{value}: {message[:1].lower()}{message[1:]}"
            if line not in lines:
                lines.append(line)
        return "\n".join(lines[:5])

    def _trial(self, spec: TrialSpec, cell: Cell) -> Trial:
        dataset = self._check(spec, cell)
        if self.group.needs:
            needs = {role: self._needed(role, need, spec).id for role, need in self.group.needs.items()}
            spec = spec.model_copy(update={"needs": dict(sorted(needs.items()))})
        return Trial(
            id=trial_id(spec, dataset.version),
            group=self.group.name,
            spec=spec,
            canonical=canonical_json(spec, dataset.version),
            claim=self.claim,
        )

    def _check(self, spec: TrialSpec, cell: Cell) -> Dataset:
        """What the fields alone cannot know: names that exist, and that fit each other. Once a combination."""
        dataset = self.datasets.get(spec.dataset)
        if dataset is None:
            at = cell["dataset"].path
            dataset = self.datasets[spec.dataset] = self._known(lambda: registry.dataset(spec.dataset), at)
            if dataset.kind != self.family.data_kind:
                raise BadInputError(
                    f"{self.source.where(at)}: dataset {spec.dataset!r} holds {dataset.kind}; "
                    f"the family {self.family.name!r} needs {self.family.data_kind}"
                )
        signature = (spec.model, spec.dataset, spec.noise)
        if signature not in self.checked:
            if spec.model not in self.family.models:
                raise BadInputError(
                    f"{self.source.where(cell['model'].path)}: unknown model {spec.model!r} for family "
                    f"{self.family.name!r}{nearest(spec.model, self.family.models)}"
                )
            at = cell["noise.law"].path if "noise.law" in cell else self.base
            law = self._known(lambda: registry.noise_law(spec.noise.law), at)
            self._known(lambda: law.check(spec.noise, dataset.classes), at)
            self.checked.add(signature)
        if self.family.check is not None:
            check = self.family.check
            self._known(lambda: check(spec), self.base)
        return dataset

    def _check_needs(self) -> None:
        for role, need in self.group.needs.items():
            at = (*self.base, "needs", role)
            roles = self.family.spec.roles
            if role not in roles:
                raise BadInputError(
                    f"{self.source.where(at)}: the family {self.family.name!r} has no role {role!r}{nearest(role, roles)}"
                )
            for position, key in enumerate(need.match):
                if key not in self.keys:
                    where = self.source.where((*at, "match", position))
                    raise BadInputError(f"{where}: needs.{role}.match: unknown key {key!r}{nearest(key, self.keys)}")

    def _needed(self, role: str, need: Need, spec: TrialSpec) -> Trial:
        at = (*self.base, "needs", role)
        where = reader(dict(need.where), (*at, "where"), self.source, self.keys)
        wanted = where | {key: [_value(spec, key)] for key in need.match}
        fits = [trial for trial in self.made[need.group] if matches(trial.spec, wanted)]
        if len(fits) == 1:
            return fits[0]
        said = ", ".join(f"{key} = {', '.join(map(str, values))}" for key, values in wanted.items()) or "no condition"
        problem = (
            f"{len(fits)} trials of group {need.group!r} fit" if fits else f"no trial of group {need.group!r} fits"
        )
        remedy = "add keys to 'match' or 'where' until one is left" if fits else "widen that group or drop a key"
        raise BadInputError(f"{self.source.where(at)}: needs.{role}: {problem} ({said}); {remedy}")


def _value(spec: TrialSpec, key: str) -> Any:
    from sweep.trial import field_value

    return field_value(spec, key)
