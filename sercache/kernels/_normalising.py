"""LayerNorm over channels and the exact GELU behind it in one pass: the widest tensors of a front end go by once."""

from __future__ import annotations

from sercache.kernels._language import kernel, tl


@kernel("n_rows")
def normalise_gelu(x, weight, bias, n_rows, dim, eps, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Some rows of ``x`` (N, C), contiguous, in place; ``weight`` and ``bias`` (C,)."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, COLUMNS)
    is_column = columns < dim
    places = rows.to(tl.int64)[:, None] * dim + columns[None, :]
    there = (rows < n_rows)[:, None] & is_column[None, :]
    values = tl.load(x + places, mask=there, other=0.0).to(tl.float32)
    centred = tl.where(is_column[None, :], values - tl.sum(values, 1)[:, None] / dim, 0.0)
    spread = tl.sum(centred * centred, 1) / dim
    gain = tl.load(weight + columns, mask=is_column, other=0.0).to(tl.float32)
    offset = tl.load(bias + columns, mask=is_column, other=0.0).to(tl.float32)
    y = centred / tl.sqrt(spread + eps)[:, None] * gain[None, :] + offset[None, :]
    y = 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
    tl.store(x + places, y.to(x.dtype.element_ty), mask=there)
