"""How far an extraction has come and how fast it goes, in hours of audio or in word pieces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sercache import __version__, paces
from sercache.extraction import Extraction, Piece, Plan
from sercache.progress import bar
from sercache.record import digest_of
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


def kept_speed(cache: Path, spec: FeatureSpec, device: str) -> float | None:
    """Seconds of audio, or word pieces, that were encoded per second for such a store on this machine; None: never."""
    found = paces.read(paces.file_in(cache), ("encoded",)).get(_key(spec, device))
    return found["encoded"] or None if found else None


def keep_speed(cache: Path, spec: FeatureSpec, device: str, done: Extraction) -> None:
    """Remember how fast an extraction was, if it was long enough to tell."""
    if done.n_encoded and done.seconds >= _TELLING:
        about = {"encoder": spec.encoder, "on": paces.machine(device)}
        record = {"encoded": done.audio_seconds / done.seconds, **about}
        paces.write(paces.file_in(cache), _key(spec, device), record)


_TELLING = 5.0
"""Seconds of work: less is mostly setting up."""


def _key(spec: FeatureSpec, device: str) -> str:
    """What the speed of an extraction depends on, in a digest; not its corpus."""
    about = [dict(spec.identity), list(spec.states), spec.frames, spec.dtype, spec.clip]
    return digest_of(["extract", *about, paces.machine(device), __version__])
