"""Corpora as other tools describe them: read as these mean them, refused in one line where they cannot be."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus_trees
import numpy as np
import pytest
import soundfile
from conftest import Outcome

from sercache import audio, catalog, datasets, encoders
from sercache.commands.options._names import ENCODER
from sercache.datasets import Corpus
from sercache.encoders import _names as encoder_names
from sercache.errors import AudioError, CorpusError

FORMATS = ("emobox", "huggingface", "kaldi", "lhotse", "speechbrain", "webdataset")


def read(name: str, root: Path) -> Corpus:
    return catalog.load("sercache.datasets", name).read(root)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def root(name: str) -> Path:
        if name not in made:
            made[name] = corpus_trees.TREES[name](tmp_path_factory.mktemp(name) / "toy")
        return made[name]

    return root


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same_of_the_same_recordings(name: str, built: Callable[[str], Path]) -> None:
    corpus = read(name, built(name))
    assert (corpus.name, corpus.dataset, corpus.skipped) == ("toy", f"{name}:toy", ())
    assert datasets.reader_at("toy", built(name)) == name
    assert {(u.raw_label, u.speaker) for u in corpus.utterances} == {
        (label, speaker) for speaker in "abcd" for label in ("happy", "sad", "neutral")
    }  # fmt: skip
    cut = {u.id: (u.start or 0.0, u.end) for u in corpus.utterances if u.start or u.end}
    expected = {
        "kaldi": {"a-happy-0": (0.0, 0.2), "a-happy-1": (0.2, 0.5)},
        "lhotse": {"a-happy-0": (0.0, 0.2), "a-happy-1": (0.2, 0.5)},
        "speechbrain": {"a-happy": (0.0, 0.25)},
    }
    assert cut == expected.get(name, {})


def test_what_else_a_format_says(built: Callable[[str], Path]) -> None:
    emobox = read("emobox", built("emobox"))
    assert {(u.speaker, u.group) for u in emobox.utterances} == {
        (s, f"fold_{1 + (s in 'cd')}") for s in "abcd"
    }
    assert set(emobox.labels("emobox").values()) == {"Happy", "Sad", "Neutral"}
    speechbrain = read("speechbrain", built("speechbrain"))
    assert {(u.speaker, u.partition) for u in speechbrain.utterances} == {
        ("a", "train"), ("b", "train"), ("c", "dev"), ("d", "test"),
    }  # fmt: skip
    assert {(u.sex, u.transcript) for u in read("kaldi", built("kaldi")).utterances} == {("F", "WELL YES")}
    assert {(u.sex, u.transcript) for u in read("lhotse", built("lhotse")).utterances} == {("F", "Well, yes")}


def text(root: Path, name: str, content: str) -> Path:
    return corpus_trees.write_text(root / name, content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        corpus_trees.write_wav(tmp_path / "wav" / f"{name}.wav", 0.5)
    return tmp_path


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


RECORDING = {
    "id": "a", "sources": [{"type": "file", "channels": [0], "source": "wav/a.wav"}],
    "sampling_rate": 16000, "num_samples": 8000, "duration": 0.5,
}  # fmt: skip
SUPERVISION = {"id": "a-0", "recording_id": "a", "start": 0.0, "duration": 0.5, "custom": {"emotion": "sad"}}
TWO_CHANNELS = [{"type": "file", "source": "wav/a.wav", "channels": [0, 1]}]


def manifests(recording: dict[str, Any], supervision: dict[str, Any]) -> dict[str, str]:
    return {
        "recordings.jsonl": lines(RECORDING, {**RECORDING, **recording}),
        "supervisions.jsonl": lines({**SUPERVISION, **supervision}),
    }


def emobox(**more: Any) -> dict[str, str]:
    return {"toy.jsonl": lines({"key": "a", "wav": "wav/a.wav", **more})}


FAULTS: dict[str, list[tuple[dict[str, str], str]]] = {
    "kaldi": [
        ({"wav.scp": "a flac -dc a.flac |\n"}, "line 1: 'flac -dc a.flac |' is a command, which is not run"),
        ({"wav.scp": "a wav/a.wav\na wav/b.wav\n"}, "line 2: 'a' stands in line 1 already; keep one"),
        ({"wav.scp": "a wav/a.wav"}, "its last line does not end, so it may be cut short"),
        ({"wav.scp": ""}, "holds no recording"),
        ({"wav.scp": "a\n"}, "wav.scp line 1: expected the path of a recording, got ''"),
        ({"wav.scp": "a wav/a.ark:17\n"}, "no such file: "),
        ({"wav.scp": "a wav/a.wav\n", "segments": "u b 0 1\n"}, "line 1: 'b' is no recording of wav.scp"),
        ({"wav.scp": "a wav/a.wav\n", "segments": "u a 0\n"}, "line 1: expected a recording, start and end"),
        ({"wav.scp": "a wav/a.wav\n", "segments": "u a 1 0.5\n"}, "expected 0 <= start < end in seconds"),
    ],
    "lhotse": [
        ({"recordings.jsonl": lines(RECORDING)}, "expected recordings.jsonl.gz and supervisions.jsonl.gz"),
        ({"supervisions.jsonl": lines(SUPERVISION)}, "expected its recordings beside it, recordings.jsonl or"),
        (manifests({"sources": 3}, {}), "line 2: expected a recording with id and sources"),
        (manifests({}, {"start": "0"}), "line 1: expected a supervision with recording_id, start"),
        (manifests({}, {"recording_id": "z"}), "its recording 'z' is in no manifest"),
        (manifests({"sources": [{"type": "command", "source": "rm -r x"}]}, {}), "of type 'command', expected"),
        (manifests({"sources": [{"type": "url", "source": "http://x"}]}, {}), "of type 'url', expected file"),
        (manifests({"transforms": [{"name": "Speed"}]}, {}), "is changed by transforms"),
        (manifests({"sources": TWO_CHANNELS}, {"channel": 1}), "asks for channel [1] of [0, 1]"),
        (manifests({"sources": []}, {}), "consists of 0 sources, expected one file"),
        (manifests({}, {"duration": -1}), "expected 0 <= start < end in seconds"),
    ],
    "emobox": [
        ({"toy.jsonl": lines({"key": "a", "emo": "sad"})}, "line 1: expected an object with wav, got the keys key"),
        (emobox(type="feature"), "is of type 'feature', expected raw"),
        (emobox(channel=2), "asks for channel 2 alone"),
        (emobox(emo=["sad"]), "label must be text or a number"),
        (emobox(emo="s\tad"), "label holds characters that are no text"),
        (emobox() | {"label_map.json": '{"sad": 3}'}, "expected a class for each label"),
        ({"toy.jsonl": '{"key": "a"'}, "line 1: not JSON"),
        ({"a.jsonl": "", "b.jsonl": ""}, "expected one list, not 2"),
    ],
    "speechbrain": [
        ({"t.csv": "ID,wav,emo\na,,sad\n"}, "t.csv line 2: expected the path of a recording in wav, got None"),
        ({"t.csv": "ID,wav\na,wav/a.wav\na,wav/b.wav\n"}, "t.csv line 3: id a occurs twice"),
        ({"t.csv": "ID,wav,start,stop\na,wav/a.wav,0.5,1\n"}, "expected whole samples as start and stop"),
        ({"t.csv": "ID,wav,start,stop\na,wav/a.wav,7,5\n"}, "expected 0 <= start <= stop in samples, got 7"),
        ({"t.csv": "name,wav\na,b\n"}, "expected a table .csv with ID and wav"),
        ({"t.json": '{"a": {"wav": "x"}, "b": 3}'}, "expected an object for each utterance, got 3 for 'b'"),
        ({"t.json": '{"a": {"wav": {"start": 3}}}'}, "'a': expected the path of a recording in wav, got None"),
        ({"t.json": '{"a": {"wav": "x"}}', "t.csv": "ID,wav\na,x\n"}, "has tables of .csv and .json"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "files", "message"), [(name, *each) for name, some in FAULTS.items() for each in some]
)
def test_what_cannot_be_read_is_one_line(
    name: str, files: dict[str, str], message: str, folder: Path
) -> None:
    for file, content in files.items():
        text(folder, file, content)
    with pytest.raises(CorpusError) as caught:
        read(name, folder)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_begin_where_the_recipe_was_run(folder: Path) -> None:
    """Tools write paths relative to where they were called, mostly above the folder of the table."""
    text(folder, "recipe/data/all/wav.scp", "a wav/a.wav\nb wav/b.wav\n")
    assert [u.path for u in read("kaldi", folder / "recipe/data/all").utterances] == [
        folder / "wav" / f"{name}.wav" for name in "ab"
    ]
    text(folder, "lists/train.json", '{"a": {"wav": "{data_root}/wav/a.wav", "emo": "sad"}}')
    [u] = read("speechbrain", folder / "lists" / "train.json").utterances
    assert (u.path, u.partition, u.raw_label) == (folder / "wav/a.wav", "train", "sad")


def test_parts_of_kaldi_and_lhotse_are_folders_and_names(folder: Path) -> None:
    for part, name in (("train", "a"), ("test", "b")):
        text(folder, f"{part}/wav.scp", f"{name} ../wav/{name}.wav\n")
        text(folder, f"{part}/utt2emo", f"{name} very sad\n")
        text(folder, f"m/toy_recordings_{part}.jsonl", lines({**RECORDING, "id": name}))
        text(
            folder,
            f"m/toy_supervisions_{part}.jsonl",
            lines({**SUPERVISION, "id": name, "recording_id": name}),
        )
    kaldi, lhotse = read("kaldi", folder), read("lhotse", folder / "m")
    assert {u.id: (u.partition, u.raw_label) for u in kaldi.utterances} == {
        "a": ("train", "very sad"), "b": ("test", "very sad"),
    }  # fmt: skip
    assert {u.id: u.partition for u in lhotse.utterances} == {"a": "train", "b": "test"}


def test_a_map_of_emobox_in_other_case_and_a_copy_that_lacks_its_first_recording(folder: Path) -> None:
    """EmoBox' own map for EMO-DB says Neutral of what its list calls neutral."""
    rows = [
        {"key": k, "wav": f"wav/{k}.wav", "emo": e} for k, e in (("0", "sad"), ("a", "neutral"), ("b", "odd"))
    ]
    text(folder, "data/toy/toy.jsonl", lines(*rows))
    text(folder, "data/toy/label_map.json", '{"Neutral": "Neutral", "sad": "Sad"}')
    corpus = read("emobox", folder / "data" / "toy")
    assert [u.path.parent for u in corpus.utterances] == [folder / "wav"] * 2
    assert corpus.labels("emobox") == {"a": "Neutral"}
    assert "label_map.json names no class for odd: the task emobox leaves these out" in corpus.warnings


def test_one_fold_of_emobox_is_parts_and_doubtful_folds_are_not_used(folder: Path) -> None:
    rows = [{"key": name, "wav": f"wav/{name}.wav", "emo": "sad"} for name in "ab"]
    text(folder, "toy.jsonl", lines(*rows))
    text(folder, "fold_1/toy_train_fold_1.jsonl", lines(rows[0]))
    text(folder, "fold_1/toy_test_fold_1.jsonl", lines(rows[1]))
    assert [u.partition for u in read("emobox", folder).utterances] == ["train", "test"]
    text(folder, "fold_2/toy_test_fold_2.jsonl", lines(rows[1]))
    corpus = read("emobox", folder)
    assert [(u.partition, u.group) for u in corpus.utterances] == [("", "")] * 2
    assert "1 utterances are tested in several folds" in corpus.warnings[0]


def test_samples_of_speechbrain_are_cut_where_they_say(folder: Path) -> None:
    rows = "ID,wav,start,stop\nu,wav/a.wav,1000,5000\nv,wav/a.wav,1000,1000\nw,wav/a.wav,0,99999\n"
    text(folder, "t.csv", rows)
    wave, _ = soundfile.read(folder / "wav/a.wav", dtype="float32")
    expected = {"u": wave[1000:5000], "v": wave[1000:], "w": wave}
    for u in read("speechbrain", folder).utterances:
        np.testing.assert_array_equal(audio.read(u.path, 16_000, u.start, u.end), expected[u.id])


def test_manifests_in_a_damaged_gzip(folder: Path) -> None:
    text(folder, "recordings.jsonl", lines(RECORDING))
    (folder / "supervisions.jsonl.gz").write_bytes(gzip.compress(lines(SUPERVISION).encode())[:-9])
    with pytest.raises(
        CorpusError, match=r"supervisions.jsonl.gz: is no whole gzip file .* get a whole copy"
    ):
        read("lhotse", folder)


@pytest.mark.parametrize("name", ["huggingface", "webdataset"])
def test_what_lies_packed_is_read_and_probed_as_a_file_is(
    name: str, built: Callable[[str], Path], tmp_path: Path
) -> None:
    if name == "huggingface":
        pytest.importorskip("pyarrow")
    for u in read(name, built(name)).utterances[::5]:
        alone = corpus_trees.write_wav(tmp_path / f"{u.speaker} {u.raw_label}.wav", 0.5)
        path = alone.replace(tmp_path / "alone.wav")
        wave = audio.read(path, 16_000)
        np.testing.assert_array_equal(audio.read(u.path, 16_000), wave)
        np.testing.assert_array_equal(audio.read(u.path, 8_000, 0.1, 0.3), audio.read(path, 8_000, 0.1, 0.3))
        assert audio.probe(u.path) == audio.probe(path)
        assert audio.n_bytes(u.path) == path.stat().st_size
        assert audio.opened(u.path).read() == path.read_bytes()


def packed(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def sound(folder: Path) -> bytes:
    return (folder / "wav/a.wav").read_bytes()


def test_tars_as_people_make_them(folder: Path, sound: bytes) -> None:
    """Names begin with ``./`` or a slash, keys begin anew in each tar, one sample lacks its recording."""
    for number in (0, 1):
        files = {
            "./a.wav": sound,
            "./a.cls": b"sad\n",
            "/b.flac.wav": sound,
            "/b.json": b'{"emotion": "happy"}',
        }
        packed(
            folder / f"s-{number}.tar", {**files, "c.json": b"{}", "._a.wav": b"x", "__MACOSX/a.wav": b"x"}
        )
    corpus = read("webdataset", folder)
    assert {u.id: u.raw_label for u in corpus.utterances} == {
        "s-0/a": "sad", "s-0/b": "happy", "s-1/a": "sad", "s-1/b": "happy",
    }  # fmt: skip
    assert all(len(audio.read(u.path, 16_000)) == 8000 for u in corpus.utterances)
    assert [each.reason for each in corpus.skipped] == ["expected one recording, got 0 (of json)"] * 2


def test_damaged_containers_are_refused_by_name(folder: Path, sound: bytes) -> None:
    whole = packed(folder / "s.tar", {"a.wav": sound, "b.wav": sound}).read_bytes()
    for content, message in (
        (whole[: len(sound)], "is no plain tar"),
        (whole[: 512 + -(-len(sound) // 512) * 512], "is cut short, it has no end mark"),
        (gzip.compress(whole), "is no plain tar"),
        (b"", "is no plain tar"),
    ):
        (folder / "s.tar").write_bytes(content)
        with pytest.raises(CorpusError, match=message):
            read("webdataset", folder)
    packed(folder / "s.tar", {"a.wav": sound, "a.json": b"[1]"})
    with pytest.raises(CorpusError, match=r"s.tar a.json: expected a JSON object, got \[1\]"):
        read("webdataset", folder)
    for path in ("s.tar/z.wav", "s.tar/../s.tar", "none.tar/a.wav"):
        with pytest.raises(AudioError, match="there is no such file"):
            audio.probe(folder / path)


def test_parquet_without_recordings_and_with_paths_alone(folder: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = folder / "t.parquet"
    pq.write_table(pa.table({"label": ["x"]}), path)
    with pytest.raises(CorpusError, match=r"expected one column of recordings .* got the columns label"):
        read("huggingface", folder)
    path.write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match=r"t.parquet cannot be read: .*; get a whole copy"):
        read("huggingface", folder)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.array([{"bytes": None, "path": "wav/a.wav"}, {"bytes": None, "path": "wav/b.wav"}], kind)
    pq.write_table(pa.table({"audio": rows, "emotion": ["sad", None], "gender": ["F", "?"]}), path)
    a, b = read("huggingface", folder).utterances
    assert (a.id, a.path, a.raw_label, a.sex) == ("a", folder / "wav/a.wav", "sad", "F")
    assert (b.raw_label, b.sex) == ("", "")


def test_what_other_tools_call_an_encoder_is_ours(
    sercache: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known, aliases = encoders.short_names(), encoder_names.aliases()
    assert not set(aliases) & set(known)
    assert set(aliases.values()) <= set(known)
    # The weights that s3prl downloads under these names: pretrained, not trained on words.
    for alias, source in {
        "wavlm_large": "microsoft/wavlm-large",
        "wavlm_base_plus": "microsoft/wavlm-base-plus",
        "hubert_base": "facebook/hubert-base-ls960",
        "hubert_large_ll60k": "facebook/hubert-large-ll60k",
        "wav2vec2_base_960": "facebook/wav2vec2-base",
        "wav2vec2_large_ll60k": "facebook/wav2vec2-large-lv60",
    }.items():
        assert known[encoders.own_name(alias)][1] == source
    shown = sercache("encoders", "wavlm_large").out
    assert shown.startswith("wavlm-large: microsoft/wavlm-large\n")
    assert "wavlm_large" in shown
    assert ENCODER.convert("wavlm_large", None, None) == "wavlm-large"
    # A folder that is called so is that folder.
    (tmp_path / "wavlm_large").mkdir()
    assert encoders.own_name("wavlm_large") == "wavlm_large"
    done = sercache("encoders", "fbank")
    assert (done.code, "kaldi-fbank" in done.err or "fbank40" in done.err) == (2, True)
