"""WavLM's attention over packed frames in one kernel: each utterance for itself, the bias never laid out.

A program takes QUERIES frames of one utterance and one attention head, and goes through the keys of that utterance
KEYS at a time, with running maximum and sum. So the values of an utterance do not depend on what is packed beside it.
"""

from __future__ import annotations

from sercache.kernels._language import kernel, tl


@kernel("n_tiles")
def attend(
    query,
    key,
    value,
    gate,
    table,
    out,
    tiles,
    n_tiles,
    scale,
    row,
    reach,
    n_features,
    HEAD: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
):
    """One tile of queries of one head. A kernel takes no records: its arguments are pointers and numbers.

    ``query``, ``key``, ``value`` and ``out`` (F, H, d) with ``row`` numbers from frame to frame; ``gate`` (F, H) and
    ``table`` (H, 2 ``reach`` + 1) float32; ``tiles`` (3, n_tiles): first and last + 1 frame of the utterance and first
    query.
    """
    tile, head = tl.program_id(0), tl.program_id(1)
    start = tl.load(tiles + tile)
    stop = tl.load(tiles + n_tiles + tile)
    queries = tl.load(tiles + 2 * n_tiles + tile) + tl.arange(0, QUERIES)
    features = tl.arange(0, HEAD)
    is_query = queries < stop
    is_feature = features < n_features
    own = queries.to(tl.int64)[:, None] * row + head * n_features + features[None, :]
    taken = is_query[:, None] & is_feature[None, :]
    q = tl.load(query + own, mask=taken, other=0.0)
    gates = tl.load(gate + queries * tl.num_programs(1) + head, mask=is_query, other=0.0)
    distances = table + head * (2 * reach + 1) + reach
    top = tl.full([QUERIES], float("-inf"), tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    mixed = tl.zeros([QUERIES, HEAD], tl.float32)
    for at in range(start, stop, KEYS):
        keys = at + tl.arange(0, KEYS)
        is_key = keys < stop
        places = keys.to(tl.int64) * row + head * n_features
        k = tl.load(
            key + places[None, :] + features[:, None], mask=is_key[None, :] & is_feature[:, None], other=0.0
        )
        scores = tl.dot(q, k, input_precision="ieee") * scale
        ahead = tl.minimum(tl.maximum(keys[None, :] - queries[:, None], -reach), reach)
        scores += gates[:, None] * tl.load(distances + ahead)
        scores = tl.where(is_key[None, :], scores, float("-inf"))
        highest = tl.maximum(top, tl.max(scores, 1))
        shares = tl.exp(scores - highest[:, None])
        fade = tl.exp(top - highest)
        total = total * fade + tl.sum(shares, 1)
        v = tl.load(
            value + places[:, None] + features[None, :], mask=is_key[:, None] & is_feature[None, :], other=0.0
        )
        mixed = mixed * fade[:, None] + tl.dot(shares.to(v.dtype), v, input_precision="ieee")
        top = highest
    tl.store(out + own, (mixed / total[:, None]).to(out.dtype.element_ty), mask=taken)
