"""YAML with line numbers: YAML 1.2 scalars, duplicate keys refused, nothing but plain data.

PyYAML's own SafeLoader reads YAML 1.1: ``6e-4`` is a string, ``no`` is False, ``1:30`` is ninety, and a key given
twice silently wins. A grid file that means something else than it says is a wrong result, so this loader differs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sweep.errors import BadInputError

MAX_BYTES = 4_000_000
MAX_NODES = 200_000  # aliases multiply: a few lines can otherwise unfold into gigabytes
MAX_DEPTH = 40

Path_ = tuple[str | int, ...]

#: Where values stand that no file gave, but the command line (``--set``).
OPTION = "--set"


@dataclass(frozen=True)
class Source:
    """A parsed file: its data, and the line on which each value stands."""

    name: str
    data: Any
    lines: dict[Path_, int]

    def where(self, path: Path_) -> str:
        """``file:line`` of the value at ``path``, or of the nearest enclosing one that has a line."""
        if path[:1] == (OPTION,):
            return " ".join(map(str, path[:2]))
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

# What no name, number or sentence holds: control characters but for tab and line ends, halves of surrogate pairs.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MERGE = "tag:yaml.org,2002:merge"

_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    "tag:yaml.org,2002:str": str,
}


#: Name -> its key and its value.
Entries = dict[str, tuple[yaml.ScalarNode, yaml.Node]]


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Path_, int] = {}
        self.nodes = 0
        self.merged: dict[int, Entries] = {}

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
        plain = "seq" if isinstance(node, yaml.SequenceNode) else "map"
        if node.tag != f"tag:yaml.org,2002:{plain}":
            raise self.fail(node, f"the tag {node.tag!r} is not allowed; write plain YAML values")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        result: dict[str, Any] = {}
        for name, (key, item) in self.entries(node).items():
            result[name] = self.value(item, (*path, name))
            self.lines[(*path, name)] = key.start_mark.line + 1
        return result

    def scalar(self, node: yaml.ScalarNode) -> Any:
        read = _SCALARS.get(node.tag)
        if read is None:
            raise self.fail(node, f"the tag {node.tag!r} is not allowed; write plain YAML values")
        odd = _UNPRINTABLE.search(node.value)
        if odd is not None:
            raise self.fail(node, f"the character {odd.group()!r} is not allowed; write printable text")
        try:
            return read(node.value)
        except ValueError:  # a tag that does not fit, as in `!!int x`, or more digits than Python reads
            raise self.fail(node, f"{node.value[:40]!r} is not a number that can be read") from None

    def entries(self, node: yaml.MappingNode, within: tuple[int, ...] = ()) -> Entries:
        """Keys and values of a mapping, those that ``<<`` merges included; own keys win, then earlier mappings.

        Each name is held once, so mappings that merge mappings that merge cannot multiply. ``within`` are the
        mappings that are being merged into.
        """
        known = self.merged.get(id(node))
        if known is not None:
            return known
        if id(node) in within or len(within) > MAX_DEPTH:
            raise self.fail(node, f"mappings merge each other in a circle, or more than {MAX_DEPTH} deep")
        own: Entries = {}
        seen: dict[tuple[str, str], int] = {}
        sources: list[yaml.MappingNode] = []
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in {*_SCALARS, _MERGE}:
                raise self.fail(key, "a key must be a plain name")
            merges, name = key.tag == _MERGE, str(key.value)
            slot = (_MERGE if merges else "", name)
            if slot in seen:
                raise self.fail(key, f"the key {name!r} is given twice (first on line {seen[slot]})")
            seen[slot] = key.start_mark.line + 1
            if merges:
                sources = self._merge_sources(item)
            else:
                self.scalar(key)
                own[name] = (key, item)
        merged: Entries = {}
        for source in sources:
            for name, entry in self.entries(source, (*within, id(node))).items():
                merged.setdefault(name, entry)
        self.merged[id(node)] = merged | own
        return self.merged[id(node)]

    def _merge_sources(self, node: yaml.Node) -> list[yaml.MappingNode]:
        others = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for other in others:
            if not isinstance(other, yaml.MappingNode):
                raise self.fail(other, "'<<' merges a mapping or a list of mappings")
        return list(others)


def parse(text: str, name: str) -> Source:
    """Parse YAML text.

    Raises:
        BadInputError: the text is no YAML, has a key twice, a foreign tag, or unfolds without bound.
    """
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:  # found before a line is read, and told by its place in the text
        line = text.count("\n", 0, error.position) + 1
        raise BadInputError(
            f"{name}:{line}: not valid YAML: the character {chr(error.character)!r} is not allowed; "
            "save the file as plain UTF-8 text"
        ) from None
    try:
        node = loader.get_single_node()
        if node is None:
            raise BadInputError(f"{name}:1: the file is empty; a grid file has 'name' and 'groups'")
        reader = _Reader(name)
        return Source(name, reader.value(node, ()), reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        said = (error.context, error.problem)
        raise BadInputError(f"{name}:{line}: not valid YAML: {', '.join(filter(None, said))}") from None
    except RecursionError:
        raise BadInputError(f"{name}:{loader.line + 1}: values are nested more than {MAX_DEPTH} deep") from None
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
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadInputError(f"{path}: no such grid file") from None
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInputError(
            f"{path}:{line}: not UTF-8 text (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        ) from None
    return parse(text.replace("\r\n", "\n").replace("\r", "\n"), str(path))


def scalar(text: str, name: str = "option") -> Any:
    """Read one value given on the command line as option ``name``, by the rules of grid files.

    Raises:
        BadInputError: the text is no YAML value.
    """
    return parse(text, name).data if text.strip() else None
