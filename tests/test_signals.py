"""SIGTERM, SIGHUP and Ctrl-C stop real processes: what is done is kept, nothing goes on running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sercache import signals, stores

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def start(*arguments: object) -> subprocess.Popen[str]:
    def plainly() -> None:  # a background job ignores some
        for number in CODES:
            signal.signal(number, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-m", "sercache.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=plainly,
        start_new_session=True,
    )


def wait_until(test: Callable[[], object], process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not test():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def left_of(session: int) -> list[str]:
    """Command lines of the processes of a session that still run after a moment: the killed take one to go."""
    deadline = time.monotonic() + 5
    while (found := _running(session)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _running(session: int) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(command)
    return found


@pytest.fixture
def long_corpus(own_settings: Path) -> Path:
    """Minutes of sound, so that there is something left to stop."""
    folder = own_settings / "long"
    folder.mkdir()
    rows = ["id,path,label,speaker"]
    for k in range(24):
        soundfile.write(folder / f"{k}.wav", np.random.default_rng(k).normal(0, 0.1, 16000 * 40), 16000)
        rows.append(f"u{k},{k}.wav,{'soft' if k % 2 else 'loud'},s{k % 4}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


def extraction(corpus: Path, *more: object) -> subprocess.Popen[str]:
    call = [
        "extract",
        "--encoder",
        "demo-wavlm",
        "--dataset",
        "manifest",
        "--root",
        corpus,
        "--seal-every",
        0,
    ]
    return start(*call, *more)


def committed(cache: Path) -> list[str]:
    return [id for folder, _ in stores.find(cache) for id in stores.open(folder).ids()]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("devices", [[], ["--devices", "cpu,cpu"]], ids=["one", "two"])
def test_an_extraction_seals_what_it_has(
    long_corpus: Path, own_settings: Path, number: signal.Signals, devices: list[str]
) -> None:
    running = extraction(long_corpus, *devices)
    wait_until(lambda: committed(own_settings / "cache"), running)
    os.killpg(running.pid, number)  # as a scheduler does: to every process of the job
    out, err = running.communicate(timeout=120)
    assert running.returncode == CODES[number], (out, err)
    assert "Traceback" not in err
    assert err.count(f"stopped by {number.name}") == 1
    assert "run the same command to resume" in err
    kept = committed(own_settings / "cache")
    assert f"{len(kept)} of 24 entries are safe" in err
    assert 0 < len(kept) < 24
    [(folder, _)] = stores.find(own_settings / "cache")
    assert stores.verify(folder) == []
    assert list((folder / "ledger/writers").iterdir()) == []
    assert left_of(running.pid) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("clip", ["none", "window:20:2"])
def test_an_extraction_in_the_middle_of_a_long_recording_ends_soon(
    long_corpus: Path, own_settings: Path, number: signal.Signals, clip: str
) -> None:
    """Ten minutes, the longest first: nothing is done yet, and a second signal is not needed."""
    soundfile.write(long_corpus.parent / "0.wav", np.random.default_rng(0).normal(0, 0.1, 16000 * 600), 16000)
    running = extraction(long_corpus, "--clip", clip)
    wait_until(lambda: list((own_settings / "cache").glob("*/*/ledger/writers/*.lock")), running)
    time.sleep(1)
    os.kill(running.pid, number)
    began = time.monotonic()
    out, err = running.communicate(timeout=60)
    assert time.monotonic() - began < 20, "with nothing else to do, two seconds"
    assert running.returncode == CODES[number], (out, err)
    assert "of 24 entries are safe" in err
    assert "run the same command to resume" in err
    [(folder, _)] = stores.find(own_settings / "cache")
    assert stores.verify(folder) == []
    assert list((folder / "ledger/writers").iterdir()) == []


@pytest.mark.slow
def test_a_second_signal_ends_at_once(long_corpus: Path, own_settings: Path) -> None:
    running = extraction(long_corpus, "--devices", "cpu,cpu")
    wait_until(lambda: committed(own_settings / "cache"), running)
    os.kill(running.pid, signal.SIGTERM)
    time.sleep(0.6)
    if running.poll() is None:
        os.kill(running.pid, signal.SIGTERM)
    began = time.monotonic()
    out, err = running.communicate(timeout=60)
    assert time.monotonic() - began < 5
    assert running.returncode == 143, (out, err)
    assert left_of(running.pid) == []
    [(folder, _)] = stores.find(own_settings / "cache")
    assert stores.open(folder).verify() == []


@pytest.mark.slow
def test_a_training_keeps_what_is_finished(cached: Path, recordings: Path, own_settings: Path) -> None:
    call = [
        "train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--root", recordings, "--protocol",
        "leave-one-speaker-out", "--seeds", 3, "--name", "r", "--set", "max-epochs=1500",
    ]  # fmt: skip
    running = start(*call)
    partial = own_settings / "runs" / "r.partial"
    wait_until(lambda: list(partial.glob("fold-*.safetensors")), running)
    os.killpg(running.pid, signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 143, (out, err)
    assert "Traceback" not in err
    assert "stopped by SIGTERM; run the same command again to resume: what was finished is kept" in err
    assert left_of(running.pid) == []
    assert list(partial.glob("fold-*.safetensors"))
    assert not (own_settings / "runs" / "r").exists()


CHILD = """
import os, signal, sys, time
from multiprocessing import get_context
from sercache import signals
def work():
    signals.leave_to_parent()
    time.sleep(60)
def ask():
    with signals.handled():
        with signals.held():
            child = get_context("fork").Process(target=work, daemon=True)
            child.start()
        time.sleep(0.2)
        try:
            print("ready", flush=True)
            time.sleep(60)
        except signals.Stopped as fault:
            print("stopped", fault, fault.exit_code, child.is_alive(), flush=True)
            time.sleep(60)
ask()
"""


@pytest.mark.parametrize("number", list(CODES))
def test_the_first_is_raised_and_the_second_ends(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in CODES],
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        os.killpg(running.pid, number)
        assert running.stdout.readline() == f"stopped {number.name} {CODES[number]} True\n"
        time.sleep(0.6)
        os.kill(running.pid, number)
        out, err = running.communicate(timeout=20)
        assert running.returncode == CODES[number], (out, err)
        assert "ended at once" in err
        assert left_of(running.pid) == []


def test_twice_within_a_moment_is_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler's signal comes to the job's first process and through it."""
    monkeypatch.setattr(signals, "_SAME_SECONDS", 600)

    def ask_twice() -> None:
        with signals.handled():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(signals.Stopped, match="SIGTERM"):
        ask_twice()


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.handled():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_stopped_command_says_so(
    sercache: Callable, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercache.commands import inspect

    def stop(*arguments: object, **named: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)

    monkeypatch.setattr(inspect, "info", stop)
    done = sercache("info")
    assert done.code == 143
    assert done.err.strip() == "stopped by SIGTERM; run the same command again"
