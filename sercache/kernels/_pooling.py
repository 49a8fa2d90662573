"""Means and deviations over time of packed frames in one kernel: values are read, and nothing is laid out.

A program takes COLUMNS features of one utterance and goes through its frames twice. Sums are float64.
"""

from __future__ import annotations

from sercache.kernels._language import kernel, tl


@kernel()
def pool(packed, bounds, mean, variance, row, dim, COLUMNS: tl.constexpr, FRAMES: tl.constexpr):
    """Columns of one utterance.

    ``packed`` (F, D) with ``row`` numbers from frame to frame; ``bounds`` (B + 1,) int32; ``mean`` and ``variance``
    (B, D) float64.
    """
    utterance = tl.program_id(0)
    start, stop = tl.load(bounds + utterance), tl.load(bounds + utterance + 1)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = columns < dim
    sums = tl.zeros([FRAMES, COLUMNS], tl.float64)
    for at in range(start, stop, FRAMES):
        frames = at + tl.arange(0, FRAMES)
        there = (frames < stop)[:, None] & is_column[None, :]
        places = frames.to(tl.int64)[:, None] * row + columns[None, :]
        sums += tl.load(packed + places, mask=there, other=0.0).to(tl.float64)
    n_frames = (stop - start).to(tl.float64)
    centre = tl.sum(sums, 0) / n_frames
    squares = tl.zeros([FRAMES, COLUMNS], tl.float64)
    for at in range(start, stop, FRAMES):
        frames = at + tl.arange(0, FRAMES)
        there = (frames < stop)[:, None] & is_column[None, :]
        places = frames.to(tl.int64)[:, None] * row + columns[None, :]
        values = tl.load(packed + places, mask=there, other=0.0).to(tl.float64)
        apart = tl.where(there, values - centre[None, :], 0.0)
        squares += apart * apart
    found = utterance * dim + columns
    tl.store(mean + found, centre, mask=is_column)
    tl.store(variance + found, tl.sum(squares, 0) / n_frames, mask=is_column)
