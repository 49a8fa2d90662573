"""Augmentation: what steps do to a wave, and that their draws follow from seed, variant and audio alone."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from evaluations import noted
from hypothesis import given, settings
from hypothesis import strategies as st
from test_extraction import RATE, Squares, tone
from test_extraction_company import InCompany, assert_equal

from sercache import audio, augment, extraction, stores
from sercache.augment import AddedRecordings, Augmentation, ReadyAugmentation, SourceStretch
from sercache.datasets import Corpus, manifest
from sercache.errors import SettingsError, StoreError
from sercache.experiment.augmenting import variants
from sercache.stores import FeatureSpec

WAVE = np.random.RandomState(3).standard_normal(12000).astype(np.float32) * 0.1
WAVE[4000:7000] *= 1e-3  # a pause
SPEECH = st.integers(30, 6000).map(lambda n: WAVE[:n])


def of(text: str, *stretches: SourceStretch, rate: int = RATE) -> ReadyAugmentation:
    found = augment.parse(text)
    return ReadyAugmentation(found, augment.added_recordings(found, stretches, rate))


@given(
    st.sampled_from(["white", "pink"]),
    st.floats(-20, 40).map(lambda x: round(x, 2)),
    SPEECH,
    st.integers(0, 3),
)
def test_noise_has_the_ratio_that_was_asked_for(
    what: str, snr: float, wave: np.ndarray, variant: int
) -> None:
    """Power of the active frames over that of what was added, within the rounding of float32 sums."""
    found = of(f"noise:{what}:snr={snr}+variant:{variant}").applied(wave, RATE, "a")
    assert (found.dtype, len(found)) == (np.float32, len(wave))
    noise = found.astype(np.float64) - wave
    got = 10 * np.log10(augment.active_power(wave, RATE) / np.mean(noise**2))
    # The sum is rounded to float32: relative to the noise that is an error of 2^-24 * |sum| / |noise|.
    rounding = 2.0**-23 * np.abs(found).max() / np.sqrt(np.mean(noise**2))
    assert abs(got - float(f"{snr:g}")) < 20 * np.log10(1 + rounding) + 1e-3


def test_pauses_do_not_count_as_speech() -> None:
    loud = np.concatenate([WAVE[:4000], WAVE[7000:]])
    with_pause = np.concatenate([WAVE[:4000], 1e-3 * WAVE[:8000], WAVE[7000:]])
    assert augment.active_power(with_pause, RATE) == pytest.approx(augment.active_power(loud, RATE), rel=0.02)


@given(st.floats(0.5, 2).map(lambda x: round(x, 3)), SPEECH)
def test_speed_changes_the_length_by_its_factor(factor: float, wave: np.ndarray) -> None:
    ready = of(f"speed:{factor}")
    assert (
        len(ready.applied(wave, RATE, "a"))
        == ready.length(len(wave))
        == max(1, round(len(wave) / float(f"{factor:g}")))
    )


@pytest.mark.parametrize("text", ["reverb:rt60=0.3", "codec:mulaw", "codec:gsm", "codec:opus", "codec:mp3:level=0.9",
                                  "codec:vorbis", "codec:alaw", "telephone", "gain:-6", "clipping:6"])  # fmt: skip
@pytest.mark.parametrize("rate", [8000, 16000])
def test_other_steps_keep_the_length_and_the_place(text: str, rate: int) -> None:
    """What comes out lies where it lay: the place of the highest correlation is none or a sample away."""
    ready = of(text, rate=rate)
    for wave in (WAVE, WAVE[:100]):
        found = ready.applied(wave, rate, "a")
        assert (found.dtype, found.shape) == (np.float32, wave.shape)
        assert np.isfinite(found).all()
    found, n = ready.applied(WAVE, rate, "a"), 2 * len(WAVE)
    lags = np.fft.irfft(np.fft.rfft(found, n) * np.conj(np.fft.rfft(WAVE, n)), n)
    assert abs((int(np.abs(lags).argmax()) + n // 2) % n - n // 2) <= 1


def test_a_room_decays_by_60_db_in_its_time() -> None:
    impulse = np.zeros(16000, np.float32)
    impulse[0] = 1
    tail = of("reverb:rt60=0.5:drr=-20").applied(impulse, 16000, "a").astype(np.float64)[1:8000] ** 2
    levels = 10 * np.log10(tail[: len(tail) // 500 * 500].reshape(-1, 500).mean(1))
    slope = np.polyfit(np.arange(len(levels)) * 500 / 16000, levels, 1)[0]
    assert slope == pytest.approx(-60 / 0.5, rel=0.05)


def test_a_telephone_carries_its_band_alone() -> None:
    seconds = np.arange(16000) / 16000
    for hertz, is_carried in ((100, False), (1000, True), (6000, False)):
        wave = np.sin(2 * np.pi * hertz * seconds).astype(np.float32)
        power = np.mean(of("telephone").applied(wave, 16000, "a")[4000:12000] ** 2) / 0.5
        assert (power > 0.9) if is_carried else (power < 0.01)


_STEPS = [
    "noise:snr=10",
    "noise:pink:snr=3.5",
    "reverb:rt60=0.25",
    "speed:1.1",
    "codec:gsm",
    "telephone",
    "gain:-3",
    "gain:1.23456789",
]


@given(st.lists(st.sampled_from(_STEPS), min_size=1, max_size=3), st.integers(0, 9), st.integers(0, 9))
def test_what_is_written_is_read_as_the_same(steps: list[str], seed: int, variant: int) -> None:
    found = augment.parse("+".join([*steps, f"seed:{seed}", f"variant:{variant}"]))
    assert augment.parse(str(found)) == found
    assert (found.seed, found.variant, len(found.steps)) == (seed, variant, len(steps))
    spec = ReadyAugmentation(found, AddedRecordings()).spec
    written = augment.text_of(spec)
    assert written is not None
    assert ReadyAugmentation(augment.parse(written), AddedRecordings()).spec == spec


def test_lists_are_all_combinations() -> None:
    found = [str(each) for each in augment.conditions("noise:white,pink:snr=10,0+codec:gsm,mulaw")]
    assert found[0] == "noise:white:snr=10+codec:gsm"
    assert len(set(found)) == 8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noise",
        "noise:snr=loud",
        "noise:snr=inf",
        "noise:snr=nan",
        "speed:0",
        "speed",
        "reverb",
        "reverb:rt60=1:rt60=2",
        "codec:amr",
        "codec:gsm:level=1",
        "seed:1",
        "echo:1",
        "noise:snr=1,2",
        "telephone:3",
        "gain:1+",
        "noise:snr=1+seed:-1",
        "noise:snr=1+seed:1+seed:2",
        "reverb:rt60=1:snr=3",
        "/nowhere",
    ],
)
def test_what_is_no_augmentation_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(SettingsError, match=r"noise:snr=10|give one"):
        augment.parse(text)


def test_variants_of_what_draws_nothing_are_refused() -> None:
    assert [augment.parse(text).variant for text in variants("noise:snr=1", 3)] == [0, 1, 2]
    for text in ("codec:gsm", "noise:snr=1+variant:2", None):
        with pytest.raises(SettingsError, match="variants"):
            list(variants(text, 2))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Recordings of 20 to 60 frames, two of them with equal samples under other names."""
    folder, rows = tmp_path_factory.mktemp("corpus"), ["id,path,label"]
    for k in range(9):
        tone(folder / f"{k}.wav", 0.2 + 0.05 * k, seed=k % 8)
        rows.append(f"u{k},{k}.wav,a")
    (folder / "8.wav").write_bytes((folder / "7.wav").read_bytes())
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return manifest.read(folder / "list.csv")


def ready_for(corpus: Corpus, text: str) -> ReadyAugmentation:
    return of(text, *(SourceStretch(u.path, u.start, u.end) for u in corpus.utterances))


def fill(corpus: Corpus, folder: Path, ready: ReadyAugmentation, encoder: Squares) -> stores.FeatureStore:
    spec = extraction.feature_spec(encoder, corpus, dtype="float32", augmented=ready)
    done = stores.open(folder).ids() if stores.exists(folder) else []
    plan = extraction.make_plan(
        encoder, corpus.utterances, spec, folder, done=done, pack_frames=100, augmented=ready
    )
    with suppress(KeyboardInterrupt), noted():
        extraction.extract(plan, encoder, stores.create(folder, spec), stores.open(folder), seal_every=0)
    return stores.open(folder)


@pytest.mark.parametrize("text", ["noise:snr=5+speed:0.9", "noise:babble:snr=0+reverb:rt60=0.2"])
def test_features_are_those_of_the_augmented_wave_and_follow_from_the_audio(
    corpus: Corpus, tmp_path: Path, text: str
) -> None:
    """However often it is interrupted and whatever the order: the bits of one recording augmented alone."""
    ready = ready_for(corpus, text)
    store = fill(corpus, tmp_path / "whole", ready, Squares())
    for utterance in corpus.utterances:
        wave = audio.read(utterance.path, RATE)
        found = ready.applied(wave, RATE, audio.digest(wave))
        entry = store.entries()[utterance.id]
        assert (entry.n_samples, entry.audio_digest) == (len(found), audio.digest(wave))
        (_, expected), *_ = Squares().encode([found], ("1",))
        np.testing.assert_array_equal(store.read(utterance.id)[0], expected.numpy())
    np.testing.assert_array_equal(store.read("u7"), store.read("u8"))
    for after in (0, 1, 2):
        folder = tmp_path / f"cut{after}"
        for encoder in (InCompany(stop_after=after), InCompany()):
            fill(corpus, folder, ready, encoder)
        assert_equal(stores.open(folder), fill(corpus, tmp_path / "company", ready, InCompany()))


def test_variants_and_seeds_differ_and_are_stores_of_their_own(corpus: Corpus) -> None:
    texts = [f"noise:snr=5+seed:{s}+variant:{v}" for s in (0, 1) for v in (0, 1)]
    waves = [ready_for(corpus, text).applied(WAVE, RATE, "a") for text in texts]
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(waves, 2))
    specs = [extraction.feature_spec(Squares(), corpus, augmented=ready_for(corpus, t)) for t in texts]
    plain = extraction.feature_spec(Squares(), corpus)
    assert len({spec.digest for spec in (*specs, plain)}) == 5
    assert "augment" not in plain.to_json()
    assert not plain.is_held_by(specs[0])
    assert FeatureSpec.from_json(specs[3].to_json()).digest == specs[3].digest
    assert specs[3].sound == "none; noise:white:snr=5, seed 1, variant 1"
    with pytest.raises(StoreError, match="not at hand"):
        extraction.make_plan(Squares(), corpus.utterances, specs[0], Path("nowhere"))


def test_a_folder_of_noise_counts_by_what_it_holds(tmp_path: Path) -> None:
    """Names and places move nothing; another recording does. Silent stretches are passed over."""
    specs, waves = [], []
    for name, seeds in (("one", (1, 2)), ("two", (2, 1)), ("three", (1, 3))):
        (tmp_path / name / "deep").mkdir(parents=True)
        for k, seed in enumerate(seeds):
            tone(tmp_path / name / "deep" / f"{k}.wav", 0.4 + 0.5 * (seed == 2), seed=seed)
        soundfile.write(tmp_path / name / "silent.wav", np.zeros(1600), 16000)
        ready = of(f"noise:{tmp_path / name}:snr=0")
        specs.append(ready.spec)
        waves.append([ready.applied(WAVE, RATE, str(k)) for k in range(8)])
    assert specs[0] == specs[1] != specs[2]
    np.testing.assert_array_equal(waves[0], waves[1])
    assert str(tmp_path) not in specs[0]["steps"]
    assert augment.text_of(specs[0]) is None
    (tmp_path / "empty").mkdir()
    for text in (f"noise:{tmp_path / 'empty'}:snr=0", "noise:brown:snr=0", f"reverb:{tmp_path / 'none'}"):
        with pytest.raises(SettingsError, match="recordings"):
            of(text)
    assert augment.written(specs[0]) == "noise:FOLDER:snr=0"


def test_a_silent_recording_is_passed_over_and_no_other_is_refused(tmp_path: Path) -> None:
    """Also of rooms, where a silent response would leave the recording as it was."""
    soundfile.write(tmp_path / "silent.wav", np.zeros(400), RATE)
    for text in (f"noise:{tmp_path}:snr=0", f"reverb:{tmp_path}"):
        with pytest.raises(SettingsError, match="are silent"):
            of(text)
    soundfile.write(tmp_path / "room.wav", np.exp(-np.arange(400) / 50), RATE)
    ready = of(f"reverb:{tmp_path}")
    found = [ready.applied(WAVE, RATE, str(k)) for k in range(8)]
    assert all(np.array_equal(each, found[0]) for each in found)
    assert not np.allclose(found[0], WAVE, atol=1e-3)


@settings(max_examples=5)
@given(st.permutations(range(4)))
def test_the_order_of_what_is_augmented_moves_nothing(order: list[int]) -> None:
    ready = ReadyAugmentation(
        Augmentation(augment.parse("noise:snr=3+reverb:rt60=0.1").steps), AddedRecordings()
    )
    found = {k: ready.applied(WAVE[: 500 + k], RATE, str(k)) for k in order}
    for k in range(4):
        np.testing.assert_array_equal(found[k], ready.applied(WAVE[: 500 + k], RATE, str(k)))
