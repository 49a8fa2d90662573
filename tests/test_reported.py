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
from sercache.record import Report
from sercache.report import runs

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
        assert all(1 / table.n_classes / 2 < value < 1 for value in values)
    about = catalog.load("sercache.datasets", table.dataset).INFO
    counted = [int(word) for word in table.folds.partition(";")[2].split() if word.isdecimal()]
    assert counted == sorted(counted)
    assert all(n <= (about.n_speakers or n) for n in counted)


def test_emobox_is_as_printed() -> None:
    """Some cells of the page, from its corners and between."""
    (emodb,), (iemocap,) = reported.tables_of("emodb"), reported.tables_of("iemocap")
    assert emodb.rows["wav2vec 2.0 base"] == pytest.approx((0.8206, 0.8314, 0.8221))
    assert emodb.rows["Whisper large v3"] == pytest.approx((0.9126, 0.9243, 0.9184))
    assert iemocap.rows["WavLM large"] == pytest.approx((0.6947, 0.6907, 0.6929))
    (urdu,), (podcast,) = reported.tables_of("urdu"), reported.tables_of("msp-podcast")
    assert urdu.rows["Whisper large v3"][-1] == pytest.approx(0.8241)
    assert podcast.rows["WavLM large"] == pytest.approx((0.186, 0.4047, 0.1797))


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
    (table,) = found.published
    assert "EmoBox" in table.title
    assert len(table.rows) == 10
    assert [row[0] for row in table.rows if row[-1] == "yes"] == ["HuBERT base"]
    assert "not to be ranked with the runs above: another protocol" in table.notes
    assert any("all 10 speakers of a test part are trained on" in note for note in table.notes)
    assert any(note.startswith("classes: theirs 7") for note in table.notes) is (len(report.classes) != 7)
    assert json.loads(json.dumps(found.plain(), default=str))["published"][0]["rows"]
    assert found._repr_html_().count("<table") == 2


def test_a_corpus_of_which_nothing_is_kept_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    _saved(tmp_path / "a", "mine", "hubert-base")
    refused = r"no published numbers are kept of mine, only of aesdd, .* leave --published"
    with pytest.raises(SettingsError, match=refused):
        api.compare([tmp_path / "a"], published=True)
    with pytest.raises(SettingsError, match="two runs or more"):
        api.compare([tmp_path / "a"])
