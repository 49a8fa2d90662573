"""Where in a recording somebody speaks: by a detector of speech, or by how loud it is."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np

from sercache import audio
from sercache.clips import ClipRule
from sercache.errors import MissingExtraError

_FRAME = 0.02
"""Seconds of a frame whose power is taken."""
_RATE = 16000
"""Hz that the detector takes."""
_loading = threading.Lock()
_own = threading.local()


def detector(rule: ClipRule) -> str:
    """What a FeatureSpec says of the detector of a rule: its name, version and weights; empty where it asks none.

    Raises MissingExtraError.
    """
    return _called() if rule.edges == "vad" else ""


def span(wave: np.ndarray, rate: int, rule: ClipRule) -> tuple[int, int] | None:
    """First sample of the speech of a wave (N,) at ``rate`` Hz and the one after its last; None where none is found."""
    if rule.edges == "silence":
        return _loud(wave, rate, rule.decibels)
    return _spoken(wave, rate)


def _loud(wave: np.ndarray, rate: int, decibels: float) -> tuple[int, int]:
    """From the first to the last frame whose power is at most so far below that of the loudest."""
    size = max(1, round(_FRAME * rate))
    starts = np.arange(0, len(wave), size)
    ends = np.minimum(starts + size, len(wave))
    power = np.add.reduceat(wave.astype(np.float64) ** 2, starts) / (ends - starts)
    active = np.flatnonzero(power >= power.max() * 10 ** (-decibels / 10))
    return int(starts[active[0]]), int(ends[active[-1]])


def _spoken(wave: np.ndarray, rate: int) -> tuple[int, int] | None:
    """From the begin of the first to the end of the last stretch that the detector calls speech."""
    import torch

    silero_vad = _silero()
    heard = wave
    if rate != _RATE:
        import soxr

        heard = soxr.resample(wave, rate, _RATE, quality=audio.RESAMPLER.rpartition(" ")[2])
    if not hasattr(_own, "model"):  # it keeps a state while it listens, so each thread has its own
        _own.model = silero_vad.load_silero_vad()
    # The optimised form of its graph rounds otherwise after the first calls than in them.
    with torch.inference_mode(), torch.jit.optimized_execution(False):
        found = silero_vad.get_speech_timestamps(torch.from_numpy(heard), _own.model, sampling_rate=_RATE)
    if not found:
        return None
    scale = rate / _RATE
    return round(found[0]["start"] * scale), min(len(wave), round(found[-1]["end"] * scale))


@cache
def _called() -> str:
    import hashlib
    from importlib.metadata import version
    from importlib.resources import files

    _silero()
    weights = files("silero_vad.data").joinpath("silero_vad.jit").read_bytes()
    return f"silero-vad {version('silero-vad')} ({hashlib.sha256(weights).hexdigest()[:16]})"


def _silero() -> Any:
    """The package of the detector. Raises MissingExtraError."""
    import torch

    with _loading:
        n_threads = torch.get_num_threads()
        try:
            import silero_vad
        except ImportError as fault:
            raise MissingExtraError(
                "the clip rule vad needs silero-vad, which is not installed; run: pip install 'sercache[vad]', or take "
                "silence:40"
            ) from fault
        finally:
            torch.set_num_threads(n_threads)  # which importing it sets to one
    return silero_vad
