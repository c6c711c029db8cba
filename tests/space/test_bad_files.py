"""Every bad grid file is refused with its place, the value and a way out, and with no other exception."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from space.bad_files import CASES
from space.conftest import Load

from sweep.errors import BadInputError
from sweep.space import load_space
from sweep.space.resolve import resolve
from sweep.space.source import MAX_BYTES, parse, read

BASE = {
    "name": "n",
    "groups": [
        {
            "name": "g",
            "family": "toy",
            "set": {"model": "noop", "dataset": "toy", "budget.samples": 10},
            "grid": {"seed": [0, 1]},
        }
    ],
}


@pytest.mark.parametrize(("text", "fragments"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_is_refused_with_place_and_remedy(load: Load, text: str, fragments: tuple[str, ...]) -> None:
    with pytest.raises(BadInputError) as caught:
        load(text)
    message = str(caught.value)
    assert re.search(r"grid\.yaml:\d+: ", message), message
    assert not [fragment for fragment in fragments if fragment not in message], message
    assert max(map(len, message.splitlines())) < 600, "a message is a sentence, not a dump"


def test_case_names_are_unique_and_many() -> None:
    names = [case[0] for case in CASES]
    assert len(set(names)) == len(names) >= 60


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such grid file"):
        read(tmp_path / "none.yaml")
    with pytest.raises(BadInputError, match="is a folder; name a grid file"):
        read(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: x\nabout: caf\xe9\n".encode("latin-1"))
    with pytest.raises(BadInputError, match=r"latin\.yaml:2: not UTF-8 text \(byte 0xe9\)"):
        read(latin)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(BadInputError, match="larger than 4,000,000 bytes"):
        read(large)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(string.printable, max_size=6),
    st.sampled_from(["noise.ratio", "1/2", "-1", "judge", "toy"]),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.sampled_from(["seed", "group", "x"]), st.integers(), max_size=2),
)
SPOTS = st.one_of(
    st.tuples(st.sampled_from(["name", "about", "groups", "extra"])),
    st.tuples(
        st.just("groups"),
        st.just(0),
        st.sampled_from(["name", "family", "set", "grid", "zip", "when", "exclude", "needs", "resources", "extra"]),
    ),
    st.tuples(st.just("groups"), st.just(0), st.sampled_from(["set", "grid"]), st.sampled_from(["seed", "model", "x"])),
)


@settings(max_examples=150)
@given(spot=SPOTS, junk=JUNK)
def test_junk_in_any_place_is_taken_or_refused_but_never_crashes(spot: tuple[str | int, ...], junk: object) -> None:
    tree = yaml.safe_load(yaml.safe_dump(BASE))
    inside = tree
    for part in spot[:-1]:
        inside = inside[part]
    inside[spot[-1]] = junk
    _taken_or_refused(yaml.safe_dump(tree))


@settings(max_examples=150)
@given(at=st.integers(0, 200), removed=st.integers(0, 5), put=st.text(":-[]{}&*!|>'\"#\t\n ,0a\0", max_size=4))
def test_a_damaged_file_is_taken_or_refused_but_never_crashes(at: int, removed: int, put: str) -> None:
    text = yaml.safe_dump(BASE)
    _taken_or_refused(text[:at] + put + text[at + removed :])


@settings(max_examples=100)
@given(text=st.text(max_size=40))
def test_any_text_is_taken_or_refused_but_never_crashes(text: str) -> None:
    _taken_or_refused(text)


def _taken_or_refused(text: str) -> None:
    try:
        space = resolve(parse(text, "grid.yaml"), {})
    except BadInputError as error:
        assert re.match(r"grid\.yaml:\d+: ", str(error)), str(error)  # noqa: PT017 - either outcome is fine
    else:
        assert space.trials


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        ({"sead": 1}, ("--set sead", "unknown key 'sead'", "did you mean 'seed'?")),
        ({"seed": -1}, ("--set seed", "seed = -1", "at least 0")),
        ({"noise.ratio": 1, "noise.rate": 0.5}, ("--set noise.rate", "either noise.ratio or noise.rate")),
        ({"model": "nop"}, ("--set model", "'nop'", "did you mean 'noop'?")),
        ({"noise.law": "x", "noise.ratio": 1}, ("--set noise.law", "unknown noise law 'x'")),
    ],
)
def test_a_bad_override_is_laid_to_the_option(
    tmp_path: Path, overrides: dict[str, object], fragments: tuple[str, ...]
) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(BASE))
    with pytest.raises(BadInputError) as caught:
        load_space(path, overrides)
    assert not [fragment for fragment in fragments if fragment not in str(caught.value)], str(caught.value)
