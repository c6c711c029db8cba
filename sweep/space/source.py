"""YAML with line numbers: YAML 1.2 scalars, duplicate keys refused, nothing but plain data.

PyYAML's own SafeLoader reads YAML 1.1: ``6e-4`` is a string, ``no`` is False, ``1:30`` is ninety, and a key given
twice silently wins. A grid file that means something else than it says is a wrong result, so this loader differs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sweep.errors import BadInputError

MAX_BYTES = 4_000_000
MAX_NODES = 200_000  # aliases multiply: a few lines can otherwise unfold into gigabytes
MAX_DEPTH = 40

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """A parsed file: its data, and the line on which each value stands."""

    name: str
    data: Any
    lines: dict[Path_, int]

    def where(self, path: Path_) -> str:
        """``file:line`` of the value at ``path``, or of the nearest enclosing one that has a line."""
        for length in range(len(path), -1, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return f"{self.name}:{line}"
        return self.name


class _Loader(yaml.SafeLoader):
    """YAML 1.2 core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^(?:<<)$"), ["<"])

_SCALARS = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    "tag:yaml.org,2002:str": str,
}


class _Reader:
    def __init__(self, name: str, loader: _Loader) -> None:
        self.name = name
        self.loader = loader
        self.lines: dict[Path_, int] = {}
        self.nodes = 0

    def fail(self, node: yaml.Node, message: str) -> BadInputError:
        return BadInputError(f"{self.name}:{node.start_mark.line + 1}: {message}")

    def value(self, node: yaml.Node, path: Path_) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.fail(node, f"the file unfolds into more than {MAX_NODES:,} values; write it without aliases")
        if len(path) > MAX_DEPTH:
            raise self.fail(node, f"values are nested more than {MAX_DEPTH} deep (an alias that contains itself?)")
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        raise self.fail(node, "only mappings, lists and scalars are allowed")

    def scalar(self, node: yaml.ScalarNode) -> Any:
        read = _SCALARS.get(node.tag)
        if read is None:
            raise self.fail(node, f"the tag {node.tag!r} is not allowed; write plain YAML values")
        try:
            return read(node.value)
        except ValueError:
            raise self.fail(node, f"{node.value[:40]!r} is not a number") from None

    def mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or (key.tag not in _SCALARS and not key.tag.endswith("merge")):
                raise self.fail(key, "a key must be a plain name")
            if key.value in seen:
                raise self.fail(key, f"the key {key.value!r} is given twice (first on line {seen[key.value]})")
            seen[key.value] = key.start_mark.line + 1
        self.loader.flatten_mapping(node)  # `<<` merges; own keys come last and win, as YAML says
        result: dict[str, Any] = {}
        for key, item in node.value:
            result[str(key.value)] = self.value(item, (*path, str(key.value)))
            self.lines[(*path, str(key.value))] = key.start_mark.line + 1
        return result


def parse(text: str, name: str) -> Source:
    """Parse YAML text.

    Raises:
        BadInputError: the text is no YAML, has a key twice, a foreign tag, or unfolds without bound.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise BadInputError(f"{name}: the file is empty; a grid file has 'name' and 'groups'")
        reader = _Reader(name, loader)
        return Source(name, reader.value(node, ()), reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise BadInputError(f"{name}{line}: not valid YAML: {error.problem or error}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInputError(f"{name}: not valid YAML: {str(error).splitlines()[0]}") from None
    finally:
        loader.dispose()


def read(path: Path) -> Source:
    """Read and parse a grid file.

    Raises:
        BadInputError: the file is missing, no file, too large, not UTF-8, or not valid YAML.
    """
    try:
        if path.is_dir():
            raise BadInputError(f"{path}: is a folder; name a grid file (.yaml)")
        if path.stat().st_size > MAX_BYTES:
            raise BadInputError(f"{path}: larger than {MAX_BYTES:,} bytes; a grid file is a page of YAML")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInputError(f"{path}: no such grid file") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read ({error.strerror})") from None
    return parse(text, str(path))


def scalar(text: str) -> Any:
    """Read one value given on the command line, by the rules of grid files.

    Raises:
        BadInputError: the text is no YAML value.
    """
    return parse(text, "option").data if text.strip() else None
