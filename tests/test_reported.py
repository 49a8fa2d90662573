"""Numbers that others report: whole, of corpora and encoders that there are, and never in a table with a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from make_report import make_report

import sercache as api
from sercache import catalog, encoders, reported
from sercache.errors import SettingsError
from sercache.papers import emobox2024
from sercache.record import Report
from sercache.report import reported_table, runs

TABLES = [table for name in reported.corpora() for table in reported.tables_of(name)]


@pytest.mark.parametrize(
    "table", TABLES, ids=lambda table: f"{table.dataset} {table.source.partition(' ')[0]}"
)
def test_a_table_is_whole_and_of_things_that_there_are(table: reported.ReportedTable) -> None:
    assert table.dataset in catalog.names("sercache.datasets")
    assert set(table.encoders) <= set(table.rows)
    assert set(table.encoders.values()) <= set(encoders.short_names())
    for values in table.rows.values():
        assert len(values) == len(table.metrics)
        assert all(1 / (table.n_classes or 8) / 2 < value <= 1 for value in values)
    about = catalog.load("sercache.datasets", table.dataset).INFO
    named = table.protocol.partition(":")[2]
    assert not named or named in about.folds
    counted = [int(word) for word in table.folds.partition(";")[2].split() if word.isdecimal()]
    assert counted == sorted(counted)
    assert all(n <= (about.n_speakers or n) for n in counted)


def test_no_table_is_there_twice() -> None:
    named = [(table.source, table.dataset, table.system, table.folds) for table in TABLES]
    assert len(set(named)) == len(named)


def _found(dataset: str, source: str) -> list[reported.ReportedTable]:
    return [table for table in reported.tables_of(dataset) if table.source.startswith(source)]


def test_emobox_is_as_printed() -> None:
    """Some cells of the page, from its corners and between."""
    (emodb,), (iemocap,) = _found("emodb", "EmoBox"), _found("iemocap", "EmoBox")
    assert emodb.rows["wav2vec 2.0 base"] == pytest.approx((0.8206, 0.8314, 0.8221))
    assert emodb.rows["Whisper large v3"] == pytest.approx((0.9126, 0.9243, 0.9184))
    assert iemocap.rows["WavLM large"] == pytest.approx((0.6947, 0.6907, 0.6929))
    (urdu,), (podcast,) = _found("urdu", "EmoBox"), _found("msp-podcast", "EmoBox")
    assert urdu.rows["Whisper large v3"][-1] == pytest.approx(0.8241)
    assert podcast.rows["WavLM large"] == pytest.approx((0.186, 0.4047, 0.1797))


def test_classes_of_emobox_are_those_of_the_task_that_is_trained() -> None:
    for named in emobox2024.UTTERANCES:
        dataset, _, task = named.partition(":")
        (table,) = _found(dataset, "EmoBox")
        mapping = catalog.load("sercache.datasets", dataset).INFO.tasks[task.partition("@")[0]]
        assert table.n_classes == len(set(mapping.values()) - {None}), named


@pytest.mark.parametrize(
    ("dataset", "source", "row", "values"),
    [
        ("iemocap", "SUPERB", "WavLM Large", (0.7062,)),
        ("iemocap", "UniSpeech-SAT", "UniSpeech-SAT Base+", (0.6848,)),
        ("emovo", "emotion2vec (", "emotion2vec", (0.6121, 0.6297)),
        ("esd", "emotion2vec+", "emotion2vec+ large", (0.870, 0.870)),
        ("emodb", "Decoding", "HUBERT_LARGE", (0.9452,)),
        ("cremad", "X-ARES (Zhang et al. 2025), kNN", "whisper base", (0.372,)),
        ("emodb", "audEERING", "ComParE 2016 functionals", (0.7708,)),
    ],
)
def test_other_sources_are_as_printed(dataset: str, source: str, row: str, values: tuple[float, ...]) -> None:
    (table,) = _found(dataset, source)
    assert table.rows[row] == pytest.approx(values)


def test_one_system_judged_by_four_protocols_is_four_tables() -> None:
    tables = _found("iemocap", "emotion2vec (")
    assert [table.rows["emotion2vec"][0] for table in tables] == pytest.approx(
        [0.7179, 0.7448, 0.7294, 0.7764]
    )
    assert ["on the test part itself" in table.system for table in tables] == [False, True, False, True]


def _saved(folder: Path, corpus: str, encoder: str) -> Report:
    report = make_report()
    report = dataclasses.replace(
        report, corpus={**report.corpus, "name": corpus}, setup={**report.setup, "encoder": encoder}
    )
    runs.save(report, folder)
    return report


def test_a_run_stands_above_the_printed_numbers_and_not_among_them(tmp_path: Path) -> None:
    report = _saved(tmp_path / "a", "emodb", "hubert-base")
    found = api.compare([tmp_path / "a"], published=True)
    assert found.pairs == ()
    assert [row[0] for row in found.table.rows] == ["a"]
    table = found.published[0]
    assert "EmoBox" in table.title
    assert len(found.published) == len(reported.tables_of("emodb")) > 1
    assert len(table.rows) == 10
    assert [row[0] for row in table.rows if row[-1] == "yes"] == ["HuBERT base"]
    assert "not to be ranked with the runs above: another protocol" in table.notes
    assert any("all 10 speakers of a test part are trained on" in note for note in table.notes)
    assert any(note.startswith("classes: theirs 7") for note in table.notes) is (len(report.classes) != 7)
    assert json.loads(json.dumps(found.plain(), default=str))["published"][0]["rows"]
    assert found._repr_html_().count("<table") == 1 + len(found.published)


def test_a_corpus_of_which_nothing_is_kept_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    _saved(tmp_path / "a", "mine", "hubert-base")
    refused = r"no published numbers are kept of mine, only of aesdd, .* leave --published"
    with pytest.raises(SettingsError, match=refused):
        api.compare([tmp_path / "a"], published=True)
    with pytest.raises(SettingsError, match="two runs or more"):
        api.compare([tmp_path / "a"])


def test_what_sets_a_table_apart_follows_from_the_run(tmp_path: Path) -> None:
    """The same run beside tables of other folds, of its folds and other classes, and of its folds and classes."""
    report = _saved(tmp_path / "a", "emodb", "hubert-base")
    (table,) = _found("emodb", "audEERING")
    fitting = dataclasses.replace(table, n_classes=len(report.classes), protocol=report.setup["protocol"])
    apart = {
        "another protocol": dataclasses.replace(table, protocol=""),
        "too, but of other classes": dataclasses.replace(fitting, n_classes=100),
        "or it is not said of which": dataclasses.replace(fitting, n_classes=None),
        "what is trained, and what selects, differ": fitting,
    }
    for words, each in apart.items():
        assert words in reported_table(each, [("a", report)]).notes[0]
