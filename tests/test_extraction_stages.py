"""Stages of the line on their own: pooling and guard of the device path, memory that runs out, writer, limit."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluations import noted
from hypothesis import given
from hypothesis import strategies as st
from test_extraction import Squares, tone

from sercache import audio, extraction, stores
from sercache.datasets import Corpus, manifest
from sercache.errors import DiskSpaceError, NumericRangeError
from sercache.extraction import compute, cuda, decode, pooling, run, stages
from sercache.extraction.stages import Busy
from sercache.extraction.writing import Writing
from sercache.stores.writer import Writer


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    rows = ["id,path,label"]
    for k in range(10):
        tone(tmp_path / f"{k}.wav", 0.2 + 0.07 * k, seed=k)
        rows.append(f"u{k},{k}.wav,a")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    return manifest.read(tmp_path / "list.csv")


def decoded(
    corpus: Corpus, encoder: Squares, folder: Path, **choices: object
) -> tuple[list, extraction.Plan]:
    spec = extraction.feature_spec(encoder, corpus, **choices)  # type: ignore[arg-type]
    plan = extraction.make_plan(encoder, corpus.utterances, spec, folder)
    return list(decode.ahead(plan.batches, decode.decoder(encoder, Busy()), 2)), plan


def go(corpus: Corpus, folder: Path, encoder: Squares, **choices: object) -> tuple:
    """(store, extraction, what was told)."""
    spec = extraction.feature_spec(encoder, corpus, dtype="float32")
    done = stores.open(folder).ids() if stores.exists(folder) else []
    plan = extraction.make_plan(encoder, corpus.utterances, spec, folder, done=done)
    writer = stores.create(folder, spec)
    with noted() as told:
        result = extraction.extract(plan, encoder, writer, stores.open(folder), **choices)  # type: ignore[arg-type]
    return stores.open(folder), result, told


@pytest.mark.parametrize("on_card", [False, True])
def test_samples_are_let_go_of_once_they_are_computed(corpus: Corpus, tmp_path: Path, on_card: bool) -> None:
    encoder = Squares()
    (batch, *_), plan = decoded(corpus, encoder, tmp_path / "s")
    waves = [weakref.ref(item.wave) for item in batch]
    if on_card:
        done = cuda.Device(encoder, plan.spec, Busy()).launch(batch).finished()
    else:
        done = compute.on_cpu(batch, encoder, plan.spec, Busy())
    row = run.kept(done, set(), encoder)[0]
    assert row[0] == batch[0].known
    del batch
    assert not any(wave() is not None for wave in waves), "what waits for the disk holds samples"


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.integers(1, 7),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    st.floats(-1e3, 1e3),
    st.integers(1, 2000),
)
def test_pooling_on_a_device_is_numpys(
    lengths: list[int], dim: int, dtype: torch.dtype, offset: float, slab: int
) -> None:
    chance = torch.Generator().manual_seed(sum(lengths))
    packed = (torch.randn(sum(lengths), dim, generator=chance) + offset).to(dtype)
    bounds = np.cumsum([0, *lengths])
    pool = pooling.Pool(bounds, torch.device("cpu"))
    pool._columns = max(1, slab // (8 * sum(lengths)))
    mean, std = pool(packed)
    for k, (a, b) in enumerate(itertools.pairwise(bounds)):
        part = packed[a:b].float().numpy()
        close = {"rtol": 1e-12, "atol": 1e-12 * (1 + abs(offset))}
        np.testing.assert_allclose(mean[k].numpy(), part.mean(0, dtype=np.float64), **close)
        np.testing.assert_allclose(std[k].numpy(), part.std(0, dtype=np.float64), **close)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int8"])
@pytest.mark.parametrize("frames", [True, False])
def test_the_device_path_gives_what_numpy_gives(
    corpus: Corpus, tmp_path: Path, dtype: str, frames: bool
) -> None:
    encoder = Squares()
    batches, plan = decoded(corpus, encoder, tmp_path / "s", dtype=dtype, frames=frames)
    device = cuda.Device(encoder, plan.spec, Busy())  # type: ignore[arg-type]
    for batch in batches:
        expected = compute.on_cpu(batch, encoder, plan.spec, Busy())  # type: ignore[arg-type]
        got = device.launch(batch).finished()
        assert got.items == expected.items
        for ours, theirs in zip(got.features, expected.features, strict=True):
            np.testing.assert_array_equal(ours.mean, theirs.mean)
            np.testing.assert_array_equal(ours.std, theirs.std)
            kept = ours.frames
            if frames:
                assert kept is not None
                if dtype == "int8":  # whose scales the writer finds
                    kept = np.stack([stores.encode_frames(each, dtype, "u", "s") for each in kept])
                assert kept.dtype == theirs.frames.dtype  # type: ignore[union-attr]
            np.testing.assert_array_equal(kept, theirs.frames)


@pytest.mark.parametrize(("dtype", "value"), [("float16", 4e4), ("float16", np.nan), ("bfloat16", np.inf)])
def test_the_device_path_refuses_what_does_not_fit(
    corpus: Corpus, tmp_path: Path, dtype: str, value: float
) -> None:
    class Spike(Squares):
        def encode(self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None) -> Iterator:
            for state, x in super().encode(waves, states):
                if state == "2":
                    x[self.n_frames(len(waves[0])) + 1, 2] = value
                yield state, x

    encoder = Spike()
    encoder.pack_frames = 300
    batches, plan = decoded(corpus, encoder, tmp_path / "s", dtype=dtype)
    device = cuda.Device(encoder, plan.spec, Busy())  # type: ignore[arg-type]
    launched = device.launch(batches[0])
    with pytest.raises(NumericRangeError, match=f"{batches[0][1].piece.entry_id}: state 2"):
        launched.finished()


class Small(Squares):
    """Runs out of memory beyond ``room`` frames."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def encode(self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None) -> Iterator:
        if sum(self.n_frames(len(wave)) for wave in waves) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().encode(waves, states)


def test_memory_that_runs_out_halves_the_budget_once_for_all(corpus: Corpus, tmp_path: Path) -> None:
    whole, _, none = go(corpus, tmp_path / "whole", Squares())
    assert none == []
    encoder = Small(90)  # the longest is 83 frames
    encoder.pack_frames = 300
    store, result, told = go(corpus, tmp_path / "small", encoder)
    assert (result.n_encoded, result.skipped) == (10, ())
    assert len(told) == 1
    assert "out of memory" in told[0]
    for id in whole.ids():
        np.testing.assert_array_equal(store.read(id), whole.read(id))
    assert max(map(sum, encoder.calls)) <= 90 * 80


def test_a_recording_too_large_for_memory_is_skipped_with_the_remedy(corpus: Corpus, tmp_path: Path) -> None:
    store, result, told = go(corpus, tmp_path / "small", Small(70))
    assert {item.what for item in result.skipped} == {"u8", "u9"}
    assert all("do not fit the memory of cpu" in item.reason for item in result.skipped)
    assert "--clip split:" in result.skipped[0].reason
    assert len(store.ids()) == 8
    assert len(told) <= 1


def test_a_twin_of_what_does_not_fit_is_skipped_too(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "1.wav").write_bytes((tmp_path / "9.wav").read_bytes())
    store, result, _ = go(corpus, tmp_path / "small", Small(80))
    reasons = {item.what: item.reason for item in result.skipped}
    assert set(reasons) == {"u1", "u9"}
    assert len(store.ids()) == 8


def test_the_writer_does_not_hold_up_the_encoder(corpus: Corpus, tmp_path: Path) -> None:
    """While the first batch is being written, the next are computed."""
    going_on = threading.Event()

    class Watched(Squares):
        def encode(self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None) -> Iterator:
            if len(self.calls) == 2:
                going_on.set()
            return super().encode(waves, states)

    encoder = Watched()
    encoder.pack_frames = 90
    spec = extraction.feature_spec(encoder, corpus)
    plan = extraction.make_plan(encoder, corpus.utterances, spec, tmp_path / "s")
    writer = stores.create(tmp_path / "s", spec)
    append, met = writer.append, []

    def slow(*args: object, **named: object) -> None:
        met.append(going_on.wait(20))
        append(*args, **named)  # type: ignore[arg-type]

    writer.append = slow  # type: ignore[method-assign]
    extraction.extract(plan, encoder, writer, stores.open(tmp_path / "s"))
    assert met[0], "the encoder waited for the writer"
    assert len(stores.open(tmp_path / "s").ids()) == 10


@pytest.mark.parametrize("late", [False, True])
def test_a_fault_of_the_store_reaches_the_caller(corpus: Corpus, tmp_path: Path, late: bool) -> None:
    encoder = Squares()
    encoder.pack_frames = 20
    spec = extraction.feature_spec(encoder, corpus)
    plan = extraction.make_plan(encoder, corpus.utterances, spec, tmp_path / "s")
    writer = stores.create(tmp_path / "s", spec)

    def full(*args: object, **named: object) -> None:
        raise DiskSpaceError("the disk is full")

    setattr(writer, "seal" if late else "append", full)
    before = threading.active_count()
    with pytest.raises(DiskSpaceError):
        extraction.extract(plan, encoder, writer, stores.open(tmp_path / "s"))
    assert len(encoder.calls) == len(plan.batches) if late else len(encoder.calls) < len(plan.batches)
    assert "write" not in {thread.name for thread in threading.enumerate()}
    assert threading.active_count() <= before + 2, "only decoding threads may still be ending"


def test_what_was_put_is_committed_whatever_happens_outside(corpus: Corpus, tmp_path: Path) -> None:
    encoder = Squares()
    batches, plan = decoded(corpus, encoder, tmp_path / "s")
    writer = stores.create(tmp_path / "s", plan.spec)
    done = compute.on_cpu(batches[0], encoder, plan.spec, Busy())  # type: ignore[arg-type]
    parts = [(i, f, encoder.n_frames(i.n_samples)) for i, f in zip(done.items, done.features, strict=True)]

    def fail() -> None:
        with Writing([writer], 60.0, Busy()) as line:
            line.put(parts)
            raise RuntimeError("outside")

    with pytest.raises(RuntimeError, match="outside"):
        fail()
    assert stores.open(tmp_path / "s").ids() == [item.piece.entry_id for item in done.items]
    writer.close()


def test_what_waits_is_committed_in_time_while_nothing_comes(corpus: Corpus, tmp_path: Path) -> None:
    encoder = Squares()
    batches, plan = decoded(corpus, encoder, tmp_path / "s")
    writer = stores.create(tmp_path / "s", plan.spec)
    done = compute.on_cpu(batches[0], encoder, plan.spec, Busy())  # type: ignore[arg-type]
    parts = [(i, f, encoder.n_frames(i.n_samples)) for i, f in zip(done.items, done.features, strict=True)]
    with Writing([writer], 0.6, Busy()) as line:
        line.put(parts)
        before = time.monotonic()
        while not stores.open(tmp_path / "s").ids():
            assert time.monotonic() - before < 20, "nothing was committed"
            time.sleep(0.05)
    writer.close()


def test_several_writers_share_a_store(corpus: Corpus, tmp_path: Path) -> None:
    whole, _, _ = go(corpus, tmp_path / "whole", Squares())
    spec = whole.spec
    writers = [stores.create(tmp_path / "s", spec) for _ in range(3)]
    store, result, _ = go(corpus, tmp_path / "s", Squares(), beside=writers)
    assert result.n_encoded == 10
    assert sorted(store.ids()) == sorted(whole.ids())
    for id in whole.ids():
        np.testing.assert_array_equal(store.read(id), whole.read(id))
    assert store.verify() == []
    assert not list((tmp_path / "s" / "ledger" / "writers").iterdir())


def test_the_limit_is_the_busiest_stage(corpus: Corpus, tmp_path: Path) -> None:
    seconds = {"decode": 3.0, "compute": 9.0, "copy": 0.1, "write": 0.3}
    load = stages.load([seconds], wall=10.0, decoders=2)
    assert str(load) == "compute (decode 15 %, compute 90 %, copy 1 %, write 3 %)"
    assert stages.load([seconds, seconds], 20.0, 1).shares["compute"] == pytest.approx(0.45)
    _, result, _ = go(corpus, tmp_path / "s", Squares())
    assert set(result.load.shares) == set(stages.STAGES)
    assert all(0 <= share <= 1 for share in result.load.shares.values())


class Clock:
    """A clock of each thread's own, which stands still but for ``pass_by``; the wall's shows what all passed by."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}

    def pass_by(self, seconds: float) -> None:
        self.seconds[threading.get_ident()] = self.perf_counter() + seconds

    def perf_counter(self) -> float:
        return self.seconds.get(threading.get_ident(), 0.0)

    def monotonic(self) -> float:
        return sum(self.seconds.values())


@pytest.mark.parametrize("slow", ["decode", "compute", "write"])
def test_a_slow_stage_shows_as_the_limit(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    clock = Clock()

    def slowed(work: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **named: (clock.pass_by(3.0), work(*given, **named))[1]

    owner, name = {
        "decode": (audio, "read"),
        "compute": (Squares, "encode"),
        "write": (Writer, "append"),
    }[slow]
    monkeypatch.setattr(owner, name, slowed(getattr(owner, name)))
    for module in (stages, run):
        monkeypatch.setattr(module, "time", clock)
    _, result, _ = go(corpus, tmp_path / "s", Squares(), workers=1)
    assert result.load.limit == slow
    assert result.load.shares == {stage: float(stage == slow) for stage in stages.STAGES}


def test_blocks_above_the_last_state_are_not_run(tmp_path: Path, corpus: Corpus) -> None:
    from encoder_helpers import save, tiny_model

    from sercache import encoders

    encoder = encoders.load(str(save(tiny_model("wavlm-large"), tmp_path / "checkpoint")))
    blocks = encoder._forward.model.encoder.layers  # type: ignore[attr-defined]
    owners = {id(module): k for k, block in enumerate(blocks, start=1) for module in block.modules()}
    run: set[int] = set()

    def note(module: torch.nn.Module, *_: object) -> None:
        if id(module) in owners:
            run.add(owners[id(module)])

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        for selection, expected in [("1-2", {1, 2}), ("all", {1, 2, 3}), ("projection", set())]:
            run.clear()
            spec = extraction.feature_spec(encoder, corpus, selection=selection)
            folder = tmp_path / f"store-{selection}"
            plan = extraction.make_plan(encoder, corpus.utterances, spec, folder)
            extraction.extract(plan, encoder, stores.create(folder, spec), stores.open(folder))
            assert run == expected, selection
    finally:
        handle.remove()


def test_pooled_only_leaves_no_frames_on_disk(corpus: Corpus, tmp_path: Path) -> None:
    for frames in (True, False):
        spec = extraction.feature_spec(Squares(), corpus, frames=frames)
        folder = tmp_path / f"{frames}"
        plan = extraction.make_plan(Squares(), corpus.utterances, spec, folder)
        extraction.extract(plan, Squares(), stores.create(folder, spec), stores.open(folder))
        assert (folder / "frames").exists() == frames
        assert (folder / "pooled_mean").exists()
