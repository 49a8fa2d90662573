"""What makes the log-mel spectra of Whisper, and of towers that were made of it, for a checkpoint."""

from __future__ import annotations

from typing import Any

from sercache.encoders._checkpoint import Checkpoint, preprocessor
from sercache.errors import EncoderError

_SETTINGS = {"sampling_rate": 16_000, "n_fft": 400, "hop_length": 160}
"""Hz and samples; of every published checkpoint, and the defaults of WhisperFeatureExtractor."""


def read(checkpoint: Checkpoint, usual_mels: int) -> dict[str, Any]:
    """Settings of its feature extractor; ``usual_mels``: bands where config.json names none. Raises EncoderError."""
    settings = preprocessor(checkpoint)
    n_mels = int(checkpoint.used.get("num_mel_bins", usual_mels))
    if settings.get("feature_size", n_mels) != n_mels:
        raise EncoderError(
            f"{checkpoint.folder}: preprocessor_config.json makes {settings['feature_size']} mel bins, config.json "
            f"takes {n_mels}; get both files of one checkpoint"
        )
    return {
        **{name: int(settings.get(name, usual)) for name, usual in _SETTINGS.items()},
        "n_mels": n_mels,
        "from": "checkpoint" if settings else "defaults of WhisperFeatureExtractor, the checkpoint has none",
    }
