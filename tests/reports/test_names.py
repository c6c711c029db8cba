"""A user's own text is shown by the name that its user gave, and arranged by what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fixtures.language_store import Text
from fixtures.report_store import Rows as Stored

from reports.cells import figure_sets
from reports.names import own_names
from reports.rows import Rows, read_rows
from sweep.store.schema import to_table

NAMES = ("trials", "metrics", "attempts", "artifacts")
ONE, OTHER = "00112233445566aa", "ffeeddccbbaa9988"


@dataclass(frozen=True)
class Own(Text):
    """On a text of one's own, which a specification knows by its hash."""

    content: str = ONE

    def spec(self) -> dict[str, Any]:
        return {**super().spec(), "dataset": f"{self.dataset.partition('/')[0]}@{self.content}"}


def own(seed: int, name: str = "corpus/mine", content: str = ONE, **fields: Any) -> Own:
    return Own(Fraction(1), seed=seed, dataset=name, content=content, **fields)


def read(cells: list[Text], begun: list[Text] | None = None) -> Rows:
    stored = Stored()
    for cell in cells:
        stored.publish(cell, measured={"test_nll": 1.0}, kept=False)
    for cell in begun or []:
        stored.begin(cell)
    return read_rows({name: to_table(name, stored.tables[name]) for name in NAMES})


def labels(cells: list[Text], begun: list[Text] | None = None) -> list[str]:
    rows = read(cells, begun)
    return [panel.label for view in figure_sets(rows.trials, rows.attempted) for panel in view.panels]


def test_a_text_is_called_by_its_name_also_where_a_trial_was_only_begun() -> None:
    rows = read([own(0)], [own(1)])
    assert [trial.dataset for trial in (*rows.trials, *rows.attempted)] == [f"corpus/mine@{ONE}"] * 2
    assert labels([own(0)], [own(1)]) == ["corpus/mine"]
    assert labels([own(0), Text(Fraction(1))]) == ["corpus/mine", "python-docs"]


def test_a_text_that_was_never_published_keeps_its_hash() -> None:
    (lost,) = read([], [own(0)]).attempted
    assert lost.dataset == f"corpus@{ONE}"


def test_one_content_under_two_names_is_one_panel() -> None:
    assert labels([own(0, "corpus/yours"), own(1, "corpus/mine")]) == ["corpus/mine"]


def test_two_contents_of_one_name_carry_their_hashes() -> None:
    assert labels([own(0), own(0, content=OTHER)]) == ["corpus/mine 00112233", "corpus/mine ffeeddcc"]


def test_two_names_need_no_hash() -> None:
    assert labels([own(0), own(0, "corpus/yours", OTHER)]) == ["corpus/mine", "corpus/yours"]


def test_a_needed_trial_is_told_by_the_name_of_its_text() -> None:
    starts = [own(0), own(0, "corpus/yours", OTHER)]
    tuned = [Text(Fraction(1), base=4096, needs={"pretrained": start.id}) for start in starts]
    found = labels([*starts, *tuned])
    assert any("pre-trained on corpus/mine" in label for label in found), found
    assert any("pre-trained on corpus/yours" in label for label in found), found


def test_only_names_of_the_same_maker_count() -> None:
    assert own_names([("digits@1", "digits"), (f"corpus@{ONE}", "elsewhere/mine"), ("", "")]) == {}
    assert own_names([(f"corpus@{ONE}", "corpus/mine")]) == {f"corpus@{ONE}": f"corpus/mine@{ONE}"}
