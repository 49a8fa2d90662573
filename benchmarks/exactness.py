"""How far the features that a device gives are from the CPU's, and which families may be entered as equal."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from published_sizes import CASES, inputs, write

from sercache import encoders
from sercache.encoders import Encoder

BOUND = 2e-5
"""Largest difference of a state that counts as rounding, relative to its RMS (sercache/encoders/_devices.py)."""


def each_alone(encoder: Encoder, waves: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
    """Every state (F, D) of waves that were encoded one at a time, on the CPU."""
    found = [_on_cpu(encoder.encode([wave])) for wave in waves]
    return {state: torch.cat([each[state] for each in found]) for state in found[0]}


def together(encoder: Encoder, waves: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
    """Every state (F, D) of waves that were encoded in one call, on the CPU."""
    return _on_cpu(encoder.encode(waves))


def _on_cpu(states: Iterator[tuple[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: x.detach().to("cpu", copy=True) for name, x in states}


def largest(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> tuple[float, str]:
    """The largest difference of any state, relative to the state's RMS; and that state."""
    if list(found) != list(expected):
        raise ValueError(f"states {list(found)}, expected {list(expected)}")
    apart = {
        state: float((found[state].double() - x.double()).abs().max() / x.double().square().mean().sqrt())
        for state, x in expected.items()
    }
    worst = max(apart, key=lambda state: apart[state] if apart[state] == apart[state] else float("inf"))
    return apart[worst], worst


@dataclass(frozen=True)
class Apart:
    """How far a device is from the CPU, in float32, relative to the RMS of a state."""

    name: str
    alone: float
    together: float
    state: str
    """Where most."""

    @property
    def error(self) -> float:
        """The larger of the two; a number that is none counts as infinite."""
        both = (self.alone, self.together)
        return max(each if each == each else float("inf") for each in both)

    @property
    def is_exact(self) -> bool:
        return self.error <= BOUND


@dataclass(frozen=True)
class Reference:
    """What the CPU gives of an encoder's waves, each alone."""

    waves: Sequence[np.ndarray]
    states: Mapping[str, torch.Tensor]


@functools.lru_cache(maxsize=2)
def reference(source: str) -> Reference:
    """In float32; the last ones are kept, for types that are compared one after another."""
    encoder = encoders.load(source)
    waves = inputs(encoder)
    return Reference(waves, each_alone(encoder, waves))


def compared(name: str, folder: Path, device: str, *, small: bool = False) -> Apart:
    """A case on ``device``, its waves alone and together, against each alone on the CPU."""
    source = write(name, folder, small=small)
    known, encoder = reference(source), encoders.load(source, device=device)
    alone, alone_at = largest(each_alone(encoder, known.waves), known.states)
    company, company_at = largest(together(encoder, known.waves), known.states)
    return Apart(name, alone, company, company_at if company >= alone else alone_at)


def to_enter(found: Sequence[Apart], card: str) -> list[str]:
    """Lines for ``SHOWN`` in sercache/encoders/_devices.py: families of which every case is there and exact.

    A family that tries checkpoints of any kind is none of them: what was shown of some kinds says nothing of others.
    """
    known = encoders.families()
    lines = []
    for family in sorted({case.family for case in CASES.values()}):
        if isinstance(known[family], encoders.Tries):
            continue
        names = {name for name, case in CASES.items() if case.family == family}
        own = [each for each in found if each.name in names]
        if {each.name for each in own} == names and all(each.is_exact for each in own):
            lines.append(f"ShownEqual({family!r}, {card!r}, {max(each.error for each in own):.1e}),")
    return [line.replace("'", '"') for line in lines]


def card_of(device: str) -> str:
    """What ``ShownEqual`` has of a card: its name, and the versions that computed."""
    named = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return f"{named}, torch {torch.__version__}, transformers {transformers.__version__}"


def of_family(names: Sequence[str], folder: Path, device: str, *, small: bool, found: list[Apart]) -> str:
    """What comes of some cases of a family, in words; each is added to ``found``, and its checkpoint removed."""
    own = []
    for name in names:
        own.append(compared(name, folder, device, small=small))
        found.append(own[-1])
        shutil.rmtree(folder / name, ignore_errors=True)
    n_cases = sum(case.family == CASES[names[0]].family for case in CASES.values())
    worst = max(own, key=lambda each: each.error)
    said = f"{worst.error:.1e} at most ({worst.name}, {worst.state}), {len(own)} of {n_cases} cases"
    return said if worst.is_exact else f"not exact: {said}"
