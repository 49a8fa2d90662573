"""layer-attention against its plain form and against torch's own attention and convolutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from array_view import random_view
from tolerances import assert_alike
from torch import nn
from torch.nn import functional as F

from sercache.heads import layer_attention
from sercache.training import build

GEOMETRIES = [(24, 1024), (12, 768), (6, 64), (25, 72), (1, 40), (17, 1030), (9, 7), (4, 384)]
"""Published ones, and others whose layers or dimensions the kernels do not divide."""


def pair(n_layers: int, dim: int, **options: bool) -> tuple[nn.Module, nn.Module]:
    """The head with its shortcut and the same in plain form, in float64."""
    view = random_view(1, n_layers, dim)
    return tuple(
        build(layer_attention.Head, view, 4, seed=1, exact_shortcut=exact, **options).double()
        for exact in (True, False)
    )


@pytest.mark.parametrize(
    ("n_layers", "dim", "final_relu"),
    [*((*each, False) for each in GEOMETRIES), *((*each, True) for each in GEOMETRIES if each[1] < 512)],
)
def test_shortcut_equals_the_plain_form(n_layers: int, dim: int, final_relu: bool) -> None:
    quick, plain = pair(n_layers, dim, final_relu=final_relu)
    results = []
    for head in (quick, plain):
        x = torch.randn(3, n_layers, 1, dim, generator=torch.Generator().manual_seed(0)).double()
        x.requires_grad_()
        logits = head(x, torch.ones(3, 1, dtype=torch.bool))
        F.cross_entropy(logits, torch.arange(3)).backward()
        results.append([logits, x.grad, *(p.grad for p in head.parameters())])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(("n_layers", "dim", "k1", "k2"), [(24, 1024, 16, 2), (12, 768, 8, 1)])
@torch.no_grad()
def test_published_geometry_against_torch_modules(n_layers: int, dim: int, k1: int, k2: int) -> None:
    """The reading of specs in torch's own words: MultiheadAttention, Conv2d, ReLU, Conv2d, Linear."""
    head = pair(n_layers, dim)[0]
    attention = nn.MultiheadAttention(dim, 32, batch_first=True)
    attention.in_proj_weight.copy_(torch.cat([head.query.weight, head.key.weight, head.value.weight]))
    attention.in_proj_bias.copy_(torch.cat([head.query.bias, head.key.bias, head.value.bias]))
    attention.out_proj.load_state_dict(head.mix.state_dict())
    conv1, conv2 = nn.Conv2d(1, 512, k1), nn.Conv2d(512, 1, k2, stride=8)
    conv1.load_state_dict(head.conv1.state_dict())
    conv2.load_state_dict(head.conv2.state_dict())
    x = torch.randn(2, n_layers, dim)
    mixed, weights = attention(x, x, x, average_attn_weights=False)
    expected = head.out(conv2(conv1(mixed[:, None]).relu()).flatten(1))
    mask = torch.ones(2, 1, dtype=torch.bool)
    assert_alike(head(x[:, :, None], mask), expected)
    assert_alike(head.attention(x[:, :, None], mask), weights)


@pytest.mark.parametrize("printed", [(24, 1024, 4_329_981), (12, 768, 2_395_645)])
def test_count_lies_within_a_thousandth_of_the_printed_one(printed: tuple[int, int, int]) -> None:
    n_layers, dim, total = printed
    count = sum(p.numel() for p in pair(n_layers, dim)[0].parameters())
    assert abs(count / total - 1) < 1e-3


def test_sequences_are_averaged_over_real_frames_first() -> None:
    head = pair(6, 64)[0].float()
    x, mask = random_view(4, 6, 64, frames=(2, 5)).batch(np.arange(4))
    means = torch.stack([x[k, :, :n].mean(1) for k, n in enumerate(mask.sum(1))])
    torch.testing.assert_close(head(x, mask), head(means[:, :, None], torch.ones(4, 1, dtype=torch.bool)))


def test_initial_values_are_xavier_uniform_by_matrix() -> None:
    head = pair(24, 1024)[0]
    for layer in (head.query, head.key, head.value, head.mix):
        bound = (6 / 2048) ** 0.5
        assert 0.99 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()
    assert head.conv1.weight.abs().max() <= (6 / (513 * 256)) ** 0.5


def test_deviations_are_told() -> None:
    assert layer_attention.deviations(24, 1024) == ()
    assert layer_attention.deviations(12, 768) == ()
    notes = pair(6, 50)[0].notes
    assert "6 layers of 50" in notes[0]
    assert any("kernel 1 is 6 x 8" in note for note in notes)
    assert any("25 attention heads" in note for note in notes)
    assert layer_attention.n_attention_heads(80) == 20
