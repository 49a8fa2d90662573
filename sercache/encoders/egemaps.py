"""The 25 low-level descriptors of eGeMAPSv02 (Eyben et al., 2016), 10 ms frames, through openSMILE.

openSMILE is an optional package under its own licence. No weights: its version and settings are the
identity. N samples at 16 kHz give N // 160 - 4 frames, as openSMILE's longest window is 60 ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sercache.audio import RESAMPLER
from sercache.encoders import Encoder
from sercache.encoders._arguments import check_waves, wanted
from sercache.errors import EncoderError, MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor

SHORT_NAMES = {"egemaps": "eGeMAPSv02 low-level descriptors by openSMILE, no weights"}
MODEL_TYPES: tuple[str, ...] = ()
LICENCE = (
    "openSMILE's licence covers the features made with it too: research and private use are free, "
    "commercial products are not (https://github.com/audeering/opensmile-python, file LICENSE)"
)

_STATE = "lld"


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder. Raises MissingExtraError without openSMILE, EncoderError for options it does not have."""
    if precision != "float32" or device != "cpu":
        raise EncoderError(f"egemaps runs in float32 on the CPU, got --device {device} in {precision}")
    return EGeMAPS(identify(source, revision=revision))


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity: feature set, level and version. Raises MissingExtraError, and EncoderError for a revision."""
    if revision is not None:
        raise EncoderError(f"egemaps has no weights and so no --revision, got {revision}")
    return {
        "family": "egemaps",
        "source": "no weights",
        "revision": None,
        "weights_sha256": None,
        "parameters": {
            "feature_set": "eGeMAPSv02",
            "level": "LowLevelDescriptors",
            "opensmile": _opensmile().__version__,
        },
        "resampler": RESAMPLER,
    }


class EGeMAPS:
    """eGeMAPS descriptors as an Encoder with the one state ``lld`` (T, 25)."""

    max_samples: int | None = None

    def __init__(self, identity: Mapping[str, Any]) -> None:
        opensmile = _opensmile()
        self.name = "egemaps"
        self.identity = identity
        self.sample_rate = 16_000
        self.hop = 160
        self.min_samples = 960
        self._smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet.eGeMAPSv02,
            feature_level=opensmile.FeatureLevel.LowLevelDescriptors,
        )
        self.states: tuple[str, ...] = (_STATE,)
        self.dims: Mapping[str, int] = {_STATE: len(self._smile.feature_names)}
        self.pack_frames = 100_000

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the D descriptors, as openSMILE gives them."""
        return tuple(self._smile.feature_names)

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        return max(n_samples // self.hop - 4, 0)

    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """("lld", (F, 25)), once. Raises UnknownNameError, and AudioError for less than 60 ms."""
        import torch

        chosen = wanted(self.states, states)
        check_waves(waves, self.name, self.sample_rate, self.min_samples, None)
        if not waves or not chosen:
            return iter(())
        return iter([(_STATE, torch.from_numpy(np.concatenate([self._describe(wave) for wave in waves])))])

    def _describe(self, wave: np.ndarray) -> np.ndarray:
        """(T, 25) float32."""
        table = self._smile.process_signal(np.asarray(wave, dtype=np.float32), self.sample_rate)
        values = table.to_numpy(dtype=np.float32)
        expected = self.n_frames(len(wave))
        if len(values) != expected:
            raise EncoderError(
                f"openSMILE gave {len(values)} frames for {len(wave)} samples, expected {expected}; "
                "use the version of the extra: pip install 'sercache[opensmile]'"
            )
        return values


def _opensmile() -> Any:
    try:
        import opensmile
    except ImportError as fault:
        raise MissingExtraError(
            f"egemaps needs openSMILE ({fault}); pip install 'sercache[opensmile]'"
        ) from fault
    return opensmile
