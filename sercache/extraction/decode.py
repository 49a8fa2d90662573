"""Decoding: pieces of recordings as waves at the encoder's rate, some batches ahead of the encoder.

libsndfile, soxr and blake3 work without Python's interpreter lock, so threads are enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from sercache import audio, speech
from sercache.audio import Remark, Tell
from sercache.augment import ReadyAugmentation
from sercache.clips import ClipRule, longest
from sercache.datasets import Skipped
from sercache.encoders import Encoder
from sercache.errors import AudioError
from sercache.extraction.pieces import Piece, length_fault
from sercache.extraction.stages import Busy

LOOKAHEAD = 2
"""Batches decoded ahead of the encoder: enough to hide the disk, little enough to hold."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A piece with its samples (N,) float32, or word pieces (N,) int64."""

    piece: Piece
    wave: np.ndarray
    """As it is encoded: augmented where it is to be."""
    digest: str
    """Of the samples before they were augmented, by which equal audio is known."""
    remarks: tuple[Remark, ...] = ()

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self.wave)

    @property
    def known(self) -> DecodedPiece:
        """All but the samples."""
        return DecodedPiece(self.piece, self.digest, self.n_samples, self.remarks)


@dataclass(frozen=True, slots=True)
class DecodedPiece:
    """What is known of a decoded piece without its samples."""

    piece: Piece
    digest: str
    n_samples: int
    remarks: tuple[Remark, ...] = ()


Result = Decoded | Skipped


Decode = Callable[[Piece], Result]
NO_RULE = ClipRule("none")


def ahead(
    batches: Iterable[Sequence[Piece]], decode: Decode, workers: int, lookahead: int = LOOKAHEAD
) -> Iterator[list[Result]]:
    """Each batch decoded, in order, by ``workers`` threads, ``lookahead`` batches before the one in use."""
    waiting: deque[list[Future[Result]]] = deque()
    with pool_of(workers) as pool:
        for batch in batches:
            waiting.append(submit(pool, batch, decode))
            if len(waiting) > lookahead:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]


@contextmanager
def pool_of(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that decode; what they have not begun when the work ends is dropped."""
    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="decode")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def submit(pool: ThreadPoolExecutor, batch: Sequence[Piece], decode: Decode) -> list[Future[Result]]:
    """Decode the pieces of a batch in ``pool``."""
    return [pool.submit(decode, piece) for piece in batch]


def decoder(
    encoder: Encoder,
    busy: Busy,
    augmented: ReadyAugmentation | None = None,
    rule: ClipRule = NO_RULE,
) -> Decode:
    """What decodes a piece for an encoder: its silence cut and augmented where that is asked for."""

    def timed(piece: Piece) -> Result:
        with busy.during("decode"):
            return _decode(piece, encoder, augmented, rule)

    return timed


def _decode(piece: Piece, encoder: Any, augmented: ReadyAugmentation | None, rule: ClipRule) -> Result:
    if piece.text is not None:
        tokens = encoder.tokens(piece.text)
        return Decoded(piece, tokens, audio.digest(tokens))
    remarks: list[Remark] = []
    try:
        wave = audio.read(piece.path, encoder.sample_rate, piece.start, piece.end, remarks.append)
    except AudioError as fault:
        return Skipped(piece.entry_id, str(fault))
    if rule.edges:
        wave = _within_speech(wave, encoder, rule, remarks.append)
    # The header may have promised more or less than the file holds.
    length = len(wave) if augmented is None else augmented.length(len(wave))
    reason = length_fault(encoder, piece.path, length * piece.copies)
    if reason:
        return Skipped(piece.entry_id, reason)
    plain = np.tile(wave, piece.copies)
    digest = audio.digest(plain)
    if augmented is not None:
        try:
            plain = np.tile(augmented.applied(wave, encoder.sample_rate, digest), piece.copies)
        except AudioError as fault:
            return Skipped(piece.entry_id, f"{augmented.augmentation}: {fault}")
    return Decoded(piece, plain, digest, tuple(remarks))


def _within_speech(wave: np.ndarray, encoder: Encoder, rule: ClipRule, tell: Tell) -> np.ndarray:
    """The wave from the begin of its speech to its end, cut as the rule says; whole where that leaves no frame."""
    found = speech.span(wave, encoder.sample_rate, rule)
    if found is None or found[1] - found[0] < encoder.min_samples:
        tell(Remark("no-speech", f"{len(wave) / encoder.sample_rate:.2f} s"))
    else:
        wave = wave[slice(*found)]
    return wave[: longest(len(wave), encoder.sample_rate, rule)]
