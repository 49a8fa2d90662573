"""eGeMAPSv02 (Eyben et al., 2016) through openSMILE: descriptors over time, or functionals of a recording.

``egemaps``: the 25 low-level descriptors every 10 ms; N samples at 16 kHz give N // 160 - 4 frames, as
openSMILE's longest window is 60 ms. ``egemaps-20ms``: their means over pairs of frames, 20 ms, as Pepino et
al. (2021) put them beside wav2vec 2.0; an odd last frame is dropped. ``egemaps-functionals``: the 88
functionals, one frame per recording. openSMILE is an optional package under its own licence. No weights:
its version and settings are the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sercache.encoders import Encoder, _computed
from sercache.encoders._computed import Feature
from sercache.errors import EncoderError, MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor

SHORT_NAMES = {
    "egemaps": "eGeMAPSv02 low-level descriptors by openSMILE, no weights",
    "egemaps-20ms": "eGeMAPSv02 low-level descriptors by openSMILE, averaged to 20 ms, no weights",
    "egemaps-functionals": "eGeMAPSv02 functionals by openSMILE, one frame per recording, no weights",
}
MODEL_TYPES: tuple[str, ...] = ()
LICENCE = (
    "openSMILE's licence covers the features made with it too: research and private use are free, "
    "commercial products are not (https://github.com/audeering/opensmile-python, file LICENSE)"
)

_RATE = 16_000
_HIGHEST = 32767 / 32768
"""Largest sample of 16 bits."""
_HOP = 160
_SHORTEST = 960
"""Samples: openSMILE's longest window."""
_ONE_FRAME = _RATE
"""Hop of the functionals, which have one frame however long the recording is: once a second, nominally."""


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder. Raises MissingExtraError without openSMILE, EncoderError for options it does not have."""
    if precision != "float32" or device != "cpu":
        raise EncoderError(f"{source} runs in float32 on the CPU, got --device {device} in {precision}")
    feature = _feature(source)
    record = _computed.computed_identity(feature, revision)
    return _computed.Computed(feature, record, _describer(feature))


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity: feature set, level and version. Raises MissingExtraError, and EncoderError for a revision."""
    return _computed.computed_identity(_feature(source), revision)


def feature_names(name: str) -> tuple[str, ...]:
    """Names of the D features of a short name, as openSMILE gives them. Raises MissingExtraError."""
    return tuple(_smile(_feature(name)).feature_names)


def _feature(name: str) -> Feature:
    parameters = {
        "feature_set": "eGeMAPSv02",
        "level": "LowLevelDescriptors",
        "opensmile": _opensmile().__version__,
        "beyond_full_scale": "clipped",
    }
    if name == "egemaps":
        return Feature("egemaps", name, "lld", 25, _HOP, _SHORTEST, _frames, parameters)
    if name == "egemaps-20ms":
        pairs = parameters | {"average": "pairs of frames, an odd last one dropped"}
        return Feature("egemaps", name, "lld", 25, 2 * _HOP, _SHORTEST, _pairs, pairs)
    whole = parameters | {"level": "Functionals"}
    return Feature("egemaps", name, "functionals", 88, _ONE_FRAME, _SHORTEST, lambda n: 1, whole)


def _frames(n_samples: int) -> int:
    return max(n_samples // _HOP - 4, 0)


def _pairs(n_samples: int) -> int:
    return _frames(n_samples) // 2


def _describer(feature: Feature) -> Callable[[np.ndarray], Tensor]:
    """What turns a wave (N,) into (T, D)."""
    import torch

    smile = _smile(feature)
    averaged = "average" in feature.parameters

    def describe(wave: np.ndarray) -> Tensor:
        # openSMILE casts to 16 bits, where a sample of 1.0 would become -1.0: resampling and lossy coders go there.
        wave = np.clip(wave, -1, _HIGHEST)
        values = smile.process_signal(wave, _RATE).to_numpy(dtype=np.float32)  # (T, D)
        if averaged:
            values = values[: len(values) // 2 * 2].reshape(-1, 2, feature.dim).mean(axis=1)
        expected = (feature.n_frames(len(wave)), feature.dim)
        if values.shape != expected:
            raise EncoderError(
                f"openSMILE gave {len(values)} frames of {values.shape[1]} for {len(wave)} samples, expected "
                f"{expected[0]} of {expected[1]}; use the version of the extra: pip install 'sercache[opensmile]'"
            )
        return torch.tensor(values)

    return describe


def _smile(feature: Feature) -> Any:
    opensmile = _opensmile()
    return opensmile.Smile(
        feature_set=getattr(opensmile.FeatureSet, feature.parameters["feature_set"]),
        feature_level=getattr(opensmile.FeatureLevel, feature.parameters["level"]),
    )


def _opensmile() -> Any:
    try:
        import opensmile
    except ImportError as fault:
        raise MissingExtraError(
            f"egemaps needs openSMILE ({fault}); pip install 'sercache[opensmile]'"
        ) from fault
    return opensmile
