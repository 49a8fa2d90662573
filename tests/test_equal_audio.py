"""Recordings that lie in two parts of a fold under different names are found, counted, named, and can be kept apart."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Outcome
from make_report import make_report

from sercache.errors import ProtocolError
from sercache.evaluation.sound import equal_within, kept_apart, shared_audio
from sercache.protocols import Fold
from sercache.record import Report, SharedAudio
from sercache.report import runs as run_folders
from sercache.report.audio_notes import audio_notes
from sercache.report.comparison import run_notes

Sercache = Callable[..., Outcome]
WRITTEN = Path(__file__).parent / "fixtures" / "a1b0434"
QUICK = ("--protocol", "leave-one-speaker-out", "--seeds", 1, "--set", "max-epochs=2")

AUDIO = {"a": ("1",), "b": ("2",), "c": ("1",), "d": ("3", "4"), "e": ("4", "5"), "f": ("6",)}
SPEAKERS = {"a": "46", "b": "46", "c": "53", "d": "46", "e": "53", "f": "7"}


def test_what_parts_share() -> None:
    fold = Fold("x", train=("c", "f"), dev=("e",), test=("a", "b", "d"), speakers_disjoint=True)
    found = shared_audio(fold, AUDIO, SPEAKERS)
    # d and e share one piece of two: a part of a recording that is trained on is no unseen one.
    assert found == SharedAudio(2, 0, 0, (("46", "53", 2),), (("a", "c"), ("d", "e")))
    assert shared_audio(fold, None, SPEAKERS) is None


def test_a_dev_part_that_is_tested_counts_once() -> None:
    fold = Fold("dev", train=("c",), dev=("a", "b"), test=("a", "b"), speakers_disjoint=True)
    assert shared_audio(fold, AUDIO, SPEAKERS) == SharedAudio(1, 0, 0, (("46", "53", 1),), (("a", "c"),))
    assert kept_apart(dataclasses.replace(fold, train=("c", "f")), AUDIO, dict.fromkeys(AUDIO, "x")).dev == (
        "a",
        "b",
    )


def test_parts_are_kept_apart() -> None:
    fold = Fold("x", train=("c", "f", "a"), dev=("e",), test=("b", "d"), speakers_disjoint=False)
    labels = dict.fromkeys(AUDIO, "x")
    apart = kept_apart(fold, AUDIO, labels)
    assert (apart.train, apart.dev, apart.test, apart.left_out) == (("c", "f", "a"), (), ("b", "d"), ("e",))
    assert shared_audio(apart, AUDIO, SPEAKERS) == SharedAudio(0, 0, 1, (), ())
    dev = kept_apart(Fold("x", ("a", "f"), ("c",), ("b",), speakers_disjoint=True), AUDIO, labels)
    assert (dev.train, dev.dev) == (("f",), ("c",))
    with pytest.raises(ProtocolError, match="has no training utterance of rare"):
        kept_apart(Fold("x", ("c", "f"), (), ("a",), speakers_disjoint=True), AUDIO, {**labels, "c": "rare"})


def test_equal_recordings_within_a_corpus() -> None:
    labels = {"a": "sad", "b": "sad", "c": "happy"}
    assert equal_within(AUDIO, labels, labels) == {
        "n_utterances": 2,
        "first": ["a", "c"],
        "n_other_label": 2,
        "first_other_label": ["a (sad)", "c (happy)"],
    }
    assert equal_within(AUDIO, ["b"], {"b": "sad"}) == {
        "n_utterances": 0,
        "first": [],
        "n_other_label": 0,
        "first_other_label": [],
    }
    assert equal_within(None, labels, labels) is None


def with_shared(*found: SharedAudio | None) -> Report:
    report = make_report()
    folds = [
        dataclasses.replace(fold, shared_audio=each) for fold, each in zip(report.folds, found, strict=False)
    ]
    return dataclasses.replace(report, folds=tuple(folds))


def test_notes_say_what_was_checked() -> None:
    none = SharedAudio(0, 0, 0, (), ())
    n = len(make_report().folds)
    some = SharedAudio(2, 1, 3, (("46", "53", 2), ("46", "46", 1)), (("a", "c"), ("d", "e")))
    [line] = audio_notes([with_shared(*[none] * n)])
    assert line == "no audio of a test part is in a training or dev part too (checked)"
    [line] = audio_notes([with_shared(*[None] * n)])
    assert line == "equal audio across parts: not checked (not recorded when they were run)"
    first, dev, out = audio_notes([with_shared(some, *[none] * (n - 1))])
    assert first.startswith("2 of ")
    assert f"in 1 of {n} folds (speakers 46 and 53: 2), first: a = c" in first
    assert dev == "1 dev utterance with audio that is in the training part too"
    assert "3 utterances left out of training and dev parts" in out
    mixed = [with_shared(some, *[none] * (n - 1)), with_shared(*[None] * n)]
    assert any("not checked, of superb on" in line for line in audio_notes(mixed))
    assert any("(speakers 46 and 53: 2)" in line for line in run_notes([("row", mixed[0])]))


def test_a_report_remembers_it() -> None:
    report = with_shared(SharedAudio(2, 1, 3, (("46", "53", 2),), (("a", "c"),)))
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Four speakers with six recordings each; speakers 46 and 53 share three, one of them with another label."""
    folder = tmp_path / "bav"
    folder.mkdir()
    rows = ["id,path,label,speaker"]
    for k, speaker in enumerate(["46", "53", "7", "8"]):
        for n in range(6):
            seed = (0 if speaker == "53" and n < 3 else k, n)
            loud = (n + (speaker == "53" and n == 0)) % 2
            wave = np.random.default_rng(seed).normal(0, 0.3 if n % 2 else 0.03, 1600)
            soundfile.write(folder / f"{speaker}-{n}.wav", wave, 8000)
            rows.append(f"{speaker}-{n},{speaker}-{n}.wav,{'loud' if loud else 'soft'},{speaker}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


def test_every_command_tells_of_recordings_in_two_parts(
    sercache: Sercache, copied: Path, tmp_path: Path
) -> None:
    done = sercache(
        "extract", "--encoder", "mfcc", "--dataset", "manifest", "--root", copied, "--pooled-only"
    )
    assert done.code == 0, done.err
    call = ["train", "--head", "linear", "--encoder", "mfcc", "--dataset", "bav", *QUICK, "--dev", "next"]
    said = " ".join(sercache(*call, "--name", "kept").out.split())
    assert (
        "6 of 24 test utterances have audio that is in the training or dev part too in 2 of 4 folds" in said
    )
    assert "(speakers 46 and 53: 3), first: 46-0 = 53-0" in said
    assert "no test speaker occurs in a training or dev part under the same name (checked)" in said
    assert (
        "2 utterances of bav have equal audio and different labels, first: 46-0 (soft) = 53-0 (loud)" in said
    )
    report = run_folders.load(tmp_path / "runs" / "kept")
    assert {fold.name: fold.shared_audio.n_test for fold in report.folds if fold.shared_audio} == {
        "46": 3, "53": 3, "7": 0, "8": 0,
    }  # fmt: skip
    probe = " ".join(sercache("probe", "--encoder", "mfcc", "--dataset", "bav").out.split())
    assert "(speakers 46 and 53: 3)" in probe
    apart = " ".join(sercache(*call, "--duplicates", "apart", "--name", "apart").out.split())
    assert "no audio of a test part is in a training or dev part too (checked)" in apart
    assert (
        "utterances left out of training and dev parts, as their audio is that of one that is judged" in apart
    )
    report = run_folders.load(tmp_path / "runs" / "apart")
    assert report.setup["duplicates"] == "apart"
    assert [fold.n_test for fold in report.folds] == [6, 6, 6, 6]
    assert len(report.predictions) == 24
    both = " ".join(sercache("report", tmp_path / "runs" / "kept", tmp_path / "runs" / "apart").out.split())
    assert "(speakers 46 and 53: 3)" in both


def test_a_run_of_before_says_that_it_was_not_checked(sercache: Sercache) -> None:
    done = sercache("report", WRITTEN / "runs" / "linear")
    assert "equal audio across parts: not checked (not recorded when they were run)" in " ".join(
        done.out.split()
    )


@pytest.mark.real_data
def test_copies_of_real_recordings_are_kept_apart(sercache: Sercache, tmp_path: Path) -> None:
    """Three recordings of speaker 03 lie among those of 08 too, one as FLAC: no fold trains on what it tests."""
    folder = os.environ.get("SERCACHE_REAL_DATA")
    if not folder:
        pytest.skip("SERCACHE_REAL_DATA is not set: no real EMO-DB at hand")
    rows = ["id,path,label,speaker"]
    for speaker in ("03", "08", "09", "10"):
        for label in "WN":
            for path in sorted(Path(folder, "emodb", "wav").glob(f"{speaker}???{label}?.wav"))[:3]:
                rows.append(f"{path.stem},{path},{label},{speaker}")
    copied = [line.split(",") for line in rows[1:4]]
    for k, (id, path, label, _) in enumerate(copied):
        copy = tmp_path / f"copy-{k}.{'flac' if k == 0 else 'wav'}"
        if k == 0:
            wave, rate = soundfile.read(path, dtype="int16")
            soundfile.write(copy, wave, rate)
        else:
            shutil.copy(path, copy)
        rows.append(f"again-{id},{copy},{label},08")
    (tmp_path / "berlin.csv").write_text("\n".join(rows) + "\n")
    extract = [
        "extract",
        "--encoder",
        "logmel",
        "--dataset",
        "manifest:berlin",
        "--root",
        tmp_path / "berlin.csv",
    ]
    done = sercache(*extract, "--pooled-only")
    assert done.code == 0, done.err
    train = [
        "train",
        "--head",
        "linear",
        "--encoder",
        "logmel",
        "--dataset",
        "berlin",
        *QUICK,
        "--dev",
        "none",
    ]
    train += ["--set", "select=last-epoch", "--set", "patience=none"]
    kept = sercache(*train, "--name", "kept")
    assert kept.code == 0, kept.err
    assert [fold.shared_audio.n_test for fold in run_folders.load(tmp_path / "runs/kept").folds] == [
        3,
        3,
        0,
        0,
    ]
    assert sercache(*train, "--duplicates", "apart", "--name", "apart").code == 0
    apart = run_folders.load(tmp_path / "runs/apart")
    assert [fold.shared_audio.n_test for fold in apart.folds] == [0, 0, 0, 0]
    assert [(fold.n_train, fold.n_test) for fold in apart.folds] == [(18, 6), (15, 9), (21, 6), (21, 6)]
