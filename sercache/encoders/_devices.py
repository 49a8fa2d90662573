"""Which families compute on a graphics card what they compute on the CPU; of all others the device decides the bytes.

The one list of what was shown. A family that is not on it has the device in its identity, so that features of the two
never continue one another; stores of the CPU are called as they always were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sercache.errors import SettingsError

BOUND = 2e-5
"""Largest difference of a state between two devices that counts as rounding, relative to the state's RMS."""


@dataclass(frozen=True, slots=True)
class ShownEqual:
    """A family whose float32 was compared with the CPU's on a card, at the sizes that are published."""

    family: str
    card: str
    """Its name as the driver gives it, with the versions of torch and transformers."""
    error: float
    """Largest difference of a state, relative to its RMS: below BOUND."""


_H100 = "NVIDIA H100 80GB HBM3, torch 2.11.0+cu130, transformers 5.17.0"
SHOWN: tuple[ShownEqual, ...] = (
    ShownEqual("kaldi-fbank", _H100, 8.7e-06),
    ShownEqual("logmel", _H100, 9.9e-07),
    ShownEqual("mfcc", _H100, 2.4e-06),
    ShownEqual("spectrogram", _H100, 2.0e-06),
)
"""Those without weights. Random weights kept to BOUND in others too, but Whisper's trained ones did not: frames of many
times the RMS have their rounding (docs/decisions/0045).
"""


def with_device(identity: Mapping[str, Any], device: str) -> dict[str, Any]:
    """An identity of what was computed on ``device`` (``cuda:1``), which is named where it may change the numbers."""
    kind = device.partition(":")[0]
    same = "precision" not in identity and any(each.family == identity["family"] for each in SHOWN)
    return dict(identity) if kind == "cpu" or same else {**identity, "device": kind}


def on_devices(identity: Mapping[str, Any], devices: Sequence[str]) -> dict[str, Any]:
    """``with_device`` of several at once, for an identity of the CPU. Raises SettingsError where they differ."""
    found = {
        str(record.get("device", "cpu")): record for record in (with_device(identity, d) for d in devices)
    }
    if len(found) > 1:
        raise SettingsError(
            f"--devices names {' and '.join(sorted(found))}, and {identity['family']} is not shown to give equal "
            "features on both; name devices of one kind"
        )
    return next(iter(found.values()))


def without_device(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity of the same weights and settings on any device."""
    return {name: value for name, value in identity.items() if name != "device"}


def device_kind(identity: Mapping[str, Any]) -> str:
    """Kind of device that a store with this identity is continued on, as ``--device`` takes it."""
    return str(identity.get("device", "cpu"))
