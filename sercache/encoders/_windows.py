"""Long recordings through windows that overlap: the clip rule ``window:<seconds>:<context>``.

An encoder sees at most ``seconds`` at a time. Where two windows meet, each gives up the ``context`` seconds
next to its end, where it lacks what comes after or before; every frame of the recording is taken from one
window. A recording no longer than a window is encoded as it is. See docs/decisions/0006-windows.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sercache.clips import ClipRule
from sercache.encoders._exact import exact
from sercache.errors import EncoderError, SettingsError

if TYPE_CHECKING:
    import torch

    from sercache.encoders import Encoder

_LEAST_CONTEXT = 2
"""Frames; the convolutions' field ends less than that behind the last frame of a window."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of frames that is encoded at once, and which of them are kept; all count from the whole."""

    start: int
    stop: int
    first: int
    last: int
    """Kept are ``first`` to ``last`` - 1."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of ``seen`` frames, of which ``context`` are given up where two meet."""

    seen: int
    context: int

    def over(self, n_frames: int) -> list[Window]:
        """The windows of a recording, in order; what they keep is each frame once."""
        step = self.seen - 2 * self.context
        starts = [0]
        while starts[-1] + self.seen < n_frames:
            starts.append(starts[-1] + step)
        found = []
        for start in starts:
            stop = min(start + self.seen, n_frames)
            first = start + self.context if start else 0
            found.append(Window(start, stop, first, n_frames if stop == n_frames else stop - self.context))
        return found


def windowed(encoder: Encoder, rule: ClipRule) -> Encoder:
    """``encoder`` as ``rule`` asks for: itself, unless the rule has windows and it has none yet.

    Encoders with a method ``with_windows(windows: Windows) -> Encoder | None`` bring windows of their own,
    for the part that needs them; for others each window is a recording of its own. Those that pad every recording to
    one length have ``with_padding() -> Encoder``, which gives all frames; the recording's are the first, one for every
    ``hop`` samples that it reaches into.

    Raises SettingsError where the encoder cannot take windows of that length, or pads nothing.
    """
    if rule.whole:
        return _padded(encoder, rule)
    if rule.kind != "window" or getattr(encoder, "clip", None) == str(rule):
        return encoder
    windows = _frames(encoder, rule)
    own = getattr(encoder, "with_windows", None)
    found: Any = own(windows) if own is not None else None
    if found is None:
        found = Windowed(encoder, windows)
    found.clip = str(rule)
    return found


def _padded(encoder: Encoder, rule: ClipRule) -> Encoder:
    """``encoder`` with the frames of its padding. Raises SettingsError for one that pads nothing, or to less."""
    own = getattr(encoder, "with_padding", None)
    if own is None:
        raise SettingsError(
            f"{encoder.name} takes recordings as long as they are, clip rule whole is for encoders that pad them to a "
            "window, as Whisper does; leave whole out of --clip"
        )
    longest = encoder.max_samples
    if longest is not None and rule.seconds * encoder.sample_rate > longest:
        limit = longest / encoder.sample_rate
        raise SettingsError(
            f"{encoder.name} pads to {limit:g} s and takes no more at once, clip rule {rule} leaves recordings of "
            f"{rule.seconds:g} s; cut them at {limit:g} s or less: --clip {replace(rule, seconds=limit)}"
        )
    found: Encoder = own()
    return found


def _frames(encoder: Encoder, rule: ClipRule) -> Windows:
    """The rule in frames of the encoder. Raises SettingsError."""
    if getattr(encoder, "modality", "audio") != "audio":
        raise SettingsError(f"{encoder.name} takes no audio, clip rule {rule} cuts it; leave --clip out")
    windows = Windows(*(round(s * encoder.sample_rate) // encoder.hop for s in (rule.seconds, rule.context)))
    longest = encoder.max_samples
    if longest is not None and rule.seconds * encoder.sample_rate > longest:
        limit = longest / encoder.sample_rate
        raise SettingsError(f"{encoder.name} takes {limit:g} s at once, clip rule {rule} asks for more")
    shortest = max(_LEAST_CONTEXT * encoder.hop, encoder.min_samples) / encoder.sample_rate
    if windows.context * encoder.hop < shortest * encoder.sample_rate or windows.seen <= 2 * windows.context:
        raise SettingsError(
            f"clip rule {rule}: {encoder.name} needs a context of {shortest:g} s or more, and windows longer than "
            "two of it"
        )
    return windows


class Windowed:
    """An encoder for which each window of a long recording is a recording of its own."""

    max_samples: int | None = None
    clip = ""

    def __init__(self, encoder: Encoder, windows: Windows) -> None:
        self._encoder, self._windows = encoder, windows
        self.name: str = encoder.name
        self.identity: Mapping[str, Any] = encoder.identity
        self.sample_rate, self.hop = encoder.sample_rate, encoder.hop
        self.states, self.dims = encoder.states, encoder.dims
        self.min_samples, self.pack_frames = encoder.min_samples, encoder.pack_frames

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        import torch

        device: torch.device = getattr(self._encoder, "device", torch.device("cpu"))
        return device

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give, as if they were encoded at once."""
        return self._encoder.n_frames(n_samples)

    @exact
    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield (state, (F, D)) as the encoder does, windows joined. Raises as it does."""
        pieces: list[np.ndarray] = []
        kept: list[slice] = []
        for wave in waves:
            for window, piece in self._cut(wave):
                pieces.append(piece)
                kept.append(slice(window.first - window.start, window.last - window.start))
        found = self._encoder.encode(pieces, states)
        return self._joined(found, [self.n_frames(len(piece)) for piece in pieces], kept)

    def _cut(self, wave: np.ndarray) -> list[tuple[Window, np.ndarray]]:
        seen = self._windows.seen * self.hop
        n_frames = self.n_frames(len(wave))
        if len(wave) <= seen:
            return [(Window(0, n_frames, 0, n_frames), wave)]
        # In hops of samples, which may be a few more than frames: the last window takes all that is left.
        cut = self._windows.over(-(-len(wave) // self.hop))
        found = []
        for window in cut:
            is_last = window is cut[-1]
            piece = wave[window.start * self.hop : None if is_last else window.stop * self.hop]
            last = n_frames if is_last else window.last
            given = self.n_frames(len(piece))
            if given < last - window.start or (is_last and given != last - window.start):
                raise EncoderError(
                    f"{self.name} gives {given} frames of {len(piece)} samples, expected {last - window.start}; its "
                    "frames cannot be joined, use --clip split"
                )
            found.append((Window(window.start, window.stop, window.first, last), piece))
        return found

    def _joined(
        self, found: Iterator[tuple[str, torch.Tensor]], lengths: Sequence[int], kept: Sequence[slice]
    ) -> Iterator[tuple[str, torch.Tensor]]:
        import torch

        for state, packed in found:
            parts = zip(packed.split(list(lengths)), kept, strict=True)
            yield state, torch.cat([part[own] for part, own in parts])
