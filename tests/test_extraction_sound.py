"""One odd recording among good ones: it is named, the rest is stored, and every command says the same of it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sound_files import RATE, flac_stating, mp3_stating, voice

from sercache import stores

Run = Callable[..., "Outcome"]  # noqa: F821


def corpus(folder: Path, files: dict[str, bytes], segments: dict[str, tuple[float, float]] = {}) -> Path:  # noqa: B006
    """A list of files beside a good one; segments lie in that."""
    soundfile.write(folder / "good.wav", voice(3.0), RATE)
    rows = [("good", "good.wav", "a", "s1", "", "")]
    for name, data in files.items():
        (folder / name).write_bytes(data)
        rows.append((name, name, "b", "s2", "", ""))
    rows += [(name, "good.wav", "a", "s1", str(a), str(b)) for name, (a, b) in segments.items()]
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "path", "label", "speaker", "start", "end"), *rows])
    return folder / "list.csv"


def flac(folder: Path, stated: int, seconds: float = 3.0) -> bytes:
    path = folder / "made.flac"
    soundfile.write(path, voice(seconds), RATE)
    data = flac_stating(path.read_bytes(), stated)
    path.unlink()
    return data


def mp3_of_years(folder: Path) -> bytes:
    path = folder / "made.mp3"
    soundfile.write(path, voice(3.0), RATE)
    data = mp3_stating(path.read_bytes(), 2**31 - 1)
    path.unlink()
    return data[:2988]


def stored(root: Path) -> set[str]:
    (folder,) = {path.parent.parent for path in (root / "cache").rglob("spec.json")}
    return set(stores.open(folder).ids())


@pytest.mark.parametrize("more", [(), ("--pooled-only",), ("--clip", "split:1"), ("--clip", "trim:1")])
def test_one_lying_header_never_stops_the_rest(
    sercache: Run, own_settings: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    corpus_folder = tmp_path / "corpus"
    corpus_folder.mkdir()
    path = corpus(
        corpus_folder,
        {
            "piped.flac": flac(corpus_folder, 0),
            "years.mp3": mp3_of_years(corpus_folder),
            "long.flac": flac(corpus_folder, 2**36 - 1),
        },
    )
    outcome = sercache(
        "extract", "--encoder", "logmel", "--dataset", "manifest", "--root", path, "--device", "cpu", *more
    )
    assert outcome.code == 2
    assert "2 of 4 recordings could not be encoded" in outcome.err
    assert "the rest is stored" in outcome.err
    for name in ("years.mp3", "long.flac"):
        assert f"skipped {name}: {corpus_folder / name}: holds " in outcome.err
    assert {id.partition("#")[0] for id in stored(own_settings)} == {"good", "piped.flac"}
    deep = sercache("doctor", "--dataset", "manifest", "--root", path, "--deep")
    assert deep.code == 1
    assert "truncated (2)" in deep.out


def test_a_segment_that_ends_a_little_late_is_cut_and_counted(
    sercache: Run, own_settings: Path, tmp_path: Path
) -> None:
    corpus_folder = tmp_path / "corpus"
    corpus_folder.mkdir()
    segments = {
        "rounded": (0.5, 3.008),
        "late": (1.0, 3.02),
        "later": (1.0, 3.05),
        "far": (1.0, 3.2),
        "behind": (3.01, 3.05),
        "nothing": (1.0, 1.00001),
    }
    path = corpus(corpus_folder, {}, segments)
    run = ("extract", "--encoder", "logmel", "--dataset", "manifest", "--root", path, "--device", "cpu")
    outcome = sercache(*run)
    assert "3 of 7 recordings could not be encoded" in outcome.err
    assert "skipped far: " in outcome.err
    assert (
        "2 recordings: segment ends a little behind its recording, and was cut there; first: late"
        in outcome.err
    )
    assert stored(own_settings) == {"good", "rounded", "late", "later"}
    split = sercache(*run, "--clip", "split:1")
    assert "2 recordings: segment ends a little behind its recording" in split.err


def test_silence_in_pieces_is_one_line(sercache: Run, own_settings: Path, tmp_path: Path) -> None:
    corpus_folder = tmp_path / "corpus"
    corpus_folder.mkdir()
    path = corpus(corpus_folder, {})
    soundfile.write(corpus_folder / "still.wav", np.zeros(60 * RATE), RATE)
    with path.open("a") as file:
        file.write("still,still.wav,b,s2,,\n")
    run = ("extract", "--encoder", "logmel", "--dataset", "manifest", "--root", path, "--device", "cpu")
    outcome = sercache(*run, "--clip", "split:1")
    assert "skipped still (60 pieces): " in outcome.err
    assert "1 of 2 recordings could not be encoded whole; the rest is stored" in outcome.err
