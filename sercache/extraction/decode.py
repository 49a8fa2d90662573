"""Decoding: pieces of recordings as waves at the encoder's rate, some batches ahead of the encoder.

libsndfile, soxr and blake3 work without Python's interpreter lock, so threads are enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from sercache import audio
from sercache.audio import Remark
from sercache.datasets import Skipped
from sercache.encoders import Encoder
from sercache.errors import AudioError
from sercache.extraction.pieces import Piece, length_fault
from sercache.extraction.stages import Busy

LOOKAHEAD = 2
"""Batches decoded ahead of the encoder: enough to hide the disk, little enough to hold."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A piece with its samples (N,) float32, or word pieces (N,) int64, and their digest."""

    piece: Piece
    wave: np.ndarray
    digest: str
    remarks: tuple[Remark, ...] = ()

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self.wave)


Result = Decoded | Skipped


def ahead(
    batches: Iterable[Sequence[Piece]], encoder: Encoder, workers: int, busy: Busy, lookahead: int = LOOKAHEAD
) -> Iterator[list[Result]]:
    """Each batch decoded, in order, by ``workers`` threads, ``lookahead`` batches before the one in use."""
    waiting: deque[list[Future[Result]]] = deque()
    with pool_of(workers) as pool:
        for batch in batches:
            waiting.append(submit(pool, batch, encoder, busy))
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


def submit(
    pool: ThreadPoolExecutor, batch: Sequence[Piece], encoder: Encoder, busy: Busy
) -> list[Future[Result]]:
    """Decode the pieces of a batch in ``pool``."""
    return [pool.submit(_timed, piece, encoder, busy) for piece in batch]


def _timed(piece: Piece, encoder: Encoder, busy: Busy) -> Result:
    with busy.during("decode"):
        return _decode(piece, encoder)


def _decode(piece: Piece, encoder: Any) -> Result:
    if piece.text is not None:
        tokens = encoder.tokens(piece.text)
        return Decoded(piece, tokens, audio.digest(tokens))
    remarks: list[Remark] = []
    try:
        wave = audio.read(piece.path, encoder.sample_rate, piece.start, piece.end, remarks.append)
    except AudioError as fault:
        return Skipped(piece.entry_id, str(fault))
    # The header may have promised more or less than the file holds.
    reason = length_fault(encoder, piece.path, len(wave) * piece.copies)
    if reason:
        return Skipped(piece.entry_id, reason)
    wave = np.tile(wave, piece.copies)
    return Decoded(piece, wave, audio.digest(wave), tuple(remarks))
