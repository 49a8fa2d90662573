from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sercache import nn

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=5)


def padded(lengths: list[int], filler: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """x (B, L=3, T, D=4) whose padding holds ``filler``, and its mask."""
    generator = torch.Generator().manual_seed(seed)
    mask = nn.mask_of(torch.tensor(lengths))
    x = torch.randn(len(lengths), 3, mask.shape[1], 4, generator=generator)
    return torch.where(mask[:, None, :, None], x, filler), mask


def test_mask_of_lengths() -> None:
    assert nn.mask_of(torch.tensor([1, 3])).tolist() == [[True, False, False], [True, True, True]]
    assert nn.mask_of(torch.tensor([1]), 2).tolist() == [[True, False]]


@settings(max_examples=30, deadline=None)
@given(lengths=LENGTHS, filler=st.sampled_from([float("nan"), float("inf"), -1e30, 7.0]))
def test_padding_moves_no_masked_operation(lengths: list[int], filler: float) -> None:
    x, mask = padded(lengths, filler)
    weights = torch.tensor([0.2, 0.5, -0.3])
    mixed = nn.weighted_sum(x, weights, mask)
    for k, n in enumerate(lengths):
        alone = x[k, :, :n]
        torch.testing.assert_close(nn.masked_mean(x, mask)[k], alone.mean(1))
        torch.testing.assert_close(nn.masked_max(x, mask)[k], alone.amax(1))
        torch.testing.assert_close(mixed[k, :n], torch.einsum("l,ltd->td", weights, alone))
        assert (mixed[k, n:] == 0).all()
        scores = x[k : k + 1, 0, :, 0]
        soft = nn.masked_softmax(scores, mask[k : k + 1])
        torch.testing.assert_close(soft[0, :n], scores[0, :n].softmax(0))
        assert (soft[0, n:] == 0).all()


def test_nan_in_padding_moves_no_gradient_of_what_follows() -> None:
    grads = []
    for filler in (0.0, float("nan")):
        x, mask = padded([2, 5], filler)
        layer = torch.nn.Linear(4, 2)
        with torch.no_grad():
            layer.weight.fill_(0.5)
            layer.bias.fill_(0.1)
        nn.masked_mean(layer(nn.weighted_sum(x, torch.ones(3), mask)), mask).square().sum().backward()
        grads.append(layer.weight.grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_noise_in_padding_moves_no_gradient_of_layer_weights() -> None:
    grads = []
    for filler in (0.0, 1e4):
        x, mask = padded([2, 5], filler)
        weights = torch.ones(3, requires_grad=True)
        nn.masked_mean(nn.weighted_sum(x, weights, mask), mask).square().sum().backward()
        grads.append(weights.grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_an_item_without_frames_gives_zeros() -> None:
    x, mask = torch.full((1, 3, 2, 4), float("nan")), torch.zeros(1, 2, dtype=torch.bool)
    assert (nn.masked_mean(x, mask) == 0).all()
    assert (nn.masked_max(x, mask) == 0).all()
    assert (nn.masked_softmax(x[:, 0, :, 0], mask) == 0).all()


def test_means_of_half_precision_are_summed_in_float32() -> None:
    x = torch.full((1, 4096, 1), 1.001, dtype=torch.bfloat16)
    mean = nn.masked_mean(x, torch.ones(1, 4096, dtype=torch.bool))
    assert mean.dtype == torch.bfloat16
    assert mean.item() == x[0, 0].item()


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_dropout_drops_a_share_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(101, 1001, requires_grad=True)  # an odd number of elements
    dropped = nn.dropout(x, p, training=True)
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0, 1 / (1 - p)], rel=1e-4)
    assert (dropped == 0).float().mean().item() == pytest.approx(p, abs=0.01)
    for axis in (0, 1):  # no row and no column is drawn otherwise than the rest
        assert (dropped == 0).float().mean(axis).sub(p).abs().max() < 0.3
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    dropped = (nn.dropout(torch.ones(400_000), 0.5, training=True) == 0).float()
    for lag in (1, 2, 3, 4, 8):
        together = (dropped[lag:] * dropped[:-lag]).mean().item()
        assert together == pytest.approx(0.25, abs=0.005)


def test_dropout_is_seeded_and_off_in_evaluation() -> None:
    x = torch.randn(5, 7)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(nn.dropout(x, 0.5, training=True))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert nn.dropout(x, 0.5, training=False) is x
    assert nn.dropout(x.bfloat16(), 0.5, training=True).dtype == torch.bfloat16


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    logits, labels = torch.randn(9, 4), torch.arange(9) % 4
    weights = torch.tensor([1.0, 2.0, 0.5, 0.0])
    torch.testing.assert_close(nn.focal_loss(logits, labels, 0.0), F.cross_entropy(logits, labels))
    torch.testing.assert_close(
        nn.focal_loss(logits, labels, 0.0, weights), nn.cross_entropy(logits, labels, weights)
    )


def test_focal_loss_is_the_printed_formula() -> None:
    logits, labels = np.random.default_rng(0).normal(size=(9, 4)), np.arange(9) % 4
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p_t = p[np.arange(9), labels]
    expected = np.mean(-((1 - p_t) ** 2.5) * np.log(p_t))
    loss = nn.focal_loss(torch.from_numpy(logits), torch.from_numpy(labels), 2.5)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("margin", [0.0, 30.0, 500.0, -500.0])
def test_focal_loss_has_finite_gradients(gamma: float, margin: float) -> None:
    logits = torch.tensor([[margin, 0.0, 0.0]], requires_grad=True)
    nn.focal_loss(logits, torch.tensor([0]), gamma).backward()
    assert torch.isfinite(logits.grad).all()
