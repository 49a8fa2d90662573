"""Papers' tables: cells out of reports, verdicts, layouts and figures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from make_report import make_report

from sercache import record
from sercache.errors import SettingsError
from sercache.papers import Trial, TrialScore
from sercache.record import CrossCorpus, Report
from sercache.report import comparison_plots, plots
from sercache.report.comparison import Compared, ComparedRow, comparison, run_notes
from sercache.report.render import Reference, show
from sercache.reproduction import cells

TRIAL = Trial("linear", "logmel", "emodb")


def no_words(name: str) -> dict[str, str]:
    raise AssertionError(name)


def ask(report: Report, metric: str, **more: str | None) -> record.Score | None:
    return cells.value(TrialScore(TRIAL, metric, **more), report, no_words)  # type: ignore[arg-type]


# From reports to cells


def test_summaries_are_read_by_metric_and_convention() -> None:
    report = make_report()
    assert ask(report, "wa") == report.summary["wa"].folds
    assert ask(report, "ua", aggregate="seeds") == report.summary["ua"].seeds
    assert ask(report, "rho") is None, "classes have no rho"
    assert ask(report, "ua", on="mesd") is None, "it was not tested there"


def test_a_recall_is_of_one_class_over_folds_or_seeds() -> None:
    report = make_report()
    name = report.classes[1]
    by_seed = [
        np.mean([p.predicted == 1 for p in report.predictions if p.seed == seed and p.true == 1])
        for seed in report.seeds
    ]
    assert ask(report, "recall", of=name, aggregate="seeds") == record.score(by_seed)
    by_fold = [
        np.mean(
            [
                np.mean([p.predicted == 1 for p in own if p.seed == seed and p.true == 1])
                for seed in report.seeds
            ]
        )
        for fold in report.folds
        if (own := [p for p in report.predictions if p.fold == fold.name])
    ]
    found = ask(report, "recall", of=name)
    assert found is not None
    assert found.mean == pytest.approx(np.mean(by_fold))
    assert found.n == len(report.folds)
    with pytest.raises(SettingsError, match="no class 'glee'"):
        ask(report, "recall", of="glee")


def test_ppmi_is_of_the_words_of_the_corpus_that_is_asked_for() -> None:
    report = make_report()
    there = CrossCorpus(
        dataset="mesd", task="4class", classes=report.classes, corpus=report.corpus, features=report.features,
        normalisation="", summary=report.summary, predictions=report.predictions, confusion=report.confusion,
    )  # fmt: skip
    report = dataclasses.replace(report, cross_corpus=(there,))
    asked = []

    def words(name: str) -> dict[str, str]:
        asked.append(name)
        return {p.id: "one word" for p in report.predictions}

    found = cells.value(TrialScore(TRIAL, "ppmi", "seeds", on="mesd"), report, words)
    assert asked == ["mesd"]
    assert found is not None
    assert found.mean == 0, "one word tells nothing of the class"


def test_shares_of_layers_sum_over_states_and_average_over_folds_then_seeds() -> None:
    report = make_report()
    states = report.features["states"]
    shares = report.layer_weights()
    assert shares is not None
    whole = ask(report, "layer-weight", of="+".join(states), aggregate="seeds")
    assert whole is not None
    assert whole.mean == pytest.approx(1)
    one = ask(report, "layer-weight", of=states[0], aggregate="seeds")
    share = shares[:, 0] / shares.sum(1)
    by_seed = [
        np.mean([s for s, r in zip(share, report.runs, strict=True) if r.seed == seed])
        for seed in report.seeds
    ]
    assert one is not None
    assert (one.mean, one.n) == (pytest.approx(np.mean(by_seed)), len(report.seeds))
    bare = tuple(dataclasses.replace(run, layer_weights=None) for run in report.runs)
    assert ask(dataclasses.replace(report, runs=bare), "layer-weight", of=states[0]) is None


def test_best_of_two_is_the_mean_of_the_greater() -> None:
    one, two, three = (record.Score(mean, 0.1, 5) for mean in (0.2, 0.4, 0.9))
    assert cells.best([[one, two], [three, one]]) == record.Score(pytest.approx(0.65), None, 2)


# Tables


@pytest.mark.parametrize(
    ("printed", "ours", "verdict"),
    [
        (Reference(0.74, 0.02), record.Score(0.70, 0.5, 5), "yes (printed std)"),
        (Reference(0.74, 0.0199), record.Score(0.70, 0.5, 5), "no (printed std)"),
        (Reference(0.74, None), record.Score(0.70, 0.021, 5), "yes (our std)"),
        (Reference(0.74, None), record.Score(0.70, 0.019, 5), "no (our std)"),
        (Reference(0.74, None), record.Score(0.70, None, 1), "–"),
    ],
)
def test_the_verdict_says_whose_deviation_it_takes(
    printed: Reference, ours: record.Score, verdict: str
) -> None:
    table = comparison("T", ("WA",), [ComparedRow("x", {"WA": Compared(printed, ours)})])
    row = dict(zip(table.columns, map(show, table.rows[0]), strict=True))
    assert row["within 2 std"] == verdict
    assert row["difference"] == "-0.0400"


def some_rows() -> list[ComparedRow]:
    ours, printed = record.Score(57.31, 1.26, 5), Reference(57.0, 2.4)
    return [
        ComparedRow("theirs", {"WA": Compared(Reference(64.1, None))}),
        ComparedRow("ours", {"WA": Compared(printed, ours), "UA": Compared(None, ours)}),
    ]


def test_few_columns_stand_side_by_side_and_many_are_listed() -> None:
    table = comparison("T", ("WA", "UA"), some_rows(), unit="%", digits=1, notes=("a note",))
    shown = [[show(cell, table.digits) for cell in row] for row in table.rows]
    assert table.title == "T (%)"
    assert shown[0] == ["theirs", "64.1", *["–"] * 9]
    assert shown[1][:6] == ["ours", "57.0 ± 2.4", "57.3 ± 1.3", "+0.3", "yes (printed std)", "5"]
    assert shown[1][6:] == ["–", "57.3 ± 1.3", "–", "–", "5"]
    assert table.notes[-1] == "a note"
    listed = comparison("T", ("WA", "UA", "F1"), some_rows(), digits=1)
    assert [row[:2] for row in listed.rows] == [("theirs", "WA"), ("ours", "WA"), ("ours", "UA")]
    for form in ("text", "markdown", "csv", "latex"):
        assert "theirs" in listed.render(form)  # type: ignore[arg-type]
    assert "57.31" in listed.render("csv"), "CSV holds every digit"


def test_n_says_of_what_and_classes_that_lack_are_counted() -> None:
    cell = Compared(Reference(57.0, 2.4), record.Score(57.31, 1.26, 5), over="fold")
    table = comparison("T", ("WA",), [ComparedRow("x", {"WA": cell})])
    assert table.rows[0][table.columns.index("n")] == "5 folds"
    report = make_report()
    kept = tuple(p for p in report.predictions if (p.fold, p.true) != ("speaker 2", 1))
    notes = run_notes([("a", report), ("b", dataclasses.replace(report, predictions=kept))])
    assert any(note.startswith("b: 1 of 3 test parts lack a class") for note in notes)
    inside = {**report.setup, "normalise": "none"}
    notes = run_notes([("a", report), ("b", make_report(setup=inside, standardises="global"))])
    assert not any("differ in normalisation scope" in note for note in notes)


def test_notes_name_the_copy_and_never_mix_scopes_silently() -> None:
    plain = make_report()
    speaker = make_report(setup={**plain.setup, "normalise": "speaker"})
    notes = run_notes([("a", plain), ("b", speaker)])
    assert any(note.startswith("emodb: ") for note in notes)
    assert any("rows differ in normalisation scope" in note for note in notes)
    assert any("the statistics see the test speaker's features" in note for note in notes)
    assert any(note.startswith("a differs from the paper: ") for note in notes) == bool(plain.deviations)


# Figures


def test_lines_and_bars_show_ours_and_what_is_printed(tmp_path: Path) -> None:
    for draw in (comparison_plots.lines, comparison_plots.bars):
        figure = draw("T", ("WA", "UA"), some_rows(), "x", "y")
        assert figure is not None
        labels = {text.get_text() for text in figure.legends[0].get_texts()}
        assert any("printed" in label for label in labels)
        paths = plots.save(figure, tmp_path / draw.__name__)
        assert all(path.stat().st_size > 1000 for path in paths)
        assert draw("T", ("WA",), [ComparedRow("none", {"WA": Compared()})], "x", "y") is None


def test_panels_of_lines_have_one_scale_that_holds_all_of_them() -> None:
    rows = [
        ComparedRow(
            name,
            {"a": Compared(printed=Reference(low, None)), "b": Compared(printed=Reference(low + 10, None))},
        )
        for name, low in (("left E", 20.0), ("right E", 60.0))
    ]
    figure = comparison_plots.lines("T", ("a", "b"), rows, "x", "y", panels=("left", "right"))
    assert figure is not None
    (low, high), second = (axes.get_ylim() for axes in figure.axes)
    assert (low, high) == second
    assert low < 20
    assert high > 70


def test_scatter_needs_numbers() -> None:
    assert comparison_plots.scatter("T", [("classes", make_report())], "true", "predicted") is None
    numbers = tuple(
        dataclasses.replace(p, true=(0.1 * k,), predicted=(0.3,), probabilities=())
        for k, p in enumerate(make_report().predictions)
    )
    report = dataclasses.replace(make_report(), targets=("anger",), classes=(), predictions=numbers)
    figure = comparison_plots.scatter("T", [("anger", report)], "true", "predicted")
    assert figure is not None
    assert [axes.get_title() for axes in figure.axes] == ["anger"]
