"""What is written for other tools, read by their own packages; a package that is not installed is skipped.

None of these is a dependency: `pip install lhotse datasets webdataset kaldiio` into an environment beside this one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import corpus_trees
import numpy as np
import pytest
import soundfile

from sercache import audio, datasets
from sercache.datasets import Corpus, CorpusInfo, Utterance
from sercache.experiment import corpus_files

pytestmark = [pytest.mark.filterwarnings("default")]
RATE = 8000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("recordings") / "with spaces"
    a, b = (corpus_trees.write_wav(folder / f"{name}.wav", 0.5, RATE) for name in ("a b", "c.d"))
    utterances = (
        Utterance("u1", a, "anger, hot", "s 1", start=0.125, end=0.25, partition="train", sex="F",
                  transcript='Oh, "no"'),
        Utterance("u2", a, "sad", "s 1", start=0.25, end=0.375, partition="train", sex="F", transcript="tja"),
        Utterance("u3", b, "sad", "s2", partition="test", sex="M", transcript="schön"),
    )  # fmt: skip
    labels = {"anger, hot": "anger", "sad": "sadness"}
    info = CorpusInfo("T", "de", 2, None, "free", "", "", {"label": labels}, "label")
    return Corpus("toy", "1", folder, info, utterances)


def wave(corpus: Corpus, id: str) -> np.ndarray:
    u = corpus.by_id()[id]
    return audio.read(u.path, RATE, u.start, u.end)


def test_lhotse(corpus: Corpus, tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    out = corpus_files.write(corpus, "lhotse", tmp_path / "out")
    for part, ids in (("train", ["u1", "u2"]), ("test", ["u3"])):
        recordings = lhotse.RecordingSet.from_file(out / f"toy_recordings_{part}.jsonl.gz")
        supervisions = lhotse.SupervisionSet.from_file(out / f"toy_supervisions_{part}.jsonl.gz")
        lhotse.validate_recordings_and_supervisions(recordings, supervisions)
        cuts = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
        cuts = cuts.trim_to_supervisions(keep_overlapping=False)
        found = {cut.supervisions[0].id: cut for cut in cuts}
        assert sorted(found) == ids
        for id, cut in found.items():
            [said], u = cut.supervisions, corpus.by_id()[id]
            assert (said.text, said.speaker, said.custom["emotion"]) == (u.transcript, u.speaker, u.raw_label)
            np.testing.assert_array_equal(cut.load_audio()[0], wave(corpus, id))
    # And what lhotse itself writes.
    again = tmp_path / "again"
    again.mkdir()
    recordings.to_file(again / "recordings.jsonl.gz")
    supervisions.to_file(again / "supervisions.jsonl.gz")
    [u] = datasets.read("lhotse", again).utterances
    assert (u.id, u.raw_label, u.speaker, u.start, u.end) == ("u3", "sad", "s2", None, None)


def test_hugging_face(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("datasets")
    out = corpus_files.write(corpus, "huggingface", tmp_path / "out")
    found = hub.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {name: part["id"] for name, part in found.items()} == {"train": ["u1", "u2"], "test": ["u3"]}
    assert isinstance(found["train"].features["audio"], hub.Audio)
    bare = found.cast_column("audio", hub.Audio(decode=False))
    for row in (row for part in bare.values() for row in part):
        u = corpus.by_id()[row["id"]]
        assert (row["label"], row["speaker"], row["transcript"]) == (u.raw_label, u.speaker, u.transcript)
        path = tmp_path / "one.wav"
        path.write_bytes(row["audio"]["bytes"])
        np.testing.assert_array_equal(soundfile.read(path, dtype="float32")[0], wave(corpus, row["id"]))
    # And what datasets itself writes, with classes as numbers.
    train = bare["train"].class_encode_column("label")
    train.to_parquet(str(tmp_path / "again.parquet"))
    back = datasets.read("huggingface", tmp_path / "again.parquet").utterances
    assert [(u.id, u.raw_label) for u in back] == [("u1", "anger, hot"), ("u2", "sad")]
    for u in back:
        np.testing.assert_array_equal(audio.read(u.path, RATE), wave(corpus, u.id))


def test_webdataset(corpus: Corpus, tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    out = corpus_files.write(corpus, "webdataset", tmp_path / "out")
    tars = [str(path) for path in sorted(out.glob("*.tar"))]
    found = {}
    for sample in wds.WebDataset(tars, shardshuffle=False):
        about = json.loads(sample["json"])
        found[about["id"]] = about["label"]
        path = tmp_path / "one.wav"
        path.write_bytes(sample["wav"])
        np.testing.assert_array_equal(soundfile.read(path, dtype="float32")[0], wave(corpus, about["id"]))
    assert found == {u.id: u.raw_label for u in corpus.utterances}
    with wds.TarWriter(str(tmp_path / "again.tar")) as writer:
        writer.write({"__key__": "k/1", "wav": Path(corpus.utterances[2].path).read_bytes(), "cls": 3})
    [u] = datasets.read("webdataset", tmp_path / "again.tar").utterances
    assert (u.id, u.raw_label) == ("k/1", "3")
    np.testing.assert_array_equal(audio.read(u.path, RATE), wave(corpus, "u3"))


def test_kaldi(corpus: Corpus, tmp_path: Path) -> None:
    kaldiio = pytest.importorskip("kaldiio")
    out = corpus_files.write(corpus, "kaldi", tmp_path / "out")
    segments = str(out / "segments")
    found = dict(kaldiio.ReadHelper(f"scp:{out / 'wav.scp'}", segments=segments))
    keys = dict(line.split(" ", 1) for line in (out / "utt2id").read_text().splitlines())
    assert {keys[key] for key in found} == {"u1", "u2", "u3"}
    for key, (rate, samples) in found.items():
        assert rate == RATE
        np.testing.assert_array_equal(samples / np.float32(2**15), wave(corpus, keys[key]))
    for name in (
        "wav.scp",
        "segments",
        "utt2spk",
        "text",
        "utt2emo",
        "spk2utt",
    ):  # as utils/validate_data_dir.sh has it
        lines = (out / name).read_bytes().splitlines()
        assert lines == sorted(lines)
    assert all(
        key.startswith(speaker) for key, speaker in map(str.split, (out / "utt2spk").read_text().splitlines())
    )


def test_audformat(corpus: Corpus, tmp_path: Path) -> None:
    audformat = pytest.importorskip("audformat")
    out = corpus_files.write(corpus, "audformat", tmp_path / "out", copy_audio=True)
    database = audformat.Database.load(str(out))
    assert database.is_portable
    assert database.license == "free"
    assert sorted(database.tables) == ["emotion.test", "emotion.train"]
    frame: Any = database["emotion.train"].get()
    assert frame["emotion"].tolist() == ["anger, hot", "sad"]
    assert [f"{time.total_seconds()}" for time in frame.index.get_level_values("end")] == ["0.25", "0.375"]
    assert all((out / file).is_file() for file in database.files)


def test_speechbrain(corpus: Corpus, tmp_path: Path) -> None:
    dataio = pytest.importorskip("speechbrain.dataio.dataio")
    out = corpus_files.write(corpus, "speechbrain", tmp_path / "out")
    for name in ("train.csv", "test.csv"):
        for id, row in dataio.load_data_csv(str(out / name)).items():
            u = corpus.by_id()[id]
            assert (row["emo"], row["spk_id"]) == (u.raw_label, u.speaker)
            found = dataio.read_audio(
                {"file": row["wav"], "start": int(row["start"]), "stop": int(row["stop"])}
            )
            np.testing.assert_array_equal(found.numpy(), wave(corpus, id))
