"""Transcripts through the line: extract, a file of transcripts, verify, train."""

from __future__ import annotations

import csv
import json
import string
from collections.abc import Callable
from pathlib import Path

import encoder_helpers as tiny
import numpy as np
import pytest
import soundfile
import text_helpers as texts
from conftest import Outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from sercache import encoders, stores, transcripts
from sercache.errors import SettingsError

Sercache = Callable[..., Outcome]
LINES = ["Kids are talking", "dogs sit by the door .", "Kids are talking", "", "the " * 19, "marmalade"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return texts.save("bert", tmp_path_factory.mktemp("bert") / "tiny-bert")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of six utterances: two say the same, one says nothing, one too much."""
    root = tmp_path_factory.mktemp("corpus")
    rows = []
    for k, line in enumerate(LINES):
        soundfile.write(root / f"u{k}.wav", tiny.noise(4_000, seed=k), 16_000)
        rows.append([f"u{k}", f"u{k}.wav", ["joy", "anger"][k % 2], f"s{k % 3}", line])
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "path", "label", "speaker", "transcript"], *rows])
    return root


def only_store(cache: Path) -> tuple[Path, stores.FeatureStore]:
    ((folder, _),) = stores.find(cache)
    return folder, stores.open(folder)


def extract(sercache: Sercache, cache: Path, bert: Path, corpus: Path, *options: str) -> Outcome:
    return sercache(
        "extract", "--encoder", str(bert), "--dataset", "manifest", "--root", str(corpus), "--cache", str(cache),
        "--dtype", "float32", "--device", "cpu", *options,
    )  # fmt: skip


def test_transcripts_are_encoded_and_what_has_none_is_listed(
    sercache: Sercache, tmp_path: Path, bert: Path, corpus: Path
) -> None:
    code, out, err = extract(sercache, tmp_path, bert, corpus)
    assert code == 2
    assert "4 entries, 15 word pieces of text" in out
    assert "word pieces/s" in out
    assert "1 copied from equal text" in out
    assert "skipped u3: has no transcript; --transcripts FILE gives others" in err
    assert "skipped u4: its transcript has 19 word pieces, tiny-bert takes 18" in err
    assert "2 of 6 recordings could not be encoded" in err
    folder, store = only_store(tmp_path)
    assert sorted(store.ids()) == ["u0", "u1", "u2", "u5"]
    encoder = encoders.load(str(bert))
    for name in ("u0", "u1", "u2", "u5"):
        states = tiny.encode(encoder, [encoder.tokens(LINES[int(name[1])])])  # type: ignore[attr-defined]
        for layer, state in enumerate(store.spec.states):
            np.testing.assert_allclose(store.read(name)[layer], states[state], atol=1e-4)
    code, out, _ = extract(sercache, tmp_path, bert, corpus)
    assert "nothing to do" in out
    assert "frames/s" not in sercache("info", str(folder)).out
    assert "15 frames" in sercache("info", str(folder)).out


def test_a_file_of_transcripts_makes_a_store_of_its_own(
    sercache: Sercache, tmp_path: Path, bert: Path, corpus: Path
) -> None:
    file = tmp_path / "asr.tsv"
    transcripts.append(file, [(f"u{k}", "the dogs are talking") for k in range(5)])
    cache = tmp_path / "cache"
    extract(sercache, cache, bert, corpus)
    code, _, err = extract(sercache, cache, bert, corpus, "--transcripts", str(file))
    assert code == 2
    assert "skipped u5: has no transcript" in err
    assert len(stores.find(cache)) == 2
    (ours,) = [folder for folder, spec in stores.find(cache) if spec.transcripts]
    store = stores.open(ours)
    assert sorted(store.ids()) == ["u0", "u1", "u2", "u3", "u4"]
    assert {entry.n_frames for entry in store.entries().values()} == {5}
    assert store.spec.transcripts == transcripts.digest(transcripts.read(file))
    code, _, err = sercache(
        "train", "--head", "linear", "--encoder", str(bert), "--dataset", "manifest", "--root", str(corpus),
        "--cache", str(cache), "--runs", str(tmp_path / "runs"), "--states", "3",
    )  # fmt: skip
    assert code == 2
    assert "choose one with --store" in err


def test_a_damaged_store_of_text_is_repaired_from_its_file(
    sercache: Sercache, tmp_path: Path, bert: Path, corpus: Path
) -> None:
    file = tmp_path / "asr.csv"
    transcripts.append(file, [(f"u{k}", "the dogs are " + "talking " * k) for k in range(6)])
    cache = tmp_path / "cache"
    assert extract(sercache, cache, bert, corpus, "--transcripts", str(file)).code == 0
    folder, store = only_store(cache)
    kept = {name: store.read(name).copy() for name in store.ids()}
    shard = max((p for p in (folder / "frames").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    bits = bytearray(shard.read_bytes())
    bits[100] ^= 255
    shard.write_bytes(bits)
    assert sercache("verify", str(folder), "--cache", str(cache)).code == 2
    assert sercache("verify", str(folder), "--cache", str(cache), "--repair").code == 0
    again = stores.open(folder)
    for name, frames in kept.items():
        np.testing.assert_allclose(again.read(name), frames, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--clip", "trim:3"], "clip rule trim:3 is for recordings"),
        (["--transcripts", "nosuch.csv"], "cannot be read as transcripts"),
    ],
)
def test_what_makes_no_sense_for_text_is_refused(
    sercache: Sercache, tmp_path: Path, bert: Path, corpus: Path, options: list[str], says: str
) -> None:
    code, _, err = extract(sercache, tmp_path, bert, corpus, *options)
    assert code == 2
    assert says in err


def test_transcripts_are_for_encoders_of_text_and_for_this_corpus(
    sercache: Sercache, tmp_path: Path, bert: Path, corpus: Path
) -> None:
    file = tmp_path / "other.csv"
    transcripts.append(file, [("Ses01", "hello")])
    code, _, err = sercache(
        "extract", "--encoder", "logmel", "--dataset", "manifest", "--root", str(corpus),
        "--cache", str(tmp_path), "--transcripts", str(file), "--device", "cpu",
    )  # fmt: skip
    assert code == 2
    assert "logmel takes recordings" in err
    code, _, err = extract(sercache, tmp_path, bert, corpus, "--transcripts", str(file))
    assert code == 2
    assert "none of the 6 utterances; its first id is Ses01, expected ids like u0" in err


def test_from_python_too(own_settings: Path, tmp_path: Path, bert: Path, corpus: Path) -> None:
    from sercache import api

    file = tmp_path / "asr.csv"
    transcripts.append(file, [("u0", "the door"), ("u1", "dogs")])
    encoder = api.load_encoder(str(bert), device="cpu")
    found = api.read_corpus("manifest", corpus)
    store = api.extract(encoder, found, tmp_path / "c", transcripts=file, strict=False, progress=False)
    assert {name: entry.n_frames for name, entry in store.entries().items()} == {"u0": 2, "u1": 1}


@pytest.mark.slow
def test_a_head_reads_text_beside_speech(
    sercache: Sercache, tmp_path: Path, bert: Path, corpus: Path
) -> None:
    """The pairs of Chen and Zhang: fbank frames and word pieces of the same utterances."""
    file = tmp_path / "asr.csv"
    transcripts.append(file, [(f"u{k}", "the dogs " + "sit " * k) for k in range(6)])
    where = ["--dataset", "manifest", "--root", str(corpus), "--cache", str(tmp_path / "cache")]
    assert extract(sercache, tmp_path / "cache", bert, corpus, "--transcripts", str(file)).code == 0
    assert sercache("extract", "--encoder", "kaldi-fbank", *where).code == 0
    code, out, err = sercache(
        "train", "--head", "pair-rnn", "--encoder", "kaldi-fbank", "--states", "all", "--beside", f"{bert}:3", *where,
        "--runs", str(tmp_path / "runs"), "--protocol", "kfold:2", "--dev", "none", "--seeds", "1",
        "--set", "max-epochs=1", "--set", "select=last-epoch", "--set", "schedule=constant",
    )  # fmt: skip
    assert code == 0, err
    assert "ua" in out.lower()


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30).map(str.strip)


@settings(max_examples=50, deadline=None)
@given(
    texts=st.dictionaries(
        st.text(string.ascii_letters + "_#,\"'", min_size=1, max_size=8), _TEXT, min_size=1
    ),
    suffix=st.sampled_from([".csv", ".tsv", ".jsonl"]),
)
def test_a_file_of_transcripts_is_read_as_it_was_written(
    texts: dict[str, str], suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("t") / f"t{suffix}"
    if suffix == ".jsonl":
        lines = [json.dumps({"id": key, "text": value}) for key, value in texts.items()]
        path.write_text("\n".join(lines), encoding="utf-8")
    else:
        for key, value in texts.items():
            transcripts.append(path, [(key, value)])
    assert transcripts.read(path) == texts
    assert transcripts.digest(dict(reversed(texts.items()))) == transcripts.digest(texts)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", "id,words\na,b\n", "must name the columns id and text, got id, words"),
        ("t.csv", "id,text\na,b\na,c\n", "line 3: id a occurs twice"),
        ("t.csv", "id,text\na\n", "line 2: 1 values for 2 columns"),
        ("t.csv", "id,text\n", "holds no transcripts"),
        ("t.csv", "", "must name the columns"),
        ("t.csv", 'id,text\na,"b\n', "cannot be read as transcripts"),
        ("t.jsonl", "{}\n", "line 1: expected an id and a text"),
        ("t.jsonl", "[1]\n", "line 1: expected an id and a text"),
        ("t.jsonl", '{"id": 3, "text": "x"}\n', "line 1: expected an id and a text"),
        ("t.jsonl", "{\n", "cannot be read as transcripts"),
        ("t.txt", "a b\n", "ends in .csv, .tsv, .jsonl, .ndjson"),
        ("t.csv", b"\xff\xfe\xfd", "cannot be read as transcripts"),
    ],
)
def test_files_that_hold_no_transcripts_are_refused_in_one_line(
    name: str, content: str | bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError) as caught:
        transcripts.read(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_column_called_transcript_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\ufeffid,transcript\na,hello you\n", encoding="utf-8")
    assert transcripts.read(tmp_path / "t.csv") == {"a": "hello you"}
