"""Several devices: a process for each, the same store as from one."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import Outcome
from evaluations import noted
from test_extraction import RATE, Squares
from test_extraction_company import InCompany

from sercache import extraction, stores
from sercache.datasets import Corpus, manifest
from sercache.errors import NumericRangeError, SercacheError, StoreError

N = 40


class Slow(InCompany):
    """Leaves time to interrupt it; notes its calls in a folder that all processes see."""

    def __init__(self, folder: Path | None = None, pause: float = 0.0, room: float = math.inf) -> None:
        super().__init__(room)
        self.folder, self.pause = folder, pause

    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        if self.folder is not None:
            name = f"{os.getpid()}-{time.monotonic_ns()}"
            (self.folder / name).write_text(" ".join(str(len(wave)) for wave in waves))
        time.sleep(self.pause)
        return super().encode(waves, states)


class Bad(Slow):
    """What it gives of one recording does not fit float16."""

    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        for state, x in super().encode(waves, states):
            yield state, x * (1e9 if any(len(wave) == 3000 for wave in waves) else 1)


def load(
    device: str,
    kind: type[Slow] = Slow,
    folder: Path | None = None,
    pause: float = 0.0,
    room: float = math.inf,
) -> Slow:
    assert device == "cpu"
    return kind(folder, pause, room)


def refuse(device: str) -> Slow:
    raise StoreError(f"nothing can be loaded on {device}")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two recordings equal each other, far apart in the list; one is silent."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = ["id,path,label"]
    chance = np.random.default_rng(3)
    for k in range(N):
        wave = chance.normal(0, 0.1, 1200 + 240 * k if k != 7 else 3000)
        soundfile.write(folder / f"{k}.wav", wave * (k != 11), RATE, subtype="PCM_16")
        rows.append(f"u{k},{k}.wav,a")
    (folder / "31.wav").write_bytes((folder / "5.wav").read_bytes())
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return manifest.read(folder / "list.csv")


def planned(corpus: Corpus, folder: Path, dtype: str = "float16", pack_frames: int = 150) -> extraction.Plan:
    spec = extraction.feature_spec(Squares(), corpus, dtype=dtype)  # type: ignore[arg-type]
    done = stores.open(folder).ids() if stores.exists(folder) else []
    return extraction.make_plan(
        Squares(), corpus.utterances, spec, folder, done=done, pack_frames=pack_frames
    )


def alone(
    corpus: Corpus, folder: Path, room: float = math.inf, pack_frames: int = 150
) -> tuple[stores.FeatureStore, extraction.Extraction]:
    plan = planned(corpus, folder, pack_frames=pack_frames)
    result = extraction.extract(plan, Slow(room=room), stores.create(folder, plan.spec), stores.open(folder))
    return stores.open(folder), result


def together(
    corpus: Corpus,
    folder: Path,
    load: Callable[[str], Slow],
    n: int = 2,
    sources: Sequence[stores.FeatureStore] = (),
    meddle: Callable[[Sequence[extraction.DeviceWorker]], None] = lambda device_workers: None,
    pack_frames: int = 150,
    **options: object,
) -> extraction.Extraction:
    plan = dataclasses.replace(planned(corpus, folder, pack_frames=pack_frames), sources=tuple(sources))
    with extraction.start_workers(["cpu"] * n, load, plan.spec) as device_workers:
        meddle(device_workers)
        writer = stores.create(folder, plan.spec)
        return extraction.extract_together(
            plan,
            device_workers,
            writer,
            "zarr",
            **options,  # type: ignore[arg-type]
        )


def assert_equal(got: stores.FeatureStore, expected: stores.FeatureStore) -> None:
    assert sorted(got.ids()) == sorted(expected.ids())
    for id in expected.ids():
        np.testing.assert_array_equal(got.read(id), expected.read(id))
        assert got.entries()[id] == expected.entries()[id]
        for what in ("mean", "std"):
            np.testing.assert_array_equal(got.pooled([id], what=what), expected.pooled([id], what=what))
    assert got.verify() == []


@pytest.mark.slow
def test_what_another_store_holds_is_copied(corpus: Corpus, tmp_path: Path) -> None:
    """Half of the corpus was encoded before, under another name."""
    expected, _ = alone(corpus, tmp_path / "one")
    begun = dataclasses.replace(corpus, utterances=corpus.utterances[: N // 2])
    before, _ = alone(begun, tmp_path / "before")
    result = together(corpus, tmp_path / "two", partial(load, pause=0.0), sources=[before])
    store = stores.open(tmp_path / "two")
    assert_equal(store, expected)
    assert result.n_copied_from == {before.path: len(before.ids())}
    assert result.n_encoded + result.n_copied == len(store.ids())


@pytest.mark.slow
def test_two_processes_fill_the_store_of_one(corpus: Corpus, tmp_path: Path) -> None:
    expected, result = alone(corpus, tmp_path / "one")
    calls = tmp_path / "calls"
    calls.mkdir()
    progress: list[str] = []
    both = together(
        corpus,
        tmp_path / "two",
        partial(load, folder=calls, pause=0.02),
        progress=lambda piece: progress.append(piece.entry_id),
    )
    store = stores.open(tmp_path / "two")
    assert_equal(store, expected)
    assert (both.n_encoded, both.n_copied) == (result.n_encoded, result.n_copied) == (N - 2, 1)
    assert both.skipped == result.skipped
    assert [item.what for item in both.skipped] == ["u11"]
    assert both.audio_seconds == result.audio_seconds
    assert sorted(progress) == sorted(store.ids())
    assert set(both.load.shares) == set(result.load.shares)
    processes = {path.name.partition("-")[0] for path in calls.iterdir()}
    assert len(processes) == 2, "one process did all: the test shows nothing"
    assert extraction.is_finished(store.path)
    assert not list((store.path / "ledger" / "writers").iterdir())


@pytest.mark.slow
def test_processes_that_run_out_of_memory_cut_the_batches_of_one(corpus: Corpus, tmp_path: Path) -> None:
    with noted() as told:
        # Less than a batch, more than the noise on which each process tries its encoder.
        expected, _ = alone(corpus, tmp_path / "one", room=220, pack_frames=400)
        result = together(corpus, tmp_path / "two", partial(load, room=220), pack_frames=400)
    assert result.n_encoded == N - 2
    assert any("ran out of memory on 3" in line for line in told)
    assert_equal(stores.open(tmp_path / "two"), expected)


@pytest.mark.slow
def test_nothing_is_left_behind_by_processes_that_are_killed(corpus: Corpus, tmp_path: Path) -> None:
    expected, _ = alone(corpus, tmp_path / "one")
    folder = tmp_path / "two"

    victims: list[int] = []
    computed: list[str] = []

    def kill(piece: extraction.Piece) -> None:
        computed.append(piece.entry_id)
        if len(computed) >= 8 and victims:
            os.kill(victims.pop(), signal.SIGKILL)

    with pytest.raises(StoreError, match=r"process on cpu ended with exit code -9.*run the same command"):
        together(
            corpus,
            folder,
            partial(load, pause=0.05),
            meddle=lambda device_workers: victims.append(device_workers[1].process.pid or 0),
            seal_every=0.0,
            progress=kill,
        )
    kept = stores.open(folder)
    assert 0 < len(kept.ids()) < N - 1
    assert kept.verify() == []
    assert not extraction.is_finished(folder)
    together(corpus, folder, load, n=3)
    assert_equal(stores.open(folder), expected)


_RUN = """
import sys
from functools import partial
from pathlib import Path
from test_extraction_devices import load, together
from sercache.datasets import manifest
together(manifest.read(Path(sys.argv[1])), Path(sys.argv[2]), partial(load, pause=0.2), seal_every=0.0)
"""


@pytest.mark.slow
def test_processes_whose_leader_is_killed_end_with_it(corpus: Corpus, tmp_path: Path) -> None:
    expected, _ = alone(corpus, tmp_path / "one")
    folder = tmp_path / "two"
    command = [sys.executable, "-c", _RUN, str(corpus.root / "list.csv"), str(folder)]
    places = {"PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1])))}
    for wanted in (1, 12):
        leader = subprocess.Popen(command, env={**os.environ, **places})
        before = time.monotonic()
        while not (stores.exists(folder) and len(stores.open(folder).ids()) >= wanted):
            assert leader.poll() is None, "it finished before it could be killed"
            assert time.monotonic() - before < 120
            time.sleep(0.05)
        leader.kill()
        leader.wait()
        time.sleep(1.0)
        kept = stores.open(folder).ids()
        time.sleep(1.5)
        assert stores.open(folder).ids() == kept, "a process went on without its leader"
        assert stores.open(folder).verify() == []
    assert len(kept) < N - 1
    together(corpus, folder, load)
    assert_equal(stores.open(folder), expected)


@pytest.mark.slow
def test_ctrl_c_commits_what_was_computed(corpus: Corpus, tmp_path: Path) -> None:
    expected, _ = alone(corpus, tmp_path / "one")
    folder = tmp_path / "two"
    computed: list[str] = []

    def note(piece: extraction.Piece) -> None:
        computed.append(piece.entry_id)
        if len(computed) == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together(corpus, folder, partial(load, pause=0.02), progress=note)
    kept = stores.open(folder).ids()
    assert set(computed) <= set(kept)
    assert len(kept) < N - 1
    together(corpus, folder, load)
    assert_equal(stores.open(folder), expected)


@pytest.mark.slow
def test_a_fault_in_one_process_ends_all_and_keeps_the_rest(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(NumericRangeError, match=r"u\d+: state .* --dtype"):
        together(corpus, tmp_path / "two", partial(load, kind=Bad, pause=0.01))
    store = stores.open(tmp_path / "two")
    assert 0 < len(store.ids()) < N - 1
    assert store.verify() == []


@pytest.mark.slow
def test_what_cannot_be_loaded_is_said_as_it_is(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing can be loaded on cpu"):
        together(corpus, tmp_path / "two", refuse)
    assert not (tmp_path / "two").exists()


@pytest.mark.slow
def test_a_process_whose_leader_is_gone_ends(corpus: Corpus, tmp_path: Path) -> None:
    def leave(device_workers: Sequence[extraction.DeviceWorker]) -> None:
        for device_worker in device_workers:
            device_worker.connection.close()
            device_worker.process.join(20)
            assert device_worker.process.exitcode == 0
        raise SercacheError("left")

    with pytest.raises(SercacheError, match="left"):
        together(corpus, tmp_path / "two", load, meddle=leave)


@pytest.mark.slow
def test_the_command_line_with_two_devices(
    sercache: Callable[..., Outcome], tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real encoder. One thread everywhere, because bits may depend on their number."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    command = ["extract", "--encoder", "demo-wavlm", "--dataset", "manifest", "--states", "1-2"]
    command += ["--root", str(corpus.root / "list.csv")]
    try:
        one = sercache(*command, "--cache", tmp_path / "one")
    finally:
        torch.set_num_threads(threads)
    monkeypatch.delenv("SERCACHE_DEVICE")
    two = sercache(*command, "--cache", tmp_path / "two", "--devices", "cpu,cpu")
    assert one.code == two.code == 2  # u11 is silent
    assert "cpu, cpu  (flag)" in two.out
    assert "limit: " in one.out
    assert "limit: " in two.out
    ((first, _),) = stores.find(tmp_path / "one")
    ((second, _),) = stores.find(tmp_path / "two")
    assert_equal(stores.open(second), stores.open(first))
    again = sercache(*command, "--cache", tmp_path / "two", "--devices", "cpu, cpu", "--device", "cpu")
    assert again.code == 2
    assert "give --device or --devices" in again.err
    assert "'tpu'" in sercache(*command, "--devices", "cpu,tpu").err
