"""Nested states of tensors: compared bit for bit, saved and loaded as files are, and damaged on purpose."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted fields as nested mappings."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        *parents, last = key.split(".")
        inner = found
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return found


def reloaded(state: Mapping[str, Any]) -> Any:
    """The state after a file: saved, and loaded without unpickling code."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of all that is no mapping, list or tuple."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}/{number}")
    else:
        yield path, value


def plain(value: Any) -> bool:
    return value is None or type(value) in (bool, int, float, str) or isinstance(value, torch.Tensor)


def tensors(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {path: value.clone() for path, value in leaves(state) if isinstance(value, torch.Tensor)}


def same_tensor(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit for bit: kind, shape and bytes, so that -0.0 is not 0.0."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    raw = [tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other)]
    return torch.equal(*raw)


def differences(one: Any, other: Any) -> list[str]:
    """Paths at which two nested values differ, bit for bit; empty where they are the same."""
    mine, theirs = dict(leaves(one)), dict(leaves(other))
    found = [f"{path}: only in one" for path in sorted(mine.keys() ^ theirs.keys())]
    for path in sorted(mine.keys() & theirs.keys()):
        a, b = mine[path], theirs[path]
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            if not same_tensor(a, b):
                found.append(path)
        elif type(a) is not type(b) or a != b:
            found.append(f"{path}: {a!r:.60} and {b!r:.60}")
    return found


#: Leaves below one key of a state that are damaged in turn.
TRIED = 12


def damaged(state: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Copies of a state, each with one thing wrong, and what it is.

    Of what lies below one key at most ``TRIED`` are damaged, evenly spaced: a network may have hundreds of tensors, and
    each try compares the whole state.
    """
    for key in state:
        yield f"no {key!r}", {name: value for name, value in state.items() if name != key}
        yield f"{key!r} replaced by None", {**state, key: None}
    below: dict[str, list[tuple[str, Any]]] = {}
    for path, value in leaves(state):
        below.setdefault(path.split("/")[1], []).append((path, value))
    for path, value in (leaf for found in below.values() for leaf in found[:: -(-len(found) // TRIED)]):
        keys = path.split("/")[1:]
        if isinstance(value, torch.Tensor):
            wider = torch.zeros((*value.shape, 2), dtype=value.dtype)
            yield f"{path} of another shape", replaced_at(state, keys, wider)
            if value.is_floating_point():
                yield f"{path} not finite", replaced_at(state, keys, torch.full_like(value, math.nan))
        elif type(value) is int:
            yield f"{path} negative", replaced_at(state, keys, -1)
            yield f"{path} as text", replaced_at(state, keys, str(value))


def replaced_at(state: Any, keys: Sequence[str], value: Any) -> Any:
    """A copy of nested mappings and lists with the value at ``keys`` replaced."""
    if not keys:
        return value
    if isinstance(state, Mapping):
        pairs = state.items()
        return {name: replaced_at(inner, keys[1:], value) if str(name) == keys[0] else inner for name, inner in pairs}
    return [replaced_at(inner, keys[1:], value) if str(i) == keys[0] else inner for i, inner in enumerate(state)]
