"""From a grid file to trials: fields checked by the family, conditions applied, ``needs`` resolved to ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from sweep.errors import BadInputError
from sweep.space.conditions import hashed, matches, reader, value_of
from sweep.space.expand import Cell, Expansion, nest
from sweep.space.explain import joined, nearest, sentence, short, validation_text
from sweep.space.grid import Group, Need, Resources, SpaceFile
from sweep.space.source import Path_, Source, read
from sweep.space.vocabulary import RATE, RATIO, Vocabulary
from sweep.trial import Claim, Space, Trial
from trainers import registry
from trainers.errors import SpecError
from trainers.protocol import UNKNOWN_CLASSES, BoundLaw, Dataset, Family
from trainers.spec import TrialSpec, canonical_id, canonical_json


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
        raise BadInputError(f"{source.where(())}: a grid file is a mapping with 'name' and 'groups'")
    try:
        file = SpaceFile.model_validate(source.data)
    except ValidationError as error:
        raise BadInputError(validation_text(error, source, (), _file_keys)) from None
    index: dict[str, int] = {}
    for position, group in enumerate(file.groups):
        where = source.where(("groups", position, "name"))
        if group.name in index:
            before = source.where(("groups", index[group.name], "name"))
            raise BadInputError(f"{where}: the group name {group.name!r} is given twice (first at {before})")
        index[group.name] = position
    made: dict[str, list[Trial]] = {}
    for name in _needs_first(file.groups, index, source):
        position = index[name]
        resolver = _GroupResolver(file.groups[position], ("groups", position), source, made, overrides)
        made[name] = resolver.trials()
    first: dict[str, Trial] = {}
    for group in file.groups:
        for trial in made[group.name]:
            first.setdefault(trial.id, trial)
    return Space(file.name, file.about, source.name, tuple(needed_first(first)))


def _file_keys(path: Path_) -> Iterable[str]:
    model: Any = SpaceFile
    if path and path[0] == "groups":
        model = Group
        if len(path) > 2:
            model = {"needs": Need, "resources": Resources}.get(str(path[2]), Group)
    return list(model.model_fields)


def _needs_first(groups: list[Group], index: Mapping[str, int], source: Source) -> list[str]:
    """Group names, what is needed before what needs it, else in file order."""

    def enter(name: str, above: Sequence[str]) -> list[str]:
        position = index[name]
        for role, need in groups[position].needs.items():
            where = source.where(("groups", position, "needs", role, "group"))
            if need.group not in index:
                raise BadInputError(f"{where}: needs.{role}: unknown group {need.group!r}{nearest(need.group, index)}")
            if need.group in above:
                circle = " -> ".join([*above[above.index(need.group) :], need.group])
                raise BadInputError(f"{where}: needs.{role}: groups need each other in a circle: {circle}")
        return [need.group for need in groups[position].needs.values()]

    return _depth_first([group.name for group in groups], enter)


def needed_first(trials: Mapping[str, Trial]) -> list[Trial]:
    """Trials by id, what is needed before what needs it, else in the order given."""
    order = _depth_first(trials, lambda name, above: trials[name].needs.values())
    return [trials[name] for name in order]


def _depth_first(names: Iterable[str], below: Callable[[str, Sequence[str]], Iterable[str]]) -> list[str]:
    """Names, each after those ``below`` it, else in the order given. ``below`` is told the path that led to a name.

    Without recursion: a file may chain as many groups as it has lines.
    """
    done: dict[str, None] = {}
    for name in names:
        path: list[str] = []
        open_: list[Iterator[str]] = [iter([name])]
        while open_:
            one = next(open_[-1], None)
            if one is None:
                open_.pop()
                if path:
                    done[path.pop()] = None
            elif one not in done:
                path.append(one)
                open_.append(iter(below(one, path)))
    return list(done)


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
        self.group, self.base, self.source, self.made, self.overrides = group, base, source, made, overrides
        self.family: Family = self._known(lambda: registry.family(group.family), (*base, "family"))
        self.vocabulary = Vocabulary(self.family)
        self.claim = Claim(group.resources.cpu, group.resources.gpu, self._options())
        self.checked: set[tuple[Any, ...]] = set()
        self.datasets: dict[str, Dataset] = {}

    def _options(self) -> tuple[tuple[str, int | bool], ...]:
        given = self.group.resources.options
        for name in given:
            if name not in self.family.options:
                where = self.source.where((*self.base, "resources", name))
                raise BadInputError(
                    f"{where}: the family {self.family.name!r} has no option {name!r}"
                    f"{nearest(name, sorted(self.family.options)) or '; remove it'}"
                )
        return tuple(sorted(given.items()))

    def _known(self, look: Callable[[], Any], path: Path_) -> Any:
        try:
            return look()
        except SpecError as error:
            raise BadInputError(f"{self.source.where(path)}: {error}") from None

    def trials(self) -> list[Trial]:
        when, exclude = self._conditions("when"), self._conditions("exclude")
        self.needs = {role: self._needed(role, need) for role, need in self.group.needs.items()}
        expansion = Expansion(self.group, self.base, self.source, self.vocabulary, self.overrides)
        found: dict[str, Trial] = {}
        for cell in expansion.cells():
            spec = self._spec(cell)
            # The law of a clean cell counts as written, so that `exclude: {noise.law: x}` drops x alone at ratio 0 too.
            written = _moot(cell) if spec.noise.ratio == 0 else None
            if when and not any(matches(spec, one, written) for one in when):
                continue
            if any(matches(spec, one, written) for one in exclude):
                continue
            trial = self._trial(spec, cell)
            found.setdefault(trial.id, trial)
        if not found:
            raise BadInputError(
                f"{self.source.where(self.base)}: group {self.group.name!r} has no cell left after 'when' "
                "and 'exclude'; widen an axis or a condition"
            )
        return list(found.values())

    def _conditions(self, kind: Literal["when", "exclude"]) -> list[dict[str, list[Any]]]:
        given = self.group.when if kind == "when" else self.group.exclude
        for position, condition in enumerate(given):
            if not condition:
                where = self.source.where((*self.base, kind, position))
                raise BadInputError(f"{where}: an empty condition fits every cell; name a field, or remove it")
        return [reader(one, (*self.base, kind, i), self.source, self.vocabulary) for i, one in enumerate(given)]

    def _spec(self, cell: Cell) -> TrialSpec:
        try:
            return self.family.spec.model_validate({**nest(cell), "family": self.group.family})
        except ValidationError as error:
            raise BadInputError(self._spec_text(error, cell)) from None

    def _spec_text(self, error: ValidationError, cell: Cell) -> str:
        found: dict[str, list[str]] = {}
        for finding in error.errors(include_url=False):
            loc = [part for part in finding["loc"] if isinstance(part, str)]
            names = [".".join(loc[:n]) for n in range(len(loc), 0, -1)]
            dotted = next((name for name in names if name in self.vocabulary.keys), ".".join(loc))
            if dotted == "noise" and RATE in cell:  # refused while r was computed from e
                dotted = RATE
            given = cell.get(dotted)
            if finding["type"] == "missing" and given is None:
                for name in self.vocabulary.required(dotted):
                    place = self.source.where(self.base)
                    found[f"{place}: {name!r} is missing; give it in set, grid or zip of {self.group.name!r}"] = []
                continue
            text = sentence(finding)
            if given is not None:
                place = f"{self.source.where(given.path)}: {dotted} = {short(given.value)}: "
            else:  # about several fields at once
                place = f"{self.source.where(self._mentioned(text, cell))}: "
            alternatives = found.setdefault(place, [])
            if text not in alternatives:
                alternatives.append(text)
        return joined([place + "; or ".join(alternatives) for place, alternatives in found.items()])

    def _trial(self, spec: TrialSpec, cell: Cell) -> Trial:
        dataset = self._dataset(spec, cell)
        self._check_names(spec, cell, dataset)
        if self.needs:
            needed = {role: self.needs[role](spec) for role in sorted(self.needs.keys() - spec.idle_roles)}
            spec = spec.model_copy(update={"needs": {role: other.id for role, other in needed.items()}})
            self._check_needs(spec, needed)
        if self.family.check is not None:
            try:
                self.family.check(spec)
            except SpecError as error:
                raise BadInputError(f"{self.source.where(self._mentioned(str(error), cell))}: {error}") from None
        canonical = canonical_json(spec, dataset.version)
        return Trial(canonical_id(canonical), self.group.name, spec, canonical, self.claim)

    def _check_needs(self, spec: TrialSpec, needed: Mapping[str, Trial]) -> None:
        if self.family.check_need is None:
            return
        for role, other in needed.items():
            try:
                self.family.check_need(spec, role, other.spec)
            except SpecError as error:
                at = (*self.base, "needs", role)
                raise BadInputError(f"{self.source.where(at)}: {error}") from None

    def _place(self, key: str, cell: Cell) -> Path_:
        return cell[key].path if key in cell else self.base

    def _mentioned(self, message: str, cell: Cell) -> Path_:
        """Where the field stands that a message names first."""
        named = [key for key in cell if key in message]
        return cell[min(named, key=message.index)].path if named else self.base

    def _dataset(self, spec: TrialSpec, cell: Cell) -> Dataset:
        dataset = self.datasets.get(spec.dataset)
        if dataset is None:
            at = self._place("dataset", cell)
            dataset = self._known(lambda: registry.dataset(spec.dataset), at)
            if dataset.kind != self.family.data_kind:
                raise BadInputError(
                    f"{self.source.where(at)}: dataset {spec.dataset!r} holds {dataset.kind}; "
                    f"the family {self.family.name!r} needs {self.family.data_kind}. "
                    "'sweep datasets' lists what there is"
                )
            self.datasets[spec.dataset] = dataset
        return dataset

    def _check_names(self, spec: TrialSpec, cell: Cell, dataset: Dataset) -> None:
        """What the fields alone cannot know: names that exist, and that fit each other. Once a combination."""
        # A clean cell has no law any more, but the name that is written there must be one nevertheless.
        law_name = cell["noise.law"].value if "noise.law" in cell else spec.noise.law
        signature = (spec.model, spec.dataset, spec.noise, law_name, spec.classes_of(dataset.classes))
        if signature in self.checked:
            return
        if spec.model not in self.family.models:
            raise BadInputError(
                f"{self.source.where(self._place('model', cell))}: unknown model {short(spec.model)} for family "
                f"{self.family.name!r}{nearest(spec.model, self.family.models)}"
            )
        at = self._place("noise.law", cell)
        law = self._known(lambda: registry.noise_law(law_name), at)
        if spec.noise.ratio > 0:
            material = law.material if isinstance(law, BoundLaw) else None
            if material is not None and material not in self.family.materials:
                raise BadInputError(
                    f"{self.source.where(at)}: noise law {law_name!r} needs {material}, which trials of the family "
                    f"{self.family.name!r} do not have; choose another law ('sweep trainers' lists them)"
                )
            at = self._place("noise.map" if "noise.map" in cell else "noise.law", cell)
            if dataset.classes != UNKNOWN_CLASSES:  # the run will tell, once the data is there
                self._known(lambda: law.check(spec.noise, spec.classes_of(dataset.classes)), at)
        self.checked.add(signature)

    def _needed(self, role: str, need: Need) -> Callable[[TrialSpec], Trial]:
        """What finds the trial that fills a role, the candidates sorted by their values of ``match`` beforehand."""
        at = (*self.base, "needs", role)
        roles = self.family.spec.roles
        if role not in roles:
            raise BadInputError(
                f"{self.source.where(at)}: the family {self.family.name!r} has no role {role!r}{nearest(role, roles)}"
            )
        theirs = Vocabulary(registry.family(self.made[need.group][0].spec.family))
        for position, key in enumerate(need.match):
            where = self.source.where((*at, "match", position))
            self.vocabulary.require(key, f"{where}: needs.{role}.match")
            theirs.require(key, f"{where}: needs.{role}.match: group {need.group!r}")
        wanted = reader(need.where, (*at, "where"), self.source, theirs)
        candidates: dict[object, list[Trial]] = {}
        for trial in self.made[need.group]:
            if matches(trial.spec, wanted):
                candidates.setdefault(_marks(trial.spec, need.match), []).append(trial)

        def find(spec: TrialSpec) -> Trial:
            fits = candidates.get(_marks(spec, need.match), [])
            if len(fits) == 1:
                return fits[0]
            asked = wanted | {key: [value_of(spec, key)] for key in need.match}
            said = ", ".join(f"{key} = {', '.join(map(str, values))}" for key, values in asked.items())
            problem = (
                f"{len(fits)} trials of group {need.group!r} fit" if fits else f"no trial of group {need.group!r} fits"
            )
            remedy = "add keys to 'match' or 'where' until one is left" if fits else "widen that group or drop a key"
            raise BadInputError(
                f"{self.source.where(at)}: needs.{role}: {problem} ({said or 'no condition'}); {remedy}"
            )

        return find


def _moot(cell: Cell) -> dict[str, Any]:
    """What a clean trial has no use for, and so forgets, as the grid wrote it."""
    return {key: item.value for key, item in cell.items() if key.startswith("noise.") and key not in (RATIO, RATE)}


def _marks(spec: TrialSpec, keys: Sequence[str]) -> object:
    return tuple(hashed(value_of(spec, key)) for key in keys)
