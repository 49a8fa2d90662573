"""An encoder that takes its time, so that tests can interfere: the level of every 10 ms, a tenth of a second a file.

A wave of SERCACHE_TEST_DEADLY samples ends the process, as a fault of native code does, or a kernel short of memory.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from sercache.encoders import Computed, Encoder, Feature, computed_identity, computed_place

if TYPE_CHECKING:
    from torch import Tensor

SHORT_NAMES = {"slow-level": "level every 10 ms, computed slowly, no weights"}
MODEL_TYPES: tuple[str, ...] = ()

_HOP = 160
_FEATURE = Feature(
    family="slow-encoder",
    name="slow-level",
    state="level",
    dim=1,
    hop=_HOP,
    min_samples=_HOP,
    n_frames=lambda n_samples: n_samples // _HOP,
    parameters={"hop": _HOP},
)


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder."""
    computed_place(_FEATURE, device, precision)
    encoder = Computed(_FEATURE, computed_identity(_FEATURE, revision), _level)
    encoder.pack_frames = 1  # a batch for each recording
    return encoder


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity: the parameters."""
    return computed_identity(_FEATURE, revision)


def _level(wave: np.ndarray) -> Tensor:
    import torch

    if os.environ.get("SERCACHE_TEST_DEADLY") == str(len(wave)):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("SERCACHE_TEST_SECONDS", "0.1")))
    frames = torch.tensor(wave)[: len(wave) // _HOP * _HOP].unflatten(0, (-1, _HOP))
    return frames.square().mean(1, keepdim=True)
