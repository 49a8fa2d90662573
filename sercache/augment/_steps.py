"""What each step does to a wave (N,) float32: samples in, samples out, a function of its arguments alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from blake3 import blake3

from sercache import audio
from sercache.augment._grammar import Augmentation, Step
from sercache.augment._material import AddedRecordings, babble_waves
from sercache.errors import AudioError

VERSION = 1
"""Of what the steps compute. Raise it with any change that moves a bit of what comes out."""
ACTIVE_DB = 30.0
"""A frame is active where its power is no further than this below that of the loudest."""
VOICES = 5
"""Utterances that speak at once in babble."""
_FRAME = 0.02
"""Seconds of a frame over which power is taken."""
_TELEPHONE = (300.0, 3400.0)
"""Hz that a telephone carries (ITU-T G.712)."""
_NARROW = 8000
"""Hz: the rate of a telephone and of its codecs."""
_TRIES = 20
_FORMATS = {
    "mulaw": ("WAV", "ULAW"),
    "alaw": ("WAV", "ALAW"),
    "gsm": ("WAV", "GSM610"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "vorbis": ("OGG", "VORBIS"),
}
_RATES = {"opus": (16000, 24000, 48000), "mp3": (16000, 22050, 24000, 32000, 44100, 48000)}
"""Hz that these codecs take; others take any, or ``_NARROW`` alone."""


def length(n_samples: int, augmentation: Augmentation) -> int:
    """Samples that come out of ``n_samples``: a speed of 0.9 gives one in 0.9 as many."""
    for step in augmentation.steps:
        if step.kind == "speed":
            n_samples = max(1, round(n_samples / step["factor"]))
    return n_samples


def applied(
    wave: np.ndarray, rate: int, augmentation: Augmentation, material: AddedRecordings, digest: str
) -> np.ndarray:
    """The augmented wave (N',) float32 of ``wave`` (N,) at ``rate`` Hz, whose own ``digest`` decides what is drawn.

    Raises AudioError where a recording that is mixed in cannot be read or is silent.
    """
    for number, step in enumerate(augmentation.steps):
        key = f"{VERSION} {augmentation.seed} {augmentation.variant} {number} {digest}"
        # The stream of RandomState is frozen by numpy, that of a Generator is not.
        words = np.frombuffer(blake3(key.encode()).digest(), "<u4")
        drawn = np.random.RandomState(words)
        wave = _done(wave.astype(np.float64), rate, step, material, digest, drawn).astype(np.float32)
    return wave


def active_power(wave: np.ndarray, rate: int) -> float:
    """Mean power of the frames of 20 ms that are at most ``ACTIVE_DB`` below the loudest: pauses do not count."""
    size = max(1, round(_FRAME * rate))
    whole = wave[: max(1, len(wave) // size) * size].astype(np.float64)
    power = (whole.reshape(-1, min(size, len(whole))) ** 2).mean(1)
    return float(power[power >= power.max() * 10 ** (-ACTIVE_DB / 10)].mean())


def _done(
    wave: np.ndarray,
    rate: int,
    step: Step,
    material: AddedRecordings,
    digest: str,
    drawn: np.random.RandomState,
) -> np.ndarray:
    if step.kind == "noise":
        noise = _noise(len(wave), rate, step, material, digest, drawn)
        wanted = active_power(wave, rate) / 10 ** (step["snr"] / 10)
        return wave + noise * np.sqrt(wanted / np.mean(noise**2))
    if step.kind == "reverb":
        return _reverberated(wave, rate, step, material, drawn)
    if step.kind == "speed":
        return _fitted(
            _resampled(wave, rate * step["factor"], rate), max(1, round(len(wave) / step["factor"]))
        )
    if step.kind == "codec":
        return _coded(wave, rate, step)
    if step.kind == "telephone":
        return _at_rate(wave, rate, _NARROW, _band_passed)
    if step.kind == "gain":
        return wave * 10 ** (step["db"] / 20)
    limit = np.abs(wave).max() * 10 ** (-step["db"] / 20)
    return np.clip(wave, -limit, limit)


def _noise(
    n: int, rate: int, step: Step, material: AddedRecordings, digest: str, drawn: np.random.RandomState
) -> np.ndarray:
    """Noise (N,) of any power but none."""
    if step.what == "white":
        return drawn.standard_normal(n)
    if step.what == "pink":
        spectrum = np.fft.rfft(drawn.standard_normal(max(2, n)))
        spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
        spectrum[0] = 0
        return np.fft.irfft(spectrum, max(2, n))[:n]
    if step.what == "babble":
        others = [each for own, each in babble_waves(material.babble, rate) if own != digest]
        chosen = drawn.permutation(len(others))[:VOICES]
        voices = [_turned(others[k].astype(np.float64), n, drawn) for k in chosen]
        return np.sum([each / np.sqrt(np.mean(each**2)) for each in voices if np.any(each)], axis=0)
    return _heard(step, material, drawn, lambda path: _stretch(path, n, rate, drawn))


def _heard(
    step: Step,
    material: AddedRecordings,
    drawn: np.random.RandomState,
    read: Callable[[Path], np.ndarray],
) -> np.ndarray:
    """What is read of a recording of the step's folder that is drawn, again where it is silent. Raises AudioError."""
    files = material.folders[str(step.folder)]
    for _ in range(_TRIES):
        found = read(files[drawn.randint(len(files))])
        if np.any(found):
            return found
    raise AudioError(
        f"{step.folder}: {_TRIES} stretches of its recordings are silent; leave silent recordings out"
    )


def _turned(wave: np.ndarray, n: int, drawn: np.random.RandomState) -> np.ndarray:
    """``n`` samples of a wave that is played again and again, from a place that is drawn."""
    return np.resize(np.roll(wave, -drawn.randint(len(wave))), n)


def _stretch(path: Path, n: int, rate: int, drawn: np.random.RandomState) -> np.ndarray:
    """``n`` samples of a recording from a place that is drawn, played again where it is shorter."""
    info = audio.probe(path)
    seconds, share = info.n_samples / info.rate, drawn.random_sample()
    if seconds <= n / rate:
        return _turned(_read(path, rate, None, None), n, drawn)
    start = share * (seconds - n / rate)
    end = min(seconds, start + n / rate + 2 / info.rate)
    return np.resize(_read(path, rate, start, end), n)


def _read(path: Path, rate: int, start: float | None, end: float | None) -> np.ndarray:
    try:
        return audio.read(path, rate, start, end).astype(np.float64)
    except AudioError as fault:
        if fault.kind != "silent":
            raise
        return np.zeros(1)


def _reverberated(
    wave: np.ndarray, rate: int, step: Step, material: AddedRecordings, drawn: np.random.RandomState
) -> np.ndarray:
    """The wave in a room, as long and as loud as before; the direct sound is not delayed."""
    if step.folder is None:
        response = _decaying(rate, step["rt60"], step["drr"], drawn)
    else:
        response = _heard(step, material, drawn, lambda path: _read(path, rate, None, None))
        response = response[np.abs(response).argmax() :]
    size = len(wave) + len(response) - 1
    found = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(response, size), size)[: len(wave)]
    power = np.mean(found**2)
    return found * np.sqrt(np.mean(wave**2) / power) if power > 0 else wave


def _decaying(rate: int, rt60: float, drr: float, drawn: np.random.RandomState) -> np.ndarray:
    """An impulse, and Gaussian noise behind it that loses 60 dB in ``rt60`` seconds (Polack's model of a room).

    ``drr``: energy of the impulse over that of the noise, dB.
    """
    n = max(2, round(rt60 * rate))
    tail = drawn.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail[0] = 0
    tail *= np.sqrt(10 ** (-drr / 10) / np.sum(tail**2))
    tail[0] = 1
    return tail


def _coded(wave: np.ndarray, rate: int, step: Step) -> np.ndarray:
    """The wave after an encoder and a decoder of libsndfile."""
    import soundfile

    container, subtype = _FORMATS[step.what]
    more = {"compression_level": step["level"]} if step.values else {}

    def through(samples: np.ndarray, own: int) -> np.ndarray:
        coded = io.BytesIO()
        try:
            with soundfile.SoundFile(
                coded, "w", samplerate=own, channels=1, format=container, subtype=subtype, **more
            ) as file:
                file.write(samples.astype(np.float32))
            coded.seek(0)
            return np.asarray(soundfile.read(coded, dtype="float64")[0])
        except (soundfile.LibsndfileError, TypeError, ValueError) as fault:
            raise AudioError(
                f"libsndfile {soundfile.__libsndfile_version__} has no codec {step}: {fault}"
            ) from fault

    narrow = step.what in ("mulaw", "alaw", "gsm")
    rates = (_NARROW,) if narrow else _RATES.get(step.what, (rate,))
    own = next((each for each in rates if each >= rate), rates[-1])
    return _at_rate(wave, rate, own, through)


def _band_passed(wave: np.ndarray, rate: int) -> np.ndarray:
    """The wave without what lies outside the band of a telephone."""
    from scipy.signal import butter, sosfiltfilt

    if len(wave) < 64:  # the filter's own edges are longer
        return wave
    sections = butter(4, _TELEPHONE, "bandpass", fs=rate, output="sos")
    return np.asarray(sosfiltfilt(sections, wave, padlen=min(27, len(wave) - 1)))


def _at_rate(
    wave: np.ndarray, rate: int, own: int, act: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """What ``act`` makes of the wave at ``own`` Hz, back at ``rate`` Hz and as long as before."""
    return _fitted(_resampled(act(_resampled(wave, rate, own), own), own, rate), len(wave))


def _resampled(wave: np.ndarray, rate: float, wanted: float) -> np.ndarray:
    if rate == wanted:
        return wave
    import soxr

    return np.asarray(soxr.resample(wave, rate, wanted, quality=audio.RESAMPLER.rpartition(" ")[2]))


def _fitted(wave: np.ndarray, n: int) -> np.ndarray:
    """``n`` samples: cut, or with silence behind."""
    return np.pad(wave, (0, max(0, n - len(wave))))[:n]
