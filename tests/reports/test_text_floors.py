"""Floors and errors of language models, from whole probability vectors and from sums over windows written out."""

from __future__ import annotations

import io
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.language_store import (
    BLOCK,
    FREQUENCIES,
    TOKENS,
    TRUTH,
    VOCABULARY,
    Text,
    blocks,
    clean_text,
    predicted_text,
    publish_text,
    text_artifact,
    texts,
    through,
    windows,
)
from fixtures.report_store import Rows
from hypothesis import given
from hypothesis import strategies as st

from reports import channels, floors, predictions
from reports import contents as words
from reports.analysis import Analysis, analyse
from reports.files import open_store
from reports.measures import Measured
from reports.predictions import DamagedError, Library, decode
from reports.statistics import clustered_error, standard_error

EVERY = np.arange(TOKENS)


def analysed(cells: list[Text], root: Path) -> Analysis:
    rows = Rows()
    for cell in cells:
        publish_text(rows, cell)
    return analyse(open_store(rows.write(root / "store", one_file=True)))


def measured(law: str, root: Path) -> tuple[Text, Measured]:
    cell = Text(Fraction(1), rule="fixed", law=law)
    found = analysed([cell, Text(Fraction(0), rule="fixed")], root)
    return cell, found.measured[cell.id]


def by_hand(values: np.ndarray, clusters: np.ndarray) -> float:
    """The cluster-robust error of a mean, one window after another."""
    sums = [float((values - values.mean())[clusters == one].sum()) for one in sorted(set(clusters.tolist()))]
    return math.sqrt(len(sums) / (len(sums) - 1) * sum(one**2 for one in sums)) / len(values)


@pytest.mark.parametrize("law", ["uniform_all", "unigram"])
def test_floors_are_exact_from_the_truths_probability_and_frequency(law: str, tmp_path: Path) -> None:
    cell, found = measured(law, tmp_path)
    ideal = through(cell, clean_text(Text(Fraction(0), rule="fixed")))[EVERY, TRUTH]
    assert found.floor("test_nll").kind == found.floor("sampled_accuracy").kind == "exact"
    assert found.floor("test_nll").value == pytest.approx(-np.log(ideal).mean(), abs=1e-12)
    assert found.floor("sampled_accuracy").value == pytest.approx(ideal.mean(), abs=1e-12)
    # p was not kept: top-1 is the clean one where the law adds the same to every token, and unknown elsewhere.
    clean = (clean_text(Text(Fraction(0), rule="fixed")).argmax(axis=1) == TRUTH).mean()
    top1 = found.floor("top1")
    assert (top1.kind, top1.value) == (("clean", pytest.approx(clean)) if law == "uniform_all" else ("none", None))


@pytest.mark.parametrize("law", ["teacher", "nearest"])
def test_laws_without_a_channel_have_the_bound_alone(law: str, tmp_path: Path) -> None:
    _, found = measured(law, tmp_path)
    clean = -np.log(clean_text(Text(Fraction(0), rule="fixed"))[EVERY, TRUTH]).mean()
    assert found.floor("test_nll").kind == "bound"
    assert found.floor("test_nll").value == pytest.approx(clean - math.log(0.5))
    assert found.floor("sampled_accuracy").kind == found.floor("top1").kind == "none"
    assert found.expected_rate == (
        0.5 if law == "nearest" else None
    )  # a teacher may say the truth, nobody knows how often


def test_the_expected_wrong_rate_counts_redraws_that_hit_the_truth(tmp_path: Path) -> None:
    expected = {"uniform_all": 0.5 * (1 - 1 / VOCABULARY), "unigram": 0.5 * (1 - FREQUENCIES[TRUTH].mean())}
    for law, rate in expected.items():
        assert measured(law, tmp_path / law)[1].expected_rate == pytest.approx(rate, abs=1e-12)


def test_errors_are_clustered_by_block_those_of_top1_as_well(tmp_path: Path) -> None:
    cell, found = measured("uniform_all", tmp_path)
    p, clusters = predicted_text(cell), blocks(cell)
    true = p[EVERY, TRUTH]
    ideal = through(cell, clean_text(Text(Fraction(0), rule="fixed")))[EVERY, TRUTH]
    expected = {
        "test_nll": by_hand(-np.log(true), clusters),
        "sampled_accuracy": by_hand(true, clusters),
        "top1": by_hand((p.argmax(axis=1) == TRUTH).astype(float), clusters),
        "nll_excess": by_hand(np.log(ideal) - np.log(true), clusters),
        "sampled_excess": by_hand(true - ideal, clusters),
    }
    assert {name: found.errors[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    # Windows of a document are hard or easy together: taken as independent they would promise too much.
    assert found.errors["test_nll"] > 1.5 * by_hand(np.log(true), windows(cell))
    assert found.errors["test_nll"] > 1.5 * standard_error(np.log(true))
    assert (found.examples, found.blocks, str(found.unit)) == (TOKENS, TOKENS // BLOCK, "token")


@pytest.mark.parametrize(
    ("context", "together"), [(16, 64), (512, 2), (600, 2), (1000, 2), (1024, 1), (2048, 1), (5000, 1)]
)
def test_windows_make_up_blocks_of_1024_targets_at_least(context: int, together: int) -> None:
    windows = np.arange(7 * context + 3) // context  # the last one is cut short
    assert predictions.blocks(windows).tolist() == (windows // together).tolist()


def test_the_documents_words_are_of_tokens_and_blocks(tmp_path: Path) -> None:
    content = words.contents(analysed(texts(rule="fixed"), tmp_path))
    accuracy, nll, excess = content["sections"][0]["figures"]
    assert "in nats a token, on clean validation text" in nll["caption"]
    assert "on clean validation text" in accuracy["caption"]
    assert "token by token" in excess["caption"]
    assert "(4,096 tokens in 4 blocks of text, over which it is clustered)" in nll["small"]
    captions = " ".join(figure[part] for figure in (accuracy, nll, excess) for part in ("caption", "small"))
    assert "example" not in captions
    assert "test data" not in captions
    assert "sequences trained on" in [row[0] for row in content["sections"][0]["configurations"][0]["rows"]]
    half = float(nll["table"]["groups"][0]["rows"][0][6].removeprefix("±"))
    cells = texts(ratios=("0",), rule="fixed")
    errors = [by_hand(np.log(predicted_text(cell)[EVERY, TRUTH]), blocks(cell)) for cell in cells]
    assert half == pytest.approx(1.96 * sum(errors) / 3, abs=6e-4)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_clusters_of_one_are_independent_examples(values: list[float]) -> None:
    found = np.array(values)
    assert clustered_error(found, np.arange(len(found))) == pytest.approx(standard_error(found), abs=1e-12)


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 4)), min_size=2, max_size=30))
def test_clustered_errors_are_sums_over_clusters(rows: list[tuple[float, int]]) -> None:
    values, clusters = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    found = clustered_error(values, clusters)
    if len(set(clusters.tolist())) == 1:
        assert found is None
    else:
        assert found == pytest.approx(by_hand(values, clusters), abs=1e-12)


def test_all_of_p_and_every_class_give_unigram_its_top1_floor() -> None:
    random = np.random.default_rng(2)
    p, labels = random.dirichlet(np.ones(5), 40), np.arange(40) % 5
    u = np.array([0.6, 0.2, 0.1, 0.05, 0.05])
    clean = floors.Clean(5, labels, p[np.arange(40), labels], p[np.arange(40), labels - 1], p, u[labels])
    noise = floors.Noise("unigram", Fraction(1, 2))
    assert floors.top1_floor(clean, noise) == ((0.5 * p + 0.5 * u).argmax(axis=1) == labels).mean()
    fewer = floors.Clean(6, labels, clean.truth, clean.previous, np.c_[p, np.zeros(40)], u[labels])
    assert floors.top1_floor(fewer, noise) is None  # nobody knows u of the sixth
    assert floors.true_probability(floors.Clean(5, labels, clean.truth, clean.previous), noise) is None


@pytest.mark.parametrize(("law", "mapping"), [("uniform_all", None), ("confusion", "shift"), ("unigram", None)])
def test_no_matrix_of_a_large_vocabulary_is_ever_built(law: str, mapping: str | None) -> None:
    """50,257 tokens would make a matrix of 20 GB."""
    n = 50_257
    shift = tuple((k + 1) % n for k in range(n)) if mapping else None
    labels, p = np.array([5, 7, 5]), np.array([0.5, 0.25, 0.1])
    clean = floors.Clean(n, labels, p, p / 2, None, np.array([0.02, 0.01, 0.02]))
    noise = floors.Noise(law, Fraction(1, 2), shift)
    moved = {"uniform_all": np.full(3, 1 / n), "confusion": p / 2, "unigram": np.array([0.02, 0.01, 0.02])}[law]
    np.testing.assert_allclose(floors.true_probability(clean, noise), 0.5 * p + 0.5 * moved)
    assert floors.top1_floor(clean, noise) is None
    state = {"uniform_all": "kept", "confusion": "tie", "unigram": "unknown"}[law]
    assert floors.argmax_state(noise, n) == state
    assert channels.may_hit_truth(law, shift) is (law != "confusion")
    rate = channels.expected_wrong_rate(law, Fraction(1, 2), n, shift, labels, clean.frequency)
    expected = {"uniform_all": 0.5 * (1 - 1 / n), "confusion": 0.5, "unigram": 0.5 * (1 - 0.05 / 3)}
    assert rate == pytest.approx(expected[law], abs=1e-12)


def test_an_empty_column_as_wide_as_a_vocabulary_is_not_read() -> None:
    """As lists of 50,257 nulls a token it would take 200 kB a token."""
    table = pq.read_table(io.BytesIO(text_artifact(Text(Fraction(0)))))
    wide = pa.nulls(8, pa.list_(pa.float32(), 50_257))
    place = table.schema.get_field_index("p")
    buffer = io.BytesIO()
    pq.write_table(table.slice(0, 8).set_column(place, "p", wide), buffer)
    before = pa.default_memory_pool().bytes_allocated()
    found = decode(buffer.getvalue())
    assert found.clean.whole is None
    assert found.examples == 8
    assert pa.default_memory_pool().bytes_allocated() - before < 8 * 50_257 * 4
    narrow = io.BytesIO()
    pq.write_table(table.slice(0, 8).drop_columns(["p"]), narrow)
    np.testing.assert_array_equal(decode(narrow.getvalue()).clean.truth, found.clean.truth)


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("window", pa.array([-1] * TOKENS, pa.int32()), "a window is missing, negative"),
        ("window", pa.array([None, *[1] * (TOKENS - 1)], pa.int32()), "a window is missing"),
        ("frequency", pa.array([1.5] * TOKENS), "outside"),
        ("frequency", pa.array([float("nan")] * TOKENS), "outside"),
    ],
)
def test_damaged_windows_and_frequencies_are_named(name: str, values: pa.Array, told: str) -> None:
    table = pq.read_table(io.BytesIO(text_artifact(Text(Fraction(0)))))
    buffer = io.BytesIO()
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, values), buffer)
    with pytest.raises(DamagedError, match=told):
        decode(buffer.getvalue())


def test_a_library_holds_the_last_used_and_reads_the_others_again(tmp_path: Path) -> None:
    cells = texts(ratios=("0",), rule="fixed")
    found = analysed(cells, tmp_path)
    store, trials = open_store(tmp_path / "store"), list(found.trials)
    size = Library(store).of(trials[0])
    assert size is not None
    library = Library(store, held=2 * size.nbytes)
    first = [library.of(trial) for trial in trials]
    assert list(library._read) == [trial.id for trial in trials[1:]]
    assert library.of(trials[2]) is first[2]  # held
    again = library.of(trials[0])
    assert again is not first[0]
    np.testing.assert_array_equal(again.clean.truth, first[0].clean.truth)  # type: ignore[union-attr]
    assert list(library._read) == [trials[2].id, trials[0].id]
