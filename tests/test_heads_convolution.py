"""The regressors of emotion shares against a plain reading of the published code: padded to the full length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from array_view import random_inputs, random_view
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sercache.heads import cnn_lstm, cnn_lstm_attention
from sercache.nn import ConvFront, StretchedFrames
from sercache.training import build

SMALL = {"width": 8, "hidden": 32, "max_frames": 30}


def made(head_class: type[nn.Module], n_outputs: int = 2, seed: int = 0, **options: Any) -> Any:
    return build(head_class, random_view(1, 1, 5), n_outputs, seed, **{**SMALL, **options}).double().eval()


def batch(frames: tuple[int, int] = (2, 12)) -> tuple[Tensor, Tensor]:
    x, mask = random_view(6, 1, 5, frames=frames).batch(np.arange(6))
    return x.double(), mask


def full(x: Tensor, n_frames: int) -> Tensor:
    """(B, W, n_frames) of x (B, 1, T, W), zeros to the end."""
    return F.pad(x[:, 0], (0, 0, 0, n_frames - x.shape[2])).transpose(1, 2)


def pooled(network: Any, features: Tensor) -> Tensor:
    """(B, W / 4, n_frames // 2): convolutions with zeros at both ends of the whole map."""
    for conv in network.front.convs:
        features = conv(features).relu()
    return nn.MaxPool1d(2, 2)(features)


def packed_lstm(network: Any, maps: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    packed = pack_padded_sequence(maps, lengths, batch_first=True, enforce_sorted=False)
    outputs, (last, _) = network.lstm(packed)
    return pad_packed_sequence(outputs, batch_first=True)[0], last


def architecture1(network: Any, x: Tensor, lengths: Tensor, n_frames: int) -> Tensor:
    maps = pooled(network, full(x, n_frames)).permute(0, 2, 1)
    outputs, _ = packed_lstm(network, maps, lengths // 2)
    means = torch.stack([row[:n].mean(0) for row, n in zip(outputs, lengths // 2, strict=True)])
    for layer in (layer for layer in network.out if isinstance(layer, nn.Linear)):
        means = layer(means).relu()
    return means


def architecture2(network: Any, x: Tensor, lengths: Tensor, n_frames: int, normed: bool) -> Tensor:
    def norm(layer: Any, value: Tensor, shape: list[int]) -> Tensor:
        return F.layer_norm(value, shape, layer.weight, layer.bias) if normed else value

    maps = pooled(network, full(x, n_frames)).permute(0, 2, 1)
    maps = norm(network.norm_map, maps, list(maps.shape[1:]))
    halves = lengths // 2
    outputs, last = packed_lstm(network, maps, halves)
    rows = []
    for k, n in enumerate(halves.tolist()):
        query = network.query(torch.cat([last[0, k], last[1, k]]))
        scores = outputs[k, :n] @ query / outputs.shape[2] ** 0.5
        attention = torch.zeros(1, n_frames // 2, dtype=x.dtype)
        attention[0, :n] = scores.softmax(0)
        attention = norm(network.norm_attention, attention, [1, n_frames // 2])
        rows.append(attention[0, : outputs.shape[1]] @ outputs[k])
    value = torch.stack(rows)
    for layer in list(network.out)[:-1]:
        if isinstance(layer, nn.Linear):
            value = layer(value).relu()
        elif isinstance(layer, nn.LayerNorm):
            value = norm(layer, value, list(value.shape[1:]))
    return network.out[-1](value).relu()


def shaken(head: Any) -> Any:
    """Every weight moved, so that LayerNorms do something; biases that keep every ReLU of the output alive."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
        for network in head.networks:
            for layer in (layer for layer in network.out if isinstance(layer, nn.Linear)):
                layer.bias.fill_(3.0)
                layer.weight.abs_()
    return head


def assert_same(head: Any, plain: Any, x: Tensor, mask: Tensor) -> None:
    """Equal outputs and equal gradients of x and every parameter; outputs are alive."""
    results = []
    for function in (lambda x: head(x, mask), plain):
        head.zero_grad()
        given = x.clone().requires_grad_()
        out = function(given)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        results.append([out, given.grad[:, 0][mask], *(p.grad.clone() for p in head.parameters())])
    assert (results[0][0] > 0).all()
    assert results[0][0].std(0).min() > 1e-6
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("frames", [(2, 12), (26, 30)])
def test_architecture_1_is_the_published_code(frames: tuple[int, int]) -> None:
    """The head reads two frames of padding, the code all of it: the same, also near the full length."""
    x, mask = batch(frames)
    head = shaken(made(cnn_lstm.Head))
    assert_same(
        head,
        lambda x: torch.cat([architecture1(net, x, mask.sum(1), 30) for net in head.networks], 1),
        x,
        mask,
    )


@pytest.mark.parametrize("frames", [(2, 12), (26, 30)])
@pytest.mark.parametrize("variant", ["code", "paper"])
def test_architecture_2_is_the_published_code(variant: str, frames: tuple[int, int]) -> None:
    x, mask = batch(frames)
    head = shaken(made(cnn_lstm_attention.Head, variant=variant))
    normed = variant == "code"
    assert_same(
        head,
        lambda x: torch.cat([architecture2(net, x, mask.sum(1), 30, normed) for net in head.networks], 1),
        x,
        mask,
    )
    assert any(isinstance(m, nn.LayerNorm) for m in head.modules()) == normed


@pytest.mark.parametrize("module", [cnn_lstm, cnn_lstm_attention])
class TestBoth:
    @torch.no_grad()
    def test_reads_no_frame_beyond_the_longest(self, module: Any) -> None:
        x, mask = batch((35, 40))
        head = shaken(made(module.Head))
        torch.testing.assert_close(head(x, mask), head(x[:, :, :30], mask[:, :30]))

    @torch.no_grad()
    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_short_recordings_keep_a_pooled_frame(self, module: Any, n: int) -> None:
        x, mask = batch((n, n))
        values = shaken(made(module.Head))(x, mask)
        assert torch.isfinite(values).all()
        assert values.std(0).min() > 0

    @torch.no_grad()
    def test_outputs_are_independent_networks(self, module: Any) -> None:
        x, mask = batch()
        head = shaken(made(module.Head, n_outputs=3))
        before = head(x, mask)
        for parameter in head.networks[1].parameters():
            parameter += 0.1
        after = head(x, mask)
        assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
        assert not torch.equal(before[:, 1], after[:, 1])

    def test_log_mel_energies_have_frames_of_their_own_length(self, module: Any) -> None:
        assert build(module.Head, random_inputs(1, (1,), (40,)), 1, 0, width=8, hidden=8).max_frames == 797
        assert build(module.Head, random_inputs(1, (1,), (24,)), 1, 0, width=8, hidden=8).max_frames == 398

    @pytest.mark.parametrize("options", [{"max_frames": 1}, {"width": 3}])
    def test_refuses_sizes_that_leave_nothing(self, module: Any, options: dict[str, int]) -> None:
        with pytest.raises(ValueError, match=r"max_frames is 2 or more|set width to 4 or more"):
            made(module.Head, **options)


def test_front_pools_by_twos_and_drops_an_odd_frame() -> None:
    front = ConvFront(5, 8)
    assert front.dim == 2
    assert front(torch.randn(2, 7, 5)).shape == (2, 3, 2)


@pytest.mark.parametrize("n_frames", [2, 5, 7, 12, 13, 24])
def test_padding_is_told_apart_no_further_than_the_convolutions_do(n_frames: int) -> None:
    """Forward and backward, of every length: equal to convolutions of the whole padded map."""
    torch.manual_seed(0)
    front = ConvFront(5, 8).double()
    for conv in front.convs:
        nn.init.normal_(conv.bias)
    lengths = torch.arange(n_frames + 1)
    x = torch.randn(len(lengths), n_frames, 5, dtype=torch.float64)
    x = torch.where(torch.arange(n_frames)[:, None] < lengths[:, None, None], x, 0.0)
    weights = torch.randn(len(lengths), n_frames // 2, 2, dtype=torch.float64)
    found = []
    for of in (lambda given: given, lambda given: StretchedFrames.of(given, lengths)):
        given = x.clone().requires_grad_()
        maps = front(of(given))
        real = torch.arange(n_frames)[:, None] < lengths[:, None, None]
        gradients = torch.autograd.grad((maps * weights).sum(), [given, *front.parameters()])
        found.append((maps, gradients[0] * real, *gradients[1:]))  # what padding is told of goes nowhere
    for plain, stretched in zip(*found, strict=True):
        torch.testing.assert_close(
            stretched, plain, rtol=0, atol=1e-12 * max(1.0, float(plain.detach().abs().max()))
        )


def test_less_is_convolved_than_is_padded() -> None:
    stretched = StretchedFrames.of(torch.zeros(3, 398, 5), torch.tensor([398, 100, 0]))
    assert len(stretched.frames) == (398 + 1) + (106 + 1) + (6 + 1)
