"""How far an extraction has come, in hours of audio or in word pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sercache.extraction import Piece, Plan
from sercache.progress import bar
from sercache.stores import FeatureSpec
from sercache.units import duration

_BAR = "{desc}: {percentage:3.0f}% |{bar}| {n:.3f}/{total:.3f} h [{elapsed}<{remaining}{postfix}]"
_BAR_OF_TEXT = (
    "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} word pieces [{elapsed}<{remaining}{postfix}]"
)


def entries_bar(plan: Plan) -> tuple[Any, Callable[[Piece], None]]:
    """A bar over what the plan leaves to do, to be closed, and what moves it on by a piece."""
    spec = plan.spec
    unit = 1 if spec.is_text else 3600
    hours = bar(
        total=round(plan.seconds / unit, 4),
        desc="text" if spec.is_text else "audio",
        bar_format=_BAR_OF_TEXT if spec.is_text else _BAR,
    )

    def advance(piece: Piece) -> None:
        hours.update(piece.n_samples / spec.sample_rate / unit)
        elapsed = hours.format_dict["elapsed"]
        if elapsed:
            hours.set_postfix_str(pace(spec, hours.n * unit / elapsed), refresh=False)

    return hours, advance


def amount(spec: FeatureSpec, seconds: float) -> str:
    """How much there is to encode: an encoder of text counts a word piece as a second."""
    return f"{seconds:.0f} word pieces of text" if spec.is_text else f"{duration(seconds)} of audio"


def pace(spec: FeatureSpec, speed: float) -> str:
    """How fast, from seconds of audio, or word pieces, per second."""
    return f"{speed:.0f} word pieces/s" if spec.is_text else f"{speed:.1f} x real time"
