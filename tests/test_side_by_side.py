"""Several runs: what may share a table, what their notes say, and what `sercache report` takes for a run."""

from __future__ import annotations

import csv
import dataclasses
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from make_report import Printed, make_report

from sercache.record import CrossCorpus, Interval, Report, Score, Summary, score
from sercache.report import runs, tables
from sercache.report.side_by_side import dev_score, runs_tables

WRITTEN = Path(__file__).parent / "fixtures" / "a1b0434" / "runs"


def of_corpus(name: str, **changes: str) -> Report:
    report = make_report()
    return dataclasses.replace(report, corpus={**report.corpus, "name": name, **changes})


def test_corpora_releases_tasks_and_protocols_never_share_a_table() -> None:
    one = make_report()
    split = dataclasses.replace(one, setup={**one.setup, "protocol": "kfold:3"})
    others = [of_corpus("esd"), of_corpus("emodb", release="2"), of_corpus("emodb", task="7class"), split]
    made = runs_tables([one, *others, dataclasses.replace(one, head="mlp")])
    assert [len(table.rows) for table in made] == [2, 1, 1, 1, 1]
    assert len({table.title for table in made}) == 5
    text = tables.table([one, *others])
    assert text.count("Runs: ") == 5


def test_what_is_compared_with_a_paper_has_the_estimand_of_the_paper() -> None:
    one, other = make_report(), make_report(head="mlp")
    printed = [{"ua": Printed(0.72)}, {}]
    [table] = runs_tables([one, other], printed, ["folds", "seeds"])
    assert table.title.endswith("mean over folds")
    row = dict(zip(table.columns, table.rows[1], strict=True))
    assert (row["UA"], row["UA 95 %"]) == (one.summary["ua"].folds, one.summary["ua"].folds_interval)
    both = [{"ua": Printed(0.72)}, {"ua": Printed(0.6)}]
    first, second = runs_tables([one, other], both, ["folds", "seeds"])
    assert (first.title.rsplit(": ")[-1], second.title.rsplit(": ")[-1]) == (
        "mean over folds",
        "pooled over folds",
    )
    place = first.columns.index("UA printed")
    assert [row[place] is None for row in first.rows] == [False, True]
    assert [row[place] is None for row in second.rows] == [True, False]


def test_a_row_is_one_estimand_with_its_own_interval() -> None:
    report = make_report()
    [table] = runs_tables([report, report])
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["UA"], row["UA 95 %"]) == (report.summary["ua"].seeds, Interval(0.65, 0.78, 3, "speakers"))


def test_notes_say_what_train_says_and_of_which_runs() -> None:
    one = make_report()
    warned = {**one.corpus, "warnings": ["3 files are missing"], "left_out": {"u1": "silent"}}
    other = dataclasses.replace(
        one, head="mlp", corpus=warned, deviations=(), selection="the last of 5 epochs"
    )
    [table] = runs_tables([one, other], names=["a", "b"])
    notes = set(table.notes)
    assert "epoch: the last of 5 epochs" not in notes
    assert {
        "a: epoch: the epoch with the lowest dev loss",
        "b: epoch: the last of 5 epochs",
        "a: differs from what was published: clip none instead of split:5",
        "b: corpus: 3 files are missing",
        "b: 1 utterances left out, first: u1: silent",
        "no test speaker occurs in a training or dev part (checked)",
        "normalisation global: mean and standard deviation of the training part",
    } <= notes
    many = [dataclasses.replace(one, selection=f"{k % 5 == 0}") for k in range(10)]
    [table] = runs_tables(many, names=[str(k) for k in range(10)])
    assert "8 of 10 rows (first: 1): epoch: False" in table.notes
    assert "0, 5: epoch: True" in table.notes


def test_a_head_that_standardises_has_the_scope_of_its_training_part() -> None:
    """Linear normalised by the training part and logistic, which does so inside, do not differ in scope."""
    linear = make_report(head="linear")
    inside = {**linear.setup, "normalise": "none"}
    logistic = make_report(head="logistic", setup=inside, standardises="global")
    bare = make_report(head="mlp", setup=inside, standardises="none")
    [table] = runs_tables([linear, logistic])
    assert not any("differ in normalisation scope" in note for note in table.notes)
    assert [row[table.columns.index("normalise")] for row in table.rows] == ["global", "global (in the head)"]
    [table] = runs_tables([linear, bare])
    assert any("differ in normalisation scope (global, none)" in note for note in table.notes)


def test_a_class_that_few_speakers_say_is_named() -> None:
    report = make_report(n_folds=6)
    kept = tuple(p for p in report.predictions if p.true or p.speaker in ("speaker 1", "speaker 2"))
    text = " ".join(tables.table([dataclasses.replace(report, predictions=kept)]).split())
    assert (
        "classes that fewer than 5 of 6 test speakers say (anger: 2): their recall rests on these alone"
        in text
    )
    assert "4 of 6 test parts lack a class (first: speaker 3 lacks anger; the fewest have 2 of 3)" in text


def test_scores_on_another_corpus_have_a_table_with_what_trained() -> None:
    report = make_report()
    there = CrossCorpus(
        dataset="esd", task="3class", classes=report.classes, corpus={**report.corpus, "name": "esd"},
        features=report.features, normalisation="none", summary=report.summary, predictions=report.predictions,
        confusion=report.confusion,
    )  # fmt: skip
    abroad = dataclasses.replace(report, cross_corpus=(there,))
    home, away = runs_tables([abroad, of_corpus("esd")])[:2]
    assert "emodb" in home.title
    assert away.title == "Runs: esd classic, task 3class, cross-corpus: mean over models"
    assert away.rows[0][away.columns.index("trained on")] == "emodb"


def test_a_dev_score_is_never_shown_as_a_test_score() -> None:
    report = make_report()
    kept = [run.history[run.best_epoch - 1]["dev_ua"] for run in report.runs]
    assert dev_score(report) == score([value for value in kept if value is not None])
    bare = dataclasses.replace(report, summary={}, predictions=(), confusion=())
    [table] = runs_tables([bare, bare])
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["UA"], row["UA 95 %"]) == (None, None)
    assert row["dev UA"] == dev_score(report)
    assert any("it is no test score" in note for note in table.notes)
    assert "dev UA" not in runs_tables([report, report])[0].columns


def test_a_report_is_one_line_with_its_units() -> None:
    assert repr(make_report()) == (
        "Report(superb on wavlm-large, emodb (leave-one-speaker-out; clip none instead of split:5): "
        "UA 0.7100 ± 0.0100, pooled, 2 seeds; "
        "95 % 0.650 to 0.780, 3 speakers)"
    )
    few = Summary(Score(0.5, None, 1), Score(0.5, None, 1), None, Interval(None, None, 2, "speakers"))
    one = make_report(n_folds=1, seeds=(0,), summary={"ua": few})
    assert repr(one).endswith("UA 0.5000, 1 test part, 1 seed; no interval, 2 speakers)")
    assert repr(dataclasses.replace(one, summary={})).endswith("not tested)")


def test_csv_says_in_columns_what_titles_say() -> None:
    one = make_report()
    text = tables.table(
        [one, of_corpus("esd"), make_report(n_folds=1, seeds=(0,))], names=["a", "b", "c"], format="csv"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["run"], row["tested on"], row["estimand"]) for row in rows] == [
        ("a", "emodb classic", "pooled over folds"),
        ("c", "emodb classic", "pooled over folds"),
        ("b", "esd classic", "pooled over folds"),
    ]
    assert (rows[0]["UA 95 % n"], rows[0]["UA 95 % units"]) == ("3", "speakers")
    assert float(rows[0]["UA"]) == one.summary["ua"].seeds.mean


# The command


@pytest.fixture
def folder(own_settings: Path) -> Path:
    shutil.copytree(WRITTEN, own_settings / "runs")
    return own_settings / "runs"


def test_runs_among_other_files(folder: Path, sercache: Callable) -> None:
    (folder / "table1.csv").write_text("a,b\n")
    (folder / "transcripts").mkdir()
    done = sercache("report", *sorted(folder.iterdir()))
    assert done.code == 0, done.err
    assert "no runs, left out: table1.csv, transcripts" in done.err
    assert "superb" in done.out
    refused = sercache("report", folder / "table1.csv", folder / "transcripts")
    assert refused.code == 2
    assert "is not a run folder and holds none" in refused.err
    assert sercache("report", folder / "typo").code == 2


def test_the_points_of_a_sweep(folder: Path, sercache: Callable) -> None:
    done = sercache("report", folder / "sweep")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert any(line.startswith("lr=1e-2 ") for line in lines)
    assert any(line.startswith("lr=1e-3 ") for line in lines)
    assert "dev UA" in done.out, "the point that was not selected has no test score"


def test_runs_of_before_have_units_and_no_interval(folder: Path, sercache: Callable) -> None:
    done = sercache("report", folder / "linear", folder / "superb")
    assert done.code == 0, done.err
    rows = [line for line in done.out.splitlines() if line.startswith(("linear ", "superb "))]
    assert len(rows) == 2
    assert all("– (4 speakers)" in row for row in rows)
    assert "no interval from fewer than 5 units" in " ".join(done.out.split())


def test_one_damaged_run_does_not_hide_the_others(folder: Path, sercache: Callable) -> None:
    (folder / "superb" / "predictions.csv").unlink()
    done = sercache("report", folder / "linear", folder / "superb")
    assert done.code == 0
    assert "superb lacks predictions.csv" in done.err
    assert "linear" in done.out
    assert sercache("report", folder / "superb").code == 2


def test_an_older_run_learns_what_its_head_standardises(folder: Path, sercache: Callable) -> None:
    path = shutil.copytree(folder / "linear", folder / "other") / runs.REPORT
    text = path.read_text().replace('"head": "linear"', '"head": "logistic"')
    path.write_text(text.replace('"normalise": "global"', '"normalise": "none"'))
    done = sercache("report", folder / "linear", folder / "other")
    assert "global (in the head)" in done.out
    assert "differ in normalisation scope" not in done.out
