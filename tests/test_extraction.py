"""Stage one's line: plans, batches, skips, duplicates, resuming. The encoder is a small one made here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sercache import extraction, stores
from sercache.datasets import Corpus, Utterance, manifest
from sercache.errors import AudioError, DiskSpaceError, NumericRangeError, SettingsError, StoreError
from sercache.extraction import plan as planning

RATE = 8000


class Squares:
    """Two states of windowed sums: linear in nothing, so that mixed-up utterances show."""

    name = "squares"
    identity = {"family": "test", "source": "tests"}  # noqa: RUF012
    sample_rate = RATE
    hop = 80
    states = ("conv", "1", "2")
    dims = {"conv": 3, "1": 4, "2": 4}  # noqa: RUF012
    min_samples = 80
    max_samples: int | None = 8 * RATE
    pack_frames = 100

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def n_frames(self, n_samples: int) -> int:
        return n_samples // self.hop

    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        self.calls.append([len(wave) for wave in waves])
        for state in states or self.states:
            rows = []
            for wave in waves:
                windows = wave[: self.n_frames(len(wave)) * self.hop].reshape(-1, self.hop)
                powers = [windows.mean(1), (windows**2).mean(1), windows.max(1), windows.min(1)]
                rows.append(np.stack(powers[: self.dims[state]], axis=1) * (1 + self.states.index(state)))
            yield state, torch.from_numpy(np.concatenate(rows).astype(np.float32))


def tone(path: Path, seconds: float, rate: int = RATE, seed: int = 0, channels: int = 1) -> Path:
    noise = np.random.default_rng(seed).normal(0, 0.1, (round(seconds * rate), channels))
    soundfile.write(path, noise, rate, subtype="PCM_16")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Twelve recordings of different lengths, one of another rate, one stereo."""
    rows = ["id,path,label,speaker"]
    for k in range(12):
        rate, channels = (16000, 1) if k == 3 else (RATE, 2) if k == 4 else (RATE, 1)
        tone(tmp_path / f"{k}.wav", 0.3 + 0.11 * k, rate, seed=k, channels=channels)
        rows.append(f"u{k},{k}.wav,{'ab'[k % 2]},s{k % 3}")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    return manifest.read(tmp_path / "list.csv")


def run(
    corpus: Corpus, folder: Path, encoder: Squares | None = None, format: str = "zarr", **choices: object
) -> tuple[stores.FeatureStore, extraction.Extraction, Squares]:
    encoder = encoder or Squares()
    spec = extraction.feature_spec(encoder, corpus, **choices)  # type: ignore[arg-type]
    done = stores.open(folder).ids() if stores.exists(folder) else []
    plan = extraction.make_plan(encoder, corpus.utterances, spec, folder, done=done)
    writer = stores.create(folder, spec, format)
    result = extraction.extract(plan, encoder, writer, stores.open(folder))
    return stores.open(folder), result, encoder


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_what_another_process_stored_meanwhile_is_left_as_it_is(
    corpus: Corpus, tmp_path: Path, format: str
) -> None:
    """Two extracts that were planned before either had written: both end, and the store holds everything once."""
    soundfile.write(tmp_path / "12.wav", soundfile.read(tmp_path / "1.wav")[0], RATE, subtype="PCM_16")
    with (tmp_path / "list.csv").open("a") as table:
        table.write("u12,12.wav,a,s0\n")
    corpus, folder, encoder = manifest.read(tmp_path / "list.csv"), tmp_path / "store", Squares()
    spec = extraction.feature_spec(encoder, corpus)
    plans = [extraction.make_plan(encoder, corpus.utterances, spec, folder) for _ in range(2)]
    writers = [stores.create(folder, spec, format) for _ in range(2)]
    first, second = (
        extraction.extract(plan, encoder, writer, stores.open(folder))
        for plan, writer in zip(plans, writers, strict=True)
    )
    assert (first.n_encoded, first.n_copied, first.n_elsewhere) == (12, 1, 0)
    assert (second.n_encoded, second.n_copied, second.n_elsewhere) == (0, 0, 13)
    assert sorted(stores.open(folder).ids()) == sorted(u.id for u in corpus.utterances)
    assert extraction.is_finished(folder)


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_features_are_those_of_running_alone(corpus: Corpus, tmp_path: Path, format: str) -> None:
    from sercache import audio

    store, result, encoder = run(corpus, tmp_path / "store", format=format, dtype="float32")
    assert result.n_encoded == 12
    assert max(map(len, encoder.calls)) > 1, "nothing shared a batch: the test shows nothing"
    alone = Squares()
    for utterance in corpus.utterances:
        wave = audio.read(utterance.path, RATE)
        expected = torch.stack([x for _, x in alone.encode([wave], ("1", "2"))]).numpy()
        np.testing.assert_array_equal(store.read(utterance.id), expected)
        mean, std = store.pooled([utterance.id])[0], store.pooled([utterance.id], what="std")[0]
        np.testing.assert_allclose(mean, expected.mean(1, dtype=np.float64), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(std, expected.std(1, dtype=np.float64), rtol=1e-6, atol=1e-9)
        assert store.entries()[utterance.id].n_samples == len(wave)


def test_states_of_another_size_are_left_out_of_all(corpus: Corpus, tmp_path: Path) -> None:
    assert extraction.feature_spec(Squares(), corpus).states == ("1", "2")
    assert extraction.feature_spec(Squares(), corpus, selection="conv").dim == 3
    with pytest.raises(SettingsError, match="conv: 3"):
        extraction.feature_spec(Squares(), corpus, selection="conv+1")


def test_pooled_only_writes_no_frames(corpus: Corpus, tmp_path: Path) -> None:
    store, _, _ = run(corpus, tmp_path / "store", frames=False)
    assert store.pooled().shape == (12, 2, 4)
    with pytest.raises(StoreError):
        store.read("u1")


def test_clips_are_stored_apart_and_cover_the_recording(tmp_path: Path) -> None:
    tone(tmp_path / "long.wav", 2.53)
    (tmp_path / "list.csv").write_text("id,path,label\nlong,long.wav,a\n")
    corpus = manifest.read(tmp_path / "list.csv")
    whole, _, _ = run(corpus, tmp_path / "whole", dtype="float32")
    split, _, _ = run(corpus, tmp_path / "split", dtype="float32", clip="split:1")
    assert split.ids() == ["long#0", "long#1", "long#2"]
    pieces = np.concatenate([split.read(f"long#{k}") for k in range(3)], axis=1)
    np.testing.assert_array_equal(pieces, whole.read("long"))
    trimmed, _, _ = run(corpus, tmp_path / "trimmed", dtype="float32", clip="trim:1")
    np.testing.assert_array_equal(trimmed.read("long"), whole.read("long")[:, :100])


def test_windows_make_one_entry_of_a_recording_too_long_for_the_encoder(tmp_path: Path) -> None:
    tone(tmp_path / "long.wav", 9.03)
    tone(tmp_path / "short.wav", 1.5)
    (tmp_path / "list.csv").write_text("id,path,label\nlong,long.wav,a\nshort,short.wav,a\n")
    corpus = manifest.read(tmp_path / "list.csv")
    whole, _, _ = run(corpus, tmp_path / "whole", dtype="float32", clip="none")
    assert whole.ids() == ["short"]
    seen, result, _ = run(corpus, tmp_path / "seen", dtype="float32", clip="window:2:0.2")
    assert sorted(seen.ids()) == ["long", "short"]
    assert not result.skipped
    split, _, _ = run(corpus, tmp_path / "split", dtype="float32", clip="split:2")
    pieces = np.concatenate([split.read(f"long#{k}") for k in range(5)], axis=1)
    np.testing.assert_array_equal(
        seen.read("long"), pieces
    )  # frames of this encoder know their own samples only
    assert seen.path != whole.path
    assert seen.spec.digest != whole.spec.digest


def test_what_cannot_be_used_is_skipped_with_a_reason(corpus: Corpus, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "0.wav", np.zeros(RATE), RATE)
    (tmp_path / "1.wav").write_bytes(b"")
    (tmp_path / "2.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    tone(tmp_path / "5.wav", 0.005)
    tone(tmp_path / "6.wav", 8.5)
    (tmp_path / "7.wav").unlink()
    store, result, _ = run(corpus, tmp_path / "store")
    reasons = {item.what: item.reason for item in result.skipped}
    assert set(reasons) == {"u0", "u1", "u2", "u5", "u6", "u7"}
    assert set(store.ids()) == {f"u{k}" for k in (3, 4, 8, 9, 10, 11)}
    for name, part in [("u0", "silent"), ("u2", "git lfs"), ("u5", "too short"), ("u6", "--clip split:8")]:
        assert part in reasons[name], reasons[name]
    extraction.record_skips(store.path, result.skipped)
    assert extraction.skips(store.path) == reasons
    extraction.record_skips(store.path, ())
    assert extraction.skips(store.path) == {}


def test_nothing_usable_is_an_error_before_any_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"RIFF")
    (tmp_path / "list.csv").write_text("id,path,label\nx,x.wav,a\n")
    with pytest.raises(AudioError, match=r"none of 1 utterances.*x\.wav"):
        run(manifest.read(tmp_path / "list.csv"), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_plan_that_does_not_fit_is_refused(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "free_bytes", lambda folder: 1000)
    with pytest.raises(DiskSpaceError, match="--pooled-only"):
        run(corpus, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_folder_below_a_file_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        run(corpus, tmp_path / "file" / "store")


def test_the_plan_counts_bytes_that_the_frames_take(corpus: Corpus, tmp_path: Path) -> None:
    encoder = Squares()
    spec = extraction.feature_spec(encoder, corpus, dtype="float32")
    plan = extraction.make_plan(encoder, corpus.utterances, spec, tmp_path / "store")
    frames = sum(piece.n_frames for piece in plan.pending)
    assert plan.n_bytes == frames * 2 * 4 * 4 + 12 * 2 * 2 * 4 * 4
    assert plan.seconds == pytest.approx(sum(0.3 + 0.11 * k for k in range(12)), abs=0.01)


def test_equal_audio_is_computed_once(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "2.wav").write_bytes((tmp_path / "9.wav").read_bytes())
    store, result, encoder = run(corpus, tmp_path / "store")
    assert (result.n_encoded, result.n_copied) == (11, 1)
    assert sum(map(len, encoder.calls)) == 11
    np.testing.assert_array_equal(store.read("u2"), store.read("u9"))
    np.testing.assert_array_equal(*store.pooled(["u2", "u9"]))


def test_continuing_keeps_company_and_bits(corpus: Corpus, tmp_path: Path) -> None:
    """A continued run computes each batch whole, so what it adds is what an undisturbed run has."""
    whole, _, undisturbed = run(corpus, tmp_path / "whole")
    spec = extraction.feature_spec(Squares(), corpus)

    class Cut(Squares):
        def encode(self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None) -> Iterator:
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return super().encode(waves, states)

    first, folder = Cut(), tmp_path / "cut"
    plan = extraction.make_plan(first, corpus.utterances, spec, folder)
    writer = stores.create(folder, spec, "zarr")
    with pytest.raises(KeyboardInterrupt):
        extraction.extract(plan, first, writer, stores.open(folder))
    kept = stores.open(folder).ids()
    assert not extraction.is_finished(folder)
    assert 0 < len(kept) < 12, "an interruption must keep what was finished"
    del writer
    continued, result, second = run(corpus, folder)
    assert result.n_encoded == 12 - len(kept)
    assert extraction.is_finished(folder)
    assert first.calls + second.calls == undisturbed.calls
    assert sorted(continued.ids()) == sorted(whole.ids())
    for id in whole.ids():
        np.testing.assert_array_equal(continued.read(id), whole.read(id))
    _, again, third = run(corpus, folder)
    assert again.n_encoded == 0
    assert third.calls == []


def test_values_beyond_float16_name_the_utterance(corpus: Corpus, tmp_path: Path) -> None:
    class Loud(Squares):
        def encode(self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None) -> Iterator:
            for state, x in super().encode(waves, states):
                yield state, x * 1e7 if min(map(len, waves)) < RATE // 2 else x

    with pytest.raises(NumericRangeError, match=r"u\d.*--dtype"):
        run(corpus, tmp_path / "store", Loud())
    assert stores.open(tmp_path / "store").ids(), "what was finished before is kept"
    store, _, _ = run(corpus, tmp_path / "wide", Loud(), dtype="bfloat16")
    assert len(store.ids()) == 12


def test_an_encoder_that_breaks_its_contract_is_caught(corpus: Corpus, tmp_path: Path) -> None:
    class Short(Squares):
        def n_frames(self, n_samples: int) -> int:
            return super().n_frames(n_samples) - 1

        def encode(self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None) -> Iterator:
            return Squares().encode(waves, states)

    with pytest.raises(StoreError, match="of shape"):
        run(corpus, tmp_path / "store", Short())


def test_segments_of_one_file(tmp_path: Path) -> None:
    tone(tmp_path / "long.wav", 3.0)
    lines = ["id,path,label,start,end", "a,long.wav,x,0,1.0", "b,long.wav,x,1.0,2.5", "c,long.wav,x,2.9,9"]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    corpus = manifest.read(tmp_path / "list.csv")
    whole = Corpus("m", "", tmp_path, corpus.info, (Utterance("w", tmp_path / "long.wav", "x", ""),))
    store, _, _ = run(corpus, tmp_path / "parts", dtype="float32")
    reference, _, _ = run(whole, tmp_path / "one", dtype="float32")
    np.testing.assert_array_equal(store.read("a"), reference.read("w")[:, :100])
    np.testing.assert_array_equal(store.read("b"), reference.read("w")[:, 100:250])


def test_batches_do_not_depend_on_what_is_done(corpus: Corpus, tmp_path: Path) -> None:
    encoder = Squares()
    spec = extraction.feature_spec(encoder, corpus)
    fresh = extraction.make_plan(encoder, corpus.utterances, spec, tmp_path)
    later = extraction.make_plan(encoder, corpus.utterances[::-1], spec, tmp_path, done=["u1", "u5"])
    assert fresh.batches == later.batches
    assert all(sum(p.n_frames for p in b) <= encoder.pack_frames or len(b) == 1 for b in fresh.batches)
    assert dataclasses.replace(later, done=frozenset()).n_bytes == fresh.n_bytes


def test_short_recordings_are_repeated_as_decoded(corpus: Corpus, tmp_path: Path) -> None:
    from sercache import audio

    store, _, encoder = run(corpus, tmp_path / "store", dtype="float32", clip="repeat:1+trim:2.5")
    assert store.spec.clip == "repeat:1+trim:2.5"
    for u in corpus.utterances:
        wave = audio.read(u.path, RATE)
        if len(wave) < RATE:
            wave = np.concatenate([wave] * math.ceil(RATE / len(wave)))
            assert len(wave) >= RATE
        assert store.entries()[u.id].n_samples == len(wave)
        alone = np.stack([x.numpy() for _, x in encoder.encode([wave], ("1", "2"))])
        np.testing.assert_array_equal(store.read(u.id), alone)


def test_a_complete_store_needs_no_room(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Squares()
    spec = extraction.feature_spec(encoder, corpus)
    monkeypatch.setattr(planning, "free_bytes", lambda folder: 0)
    done = [utterance.id for utterance in corpus.utterances]
    plan = extraction.make_plan(encoder, corpus.utterances, spec, tmp_path, done=done)
    assert plan.pending == []
