"""What `sercache predict` is given: standard input, folders with anything in them, odd recordings, corpora, words."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import text_helpers
from conftest import Outcome
from hypothesis import given, settings
from hypothesis import strategies as st

import sercache as face
from sercache.errors import SettingsError
from sercache.experiment import incoming, spoken
from sercache.experiment.arriving import arriving, listed
from sercache.experiment.incoming import Asked
from sercache.experiment.predict import Predicted

Sercache = Callable[..., Outcome]
TOP = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def trained(
    loudness_cache: Path, recordings: Path, few_draws: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of one head."""
    [folder] = loudness_cache.glob("*/*")
    return made(face.open_store(folder), recordings, tmp_path_factory.mktemp("runs") / "linear")


def made(store: Any, table: Path, place: Path) -> Path:
    corpus = face.read_corpus("manifest", table)
    found = face.train(
        "linear", store, corpus, protocol="kfold:2", dev="random20", states="all", seeds=1,
        recipe={"max_epochs": 3, "lr": 0.01}, device="cpu",
    )  # fmt: skip
    return found.save(place).folder or place


@pytest.fixture
def wave(recordings: Path) -> Path:
    return recordings.with_name("1.wav")


def by_name(out: str) -> dict[str, dict[str, Any]]:
    return {Path(each["recording"]).name: each for each in map(json.loads, out.splitlines())}


@pytest.mark.parametrize(
    "end", ["\n", *(pytest.param(end, marks=pytest.mark.slow) for end in ("\r\n", "\0"))]
)
def test_each_line_of_a_pipe_that_stays_open_is_answered(
    end: str, trained: Path, wave: Path, own_settings: Path
) -> None:
    call = [sys.executable, "-m", "sercache.cli", "predict", str(trained), "-"]
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    with subprocess.Popen(
        call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Timer(120, process.kill)
        late.start()
        for name in (str(wave), str(wave), "/nowhere.wav", str(wave)):
            process.stdin.write(f"{name}{end}".encode())
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert answer["recording"] == name
            assert (answer["error"] is None) == (name == str(wave))
        process.stdin.close()
        assert process.wait() == 2, "one of them could not be predicted"
        late.cancel()


class Bits(io.RawIOBase):
    """A stream that gives its chunks one by one, as a pipe does."""

    def __init__(self, *chunks: bytes) -> None:
        self.buffer = self
        self._chunks = list(chunks)

    def read(self, size: int = -1) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""


def names(*chunks: bytes) -> list[list[str]]:
    return [[each.utterance.id for each in some] for some in listed(Bits(*chunks))]


def test_a_stream_names_paths_of_any_bytes() -> None:
    assert names(b"a.wav\nb", b".wav\r\n", b"\n \n", b"c.wav") == [["a.wav"], ["b.wav"], ["c.wav"]]
    assert names(b"a\nb.wav\0c.w", b"av\0") == [["a\nb.wav"], ["c.wav"]]
    assert names(b"\xff\xfe.wav\n") == [[os.fsdecode(b"\xff\xfe.wav")]]
    assert names() == []


def test_nothing_on_standard_input_is_a_mistake(
    sercache: Sercache, trained: Path, wave: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    done = sercache("predict", trained, "-")
    assert done.code == 2
    assert "standard input ended without naming a recording" in done.err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    assert sercache("predict", trained, wave, "-").code == 0


def test_what_is_no_file_gets_a_line_and_stops_nothing(
    sercache: Sercache, trained: Path, wave: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    (folder / "closed").mkdir(parents=True)
    shutil.copy(wave, folder / "good.wav")
    os.mkfifo(folder / "pipe.wav")
    (folder / "link.wav").symlink_to("/nowhere/at/all.wav")
    (folder / "device.wav").symlink_to("/dev/zero")
    (folder / "round").symlink_to(folder)
    (folder / "phone.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    (folder / "notes.txt").touch()
    monkeypatch.chdir(folder)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket.wav")
        walked, scan = str(folder / "closed"), os.scandir

        def denied(path: Any) -> Any:
            if str(path) == walked:
                raise PermissionError(13, "Permission denied", walked)
            return scan(path)

        monkeypatch.setattr(os, "scandir", denied)
        done = sercache("predict", trained, folder)
    found = by_name(done.out)
    assert done.code == 2
    assert found.pop("good.wav")["error"] is None
    assert {name: each["error"].rpartition(": ")[2] for name, each in found.items()} == {
        "pipe.wav": "is a pipe, not a recording",
        "link.wav": "is a link to nothing",
        "device.wav": "is a device, not a recording",
        "socket.wav": "is a socket, not a recording",
        "closed": "cannot be looked into (Permission denied)",
        "phone.m4a": "cannot be read as audio (Format not recognised); get a whole copy, or write it as WAV or FLAC",
    }
    assert f"note: skipped {folder / 'pipe.wav'}: is a pipe" in done.err
    assert "6 of 7 recordings could not be predicted" in done.err
    named = sercache("predict", trained, folder / "pipe.wav", "/dev/zero", folder / "round")
    assert [json.loads(line)["error"] is None for line in named.out.splitlines()].count(True) == 1


def test_odd_recordings_have_right_scores_or_a_reason(
    sercache: Sercache, trained: Path, wave: Path, tmp_path: Path
) -> None:
    sound, rate = soundfile.read(wave)
    folder = tmp_path / "in"
    folder.mkdir()
    strange = ["-dash.wav", "line\nbreak.wav", "a#1.wav", os.fsdecode(b"bytes\xff.wav"), "100%.wav"]
    for name in strange:
        shutil.copy(wave, folder / name)
    soundfile.write(folder / "eight.wav", np.repeat(sound[:, None], 8, 1), rate)
    for other in (4_000, 192_000):
        soundfile.write(folder / f"{other}.wav", soxr.resample(sound, rate, other), other)
    (folder / "empty.wav").touch()
    soundfile.write(folder / "header.wav", np.zeros(0), rate)
    soundfile.write(folder / "silence.flac", np.zeros(600 * rate, np.int16), rate)
    soundfile.write(
        folder / "nan.wav", np.where(np.arange(len(sound)) == 9, np.nan, sound), rate, subtype="FLOAT"
    )
    done = sercache("predict", trained, folder, "--", folder / "-dash.wav")
    assert done.code == 2
    found = by_name(done.out)
    assert len(found) == len(done.out.splitlines()) == 12
    [alone] = face.predict(trained, wave)
    for name in [*strange, "eight.wav"]:
        assert found[name]["scores"] == pytest.approx(dict(alone.scores), abs=1e-5), name
        assert found[name]["trained_on_by"] == list(alone.trained_on_by or ())
    assert all(found[f"{other}.wav"]["error"] is None for other in (4_000, 192_000))
    assert {name: each["error"].rpartition(": ")[2] for name, each in found.items() if each["error"]} == {
        "empty.wav": "is an empty file",
        "header.wav": "holds no samples",
        "silence.flac": "is silent (every sample is zero)",
        "nan.wav": "holds values that are not finite (NaN or infinity)",
    }
    table = sercache("predict", trained, folder, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert len(rows) == 12
    assert {row["id"] for row in rows} >= {str(folder / "line\nbreak.wav"), str(folder / "bytes\\udcff.wav")}


def test_advice_is_an_option_of_this_command(
    trained: Path, wave: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sercache.audio.LONGEST", 0.1)
    [found] = face.predict(trained, wave)
    assert found.error is not None
    assert "--clip" not in found.error
    assert "use --window 30" in found.error
    assert all(each.error is None for each in face.predict(trained, wave, window=0.1))


def test_a_corpus_is_predicted_with_its_true_labels(
    sercache: Sercache, trained: Path, recordings: Path, wave: Path
) -> None:
    corpus = face.read_corpus("manifest", recordings)
    done = sercache("predict", trained, wave, "--dataset", "manifest", "--root", recordings)
    assert done.code == 0, done.err
    first, *found = map(json.loads, done.out.splitlines())
    assert "true" not in first, "nobody said that of a recording that is named by its path"
    assert {each["id"]: each["true"] for each in found} == corpus.labels(None)
    table = sercache(
        "predict",
        trained,
        "--dataset",
        "manifest",
        "--root",
        recordings,
        "--format",
        "csv",
        "--window",
        "0.2",
    )
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert len(rows) > len(found), "each window of a recording"
    assert {row["id"].partition("[")[0]: row["true"] for row in rows} == corpus.labels(None)
    assert {each.true for each in face.predict(trained, dataset="manifest", root=recordings)} == {
        "loud",
        "soft",
    }
    for wrong in (("--task", "x"), ("--root", recordings)):
        done = sercache("predict", trained, wave, *wrong)
        assert done.code == 2
        assert "name it with --dataset" in done.err


def test_numbers_of_a_corpus_stand_beside(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    rows = [f"{k}.wav,joy,s{k},{k + 1},3,2,1..5" for k in range(3)]
    (tmp_path / "list.csv").write_text(
        "\n".join(["path,label,speaker,arousal,valence,dominance,scale", *rows])
    )
    for k in range(3):
        soundfile.write(tmp_path / f"{k}.wav", np.ones(400) / 2, 16_000)
    corpus = face.read_corpus("manifest", tmp_path / "list.csv")
    report: Any = SimpleNamespace(
        targets=("arousal", "valence", "dominance"), classes=(), corpus={"task": "avd"}
    )
    found = incoming.of_corpus(corpus, report, None)
    assert [each.true for each in found] == [None] * 3
    values = [dict(each.true_values or {}) for each in found]
    assert [list(each) for each in values] == [["arousal", "valence", "dominance"]] * 3
    assert values[0]["arousal"] < values[1]["arousal"] < values[2]["arousal"]
    record = Predicted("x", "x", None, None, true_values=found[0].true_values).to_json()
    assert record["true_values"] == values[0]
    assert "true" not in record
    [one] = incoming.of_corpus(corpus, report, corpus.info.default_task)[:1]
    assert (one.true, one.true_values) == (None, None)
    assert "has no numbers" in str(recwarn.pop(UserWarning).message)


@pytest.fixture(scope="module")
def words(few_draws: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run over the words of eight recordings, and their table."""
    folder = tmp_path_factory.mktemp("words")
    lines = ["Kids are talking", "dogs sit by the door ."] * 4
    for k in range(8):
        soundfile.write(folder / f"{k}.wav", np.random.default_rng(k).normal(0, 0.1, 4000), 16_000)
    rows = [["id", "path", "label", "speaker", "transcript"]]
    rows += [
        [f"u{k}", f"{k}.wav", "ab"[k % 2], f"s{k % 4}", f"{line} {'the ' * k}"]
        for k, line in enumerate(lines)
    ]
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERCACHE_CONFIG", str(folder / "config.toml"))
        bert = face.load_encoder(str(text_helpers.save("bert", folder / "tiny-bert")), device="cpu")
        corpus = face.read_corpus("manifest", folder / "list.csv")
        store = face.extract(bert, corpus, folder / "cache", states="all")
        return made(store, folder / "list.csv", folder / "run"), folder / "list.csv"


@pytest.mark.parametrize("given", ["a.wav", "sub", "sub/../link.wav"])
def test_what_is_read_is_not_written_over(tmp_path: Path, given: str) -> None:
    """`--out` took the place of the recording."""
    (tmp_path / "sub").mkdir()
    for name in ("a.wav", "sub/a.wav"):
        (tmp_path / name).write_bytes(b"speech")
    (tmp_path / "link.wav").symlink_to("a.wav")
    out = tmp_path / ("sub/a.wav" if given == "sub" else "a.wav")
    with pytest.raises(SettingsError, match="is to be read; choose another file with --out"):
        incoming.check_not_asked(out, [tmp_path / given])
    incoming.check_not_asked(tmp_path / "sub/p.jsonl", [tmp_path / given])
    (tmp_path / "sub/p.jsonl").touch()
    incoming.check_not_asked(tmp_path / "sub/p.jsonl", [tmp_path / given])


def test_a_run_over_words_takes_transcripts(
    sercache: Sercache, words: tuple[Path, Path], trained: Path, wave: Path, tmp_path: Path
) -> None:
    run, table = words
    encoder = table.with_name("tiny-bert")
    true = [each.scores for each in face.predict(run, manifest=table, encoders=[encoder])]
    sounds = [table.with_name(f"{k}.wav") for k in range(8)]
    untold = sercache("predict", run, sounds[0], "--encoder", encoder)
    assert untold.code == 2
    assert "has no transcript; --transcripts FILE gives others" in untold.err
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    for key in ("{k}", "{k}.wav", "{folder}/{k}.wav"):
        file = tmp_path / "said.csv"
        said = [[key.format(k=k, folder=table.parent), row["transcript"]] for k, row in enumerate(rows)]
        with file.open("w", newline="") as out:
            csv.writer(out).writerows([["id", "text"], *said])
        found = face.predict(run, sounds, transcripts=file, encoders=[encoder])
        for each, scores in zip(found, true, strict=True):
            assert each.scores == pytest.approx(dict(scores), abs=1e-5)
    with pytest.raises(SettingsError, match="this one reads recordings alone"):
        face.predict(trained, wave, transcripts=file)


def test_a_transcript_goes_to_one_recording(tmp_path: Path) -> None:
    file = tmp_path / "said.tsv"
    file.write_text("id\ttext\n1\tyes\nb/2\tno\n")
    [first, again, other, none] = map(
        spoken.given(file), map(incoming_of, ("a/1.wav", "a/1.wav", "b/1.wav", "a/2.wav"))
    )
    assert first.utterance.transcript == again.utterance.transcript == "yes"
    assert other.fault == f"b/1.wav: {file} has 1 once, and a/1.wav took it; name both by longer paths"
    assert (none.fault, none.utterance.transcript) == (None, None)
    assert spoken.given(file)(incoming_of("x/b/2.flac")).utterance.transcript == "no"


def incoming_of(path: str) -> Asked:
    from sercache.datasets import Utterance

    return Asked(Utterance(path, Path(path), "", ""))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 200_000),
    rate=st.sampled_from([8_000, 11_025, 44_100]),
    seconds=st.floats(0.05, 3),
    part=st.floats(0.05, 1),
    begin=st.floats(0, 0.5),
)
def test_windows_cover_a_recording(n: int, rate: int, seconds: float, part: float, begin: float) -> None:
    from sercache import audio
    from sercache.datasets import Utterance

    info = audio.AudioInfo(rate, 1, n)
    end, step = n / rate, seconds * part
    begin = min(begin, end / 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio, "probe", lambda path: info)
        utterance = Utterance("x", Path("x.wav"), "", "", start=begin)
        found = [each.utterance for each in incoming.in_windows([Asked(utterance)], seconds, step)]
    if end - begin <= seconds:
        assert [(each.start, each.end) for each in found] == [(begin, None)]
        return
    spans = [(each.start or 0.0, each.end or 0.0) for each in found]
    assert spans[0][0] == pytest.approx(begin, abs=1e-6)
    assert spans[-1][1] == pytest.approx(end, abs=1e-6 + 1 / rate)
    for a, b in spans:
        assert b - a == pytest.approx(seconds, abs=2e-6)
        assert audio.span(Path("x"), rate, n, a, b)[2] is None
    assert all(0 < after[0] - before[0] <= step + 2e-6 for before, after in itertools.pairwise(spans))


def test_a_watched_folder_gives_what_grows_is_renamed_or_replaced(wave: Path, tmp_path: Path) -> None:
    folder, data = tmp_path / "in", wave.read_bytes()
    folder.mkdir()
    os.mkfifo(folder / "before.wav")
    coming = arriving(folder, pause=0.01)
    given: list[tuple[str, bool]] = []

    def take(n: int) -> None:
        while len(given) < n:
            given.extend((each.utterance.path.name, each.fault is None) for each in next(coming))

    def later(*acts: Callable[[], Any]) -> threading.Thread:
        def work() -> None:
            for act in acts:
                time.sleep(0.15)
                act()

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    half = folder / "grows.wav"
    thread = later(lambda: half.write_bytes(data[:1000]), lambda: half.write_bytes(data))
    take(1)
    thread.join()
    assert given == [("grows.wav", True)]
    thread = later(lambda: half.rename(folder / "renamed.wav"))
    take(2)
    thread.join()

    def brief() -> None:
        (folder / "gone.wav").write_bytes(data)
        (folder / "gone.wav").unlink()

    thread = later(brief, lambda: (folder / "link.wav").symlink_to("/nowhere.wav"))
    take(3)
    thread.join()
    thread = later((folder / "renamed.wav").unlink, lambda: (folder / "renamed.wav").write_bytes(data))
    take(4)
    thread.join()
    assert given[1:] == [("renamed.wav", True), ("link.wav", False), ("renamed.wav", True)]


def test_a_file_that_goes_while_it_is_watched_is_told(
    sercache: Sercache, trained: Path, wave: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copy(wave, tmp_path / "gone.wav"))
    [asked] = incoming.recordings([copy])

    def arrived(folder: Path) -> Iterator[list[Asked]]:
        copy.unlink()
        yield [asked]
        yield incoming.recordings([wave])
        raise KeyboardInterrupt

    monkeypatch.setattr("sercache.experiment.predict.arriving", arrived)
    done = sercache("predict", trained, "--watch", tmp_path)
    assert done.code == 2
    assert [json.loads(line)["error"] for line in done.out.splitlines()] == [
        f"{copy}: there is no such file",
        None,
    ]
    assert "1 of 2 recordings could not be predicted" in done.err
