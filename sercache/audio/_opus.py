"""Waves as small files that browsers play."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from sercache.errors import AudioError

OPUS_RATE = 16000
"""Hz of what is encoded: Opus takes 8, 12, 16, 24 and 48 kHz, and speech corpora are heard whole at this one."""


def opus(wave: np.ndarray) -> bytes:
    """Samples (N,) at OPUS_RATE as Opus in Ogg, about 4 kB for each second of speech.

    Raises AudioError where this libsndfile cannot write it.
    """
    import soundfile

    # A file, no BytesIO: what is raised while C calls back into Python, as by a signal to stop, would be lost.
    with tempfile.TemporaryDirectory(prefix="sercache-") as folder:
        path = Path(folder) / "clip.opus"
        try:
            soundfile.write(path, wave, OPUS_RATE, format="OGG", subtype="OPUS")
        except (soundfile.LibsndfileError, ValueError) as fault:
            raise AudioError(
                f"this libsndfile writes no Opus: {fault}; a newer soundfile brings one that does"
            ) from fault
        return path.read_bytes()
