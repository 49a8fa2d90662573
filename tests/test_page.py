"""Pages of runs as text: what stands in them, what may not, and what is left out."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome
from make_report import make_report
from test_pictures import outside, sized

from sercache import api, audio, catalog, datasets
from sercache.errors import SettingsError
from sercache.experiment import illustrated, pages
from sercache.experiment.illustrated import Seen
from sercache.experiment.result import Result
from sercache.progress import unheard
from sercache.record import Numbers, Prediction, Report
from sercache.report import in_words, index, page, plots, runs
from sercache.report.canvas import narrow
from sercache.report.extras import PageExtras, VectorPlaces
from sercache.report.listed import keys_of
from sercache.report.scatter import HEIGHT, WIDTH, marked_map
from sercache.report.side_by_side import runs_tables
from sercache.report.utterances import MOST, listed_rows, utterance_rows

Sercache = Callable[..., Outcome]
WILD = '<script>alert(1)</script> & "b"\''


@pytest.fixture(scope="module")
def wild() -> Report:
    """A report in which everything that has a name is called by markup."""
    report = make_report(head=WILD, deviations=("lr <1 & more",))
    classes = (WILD, "<img src=x onerror=alert(2)>", "sadness")
    predictions = tuple(
        dataclasses.replace(each, id=f"{each.id} {WILD}", speaker=f"{each.speaker}<b>")
        for each in report.predictions
    )
    return dataclasses.replace(report, classes=classes, predictions=predictions)


@pytest.fixture(scope="module")
def plain() -> tuple[Report, str]:
    """A report and its page."""
    report = make_report(deviations=("clip none instead of split:5", "seeds 0"))
    return report, page.page(report)


@pytest.fixture(scope="module")
def wild_page(wild: Report) -> str:
    ids = tuple(dict.fromkeys(each.id for each in wild.predictions))
    places = np.random.default_rng(0).normal(size=(len(ids), 2))
    extras = PageExtras(
        dict.fromkeys(ids, "</script><script>alert(3)</script>"), {ids[0]: b"OggS </script>"},
        (VectorPlaces(f"the map of {WILD}", ids, places),), (f"a note on {WILD}",), index="index.html",
    )  # fmt: skip
    return page.page(wild, extras=extras)


def test_what_names_hold_is_text(wild_page: str) -> None:
    assert re.findall(r"<script[^>]*>", wild_page) == [
        '<script type="application/json" id="clips">',
        "<script>",
    ]
    assert "<img" not in wild_page
    assert not re.search(r"<[^>]*\son\w+\s*=", wild_page)
    assert html.escape("lr <1 & more") in wild_page
    for name in ("speaker 1<b>", "<img src=x onerror=alert(2)>"):
        assert html.escape(name) in wild_page
        assert name not in wild_page


def test_the_page_stands_alone_and_allows_its_own_script_only(wild_page: str) -> None:
    addresses = set(re.findall(r"""(?:src|href)=["']([^"'#][^"']*)["']|url\(([^#)][^)]*)\)""", wild_page))
    assert {a or b for a, b in addresses} == {"data:,", "index.html"}
    [script] = re.findall(r"<script>(.*?)</script>", wild_page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', wild_page)
    assert f"script-src 'sha256-{digest}'" in html.unescape(policy)
    assert "default-src 'none'" in html.unescape(policy)


def test_ids_are_unique(wild_page: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', wild_page)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', wild_page)
    assert {a or b for a, b in targets} <= set(ids), "what is pointed at is there"


def test_the_page_says_each_thing_once(plain: tuple[Report, str]) -> None:
    report, text = plain
    headings = re.findall(r"<h[12]>(.*?)</h[12]>", text)
    assert headings == [
        report.title, "Scores", "Differences from what was published", "Pictures", "Utterances", "Classes", "Folds",
        "Calibration", "Answering the surest", "Speakers", "What made it",
    ]  # fmt: skip
    assert text.count("<li>clip none instead of split:5</li>") == 1
    assert "differs from what was published" not in text
    assert set(re.findall(r'<a href="#([^"]+)"', text)) <= set(re.findall(r'\sid="([^"]+)"', text))


def test_the_result_and_its_interval_come_first(plain: tuple[Report, str]) -> None:
    text = plain[1]
    before = text[: text.index("<nav")]
    assert "95 % 0.650 to 0.780, over 3 speakers" in before
    assert "0.710 ± 0.010" in before
    assert "chance 0.333" in before
    assert '<td class="number">0.7000 ± 0.0200</td>' in text[len(before) :]


def test_pictures_are_named_and_have_their_numbers(plain: tuple[Report, str]) -> None:
    text = plain[1]
    figures = re.findall(r"<svg .*?>", text)
    assert all('role="img" aria-label=' in each for each in figures)
    assert {"Layer weights in numbers", "Learning curves in numbers"} <= set(
        re.findall(r"<summary>(.*?)<", text)
    )
    confusion = text[text.index('<table class="confusion">') :]
    assert confusion.count("<td class") >= 9, "the confusion matrix is a table by itself"
    assert "data:image/png" not in text


def test_the_page_suits_screens_and_paper(plain: tuple[Report, str]) -> None:
    text = plain[1]
    assert '<meta name="viewport" content="width=device-width' in text
    for rule in ("prefers-color-scheme: dark", "@media print", "@media (max-width: 40rem)", ":focus-visible"):
        assert rule in text


def test_what_made_it_is_told_in_words() -> None:
    made = in_words.made_of(make_report(recipe={
        "loss": "focal", "focal_gamma": 2.0, "optimiser": "adam", "lr": 1e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8,
        "batch_size": 32, "max_epochs": 100, "patience": 10, "select": "dev-loss", "schedule": "cosine",
        "balance": "class-weights", "clip_norm": 1.0,
    }))  # fmt: skip
    training = dict(made["Training"])
    assert training["loss"] == "focal loss, gamma 2.0"
    assert training["epochs"] == "at most 100; stops after 10 without a better dev score"
    assert training["gradients are cut"] == "norm to 1"
    assert dict(in_words.made_of(make_report(recipe={}))["Training"]) == {
        "solved": "its weights are computed, not trained"
    }
    for words in made.values():
        assert all(text and not set("{}[]'\"") & set(text) for _, text in words), words


# Single utterances


def test_the_worst_come_first() -> None:
    def said(id: str, seed: int, predicted: int, *p: float) -> Prediction:
        return Prediction(id, "f", seed, 0, predicted, p, "s")

    found = utterance_rows(
        [
            said("sure", 0, 0, 0.9, 0.1), said("sure", 1, 0, 0.7, 0.3),
            said("split", 0, 0, 0.6, 0.4), said("split", 1, 1, 0.2, 0.8),
            said("wrong", 0, 1, 0.3, 0.7), said("wrong", 1, 1, 0.1, 0.9),
        ],
        make_report(classes=("a", "b")).target,
    )  # fmt: skip
    assert [(row.id, row.n_wrong, row.is_wrong) for row in found] == [
        ("wrong", 2, True), ("split", 1, True), ("sure", 0, False),
    ]  # fmt: skip
    assert found[0].scores == (("b", pytest.approx(0.8)), ("a", pytest.approx(0.2)))
    assert found[2].error == pytest.approx(0.2)


def test_numbers_are_sorted_by_their_distance() -> None:
    found = utterance_rows(
        [
            Prediction("near", "f", 0, (0.5, 0.5), (0.6, 0.5)),
            Prediction("far", "f", 0, (0.5, 0.5), (0.9, 0.1)),
        ],
        Numbers(("arousal", "valence")),
    )
    assert [(row.id, round(row.error, 3)) for row in found] == [("far", 0.4), ("near", 0.05)]


def test_of_many_the_worst_and_a_sample_are_listed() -> None:
    one = utterance_rows(make_report().predictions, make_report().target)[0]
    rows = [dataclasses.replace(one, id=str(k)) for k in range(3 * MOST)]
    found = [int(row.id) for row in listed_rows(rows)]
    assert len(found) == MOST
    assert found[: MOST // 2] == list(range(MOST // 2))
    assert found == sorted(set(found)), "in their order, each once"
    assert listed_rows(rows) == listed_rows(rows)
    extras = PageExtras(clips=dict.fromkeys(("0", "5"), b""))
    assert keys_of(rows, extras) == {"0": "0", "5": "1"}


def test_a_map_has_a_mark_for_each_tested_utterance() -> None:
    report = make_report()
    rows = utterance_rows(report.predictions, report.target)
    ids = (*(row.id for row in rows), "not tested")
    made = marked_map(
        VectorPlaces("it", ids, np.random.default_rng(0).normal(size=(len(ids), 2))), rows, report.target
    )
    assert made is not None
    assert len(made.marks) == len(rows)
    assert made.ways == ("true class", "predicted class", "error", "speaker")
    assert all(0 <= mark.x <= WIDTH and 0 <= mark.y <= HEIGHT for mark in made.marks)
    assert sum(row[2] for row in made.table.rows if row[0] == "true class") == len(rows)  # type: ignore[misc]
    assert marked_map(VectorPlaces("it", ids[:2], np.zeros((2, 2))), rows, report.target) is None


# Sound, by the licence of the corpus


def extras_of(report: Report, seen: Seen, n_bytes: int = 5_000_000) -> PageExtras:
    """Without what is said of an example that is smaller than the corpus."""
    with unheard():
        return illustrated.extras_of(report, seen, n_bytes)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """A report on the example of EMO-DB, which is free, and where that lies."""
    root = catalog.load("sercache.datasets", "emodb").example(tmp_path_factory.mktemp("emodb"))
    corpus = datasets.read("emodb", root)
    first = make_report().predictions[0]
    predictions = tuple(
        dataclasses.replace(first, id=each.id, speaker=each.speaker, true=k % 3)
        for k, each in enumerate(corpus.utterances)
    )
    return dataclasses.replace(make_report(), predictions=predictions), root


def test_clips_and_words_of_a_free_corpus_are_there(
    demo: tuple[Report, Path], own_settings: Path, undrawn: None
) -> None:
    report, root = demo
    found = extras_of(report, Seen(root, None, None))
    assert set(found.clips) == {each.id for each in report.predictions}
    assert all(sound.startswith(b"OggS") and b"OpusHead" in sound[:64] for sound in found.clips.values())
    assert set(found.transcripts) == set(found.clips)
    assert any("distributed as CC0" in note for note in found.notes)
    assert any(note.startswith("no map: ") for note in found.notes)
    text = page.page(report, extras=found)
    [held] = re.findall(r'id="clips">(.*?)</script>', text)
    assert {base64.b64decode(each) for each in json.loads(held).values()} == set(found.clips.values())
    assert text.count('class="play" data-clip=') == len(found.clips)
    room = sum(len(base64.b64encode(each)) for each in found.clips.values()) // 2
    few = extras_of(report, Seen(root, None, None), room)
    assert 0 < sum(len(base64.b64encode(each)) for each in few.clips.values()) <= room
    silent = extras_of(report, Seen(root, None, False))
    assert (bool(silent.transcripts), silent.clips) == (True, {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"licence_id": ""}, "--audio puts them in"), ({"licence_id": "LicenseRef-X"}, "may not be passed on"),
     ({"restricted": True}, "may not be passed on")],
)  # fmt: skip
def test_no_clip_and_no_word_of_other_corpora(
    demo: tuple[Report, Path],
    changes: dict[str, object],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    own_settings: Path,
) -> None:
    report, root = demo
    info = dataclasses.replace(catalog.load("sercache.datasets", "emodb").INFO, **changes)  # type: ignore[arg-type]
    monkeypatch.setattr(illustrated, "_info", lambda corpus: info)
    found = extras_of(report, Seen(root, None, None))
    assert (found.clips, found.transcripts) == ({}, {})
    assert any(words in note for note in found.notes)
    if info.clips_may_be_copied is None:
        assert extras_of(report, Seen(root, None, True)).clips
    else:
        with pytest.raises(SettingsError, match="leave --audio out"):
            extras_of(report, Seen(root, None, True))


def test_long_clips_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(audio, "read", lambda *where: read.append(where) or np.zeros(40 * audio.OPUS_RATE))
    monkeypatch.setattr(audio, "opus", lambda wave: bytes(len(wave) // audio.OPUS_RATE))
    made = datasets.Utterance("u", tmp_path, "a", "s", start=3.0, end=90.0)
    assert len(illustrated._clip(made)) == 15
    assert read[0][2:] == (3.0, 18.0)


# The command


@pytest.mark.draws
def test_the_command_writes_a_page_or_an_index(
    sercache: Sercache, undrawn: None, cached: Path, recordings: Path
) -> None:
    first = make_report(head="superb", seeds=(0,))
    own = {f"u{k}": f"s{k // 2 % 4}" for k in range(24)}
    predictions = tuple(
        dataclasses.replace(first.predictions[k % 18], id=id, speaker=who, fold=who)
        for k, (id, who) in enumerate(own.items())
    )
    folds = tuple(dataclasses.replace(first.folds[0], name=f"s{k}", n_test=6) for k in range(4))
    ran = tuple(dataclasses.replace(first.runs[0], fold=f"s{k}") for k in range(4))
    corpus = {**first.corpus, "name": recordings.parent.name, "release": ""}
    report = dataclasses.replace(first, predictions=predictions, folds=folds, runs=ran, corpus=corpus)
    runs.save(report, cached / "one")
    runs.save(dataclasses.replace(report, head="linear"), cached / "Two, <b>")
    done = sercache("report", cached / "one", "--html", cached / "x" / "one.html", "--no-audio")
    assert done.code == 0, done.err
    assert done.out.strip().endswith(str(cached / "x" / "one.html"))
    assert (cached / "x" / "one.html").is_file()
    refused = sercache("report", "--html", cached / "two.html")
    assert refused.code == 2
    assert "one file and these are 2 runs" in refused.err
    assert sercache("report", cached / "one", "--html", cached / "x.html", "--calibration").code == 2
    assert "--html" in sercache("report", cached / "one", "--audio").err
    (cached / "a file").touch()
    for taken in ("a file", "a file/below", "a file/below.html"):
        refused = sercache("report", cached / "one", "--html", cached / taken)
        assert (refused.code, refused.err.count("choose another place with --html")) == (2, 1), refused.err
    done = sercache("report", "--html", cached / "pages")
    assert done.code == 0, done.err
    assert {each.name for each in (cached / "pages").iterdir()} == {"index.html", "one.html", "Two-b.html"}
    text = (cached / "pages" / "index.html").read_text()
    assert '<a href="one.html">one</a>' in text
    assert '<a href="Two-b.html">Two, &lt;b&gt;</a>' in text
    assert "Pairs: " in text
    assert 'href="index.html">All runs' in (cached / "pages" / "one.html").read_text()
    found = api.write_pages(Result(report), cached / "python.html", progress=False)
    assert found.written == (cached / "python.html",)


def test_runs_of_equal_names_have_pages_of_their_own() -> None:
    found = pages._file_names(["a/b", "a-b", "A-B", "index"])
    assert len({each.casefold() for each in found}) == 4
    assert "index.html" not in found


def test_an_index_links_runs_and_shows_their_pairs() -> None:
    names = ["one", "<i>two"]
    tables = runs_tables([make_report(), make_report(head="linear")], names=names)
    text = index.index_page(tables, {"one": "one.html", "<i>two": "%3Ci%3Etwo.html"})
    assert '<a href="%3Ci%3Etwo.html">&lt;i&gt;two</a>' in text
    assert "2 runs" in text
    assert '<th scope="col" class="number"><button type="button">UA</button></th>' in text


@pytest.mark.parametrize(("n_folds", "n_seeds"), [(1, 1), (5, 5), (20, 5)], ids=["1", "25", "100"])
def test_pictures_for_telephones_cut_nothing_off(n_folds: int, n_seeds: int) -> None:
    with narrow():
        drawn = plots.figures(sized(n_folds, n_seeds))
    assert not [cut for figure in drawn.values() for cut in outside(figure)]
    widths = {name: figure.get_figwidth() for name, figure in drawn.items() if name != "confusion"}
    assert max(widths.values()) <= 4.9
