"""The gate of WavLM's position bias in one pass: torch's own takes a thin product and a dozen small operations."""

from __future__ import annotations

from sercache.kernels._language import kernel, tl


@kernel("n_rows")
def gate(
    x,
    weight,
    bias,
    strength,
    out,
    n_rows,
    n_heads,
    n_features,
    row,
    column,
    ROWS: tl.constexpr,
    HEAD: tl.constexpr,
):
    """Some (frame, head) pairs of ``out`` (F H,) float32 from ``x`` (F H, d), contiguous.

    ``weight`` (8, d), its numbers ``row`` and ``column`` apart, and ``bias`` (8,): four maps are summed to what keeps
    the bias, four to what scales it; ``strength`` (H,).
    """
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    features = tl.arange(0, HEAD)
    is_row, is_feature = rows < n_rows, features < n_features
    places = rows.to(tl.int64)[:, None] * n_features + features[None, :]
    values = tl.load(x + places, mask=is_row[:, None] & is_feature[None, :], other=0.0).to(tl.float32)
    to_keep = tl.zeros([HEAD], tl.float32)
    to_scale = tl.zeros([HEAD], tl.float32)
    keep = tl.zeros([ROWS], tl.float32)
    scale = tl.zeros([ROWS], tl.float32)
    for k in range(4):
        to_keep += tl.load(weight + k * row + features * column, mask=is_feature, other=0.0).to(tl.float32)
        to_scale += tl.load(weight + (k + 4) * row + features * column, mask=is_feature, other=0.0).to(
            tl.float32
        )
        keep += tl.load(bias + k).to(tl.float32)
        scale += tl.load(bias + k + 4).to(tl.float32)
    keep += tl.sum(values * to_keep[None, :], 1)
    scale += tl.sum(values * to_scale[None, :], 1)
    power = tl.load(strength + rows % n_heads, mask=is_row, other=0.0).to(tl.float32)
    tl.store(out + rows, tl.sigmoid(keep) * (tl.sigmoid(scale) * power - 1.0) + 2.0, mask=is_row)
