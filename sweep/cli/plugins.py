"""``sweep trainers`` and ``sweep datasets``: what is plugged in."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sweep.cli.options import DataOption, JsonOption, data_root
from sweep.cli.output import emit, say, table
from sweep.space.vocabulary import dotted_fields
from trainers import registry
from trainers.errors import SpecError, TrainerError
from trainers.protocol import ListingMaker


def register(app: typer.Typer) -> None:
    app.command("trainers")(trainers_command)
    app.command("datasets")(datasets_command)


def trainers_command(json: JsonOption = False) -> None:
    """Trainers (families) and noise laws with their models, fields and defaults."""
    families, broken = [], []
    for name in registry.names("trainer"):
        try:
            families.append(_family(name))
        except SpecError as error:  # one plug-in that cannot be imported hides no other
            broken.append(str(error))
    laws = [{"name": name, "about": _about(name)} for name in registry.names("noise law")]
    if json:
        emit({"trainers": families, "noise_laws": laws, "broken": broken})
        return
    for family in families:
        say(f"{family['name']}: {family['about']}")
        table(["model", "about"], [[model, about] for model, about in family["models"].items()])
        rows = [[field["name"], field["type"], field["default"]] for field in family["fields"]]
        table(["field", "type", "default"], rows)
        for key, holds in (("needs", family["roles"]), ("resources", ["cpu", "gpu", *family["options"]])):
            if holds:
                say(f"{key}: {', '.join(holds)}")
        table(["metric", "about"], [[metric, about] for metric, about in family["metrics"].items()])
    table(["noise law", "about"], [[law["name"], law["about"]] for law in laws])
    for problem in broken:
        say(problem)


def datasets_command(data: DataOption = None, json: JsonOption = False) -> None:
    """Data sets: what they hold, and whether they are on this machine or how to get them."""
    root = data_root(data)
    rows: list[dict[str, Any]] = []
    broken = []
    names = registry.names("data set")
    for maker in registry.names("data set maker"):
        try:
            made = registry.dataset_maker(maker)
        except SpecError as error:
            broken.append(str(error))
        else:
            names += [f"{maker}/{rest}" for rest in made.names()] if isinstance(made, ListingMaker) else []
    for name in names:
        try:
            rows.append(_dataset(name, root))
        except TrainerError as error:  # one that cannot be imported, or is damaged, hides no other
            broken.append(str(error))
    if json:
        emit({"datasets": rows, "broken": broken})
        return
    cells = [
        [r["name"], r["kind"], str(r["classes"]), " x ".join(str(side) for side in r["shape"])]
        + [_size(r["train"]), _size(r["test"]), "present" if r["present"] else str(r["obtain"])]
        for r in rows
    ]
    table(["data set", "kind", "classes", "shape", "train", "test", "on this machine"], cells, right={2, 4, 5})
    for problem in broken:
        say(problem)


def _dataset(name: str, root: Path | None) -> dict[str, Any]:
    found = registry.dataset(name)
    present = found.present(root)
    return {
        "name": name,
        "version": found.version,
        "kind": found.kind,
        "classes": found.classes,
        "shape": list(found.shape),
        "train": found.train_size,
        "test": found.test_size,
        "present": present,
        "obtain": None if present else found.obtain,
        "source": found.source,
        "about": found.about,
    }


def _size(size: int | None) -> str:
    """Images or tokens; a dash where they depend on the machine's own text."""
    return "-" if size is None else f"{size:,}"


def _about(law: str) -> str:
    try:
        return registry.noise_law(law).about
    except SpecError as error:
        return str(error)


def _family(name: str) -> dict[str, Any]:
    family = registry.family(name)
    return {
        "name": family.name,
        "about": family.about,
        "models": dict(family.models),
        "metrics": dict(family.metrics),
        "roles": list(family.spec.roles),
        "options": sorted(family.options),
        "fields": [
            {"name": dotted, "type": _type(field.annotation), "default": _default(family.spec, dotted, field)}
            for dotted, field in dotted_fields(family.spec).items()
            if dotted not in {"family", "needs"}
        ],
    }


def _type(annotation: Any) -> str:
    """An annotation as people write it, bounds left to the error messages."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inside[0])
    if origin is Literal:
        return " | ".join(map(str, inside))
    if origin in (Union, UnionType):
        return " | ".join(_type(one) for one in inside)
    if annotation is Fraction:
        return "number or a/b"
    if origin is tuple:
        return f"list of {_type(inside[0])}"
    return "null" if annotation is type(None) else str(getattr(annotation, "__name__", annotation))


def _default(model: type[BaseModel], dotted: str, field: FieldInfo) -> str:
    """The default of a dotted field, as its family's own sections set it; ``required`` where there is none."""
    section, _, rest = dotted.partition(".")
    outer = model.model_fields[section]
    if rest and not outer.is_required():
        value = outer.get_default(call_default_factory=True)
        for part in rest.split("."):
            value = getattr(value, part, None)
        return _written(value)
    return "required" if field.is_required() else _written(field.get_default(call_default_factory=True))


def _written(value: Any) -> str:
    """A value as a grid file has it, so that what is copied from the list means the same there."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    return str(value)
