"""A tiny Audio Spectrogram Transformer with a window of 2 s, and what its stock module answers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from encoder_helpers import shake

ROWS, COLUMNS = 5, 39
CONFIG = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_mel_bins": 32,
    "max_length": 200,
    "patch_size": 10,
    "frequency_stride": 5,
    "time_stride": 5,
}


def model(kind: str = "ASTForAudioClassification") -> Any:
    return shake(getattr(transformers, kind)(transformers.ASTConfig(**CONFIG)))


def extractor() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bands so narrow that some hold nothing
        return transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=200)


def save(folder: Path, kind: str = "ASTForAudioClassification") -> Path:
    """A checkpoint folder as the hub has it."""
    model(kind).save_pretrained(folder)
    extractor().save_pretrained(folder)
    return folder


def stock_states(wave: np.ndarray) -> dict[str, torch.Tensor]:
    """(T, D) of every state of one wave, over the whole window."""
    module = model().audio_spectrogram_transformer
    values = extractor()(wave, sampling_rate=16_000, return_tensors="pt")["input_values"]
    with torch.no_grad():
        output = module(values, output_hidden_states=True)
    hidden = output.hidden_states
    states = (
        {"input": hidden[0]} | {str(k): hidden[k] for k in (1, 2, 3)} | {"final": output.last_hidden_state}
    )
    # (D, bands, times), as the convolution laid the patches out
    maps = {name: x[0, 2:].T.reshape(-1, ROWS, COLUMNS) for name, x in states.items()}
    frames = {name: x.mean(1).T for name, x in maps.items()}
    return frames | {"summary": output.pooler_output.expand(COLUMNS, -1)}
