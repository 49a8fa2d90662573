"""Recurrent heads and learned-query attention against their equations, written out step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from array_view import random_inputs, random_view
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.heads import cta, cta_rnn, ef_rnn, egemaps_fusion, lf_rnn, pair_rnn, rnn, weighted_lstm, wf_rnn
from sercache.nn import BiGRU, BlockTimeAttention, QueryAttention, RecurrentAttention, mask_of
from sercache.training import build

SMALL = {"hidden": 5, "heads": 2, "head_dim": 3, "dropout_rate": 0.4}


def batch(n_layers: int = 3, dim: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    x, mask = random_view(4, n_layers, dim, frames=(2, 6), seed=seed).batch(np.arange(4))
    return x.double(), mask


def made(head_class: type[nn.Module], x: Tensor, seed: int = 0, **options: Any) -> nn.Module:
    view = random_view(1, x.shape[1], x.shape[3])
    return build(head_class, view, 4, seed, **options).double().eval()


def assert_same(
    module: nn.Module,
    ours: Callable[[Tensor], Tensor],
    plain: Callable[[Tensor], Tensor],
    x: Tensor,
) -> None:
    """Both give the same numbers and the same gradients of x and of every parameter."""
    results = []
    for function in (ours, plain):
        module.zero_grad()
        given = x.clone().requires_grad_()
        out = function(given)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        results.append([out, given.grad, *(p.grad.clone() for p in module.parameters())])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-11)


def plain_gru(gru: nn.GRU, x: Tensor) -> Tensor:
    """Outputs (T, 2 H) of x (T, D) by the equations of the gated recurrent unit, layer by layer."""
    for layer in range(gru.num_layers):
        both = []
        for end in ("", "_reverse"):
            w, u, b, c = (
                getattr(gru, f"{kind}_l{layer}{end}")
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            state, states = x.new_zeros(gru.hidden_size), []
            for frame in x.flip(0) if end else x:
                r, z, n = (w @ frame + b).chunk(3)
                of_r, of_z, of_n = (u @ state + c).chunk(3)
                update = torch.sigmoid(z + of_z)
                state = (1 - update) * torch.tanh(n + torch.sigmoid(r + of_r) * of_n) + update * state
                states.append(state)
            both.append(torch.stack(states[::-1] if end else states))
        x = torch.cat(both, 1)
    return x


def plain_query_attention(pool: QueryAttention, h: Tensor) -> Tensor:
    """Vector (heads x d) of h (T, D): alpha_j = softmax(W_Q (W_K H^T) / sqrt(d)), v_j = W_V H^T alpha_j^T."""
    heads, d = pool.scores.query.shape
    vectors = []
    for j in range(heads):
        rows = slice(j * d, (j + 1) * d)
        keys = pool.scores.key.weight[rows] @ h.T  # (d, T)
        alpha = (pool.scores.query[j : j + 1] @ keys / d**0.5).softmax(-1)
        vectors.append((pool.value.weight[rows] @ h.T @ alpha.T)[:, 0])
    return torch.cat(vectors)


def plain_rnn_mhsa(block: RecurrentAttention, x: Tensor) -> Tensor:
    return plain_query_attention(block.pool, plain_gru(block.rnn.gru, x))


def plain_block_time_attention(pool: BlockTimeAttention, h: Tensor) -> Tensor:
    """Vector (heads x d) of h (N, m, D): the outer product A_j of both attentions over W_V H, summed."""
    over_time, over_blocks = h.mean(0), h.mean(1)  # (m, D), (N, D)
    heads, d = pool.over_time.query.shape
    vectors = []
    for j in range(heads):
        rows = slice(j * d, (j + 1) * d)
        alpha_t, alpha_c = (
            (scores.query[j : j + 1] @ (scores.key.weight[rows] @ anchors.T) / d**0.5).softmax(-1)
            for scores, anchors in ((pool.over_blocks, over_blocks), (pool.over_time, over_time))
        )
        weights = alpha_c.T @ alpha_t  # A_j (m, N)
        values = torch.einsum("kd,nmd->knm", pool.value.weight[rows], h)
        vectors.append((weights.T * values).sum((1, 2)))
    return torch.cat(vectors)


def each_alone(plain: Callable[[Tensor], Tensor], mask: Tensor) -> Callable[[Tensor], Tensor]:
    """``plain`` of every utterance of x (B, L, T, D) without its padding."""
    return lambda x: torch.stack([plain(row[:, :n]) for row, n in zip(x, mask.sum(1).tolist(), strict=True)])


def test_bigru_is_its_equations() -> None:
    x, mask = batch(1)
    module = BiGRU(7, hidden=5).double().eval()
    assert_same(
        module,
        lambda x: torch.cat([row[:n] for row, n in zip(module(x[:, 0], mask), mask.sum(1), strict=True)]),
        lambda x: torch.cat(
            [plain_gru(module.gru, row[0, :n]) for row, n in zip(x, mask.sum(1), strict=True)]
        ),
        x,
    )
    assert not module(x[:, 0], mask)[~mask].any()


def test_bigru_drops_after_both_layers_while_training() -> None:
    x, mask = batch(1, seed=3)
    module = BiGRU(7, hidden=50, dropout_rate=0.3).double()
    assert module.gru.dropout == 0.3
    torch.manual_seed(0)
    dropped = (module(x[:, 0], mask)[mask] == 0).double().mean().item()
    assert dropped == pytest.approx(0.3, abs=0.04)


def test_learned_query_attention_is_its_equations() -> None:
    x, mask = batch(1)
    pool = QueryAttention(7, heads=3, head_dim=4).double()
    plain = each_alone(lambda h: plain_query_attention(pool, h[0]), mask)
    assert_same(pool, lambda x: pool(x[:, 0], mask), plain, x)


def test_block_time_attention_is_its_equations() -> None:
    x, mask = batch(5)
    pool = BlockTimeAttention(7, heads=3, head_dim=4).double()
    plain = each_alone(lambda h: plain_block_time_attention(pool, h), mask)
    assert_same(pool, lambda x: pool(x, mask), plain, x)


def test_an_utterance_without_frames_is_finite() -> None:
    x, mask = torch.zeros(2, 3, 4, 7), mask_of(torch.tensor([0, 4]), 4)
    for head in (
        rnn.Head(1, 7, 4, **SMALL),
        cta_rnn.Head(3, 7, 4, **SMALL),
        cta.Head(3, 7, 4, heads=2, head_dim=3),
    ):
        given = x[:, :1] if isinstance(head, rnn.Head) else x
        assert torch.isfinite(head.eval()(given, mask)).all()


@pytest.mark.parametrize(
    ("module", "plain"),
    [
        (wf_rnn, lambda head, x: plain_rnn_mhsa(head.block, torch.einsum("l,ltd->td", head.weights.softmax(0), x))),
        (ef_rnn, lambda head, x: plain_rnn_mhsa(head.block, torch.cat(list(x), 1))),
        (
            lf_rnn,
            lambda head, x: plain_rnn_mhsa(
                head.fuse, torch.stack([plain_rnn_mhsa(b, e) for b, e in zip(head.blocks, x, strict=True)])
            ),
        ),
        (
            cta_rnn,
            lambda head, x: plain_block_time_attention(
                head.pool, torch.stack([plain_gru(r.gru, e) for r, e in zip(head.rnns, x, strict=True)])
            ),
        ),
        (cta, lambda head, x: plain_block_time_attention(head.pool, x)),
    ],
)  # fmt: skip
def test_heads_over_blocks_are_their_equations(module: Any, plain: Callable[[Any, Tensor], Tensor]) -> None:
    x, mask = batch(4)
    options = {k: v for k, v in SMALL.items() if module is not cta or k.startswith("head")}
    head: Any = made(module.Head, x, **options)
    if module is wf_rnn:
        with torch.no_grad():
            head.weights.copy_(torch.randn(4))
    expected = each_alone(lambda row: head.out(plain(head, row)), mask)
    assert_same(head, lambda x: head(x, mask), expected, x)


def test_rnn_is_its_equations() -> None:
    x, mask = batch(1)
    head: Any = made(rnn.Head, x, **SMALL)
    expected = each_alone(lambda row: head.out(plain_rnn_mhsa(head.block, row[0])), mask)
    assert_same(head, lambda x: head(x, mask), expected, x)


@torch.no_grad()
def test_pairs_are_a_sequence_of_two_vectors() -> None:
    view = random_inputs(4, (1, 1), (7, 11), frames=(2, 6))
    head: Any = build(pair_rnn.Head, view, 4, 0, **SMALL).double().eval()
    x, masks = view.batch(np.arange(4))
    x = tuple(each.double() for each in x)
    assert x[0].shape[2] != x[1].shape[2] or not torch.equal(*masks)
    for k in range(4):
        vectors = [
            plain_rnn_mhsa(block, each[k, 0, : int(mask[k].sum())])
            for block, each, mask in zip(head.inputs, x, masks, strict=True)
        ]
        expected = head.out(plain_rnn_mhsa(head.fuse, torch.stack(vectors)))
        torch.testing.assert_close(head(x, masks)[k], expected, rtol=1e-9, atol=1e-11)


@torch.no_grad()
def test_attention_that_blocks_receive_is_that_of_the_weighted_sum() -> None:
    x, mask = batch(4)
    head: Any = made(cta.Head, x, heads=2, head_dim=3)
    shares = head.attention(x, mask)[:, :, 0]
    n = int(mask[0].sum())
    anchors = x[0, :, :n].mean(1)
    keys = head.pool.over_blocks.key(anchors)[:, :3]
    expected = (keys @ head.pool.over_blocks.query[0] / 3**0.5).softmax(0)
    torch.testing.assert_close(shares[0, 0], expected)


def test_many_blocks_are_told() -> None:
    for module in (cta_rnn, lf_rnn):
        assert module.Head(12, 6, 4, **SMALL).notes == ()
        (note,) = module.Head(24, 6, 4, **SMALL).notes
        assert "24 networks" in note
        assert "--states" in note


@torch.no_grad()
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_weighted_lstm_is_keras_lstm(variant: str) -> None:
    """One bias, gates input, forget, cell, output; outputs through ReLU, mean over real frames."""
    x, mask = batch(3)
    head: Any = made(weighted_lstm.Head, x, hidden=6, variant=variant)
    head.alpha.copy_(torch.tensor([1.5, -0.3, 0.7]))
    head.lstm.weight_ih_l0[:, -1].normal_()
    kernel, bias = head.lstm.weight_ih_l0[:, :-1], head.lstm.weight_ih_l0[:, -1]
    numerators = head.alpha.abs() if variant == "code" else head.alpha
    for k, n in enumerate(mask.sum(1).tolist()):
        frames = F.relu(head.dense(torch.einsum("l,ltd->td", numerators / head.alpha.sum(), x[k, :, :n])))
        h, c = frames.new_zeros(6), frames.new_zeros(6)
        outputs = []
        for frame in frames:
            i, f, g, o = (kernel @ frame + head.lstm.weight_hh_l0 @ h + bias).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(F.relu(h))
        expected = head.out(torch.stack(outputs).mean(0))
        torch.testing.assert_close(head(x, mask)[k], expected, rtol=1e-9, atol=1e-11)


def test_weighted_lstm_begins_as_keras_does() -> None:
    head: Any = build(weighted_lstm.Head, random_view(1, 13, 768), 4, 0)
    kernel, bias = head.lstm.weight_ih_l0[:, :-1], head.lstm.weight_ih_l0[:, -1]
    bound = (6 / (128 + 512)) ** 0.5  # Glorot uniform of a map from 128 to 4 gates of 128
    assert 0.99 * bound < kernel.abs().max() <= bound
    assert bias.reshape(4, 128).sum(1).tolist() == [0, 128, 0, 0]
    recurrent = head.lstm.weight_hh_l0
    torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(128), rtol=0, atol=1e-5)
    assert (head.alpha == 1).all()


@torch.no_grad()
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_fusion_reads_the_shorter_length(variant: str) -> None:
    view = random_inputs(5, (3, 1), (7, 4), frames=(2, 6))
    head: Any = build(egemaps_fusion.Head, view, 4, 0, hidden=6, variant=variant).double().eval()
    head.alphas[0].copy_(torch.tensor([1.5, -0.3, 0.7]))
    x, masks = view.batch(np.arange(5))
    x = tuple(each.double() for each in x)
    numerators = head.alphas[0].abs() if variant == "code" else head.alphas[0]
    lengths = [mask.sum(1).tolist() for mask in masks]
    assert lengths[0] != lengths[1]
    for k, (first, second) in enumerate(zip(*lengths, strict=True)):
        n = min(first, second)
        states = torch.einsum("l,ltd->td", numerators / head.alphas[0].sum(), x[0][k, :, :n])
        branches = [F.relu(b(e)) for b, e in zip(head.branches, (states, x[1][k, 0, :n]), strict=True)]
        expected = head.out(F.relu(head.dense(torch.cat(branches, 1))).mean(0))
        torch.testing.assert_close(head(x, masks)[k], expected, rtol=1e-9, atol=1e-11)
