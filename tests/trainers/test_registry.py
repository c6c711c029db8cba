"""What is plugged in: names without imports, unknown names with a hint, plug-ins that fail by name."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from trainers import registry
from trainers.errors import SpecError


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry of two noise laws: one that cannot be imported, one that names what its module lacks."""
    points = [
        EntryPoint("broken", "no_such_module_at_all:LAW", "noisegrid.noise"),
        EntryPoint("lacking", "trainers.errors:NO_SUCH_LAW", "noisegrid.noise"),
    ]

    def fresh() -> None:
        registry._points.cache_clear()
        registry._load.cache_clear()

    monkeypatch.setattr(registry, "entry_points", lambda group: [one for one in points if one.group == group])
    fresh()
    yield
    fresh()


def test_names_are_sorted_and_those_of_the_project() -> None:
    assert registry.names("noise law") == sorted(registry.names("noise law"))
    assert {"uniform_wrong", "uniform_all", "next_class", "confusion"} <= set(registry.names("noise law"))
    assert {"digits", "mnist5k"} <= set(registry.names("data set"))
    assert "classifier" in registry.names("trainer")


def test_module_is_told_without_importing_it(plugged: None) -> None:
    assert registry.module("noise law", "broken") == "no_such_module_at_all"
    assert registry.names("noise law") == ["broken", "lacking"]


def test_loaded_once() -> None:
    assert registry.noise_law("next_class") is registry.noise_law("next_class")
    assert registry.noise_law("next_class").name == "next_class"
    assert registry.dataset("digits").name == "digits"


def test_unknown_name_is_told_with_the_nearest_and_all_allowed() -> None:
    with pytest.raises(SpecError, match=r"unknown noise law 'next_clas' \(did you mean 'next_class'\?\)\. Allowed: .*"):
        registry.noise_law("next_clas")
    with pytest.raises(SpecError, match=r"unknown data set 'mnist' \(did you mean 'mnist5k'\?\)"):
        registry.dataset("mnist")
    with pytest.raises(SpecError, match=r"unknown trainer 'clasifier' \(did you mean 'classifier'\?\)"):
        registry.family("clasifier")
    with pytest.raises(SpecError, match=r"unknown data set 'digit' \(did you mean 'digits'\?\)"):
        registry.module("data set", "digit")


def test_unknown_name_far_from_all_has_no_hint() -> None:
    with pytest.raises(SpecError) as caught:
        registry.noise_law("zzz")
    assert "did you mean" not in str(caught.value)
    for name in registry.names("noise law"):
        assert name in str(caught.value)


def test_nothing_registered_is_said_so(plugged: None) -> None:
    with pytest.raises(SpecError, match=r"unknown trainer 'classifier'\. Allowed: none is registered\."):
        registry.family("classifier")


@pytest.mark.parametrize(
    ("name", "place", "cause"),
    [
        ("broken", "no_such_module_at_all:LAW", ModuleNotFoundError),
        ("lacking", "trainers.errors:NO_SUCH_LAW", AttributeError),
    ],
)
def test_plug_in_that_cannot_be_imported_is_named(plugged: None, name: str, place: str, cause: type[Exception]) -> None:
    with pytest.raises(
        SpecError, match=rf"noise law '{name}' \({place}\) cannot be imported: {cause.__name__}"
    ) as caught:
        registry.noise_law(name)
    assert isinstance(caught.value.__cause__, cause)


def test_a_name_registered_twice_is_refused_unless_it_is_the_same_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(second: str) -> list[EntryPoint]:
        return [EntryPoint("mine", "one.package:LAW", "noisegrid.noise"), EntryPoint("mine", second, "noisegrid.noise")]

    for second, refused in (("one.package:LAW", False), ("other.package:LAW", True)):
        monkeypatch.setattr(registry, "entry_points", lambda group, second=second: points(second))
        registry._points.cache_clear()
        if refused:
            with pytest.raises(
                SpecError, match=r"'mine' is registered twice, as one\.package:LAW and as other\.package"
            ):
                registry.names("noise law")
        else:
            assert registry.names("noise law") == ["mine"]
    registry._points.cache_clear()
