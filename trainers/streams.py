"""Counter-based random streams (design 3.4): a value depends on its key and its position, not on earlier draws.

A stream is named by (seed, purpose). Position ``p`` of it is one Philox4x64 block of four 64-bit words, so any part of
a stream can be read alone, and a resumed run reads what an uninterrupted one would have read. numpy only.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

WORDS = 4  # 64-bit words in a Philox4x64 block
_LAST_POSITION = 2**64  # the low word of the counter is the position; the other three stay 0
_LAST_SIGNED = 2**63  # positions in int64 arrays
_UNIT = 2.0**-53  # a float64 holds 53 bits below 1
_AT_ONCE = 8_192  # words made normal at once: 64 KiB, and what comes of them, stay in the cache


def words(seed: int, purpose: str, start: int, count: int) -> npt.NDArray[np.uint64]:
    """Blocks ``start`` to ``start + count - 1`` of the stream (seed, purpose), [count, 4].

    Raises:
        ValueError: a negative start or count, or a position past 2**64.
    """
    if start < 0 or count < 0 or start + count > _LAST_POSITION:
        raise ValueError(
            f"positions {start} to {start} + {count} lie outside the stream; start and count must be 0 or more "
            "and their sum at most 2**64"
        )
    # numpy adds one to the counter before each block: position p is the Philox block of counter p + 1, throughout.
    # It also reads a list of numbers past 2**63 through float64, so both are given as arrays of words.
    counter = np.array([start, 0, 0, 0], dtype=np.uint64)
    generator = np.random.Philox(key=np.array(_key(seed, purpose), dtype=np.uint64), counter=counter)
    return generator.random_raw(count * WORDS).reshape(count, WORDS)


def runs(seed: int, purpose: str, starts: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.uint64]:
    """Blocks ``starts[i]`` to ``starts[i] + length - 1`` of the stream (seed, purpose) for each i, [n, length, 4].

    ``words`` for many short stretches: one generator is set to each, which takes a tenth of the time of building one.

    Raises:
        ValueError: a negative start or length, or a position past 2**63.
    """
    if length < 0 or (len(starts) and (starts.min() < 0 or int(starts.max()) + length > _LAST_SIGNED)):
        raise ValueError(
            f"runs of {length} positions at {starts.min() if len(starts) else 0} and later lie outside the stream; "
            "starts and length must be 0 or more and their sum at most 2**63"
        )
    found = np.empty((len(starts), length, WORDS), dtype=np.uint64)
    generator = np.random.Philox(key=np.array(_key(seed, purpose), dtype=np.uint64))
    state = generator.state
    counter = state["state"]["counter"]
    state["buffer_pos"] = WORDS  # the block that the buffer held is used up: the next one is of counter + 1
    for row, start in enumerate(starts.astype(np.uint64)):
        counter[:] = (start, 0, 0, 0)
        generator.state = state
        found[row] = generator.random_raw(length * WORDS).reshape(length, WORDS)
    return found


def uniforms(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """The upper 53 bits of each word as a number in [0, 1), in steps of 2**-53; same shape."""
    return (words >> np.uint64(11)).astype(np.float64) * _UNIT


def normals(seed: int, purpose: str, start: int, count: int, size: int) -> npt.NDArray[np.float32]:
    """Standard normal numbers at positions ``start`` to ``start + count - 1``, [count, size].

    A position owns ``blocks_of(size)`` blocks of (seed, purpose), so its numbers do not depend on what else is read;
    positions under another ``size`` are other ones.

    Raises:
        ValueError: a negative start or count, a size below 1, or a position whose blocks lie past 2**63.
    """
    blocks = blocks_of(size)
    _check_positions(start, start + count, blocks)
    flat = words(seed, purpose, start * blocks, count * blocks)
    return _normal(flat.reshape(count, blocks * WORDS), size)


def normals_at(seed: int, purpose: str, positions: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float32]:
    """:func:`normals` at any positions, [len(positions), size].

    Raises:
        ValueError: a negative position, a size below 1, or a position whose blocks lie past 2**63.
    """
    blocks = blocks_of(size)
    if len(positions):  # before they are multiplied: int64 would wrap without a word
        _check_positions(int(positions.min()), int(positions.max()) + 1, blocks)
    flat = runs(seed, purpose, positions * blocks, blocks)
    return _normal(flat.reshape(len(positions), blocks * WORDS), size)


def blocks_of(size: int) -> int:
    """Blocks of a stream that ``size`` normal numbers take: a word makes two.

    Raises:
        ValueError: a size below 1.
    """
    if size < 1:
        raise ValueError(f"size {size}: at least one number a position is due")
    return -(-size // (2 * WORDS))


def _check_positions(first: int, end: int, blocks: int) -> None:
    if first < 0 or end < first or end * blocks > _LAST_SIGNED:
        raise ValueError(
            f"positions {first} to {end}, of {blocks} blocks each, lie outside the stream; they must be 0 or more, "
            f"in this order, and at most 2**63 / {blocks}"
        )


def _normal(words: npt.NDArray[np.uint64], size: int) -> npt.NDArray[np.float32]:
    """Box and Muller's transform (1958) of each word's halves: a radius and an angle make two normal numbers.

    The radius is of a uniform number in (0, 1] in steps of 2**-32, so no number exceeds 6.7.
    """
    flat = words.reshape(-1)
    pairs = np.empty((len(flat), 2), dtype=np.float32)
    for first in range(0, len(flat), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        halves = flat[part].view(np.uint32).reshape(-1, 2)  # [low, high] of a word: machines are little-endian
        # In float64, whose numbers just below 1 are those of small radii; the root of it would take half of all time.
        logarithm = np.log((halves[:, 0].astype(np.float64) + 1.0) * 2.0**-32)
        radius = np.sqrt((-2.0 * logarithm).astype(np.float32))
        angle = halves[:, 1].astype(np.float32) * np.float32(2.0 * np.pi * 2.0**-32)
        np.multiply(radius, np.cos(angle), out=pairs[part, 0])
        np.multiply(radius, np.sin(angle), out=pairs[part, 1])
    return pairs.reshape(len(words), 2 * words.shape[1])[:, :size]


def permutation(seed: int, purpose: str, size: int) -> npt.NDArray[np.int64]:
    """A random order of ``range(size)``, [size].

    The words of the stream are ranked rather than swapped by a library's shuffle, whose algorithm may change with its
    version. Of n words two are equal with probability n**2 / 2**65; the stable sort settles those too.
    """
    flat = words(seed, purpose, 0, -(-size // WORDS)).reshape(-1)[:size]
    return np.argsort(flat, kind="stable").astype(np.int64, copy=False)


def order(seed: int, start: int, count: int, size: int, *, used: int | None = None) -> npt.NDArray[np.int64]:
    """Example at each of the stream positions ``start`` to ``start + count - 1``, [count].

    Epoch k = position // size is a permutation of ``range(size)`` of its own, keyed by (seed, k), so how a run is cut
    into calls changes nothing. Of a permutation the first ``used`` examples are read (None: all), and an epoch is so
    long: the rest is left out, as loaders do that drop the last part of a batch.

    Raises:
        ValueError: a negative start or count, a size below 1, or a ``used`` that is not 1 to ``size``.
    """
    length = size if used is None else used
    if start < 0 or count < 0 or size < 1 or not 1 <= length <= size:
        raise ValueError(
            f"start {start}, count {count}, size {size}, used {used}: start and count must be 0 or more, size "
            "(examples) 1 or more, used 1 to size"
        )
    found = np.empty(count, dtype=np.int64)
    filled = 0
    while filled < count:
        epoch, offset = divmod(start + filled, length)
        part = _epoch(seed, epoch, size)[offset:length][: count - filled]
        found[filled : filled + len(part)] = part
        filled += len(part)
    return found


def torch_seed(seed: int, purpose: str) -> int:
    """A seed in [0, 2**63) for a ``torch.Generator``, unrelated between purposes.

    torch's CPU generator keeps the low 32 bits only, so two purposes meet there with probability 2**-32.
    """
    return int.from_bytes(_hash(seed, f"torch/{purpose}")[:8], "little") >> 1


@lru_cache(maxsize=4)  # two a run that crosses an epoch's end, for two runs at once
def _epoch(seed: int, epoch: int, size: int) -> npt.NDArray[np.int64]:
    found = permutation(seed, f"order/{epoch}", size)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=256)
def _key(seed: int, purpose: str) -> tuple[int, int]:
    digest = _hash(seed, purpose)
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")


def _hash(seed: int, purpose: str) -> bytes:
    # A seed is digits only, so the first colon ends it and no two pairs share a text.
    return hashlib.sha256(f"{int(seed)}:{purpose}".encode()).digest()
