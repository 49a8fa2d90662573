"""The table of its corpus that a store carries: all of a corpus but its recordings, whatever anybody writes into it."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
from conftest import Outcome
from hypothesis import given
from hypothesis import strategies as st

import sercache as ser
from sercache import datasets, stores
from sercache.datasets import Corpus, CorpusInfo, Rating, Subset, Utterance
from sercache.errors import CorpusError, DamagedStoreError, StoreError
from sercache.experiment import corpus_table
from sercache.stores import lines

Sercache = Callable[..., Outcome]
NOWHERE = Path("/nowhere/store")
QUICK = ["--dev", "none", "--seeds", 1, "--set", "max-epochs=2", "--set", "select=last-epoch"]
QUICK += ["--set", "patience=none", "--set", "schedule=constant"]
TRAIN = ["train", "--head", "linear", "--encoder", "logmel", *QUICK]


def values(corpus: Corpus, *, texts: bool = True) -> list[Any]:
    """Those of a table, as a file gives them back."""
    return json.loads(json.dumps(list(datasets.to_values(corpus, texts=texts)), allow_nan=False))


def bare(utterances: tuple[Utterance, ...]) -> list[Utterance]:
    return [dataclasses.replace(u, path=Path()) for u in utterances]


def test_no_more_rows_are_held_than_the_one_that_is_read() -> None:
    """As JSON a million are a gigabyte, of which a third is kept."""
    corpus = Corpus(
        "c",
        "1",
        Path("/corpus"),
        INFO,
        tuple(Utterance(f"u{k}", Path("/corpus/a.wav"), "a", "s") for k in range(9)),
    )
    held: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0

    class Row(dict):
        __hash__ = object.__hash__  # type: ignore[assignment]

    def told() -> Iterator[Any]:
        nonlocal most
        for value in values(corpus):
            row = Row(value)
            held.add(row)
            most = max(most, len(held))
            yield row

    read = datasets.from_values(told(), NOWHERE)
    assert bare(read.utterances) == bare(corpus.utterances)
    assert most <= 4, "the corpus itself, the row that is read, and the one before"
    assert len({id(each.path) for each in read.utterances}) == 1, "a path of several segments is kept once"


LABELS = st.text(max_size=6)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
UTTERANCES = st.lists(
    st.builds(
        Utterance,
        id=st.text(min_size=1, max_size=8),
        path=st.just(Path("/corpus/a.wav")),
        raw_label=LABELS,
        speaker=LABELS,
        group=LABELS,
        start=st.none() | st.floats(0, 10),
        end=st.none() | st.floats(11, 20),
        partition=st.sampled_from(["", "train", "test1"]),
        transcript=st.none() | st.text(min_size=1, max_size=20),
        soft_label=st.none() | st.dictionaries(LABELS, NUMBERS, max_size=3),
        attributes=st.none() | st.dictionaries(LABELS, NUMBERS, max_size=3),
        ratings=st.lists(
            st.builds(Rating, LABELS, st.lists(LABELS, max_size=2).map(tuple), st.none()), max_size=2
        ).map(tuple),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda u: u.id,
).map(tuple)
INFO = CorpusInfo("t", "en", None, None, "free", "", "", {"4class": {"a": "anger"}}, "4class")


@given(UTTERANCES)
def test_any_utterance_comes_back_as_it_was(utterances: tuple[Utterance, ...]) -> None:
    corpus = Corpus("mine", "1", Path("/corpus"), INFO, utterances)
    assert bare(datasets.from_values(values(corpus), NOWHERE).utterances) == bare(utterances)


def corpus_of(*utterances: Utterance, **info: Any) -> Corpus:
    return Corpus("mine", "1", Path("/corpus"), dataclasses.replace(INFO, **info), utterances)


def utterance(id: str, **fields: Any) -> Utterance:
    return Utterance(
        **{"id": id, "path": Path("/corpus") / f"{id}.wav", "raw_label": "a", "speaker": "s"} | fields
    )


def test_transcripts_are_digests_unless_texts_are_asked_for() -> None:
    corpus = corpus_of(
        utterance("1", transcript="Well, hello!"),
        utterance("2", transcript="well hello"),
        utterance("3", transcript="…"),
        utterance("4"),
    )
    told = values(corpus, texts=False)
    assert "ello" not in json.dumps(told)
    digests = datasets.transcript_digests(told)
    assert set(digests) == {"1", "2"}  # what is no word says nothing
    assert digests["1"] == digests["2"]
    assert not datasets.transcript_digests(values(corpus, texts=True))


def test_a_subset_that_could_not_be_told_says_why_when_it_is_asked_for() -> None:
    def holds(u: Utterance) -> bool:
        raise CorpusError("the forced alignment is missing")

    back = datasets.from_values(
        values(corpus_of(utterance("1"), subsets={"aligned": Subset("words", holds)})), NOWHERE
    )
    assert back.labels("4class") == {"1": "anger"}
    with pytest.raises(CorpusError, match="the forced alignment is missing"):
        back.labels("4class@aligned")


def changed(**changes: Any) -> list[Any]:
    """A table with other fields of its head, or of its first utterance (``row_…``)."""
    found = values(
        corpus_of(utterance("1"), utterance("2"), subsets={"part": Subset("a part", lambda u: True)})
    )
    for name, value in changes.items():
        where = (
            found[1]
            if name.startswith("row_")
            else found[0]["info"]
            if name.startswith("info_")
            else found[0]
        )
        where[name.removeprefix("row_").removeprefix("info_")] = value
    return found


@pytest.mark.parametrize(
    "table",
    [
        [],
        [None],
        [{"id": "1"}],
        changed()[:1],
        changed()[:2],
        [*changed(), changed()[1]],
        changed(table=2),
        changed(name="../../etc"),
        changed(name="a\nb"),
        changed(name=""),
        changed(n_utterances=2**70),
        changed(n_utterances=True),
        changed(info=[]),
        changed(reader="x/y"),
        changed(reader_sha256="zz"),
        changed(subsets={}),
        changed(subsets_not_known={"other": "?"}),
        changed(warnings="all of them"),
        changed(skipped=[["one"]]),
        changed(more=1),
        changed(info_tasks={"4class": {"a": 1}}),
        changed(info_tasks={"a/b": {}}),
        changed(info_default_task=None),
        changed(info_attribute_range=[7, 1]),
        changed(info_attribute_range=[1, 2, 3]),
        changed(info_hours=10**400),
        changed(info_splits={"official": ["train"]}),
        changed(row_id=7),
        changed(row_id="2"),
        changed(row_label=None),
        changed(row_speaker=["s"]),
        changed(row_start=-1.0, row_end=1.0),
        changed(row_start=2, row_end=1),
        changed(row_start="0"),
        changed(row_attributes={"arousal": "high"}),
        changed(row_attributes={"arousal": 10**30}),
        changed(row_soft_label=[1]),
        changed(row_ratings=[{"rater": "x"}]),
        changed(row_subsets=["no such part"]),
        changed(row_path="/etc/passwd"),
        changed(row_transcript_digest="hello"),
        [changed()[0], "an utterance", changed()[2]],
    ],
    ids=lambda table: json.dumps(table)[-60:],
)
def test_a_crafted_table_is_one_clear_error(table: list[Any]) -> None:
    with pytest.raises(CorpusError, match=r"the table of its corpus is not what sercache writes: ") as fault:
        datasets.from_values(table, NOWHERE)
    assert "\n" not in str(fault.value)
    assert len(str(fault.value)) < 500


def test_every_byte_of_the_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    assert lines.write(path, lambda: [{"a": 1}, {"b": "é"}])
    assert not lines.write(path, lambda: [{"a": 1}, {"b": "é"}])
    assert list(lines.read(path, "")) == [{"a": 1}, {"b": "é"}]
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DamagedStoreError):
            list(lines.read(path, "mend it"))
        assert lines.write(path, lambda: [{"a": 1}, {"b": "é"}]), "what is damaged is written anew"
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        with pytest.raises(DamagedStoreError):
            list(lines.read(path, "mend it"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        lines.write(path, lambda: [math.nan])
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def store_of(cache: Path) -> Path:
    [folder] = [folder for folder, _ in stores.find(cache)]
    return folder


@pytest.fixture
def alone(cached: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache as it comes to a machine without the recordings; gives its store."""
    folder = store_of(cached.parent / "cache")
    (folder / "ledger" / "origin.json").unlink()
    return folder


def trained(runs: Path) -> list[Any]:
    """What the newest run says, but for where and when."""
    newest = max(runs.iterdir(), key=lambda folder: folder.stat().st_mtime)
    report = ser.Result.load(newest).report
    names = (
        "experiment",
        "corpus",
        "folds",
        "runs",
        "predictions",
        "summary",
        "setup",
        "recordings",
        "notes",
    )
    return [getattr(report, name) for name in names]


def test_training_from_a_store_alone_is_training_beside_the_recordings(
    sercache: Sercache, cached: Path, recordings: Path, alone: Path
) -> None:
    name = stores.read_spec(alone).corpus
    done = sercache(*TRAIN, "--dataset", f"manifest:{name}", "--root", recordings)
    assert done.code == 0, done.err
    beside = trained(cached)
    done = sercache(*TRAIN, "--dataset", name, "--name", "alone")
    assert done.code == 0, done.err
    assert f"24 utterances by the table of {alone}" in done.out
    assert trained(cached) == beside
    # A store is named, and so is its corpus, which need not be the head's own.
    done = sercache("train", "--head", "linear", "--store", alone, *QUICK, "--name", "store")
    assert done.code == 0, done.err
    assert trained(cached) == beside
    assert ser.train("linear", ser.open_store(alone), progress=False, dev="none", seeds=1, recipe={
        "max-epochs": 2, "select": "last-epoch", "patience": None, "schedule": "constant"
    }).report.experiment.digest == ser.Result.load(cached / "alone").report.experiment.digest  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [
        ["extract", "--encoder", "mfcc"],
        ["doctor"],
        ["transcribe", "--model", "m", "--out", "o.csv"],
    ],
    ids=lambda call: call[0],
)
def test_what_takes_recordings_says_so_in_a_line(sercache: Sercache, alone: Path, call: list[str]) -> None:
    done = sercache(*call, "--dataset", stores.read_spec(alone).corpus)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert f"{alone} has its labels alone" in done.err


def test_a_corpus_in_memory_without_recordings_is_refused_where_they_are_needed(alone: Path) -> None:
    corpus = corpus_table.read(alone)
    for call in (
        lambda: ser.extract("logmel", corpus, progress=False),
        lambda: ser.doctor(corpus, progress=False),
        lambda: ser.transcribe("m", corpus, "o.csv", progress=False),
    ):
        with pytest.raises(CorpusError, match="has its labels and no recordings"):
            call()


def test_probe_evaluate_and_map_go_by_the_table(sercache: Sercache, cached: Path, alone: Path) -> None:
    name = stores.read_spec(alone).corpus
    done = sercache("probe", "--encoder", "logmel", "--dataset", name, "--protocol", "kfold:2")
    assert done.code == 0, done.err
    done = sercache(*TRAIN, "--dataset", name, "--protocol", "all", "--name", "all")
    assert done.code == 0, done.err
    done = sercache("evaluate", cached / "all", "--dataset", name, "--duplicates", "keep")
    assert "trained on" in done.err  # the corpus is known, and refused for what it is


def test_probe_and_evaluate_take_a_store_as_train_does(sercache: Sercache, cached: Path, alone: Path) -> None:
    elsewhere = alone.rename(cached.parent / "elsewhere")
    done = sercache("probe", "--store", elsewhere, "--protocol", "kfold:2")
    assert done.code == 0, done.err
    assert f"store     {elsewhere}" in done.out
    assert (cached / f"probe-logmel-{stores.read_spec(elsewhere).corpus}").is_dir()
    done = sercache("probe", "--store", elsewhere, "--encoder", "mfcc")
    assert "leave one of --store and --encoder out" in done.err
    assert "name what is probed" in sercache("probe", "--encoder", "logmel").err
    run = ["train", "--head", "mlp", "--store", elsewhere, *QUICK, "--protocol", "all", "--name", "all"]
    assert sercache(*run).code == 0
    found = sercache("evaluate", cached / "all", "--store", elsewhere, "--duplicates", "keep")
    assert "trained on" in found.err
    assert "name a corpus with --dataset, or a store" in sercache("evaluate", cached / "all").err


def test_labels_that_changed_since_are_brought_up_to_date(
    sercache: Sercache, cached: Path, manifest: Path
) -> None:
    extract = ["extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest]
    assert sercache(*extract).code == 0
    folder = next(
        folder
        for folder, spec in stores.find(cached.parent / "cache")
        if spec.corpus == corpus_name(manifest)
    )
    table = folder / "ledger" / "corpus.jsonl"
    before = table.read_bytes()
    table.unlink()  # a store of an earlier version
    with pytest.raises(StoreError, match="made by an earlier version"):
        corpus_table.read(folder)
    done = sercache(*extract)
    assert done.code == 0, done.err
    assert "labels are brought up to date" in done.out
    assert table.read_bytes() == before
    done = sercache(*extract)
    assert "brought up to date" not in done.out


def corpus_name(table: Path) -> str:
    return datasets.read("manifest", table).name


def test_verify_finds_a_damaged_table_and_repair_writes_it_anew(sercache: Sercache, cached: Path) -> None:
    folder = store_of(cached.parent / "cache")
    table = folder / "ledger" / "corpus.jsonl"
    whole = table.read_bytes()
    crafted = [*corpus_lines(table)]
    crafted[0]["name"] = "other"
    for damage in (lambda: table.write_bytes(whole[:-9]), lambda: lines.write(table, lambda: crafted)):
        damage()
        done = sercache("verify", folder)
        assert done.code == 2
        assert str(table) in done.err or "table of" in done.err
        done = sercache("verify", folder, "--repair")
        assert done.code == 0, done.err
        assert table.read_bytes() == whole
    shutil.rmtree(folder / "ledger" / "damaged")


def corpus_lines(table: Path) -> list[Any]:
    return list(lines.read(table, ""))


def test_heads_are_tested_on_a_store(
    sercache: Sercache, cached: Path, alone: Path, manifest: Path, tmp_path: Path
) -> None:
    for path in manifest.parent.glob("*.wav"):  # other recordings
        wave, rate = soundfile.read(path)
        soundfile.write(path, 0.9 * wave[::-1], rate)
    other = tmp_path / "other"
    extract = ["extract", "--encoder", "logmel", "--dataset", "manifest:evening", "--root", manifest]
    assert sercache(*extract, "--cache", other).code == 0
    evening = store_of(other)
    shutil.rmtree(manifest.parent)
    train = ["train", "--head", "linear", "--store", alone, "--protocol", "all", *QUICK]
    done = sercache(*train, "--test-on", evening, "--name", "at-once")
    assert done.code == 0, done.err
    report = ser.Result.load(cached / "at-once").report
    assert report.setup["test_on"] == ["evening:label"]
    assert len(report.cross_corpus[0].predictions) == 24
    done = sercache(*train, "--name", "later")
    assert done.code == 0, done.err
    done = sercache("evaluate", cached / "later", "--dataset", evening)
    assert done.code == 0, done.err
    (there,) = ser.Result.load(cached / "later" / "on-evening").report.cross_corpus
    assert there.predictions == report.cross_corpus[0].predictions
    assert sercache("extract", *extract[1:2], "mfcc", *extract[3:], "--cache", other).code == 2
    done = sercache(*train, "--test-on", f"{evening}:no such task", "--name", "x")
    assert (done.code, "unknown task" in done.err) == (2, True)
