"""Tables, plots and pages of numbers, of other corpora, and of runs that test nothing at home."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from fake_store import CLASSES
from make_report import make_report
from test_evaluation_cross_corpus import other
from test_evaluation_cross_corpus import run as run_cross_corpus
from test_evaluation_numbers import run as run_numbers

from sercache.errors import SettingsError
from sercache.record import CrossCorpus, Report, Score
from sercache.report import page, plots, runs, tables
from sercache.report.layer_plots import layer_weights_on
from sercache.report.maps import vector_map
from sercache.report.side_by_side import runs_tables

pytestmark = pytest.mark.usefixtures("few_draws")


@pytest.fixture(scope="module")
def numbers() -> Report:
    return run_numbers(seeds=(0, 1))


@pytest.fixture(scope="module")
def abroad() -> Report:
    return run_cross_corpus(other(n_classes=3), seeds=(0, 1))


@pytest.fixture(scope="module")
def nothing_at_home() -> Report:
    return run_cross_corpus(other(n_classes=3), protocol="all", seeds=(0, 1))


def test_numbers_have_a_row_each(numbers: Report) -> None:
    table = tables.metrics_table(numbers)
    whole = ["rho", "CCC", "MSE"]
    assert [row[0] for row in table.rows] == [
        *whole,
        "rho bored",
        "rho glad",
        "CCC bored",
        "CCC glad",
        *whole,
    ]
    assert [row[1] for row in table.rows] == [*["pooled, 2 seeds"] * 7, *["mean of 3 folds"] * 3]
    assert table.rows[3][2] == numbers.summary["rho:bored"].seeds
    by_target = tables.outputs_table(numbers)
    assert [row[0] for row in by_target.rows] == ["bored", "glad"]
    assert by_target.rows[1][2] == numbers.summary["ccc:glad"].seeds
    folds = tables.folds_table(numbers)
    assert folds.columns[-3:] == ("rho", "CCC", "MSE")


def test_classes_and_numbers_stand_in_tables_of_their_own(numbers: Report) -> None:
    first, second = runs_tables([numbers, make_report()])
    assert (first.columns[-4:], second.columns[-4:]) == (
        ("rho", "CCC", "MSE", "rho 95 %"),
        ("WA", "UA", "macro F1", "UA 95 %"),
    )
    assert first.rows[0][first.columns.index("rho")] == numbers.summary["rho"].seeds
    assert second.rows[0][second.columns.index("UA")] == Score(0.71, 0.01, 2)


def test_numbers_are_drawn_against_the_truth(numbers: Report, tmp_path: Path) -> None:
    drawn = plots.figures(numbers)
    assert set(drawn) == {"scatter", "learning-curves", "folds"} | ({"layer-weights"} & set(drawn))
    panels = [axes for axes in drawn["scatter"].axes if axes.get_visible()]
    assert [axes.get_title().partition(":")[0] for axes in panels] == ["bored", "glad"]
    dots = np.asarray(panels[1].collections[0].get_offsets())
    np.testing.assert_allclose(dots, [(p.true[1], p.predicted[1]) for p in numbers.predictions])
    text = page.write(numbers, tmp_path / "page.html").read_text()
    assert "CCC glad" in text


def test_numbers_survive_their_run_folder(numbers: Report, tmp_path: Path) -> None:
    assert runs.load(runs.save(numbers, tmp_path / "run")) == numbers
    head = (tmp_path / "run" / "predictions.csv").read_text().splitlines()[0]
    assert head == "fold,seed,id,speaker,true:bored,true:glad,predicted:bored,predicted:glad"


def test_another_corpus_has_a_table_of_its_own(abroad: Report) -> None:
    table = tables.cross_corpus_table(abroad)
    [row] = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    [said] = abroad.cross_corpus
    assert (row["tested on"], row["utterances"]) == ("abroad", 12)
    assert row["UA"] == said.summary["ua"].folds
    assert row["recall sadness"] is None
    recalls = [row[f"recall {name}"] for name in CLASSES[:3]]
    assert np.mean([r.mean for r in recalls if isinstance(r, Score)]) == pytest.approx(row["UA"].mean)  # type: ignore[union-attr]
    assert any("each of 6 models" in note for note in table.notes)
    assert any("has no sadness" in note for note in table.notes)
    text = tables.table([abroad])
    assert "mean of 3 folds" in text
    assert "other corpora" in text
    home, there, other_home = runs_tables([abroad, make_report()])
    assert [len(each.rows) for each in (home, there, other_home)] == [1, 1, 1]
    assert there.title.startswith("Runs: abroad")
    assert there.title.endswith("cross-corpus: mean over models")
    assert there.rows[0][there.columns.index("trained on")] == "talk"


def test_a_run_without_a_test_part_is_shown_everywhere(nothing_at_home: Report, tmp_path: Path) -> None:
    text = tables.table([nothing_at_home])
    assert "nothing of talk is tested: all of it trains" in text
    assert "no test speaker occurs" not in text
    assert tables.folds_table(nothing_at_home).rows[0][1:7] == (24, 0, 0, None, None, None)
    first, second = runs_tables([nothing_at_home, make_report()])
    assert "cross-corpus" in first.title
    assert "emodb" in second.title
    assert set(plots.figures(nothing_at_home)) == {"layer-weights", "learning-curves", "confusion-on-abroad"}
    shown = page.write(nothing_at_home, tmp_path / "page.html").read_text()
    assert "Classes on abroad" in shown
    assert runs.load(runs.save(nothing_at_home, tmp_path / "run")) == nothing_at_home
    bare = dataclasses.replace(nothing_at_home, cross_corpus=())
    assert "Nothing was tested" in page.page(bare)
    assert "nothing of talk is tested" in tables.table([bare])
    assert len(runs_tables([bare, bare])[0].rows) == 2


def test_older_run_folders_can_be_read(tmp_path: Path) -> None:
    import json

    folder = runs.save(make_report(), tmp_path / "run")
    record = json.loads((folder / "report.json").read_text())
    for name in ("targets", "elsewhere", "notes", "started_from"):
        del record[name]
    (folder / "report.json").write_text(json.dumps({**record, "schema": 1}))
    assert runs.load(folder) == make_report()


def test_attention_received_abroad_is_drawn(abroad: Report) -> None:
    [there] = abroad.cross_corpus
    assert layer_weights_on(abroad, there) is None, "learned weights are the same everywhere"
    attends = dataclasses.replace(abroad, layer_weights_are="attention that each state receives: mean")
    figure = layer_weights_on(attends, there)
    assert figure is not None
    shares = np.array(there.layer_weights)
    [curve] = [
        line for line in figure.axes[0].lines if line.get_color() == "#0072B2" and len(line.get_xdata()) == 3
    ][:1]  # type: ignore[arg-type]
    np.testing.assert_allclose(np.asarray(curve.get_ydata(), float), shares.mean(0))
    low = f"1 to 2 have {shares.mean(0)[:2].sum():.0%} of the weight"
    assert low in figure.axes[0].get_xlabel()


def test_layer_weights_are_averaged_as_pepino_et_al_do() -> None:
    report = make_report(n_folds=2, seeds=(0, 1), layers=3)
    by_seed = report.layer_weights_by_seed()
    assert by_seed is not None
    own = [np.array([r.layer_weights for r in report.runs if r.seed == seed]) for seed in (0, 1)]
    np.testing.assert_allclose(by_seed, [each.mean(0) for each in own])
    figure = plots.layer_weights(report)
    assert figure is not None
    [bars] = figure.axes[0].containers
    (_, _, (segments,)) = bars  # type: ignore[misc]
    halves = [(seg[1, 1] - seg[0, 1]) / 2 for seg in segments.get_segments()]
    np.testing.assert_allclose(halves, by_seed.std(0), atol=1e-12)


def test_vectors_are_mapped_by_label() -> None:
    rng = np.random.default_rng(0)
    labels = ["a", "b"] * 15
    vectors = rng.normal(size=(30, 8)) + 20 * np.array([[label == "a"] for label in labels])
    figure = vector_map([("one", vectors, labels), ("two", vectors, labels)], "t")
    first = [np.asarray(c.get_offsets()) for c in figure.axes[0].collections]
    assert [len(dots) for dots in first] == [15, 15]
    apart = np.linalg.norm(first[0].mean(0) - first[1].mean(0))
    assert apart > max(dots.std() for dots in first)
    second = [np.asarray(c.get_offsets()) for c in figure.axes[1].collections]
    np.testing.assert_array_equal(first[0], second[0])
    with pytest.raises(SettingsError, match="needs more vectors than that, got 20"):
        vector_map([("few", vectors[:20], labels[:20])], "t")
    figure = vector_map([("few", vectors[:20], labels[:20]), ("one", vectors, labels)], "t")
    assert [axes.get_title() for axes in figure.axes] == ["few\n20 vectors, too few for a map", "one"]
    assert [sum(len(np.asarray(c.get_offsets())) for c in axes.collections) for axes in figure.axes] == [
        0,
        30,
    ]


def test_a_corpus_named_twice_has_two_plots(abroad: Report) -> None:
    [there] = abroad.cross_corpus
    twice = dataclasses.replace(
        abroad, cross_corpus=(there, CrossCorpus(**{**vars(there), "task": "6class"}))
    )
    assert {"confusion-on-abroad-4class", "confusion-on-abroad-6class"} <= set(plots.figures(twice))
