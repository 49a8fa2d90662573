"""Commands that are stopped in this process, at a moment of our choice: what is done is kept and said once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Outcome

from sercache import extraction, stores, transcription, transcripts

Sercache = Callable[..., Outcome]
CODES = {signal.SIGINT: ("interrupted", 130), signal.SIGTERM: ("stopped by SIGTERM", 143)}


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    """Tests that a shell started in the background ignore Ctrl-C, and so would the commands in this process."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in CODES}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def stop(number: int) -> None:
    os.kill(os.getpid(), number)


class Parrot:
    """A recogniser that says how long a recording is, and stops this process before the one numbered ``stops_at``."""

    name, sample_rate, min_samples, max_seconds = "parrot", 16000, 400, None
    identity: Mapping[str, Any] = {"name": "parrot"}

    def __init__(self, stops_at: int = -1, number: int = 0) -> None:
        self.n_said, self._stops_at, self._number = 0, stops_at, number

    def recognise(self, wave: np.ndarray, language: str) -> str:
        if self.n_said == self._stops_at:
            stop(self._number)
        self.n_said += 1
        return f"samples {len(wave)}"


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_transcribe_keeps_what_is_recognised(
    sercache: Sercache,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    out = tmp_path / "asr.csv"
    call = ["transcribe", "--model", "parrot", "--dataset", "manifest", "--root", recordings, "--out", out]
    monkeypatch.setattr(transcription, "load", lambda *a, **o: Parrot(19, number))
    done = sercache(*call)
    words, code = CODES[number]
    told = f"{words}; run the same command again to resume: what was finished is kept"
    assert (done.code, done.err.splitlines()[-1]) == (code, told)
    assert done.err.count(words) == 1
    assert len(transcripts.read(out)) == 19
    # A power cut in the middle of a line loses that line alone.
    with out.open("a") as file:
        file.write("u23,half a li")
    rest = Parrot()
    monkeypatch.setattr(transcription, "load", lambda *a, **o: rest)
    assert sercache(*call).code == 0
    assert rest.n_said == 5
    said = transcripts.read(out)
    assert set(said) == {f"u{k}" for k in range(24)}
    assert all(text.startswith("samples ") for text in said.values())


def test_transcripts_are_never_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night's work was written anew to drop half a line, and lost where that was cut off."""
    out, parrot = tmp_path / "asr.csv", Parrot()
    transcription.transcribe([], parrot, out)
    transcripts.append(out, [("a", "one")])
    with out.open("a") as file:
        file.write("b,hal")
    monkeypatch.setattr(Path, "write_bytes", lambda *a: pytest.fail("written anew"))
    transcription.transcribe([], parrot, out)
    assert out.read_text().split() == ["id,text", "a,one"]


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_verify_and_probe_say_that_they_were_stopped(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    from sercache.experiment import probe
    from sercache.stores import checking

    words, code = CODES[number]
    with monkeypatch.context() as patch:
        patch.setattr(checking, "check", lambda *a, **o: stop(number))
        done = sercache("verify")
    assert (done.code, done.err.strip()) == (code, f"{words}; run the same command again")
    assert sercache("verify").code == 0
    call = ["probe", "--encoder", "logmel", "--dataset", "manifest", "--protocol", "kfold:3"]
    with monkeypatch.context() as patch:
        patch.setattr(probe, "evaluate", lambda *a, **o: stop(number))
        done = sercache(*call)
    said = f"{words}; run the same command again to resume: what was finished is kept"
    assert (done.code, done.err.splitlines()[-1]) == (code, said)
    assert sercache(*call).code == 0
    assert [path.name for path in cached.glob("*")] == ["probe-logmel-recordings0"]


def test_a_repair_that_was_stopped_is_finished_by_the_next(
    sercache: Sercache, manifest: Path, own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is damaged is taken out first: the next repair found a whole store, without these entries."""
    from sercache.extraction import compute

    assert sercache("extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest).code == 0
    [(folder, _)] = stores.find(own_settings / "cache")
    before = stores.open(folder)
    ids, means = before.ids(), before.pooled(before.ids())
    [shard] = [path for path in (folder / "frames").iterdir() if path.name.startswith("c.")]
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    assert sercache("verify").code == 2
    with monkeypatch.context() as patch:
        patch.setattr(compute, "on_cpu", lambda *a: stop(signal.SIGTERM))
        done = sercache("verify", "--repair")
    assert done.code == 143
    assert done.err.splitlines()[-1].startswith("stopped by SIGTERM: 23 of 24 entries are safe in ")
    done = sercache("verify")
    assert done.code == 0
    assert "a repair was interrupted" in done.err
    assert f"run sercache verify {folder} --repair" in done.err
    assert sercache("verify", "--repair").code == 0
    after = stores.open(folder)
    assert set(after.ids()) == set(ids)
    np.testing.assert_array_equal(after.pooled(ids), means)
    assert not extraction.is_half_repaired(folder)
    assert sercache("verify").err == ""
