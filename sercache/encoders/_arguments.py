"""Checks of what an encoder is asked for, the same for every family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from sercache.audio import LOUDEST
from sercache.catalog import unknown
from sercache.errors import AudioError, EncoderError, UnknownNameError

if TYPE_CHECKING:
    import torch

    from sercache.encoders import Encoder

State = TypeVar("State")
PRECISIONS = ("float32", "bfloat16", "float16")


def wanted(on_offer: Sequence[str], states: Sequence[str] | None) -> list[str]:
    """The states asked for in the order of computation; None means all.

    Raises UnknownNameError for a state that is not on offer.
    """
    if states is None:
        return list(on_offer)
    for name in states:
        if name not in on_offer:
            raise UnknownNameError(unknown("state", name, list(on_offer)))
    return [name for name in on_offer if name in states]


def taken(states: Iterable[tuple[str, State]], chosen: Sequence[str]) -> Iterator[tuple[str, State]]:
    """Those of ``states`` that are ``chosen``, as they are computed; none is computed after the last of them."""
    for name, x in states:
        if name in chosen:
            yield name, x
        if name == chosen[-1]:
            return


def states_above(
    names: Sequence[str], boundaries: Sequence[str], boundary: str, states: Sequence[str]
) -> tuple[str, ...]:
    """States to compute in training from ``boundary``: those above it, up to the last of ``states``.

    ``names`` are all states in the order of computation. Raises UnknownNameError for a boundary that is not
    among ``boundaries`` and for a state that does not lie above it.
    """
    if boundary not in boundaries:
        raise UnknownNameError(unknown("state to fine-tune from", boundary, list(boundaries)))
    above = names[names.index(boundary) + 1 :]
    for state in states:
        if state not in above:
            raise UnknownNameError(
                f"state {state} does not lie above {boundary}, from which the encoder is trained; choose "
                f"among {', '.join(above)}"
            )
    return tuple(above[: 1 + max(above.index(state) for state in states)])


def asked(encoder: Encoder, waves: Sequence[np.ndarray], states: Sequence[str] | None) -> list[str]:
    """The states that ``encode`` is to give of ``waves``, in the order of computation; none where there are no waves.

    Raises UnknownNameError for a state that is not on offer, AudioError as ``_check_waves``.
    """
    chosen = wanted(encoder.states, states)
    _check_waves(waves, encoder.name, encoder.sample_rate, encoder.min_samples, encoder.max_samples)
    return chosen if waves else []


def _check_waves(
    waves: Sequence[np.ndarray], name: str, rate: int, shortest: int, longest: int | None
) -> None:
    """Raise AudioError for a wave that is not (N,), whose length (samples) the encoder does not take, or whose
    values would leave float32 where they are squared and summed.
    """
    for number, wave in enumerate(waves):
        if wave.ndim != 1:
            raise AudioError(f"wave {number} has shape {wave.shape}, {name} takes (N,) mono at {rate} Hz")
        if len(wave) < shortest:
            raise AudioError(
                f"wave {number} has {len(wave)} samples, {name} needs {shortest} ({shortest / rate:.3f} s)"
            )
        peak = max(float(wave.max()), -float(wave.min())) if len(wave) else 0.0
        if not peak <= LOUDEST:
            raise AudioError(f"wave {number} reaches {peak:.3g}, {name} takes finite samples of full scale 1")
        if longest is not None and len(wave) > longest:
            raise AudioError(
                f"wave {number} lasts {len(wave) / rate:.1f} s, {name} takes {longest / rate:g} s; cut it with "
                f"--clip split:{longest / rate:g}"
            )


def placement(device: str, precision: str) -> tuple[torch.device, torch.dtype]:
    """Device and dtype by name. Raises EncoderError for one that does not exist on this machine."""
    import torch

    if precision not in PRECISIONS:
        raise EncoderError(unknown("precision", precision, PRECISIONS))
    try:
        place = torch.device(device)
        if place.type not in ("cpu", "cuda"):
            raise EncoderError(f"encoders run on cpu or cuda, got --device {device}")
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        reason = str(fault).splitlines()[0]
        raise EncoderError(f"device {device!r} cannot be used ({reason}); use --device cpu") from fault
    return place, getattr(torch, precision)
