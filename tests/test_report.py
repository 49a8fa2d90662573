from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from make_report import Printed, make_report

from sercache.errors import DiskSpaceError, MissingExtraError, SettingsError
from sercache.record import Interval, Report, Score, Summary, score
from sercache.report import passes_saved, plots, runs, tables
from sercache.report.render import Reference, ReportTable, SignedDifference, show
from sercache.report.side_by_side import runs_tables


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


# Records and run folders


def test_score_is_mean_and_sample_std() -> None:
    assert score([1.0, 2.0, 4.0]) == Score(7 / 3, pytest.approx(np.std([1, 2, 4], ddof=1)), 3)
    assert score([0.5]) == Score(0.5, None, 1)


def test_a_report_survives_its_json() -> None:
    report = make_report()
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_time_is_no_part_of_equality() -> None:
    assert make_report() == make_report(timing={"seconds": 99})
    assert make_report() != make_report(seeds=(0, 2))


@pytest.mark.parametrize("options", [{}, {"dev": False, "layers": 0}, {"n_folds": 1, "seeds": (7,)}])
def test_a_run_folder_gives_back_the_report(tmp_path: Path, options: dict[str, object]) -> None:
    report = make_report(**options)  # type: ignore[arg-type]
    folder = runs.save(report, tmp_path / "deep" / "run")
    loaded = runs.load(folder)
    assert loaded == report
    assert loaded.timing == report.timing
    assert runs.find(tmp_path / "deep") == [folder]


def test_a_run_folder_is_plain_files(tmp_path: Path) -> None:
    report = make_report()
    folder = runs.save(report, tmp_path / "run")
    assert sorted(p.name for p in folder.iterdir()) == ["history.jsonl", "predictions.csv", "report.json"]
    table = rows_of((folder / "predictions.csv").read_text(encoding="utf-8"))
    assert table[0] == [
        "fold", "seed", "id", "speaker", "true", "predicted", "p:anger", "p:neutral", "p:sadness",
    ]  # fmt: skip
    assert len(table) == 1 + len(report.predictions)
    first = report.predictions[0]
    assert table[1][:6] == [
        first.fold, "0", first.id, first.speaker, "anger", report.classes[first.predicted],
    ]  # fmt: skip
    epochs = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert (epochs[0]["fold"], epochs[0]["number"], epochs[0]["dev_loss"]) == ("speaker 1", 1, 1.2)
    assert "predictions" not in json.loads((folder / "report.json").read_text())


def test_weights_are_kept_where_they_are_given(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    state = {"out.weight": torch.arange(6.0).reshape(2, 3).T}
    folder = runs.save(make_report(), tmp_path / "run", weights={("a/b ü", 3): state})
    found = load_file(runs.weights_path(folder, "a/b ü", 3))
    assert torch.equal(found["out.weight"], state["out.weight"])


def test_a_run_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    runs.save(make_report(), tmp_path / "run")
    with pytest.raises(SettingsError, match="exists already; choose another name"):
        runs.save(make_report(seed=1), tmp_path / "run")
    runs.save(make_report(seed=1), tmp_path / "run", overwrite=True)
    assert runs.load(tmp_path / "run") == make_report(seed=1)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(SettingsError):
        runs.save(make_report(), tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()
    (tmp_path / "empty").mkdir()
    runs.save(make_report(), tmp_path / "empty")


def test_a_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.save(make_report(), tmp_path / "run")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskSpaceError, match="is full: free some space"):
        runs.save(make_report(seed=1), tmp_path / "run", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert runs.load(tmp_path / "run") == make_report()


def test_the_name_of_a_run_leads_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERCACHE_RUNS", str(tmp_path))
    folder = runs.save(make_report(), tmp_path / "first")
    with pytest.raises(SettingsError, match=f"did you mean {re.escape(str(folder))}\\?"):
        runs.load(Path("first"))
    with pytest.raises(SettingsError, match=r"report\.json$"):
        runs.load(Path("second"))


def test_what_is_not_a_run_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is not a run folder: it has no report\.json"):
        runs.load(tmp_path)
    folder = runs.save(make_report(), tmp_path / "run")
    whole = (folder / "report.json").read_text()
    (folder / "report.json").write_text(whole[:50])
    with pytest.raises(SettingsError, match="is damaged"):
        runs.load(folder)
    (folder / "report.json").write_text(whole.replace('"schema": 3', '"schema": 99', 1))
    with pytest.raises(SettingsError, match="schema 99, this sercache reads 3"):
        runs.load(folder)
    (folder / "report.json").write_text(whole.replace("{", '{"of_tomorrow": 1,', 1))
    with pytest.raises(
        SettingsError, match="has 'of_tomorrow', which this sercache does not know; use the version"
    ):
        runs.load(folder)
    (folder / "report.json").write_text(whole)
    (folder / "predictions.csv").unlink()
    with pytest.raises(SettingsError, match=r"lacks predictions\.csv; remove that folder"):
        runs.load(folder)


@pytest.mark.parametrize("change", ["emptied", "cut", "a line twice"])
def test_predictions_that_are_not_all_there_are_damage(tmp_path: Path, change: str) -> None:
    """They were read as they stood."""
    folder = runs.save(make_report(), tmp_path / "run")
    path = folder / "predictions.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = {"emptied": [], "cut": lines[:-1], "a line twice": [*lines, lines[-1]]}[change]
    path.write_text("".join(kept), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"damaged .* of fold .* were tested\); restore it, or remove"):
        runs.load(folder)
    path.write_text("\ufeff" + "".join(lines), encoding="utf-8")  # as editors save it
    assert runs.load(folder) == make_report()


# Tables


def test_cells_as_text() -> None:
    assert show(Score(0.73764, 0.019, 5)) == "0.7376 ± 0.0190"
    assert show(Score(0.5, None, 1)) == "0.5000"
    assert show(Reference(0.5, 0.1)) == "0.5000 ± 0.1000"
    assert show(Interval(0.1, 0.25, 10, "speakers")) == "0.100 to 0.250 (10 speakers)"
    assert show(Interval(None, None, 1, "speakers")) == "– (1 speaker)"
    assert (show(SignedDifference(0.01)), show(SignedDifference(-0.5))) == ("+0.0100", "-0.5000")
    assert show(SignedDifference(-1e-17)) == "+0.0000"
    assert (show(None), show(3), show(0.25), show("x")) == ("–", "3", "0.2500", "x")


def test_text_columns_are_aligned_also_in_chinese() -> None:
    table = ReportTable("t", ("name", "n"), (("四五", 3), ("abc", None), ("x", 1234)))
    assert table.text.splitlines()[2:] == [
        "name     n",
        "----  ----",
        "四五     3",
        "abc      –",
        "x     1234",
    ]


def test_markup_is_escaped() -> None:
    table = ReportTable("50 % of _all_", ("a|b", "c"), (("x|y", "1 & {2}"),), ("100 % $x$",))
    markdown = table.render("markdown").splitlines()
    assert markdown[2] == r"| a\|b | c |"
    assert markdown[4] == r"| x\|y | 1 & {2} |"
    latex = table.render("latex")
    assert r"\caption{50 \% of \_all\_}" in latex
    assert r"x|y & 1 \& \{2\} \\" in latex
    assert r"100 \% \$x\$" in latex


def test_csv_holds_plain_numbers() -> None:
    intervals = (Interval(0.4, 0.6, 8, "speakers"), Interval(None, None, 4, "folds"))
    cells = [
        (Score(0.5, 0.1, 3), each, SignedDifference(-0.25), Reference(0.75, None))
        for each in (*intervals, None)
    ]
    table = ReportTable("t", ("a", "b", "c", "d"), (*cells, (None,) * 4), ("a note",))
    assert rows_of(table.render("csv")) == [
        ["a", "a std", "a n", "b low", "b high", "b n", "b units", "c", "d", "d std"],
        ["0.5", "0.1", "3", "0.4", "0.6", "8", "speakers", "-0.25", "0.75", ""],
        ["0.5", "0.1", "3", "", "", "4", "folds", "-0.25", "0.75", ""],
        ["0.5", "0.1", "3", "", "", "", "", "-0.25", "0.75", ""],
        [""] * 10,
    ]


def test_one_report_shows_both_conventions_the_interval_and_the_printed_number() -> None:
    report = make_report()
    text = tables.table([report], printed=[{"wa": Printed(0.72, 0.015)}], aggregates=["folds"])
    first, second = (line for line in text.splitlines() if line.startswith("WA"))
    first, second = (" ".join(line.split()) for line in (first, second))
    assert "mean of 3 folds 0.7000 ± 0.0200 0.660 to 0.770 (3 folds)" in first
    assert first.split()[-2:] == ["-0.0200", "yes"]
    assert "pooled, 2 seeds 0.7100 ± 0.0100 0.650 to 0.780 (3 speakers)" in second
    assert second.split()[-3:] == ["–"] * 3, "the paper's number is the mean over folds"
    assert next(row for row in tables.metrics_table(report).rows)[1] == "pooled, 2 seeds"
    assert "folds or speakers drawn with replacement" in text
    assert "differs from what was published: clip none instead of split:5" in text
    assert "global: mean and standard deviation of the training part" in text
    assert "the epoch with the lowest dev loss" in text
    assert "no test speaker occurs in a training or dev part (checked)" in text
    assert next(line for line in text.splitlines() if line.startswith("UA")).split()[-3:] == ["–"] * 3


@pytest.mark.parametrize(
    ("printed", "ours", "verdict"),
    [
        (Printed(0.74, 0.02), Score(0.70, 0.5, 5), "yes"),
        (Printed(0.74, 0.0199), Score(0.70, 0.5, 5), "no"),
        (Printed(0.74), Score(0.70, 0.021, 5), "yes"),
        (Printed(0.74), Score(0.70, 0.019, 5), "no"),
        (Printed(0.74), Score(0.70, None, 1), "–"),
    ],
)
def test_the_verdict_is_within_two_printed_std_or_ours(printed: Printed, ours: Score, verdict: str) -> None:
    report = make_report(summary=dict.fromkeys(("wa", "ua", "macro_f1"), Summary(ours, ours)))
    table = tables.metrics_table(report, {"wa": printed})
    row = dict(zip(table.columns, map(show, table.rows[0]), strict=True))
    assert row["within 2 std"] == verdict
    assert row["difference"] == "-0.0400"


def test_scopes_are_never_mixed_silently() -> None:
    plain = make_report()
    speaker = make_report(setup={**plain.setup, "normalise": "speaker"})
    both = tables.table([plain, speaker])
    assert "rows differ in normalisation scope (global, speaker)" in both
    assert "the statistics see the test speaker's features" in both
    lines = both.splitlines()
    head = next(line for line in lines if line.startswith("head"))
    assert "normalise" in head
    assert "rows differ" not in tables.table([plain, plain])


def test_shared_speakers_are_said() -> None:
    report = make_report()
    shared = tuple(dataclasses.replace(fold, speakers_disjoint=False) for fold in report.folds)
    leaky = dataclasses.replace(report, folds=shared, head="linear")
    assert "test speakers also occur in training or dev parts" in tables.table([leaky])
    [table] = runs_tables([report, leaky])
    assert any(
        note.startswith("linear on wavlm-large") and "test speakers also occur" in note
        for note in table.notes
    )


def test_folds_without_a_class_are_said() -> None:
    report = make_report()
    assert "lack a class" not in tables.table([report])
    kept = tuple(p for p in report.predictions if (p.fold, p.true) != ("speaker 2", 1))
    text = " ".join(tables.table([dataclasses.replace(report, predictions=kept)]).split())
    assert "1 of 3 test parts lack a class (first: speaker 2 lacks neutral; the fewest have 2 of 3)" in text


def test_runs_show_what_tells_them_apart() -> None:
    one = make_report()
    two = make_report(recipe={**one.recipe, "lr": 0.1}, setup={**one.setup, "dataset": "emodb"})
    [table] = runs_tables([one, two])
    assert table.title == "Runs: emodb classic, task 3class, leave-one-speaker-out: pooled over folds"
    assert [row[table.columns.index("lr")] for row in table.rows] == ["0.001", "0.1"]
    assert "clip" not in table.columns
    other = make_report(head="mlp", recipe={**one.recipe, "lr": 0.1})
    assert "lr" not in runs_tables([one, other])[0].columns, "heads have recipes of their own"
    more = make_report(also_trained=({"name": "esd"},))
    [table] = runs_tables([one, more])
    assert [row[table.columns.index("trained on")] for row in table.rows] == ["emodb", "emodb + esd"]
    with pytest.raises(SettingsError, match="no runs to show"):
        tables.table([])


def test_folds_and_classes_have_tables() -> None:
    report = make_report()
    folds = tables.folds_table(report)
    assert [row[:5] for row in folds.rows] == [(f"speaker {k}", 12, 6, 6, "apart") for k in (1, 2, 3)]
    own = [run.scores["ua"] for run in report.runs if run.fold == "speaker 2"]
    assert folds.rows[1][folds.columns.index("UA")] == score(own)
    classes = tables.classes_table(dataclasses.replace(report, confusion=((3, 1, 0), (0, 0, 0), (2, 0, 2))))
    assert classes.rows[0] == ("anger", 2, 0.75, 0.6)
    assert classes.rows[1] == ("neutral", 0, None, 0.0)


def test_folds_have_a_table_where_some_were_not_scored() -> None:
    report = make_report()
    first, *others = report.runs
    report = dataclasses.replace(report, runs=(dataclasses.replace(first, scores={}), *others))
    rows = tables.folds_table(report).rows
    assert rows[0][-1].n == 1
    bare = dataclasses.replace(report, runs=tuple(dataclasses.replace(run, scores={}) for run in report.runs))
    assert [row[-3:] for row in tables.folds_table(bare).rows] == [(None, None, None)] * 3


@pytest.mark.parametrize("name", ["Ses01", "a/b", "说话人" * 40, "x" * 400, "a b~2"])
def test_a_fold_of_any_name_has_files(tmp_path: Path, name: str) -> None:
    """A speaker of forty Chinese characters was trained, and then not written: disks take 255 bytes."""
    path = runs.weights_path(tmp_path, name, 1000)
    path.parent.mkdir(parents=True)
    path.touch()
    assert len(path.name) < 230
    assert path != runs.weights_path(tmp_path, f"{name}x", 1000)
    assert runs.weights_path(tmp_path, "Ses01", 0).name == "fold-Ses01-seed-0.safetensors"


def test_tables_are_written(tmp_path: Path) -> None:
    table = tables.metrics_table(make_report())
    paths = table.write(tmp_path / "new" / "table2")
    assert [path.name for path in paths] == ["table2.md", "table2.csv", "table2.tex"]
    assert all(path.stat().st_size > 50 for path in paths)


# Plots


def matplotlib_settings() -> dict[str, object]:
    import matplotlib

    found = {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}
    return {**found, "backend": matplotlib.get_backend(auto_select=False)}


def test_plots_are_written_with_their_words(tmp_path: Path) -> None:
    before = matplotlib_settings()
    paths = plots.draw(make_report(), tmp_path / "plots")
    assert matplotlib_settings() == before, "the user's own plots look as they did"
    names = ["layer-weights", "confusion", "learning-curves", "folds", "calibration"]
    assert [path.name for path in paths] == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    text = {path.stem: path.read_text() for path in paths if path.suffix == ".svg"}
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
            assert path.stat().st_size > 5000
    for shown in text.values():
        assert "superb on wavlm-large" in shown
        assert "normalise global" in shown
    assert "share (sum = 1)" in text["layer-weights"]
    assert "1 to 2 have" in text["layer-weights"]
    assert "predicted class" in text["confusion"]
    assert "sadness" in text["confusion"]
    assert "loss (focal)" in text["learning-curves"]
    assert "epoch kept" in text["learning-curves"]
    assert "speaker 2" in text["folds"]
    assert "chance 0.333" in text["folds"]


@pytest.mark.slow
def test_plots_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    for draw in (plots.layer_weights, plots.confusion):
        drawn = [draw(make_report()) for _ in range(2)]
        first, second = (plots.save(f, tmp_path / str(k)) for k, f in enumerate(drawn) if f is not None)
        for one, two in zip(first, second, strict=True):
            assert one.read_bytes() == two.read_bytes(), one.name


def test_the_confusion_matrix_shows_counts_and_shares() -> None:
    figure = plots.confusion(make_report(confusion=((8, 2, 0), (0, 0, 0), (1, 1, 2))))
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == ["80%\n8", "20%\n2", "0%\n0", "–", "–", "–", "25%\n1", "25%\n1", "50%\n2"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"layers": 0}, {"calibration", "confusion", "learning-curves", "folds"}),
        ({"n_folds": 1, "seeds": (0,)}, {"layer-weights", "calibration", "confusion", "learning-curves"}),
        ({"dev": False}, {"layer-weights", "calibration", "confusion", "learning-curves", "folds"}),
        (
            {"n_folds": 91, "layers": 49},
            {"layer-weights", "calibration", "confusion", "learning-curves", "folds"},
        ),
    ],
)
def test_plots_of_odd_reports(options: dict[str, object], expected: set[str], tmp_path: Path) -> None:
    drawn = plots.figures(make_report(**options))  # type: ignore[arg-type]
    assert set(drawn) == expected
    for name, figure in drawn.items():
        with (tmp_path / name).open("wb") as file:
            plots.svg(figure, file)
        assert (tmp_path / name).stat().st_size > 2000
        assert max(figure.get_size_inches()) <= 24


def test_runs_that_stop_early_are_averaged_while_they_last() -> None:
    report = make_report()
    first = dataclasses.replace(report.runs[0], history=report.runs[0].history[:1])
    figure = plots.learning_curves(dataclasses.replace(report, runs=(first, *report.runs[1:])))
    mean = next(line for line in figure.axes[0].lines if str(line.get_label()).startswith("training"))
    np.testing.assert_allclose(np.asarray(mean.get_ydata(), float), [1, 1 / 2, 1 / 3])


def test_dollars_in_names_are_no_mathematics(tmp_path: Path) -> None:
    odd = make_report(classes=("a$b", "c_d", "e^$f"))
    paths = plots.save(plots.confusion(odd), tmp_path / "confusion")
    assert "a$b" in paths[1].read_text()


def test_without_matplotlib_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sercache\[report\]'"):
        plots.draw(make_report(), tmp_path)


def test_passes_that_were_saved_are_counted_from_the_trainings() -> None:
    # Six trainings of three epochs: 12 + 6 of 18 utterances in each, and once the 6 of the test part.
    found = make_report()
    said = "6 trainings, 18 epochs: in their loop wavlm-large would have run 20 times over emodb"
    assert passes_saved([found]) == [said]
    other = dataclasses.replace(found, setup={**found.setup, "encoder": "logmel", "beside": ("egemaps:all",)})
    twice, once = passes_saved([found, other, found])
    assert "wavlm-large would have run 40 times" in twice
    assert "logmel and egemaps would have run 20 times" in once
    solved = dataclasses.replace(
        found, runs=tuple(dataclasses.replace(run, history=()) for run in found.runs)
    )
    assert passes_saved([solved])[0].startswith(
        "6 trainings: in their loop wavlm-large would have run 8 times"
    )
    tuned = dataclasses.replace(found, setup={**found.setup, "finetune_from": "conv"})
    assert passes_saved([tuned]) == []
