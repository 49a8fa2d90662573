"""Contract of every head in ``heads/``: a new file is under all of this with no other edit."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from array_view import random_view
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from sercache import catalog
from sercache.recipe import Recipe, Setup
from sercache.training import build, fit, predict

NAMES = catalog.names("heads")
FRAMES, POOLED = (3, 9), (1, 1)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tiny products: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(name: str, n_layers: int = 4, dim: int = 24, n_outputs: int = 4, seed: int = 0) -> nn.Module:
    view = random_view(1, n_layers, dim)
    return build(catalog.load("heads", name).Head, view, n_outputs, seed)


def data(frames: tuple[int, int] = FRAMES, n_items: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    return random_view(n_items, frames=frames).batch(np.arange(n_items))


def n_parameters(name: str, n_layers: int, dim: int, n_outputs: int) -> int:
    return sum(p.numel() for p in make(name, n_layers, dim, n_outputs).parameters())


@pytest.mark.parametrize("name", NAMES)
class TestEveryHead:
    def test_declares_what_it_was_published_with(self, name: str) -> None:
        module = catalog.load("heads", name)
        assert isinstance(module.RECIPE, Recipe)
        assert isinstance(module.SETUP, Setup)
        assert module.SOURCE
        assert "\n" not in module.SOURCE
        assert module.__doc__
        options = list(inspect.signature(module.Head).parameters.values())
        assert [option.name for option in options[:3]] == ["n_layers", "dim", "n_outputs"]
        assert all(option.default is not option.empty for option in options[3:])
        if module.RECIPE.needs_dev:
            assert module.SETUP.dev != "none"

    @pytest.mark.parametrize("frames", [FRAMES, POOLED])
    @pytest.mark.parametrize(("n_layers", "dim", "n_outputs"), [(4, 24, 4), (1, 40, 7), (13, 16, 2)])
    def test_gives_a_logit_per_class(
        self, name: str, frames: tuple[int, int], n_layers: int, dim: int, n_outputs: int
    ) -> None:
        x, mask = random_view(5, n_layers, dim, frames=frames).batch(np.arange(5))
        logits = make(name, n_layers, dim, n_outputs)(x, mask)
        assert logits.shape == (5, n_outputs)
        assert torch.isfinite(logits).all()

    @pytest.mark.parametrize("filler", [0.0, 1e4, float("nan"), float("inf")])
    @torch.no_grad()
    def test_padding_moves_no_logit(self, name: str, filler: float) -> None:
        head = make(name).eval()
        x, mask = data()
        longer = torch.cat([x, torch.zeros_like(x[:, :, :5])], 2)
        wider = torch.cat([mask, torch.zeros_like(mask[:, :1]).expand(-1, 5)], 1)
        filled = torch.where(wider[:, None, :, None], longer, filler)
        together = head(filled, wider)
        for k, n in enumerate(mask.sum(1).tolist()):
            alone = head(x[k : k + 1, :, :n], mask[k : k + 1, :n])
            torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-5, atol=1e-6)

    def test_every_frame_counts(self, name: str) -> None:
        head = make(name).eval()
        x, mask = data()
        last = mask.sum(1) - 1
        moved = x.clone()
        moved[torch.arange(len(x)), :, last] += torch.randn(x.shape[1], x.shape[3]) * 3
        assert ((head(x, mask) - head(moved, mask)).abs().amax(1) > 1e-6).all()

    def test_gradient_reaches_every_parameter(self, name: str) -> None:
        head = make(name, 24, 64)
        x, mask = random_view(16, 24, 64, frames=FRAMES).batch(np.arange(16))
        F.cross_entropy(head(x, mask), torch.arange(16) % 4).backward()
        assert [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []

    def test_overfits_32_utterances(self, name: str) -> None:
        recipe = dataclasses.replace(
            catalog.load("heads", name).RECIPE,
            lr=1e-2,
            batch_size=32,
            accumulate=1,
            max_epochs=60,
            select="last-epoch",
            patience=None,
            weight_decay=0.0,
        )
        view = random_view(32, n_layers=2, dim=48, frames=(1, 4))
        head = fit(make(name, n_layers=2, dim=48), view, None, recipe, seed=1).head
        assert (predict(head, view).argmax(1) == view.labels).all()

    def test_saves_and_loads_bit_equal(self, name: str, tmp_path: Path) -> None:
        head, other = make(name, seed=1).eval(), make(name, seed=2).eval()
        x, mask = data()
        assert not torch.equal(head(x, mask), other(x, mask))
        safetensors.torch.save_file(head.state_dict(), tmp_path / "head.safetensors")
        other.load_state_dict(safetensors.torch.load_file(tmp_path / "head.safetensors"))
        assert torch.equal(head(x, mask), other(x, mask))

    def test_initial_weights_follow_the_seed_only(self, name: str) -> None:
        torch.manual_seed(5)
        first = make(name, seed=3).state_dict()
        state = torch.get_rng_state()
        second = make(name, seed=3).state_dict()
        assert torch.equal(state, torch.get_rng_state())
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_stacks_under_vmap(self, name: str) -> None:
        heads = [make(name, seed=k).eval() for k in range(3)]
        x, mask = data()
        parameters, buffers = stack_module_state(heads)

        def loss(p: dict, b: dict) -> torch.Tensor:
            return F.cross_entropy(functional_call(heads[0], (p, b), (x, mask)), torch.arange(len(x)) % 4)

        losses = vmap(loss)(parameters, buffers)
        losses.sum().backward()
        for k, head in enumerate(heads):
            alone = F.cross_entropy(head(x, mask), torch.arange(len(x)) % 4)
            alone.backward()
            torch.testing.assert_close(losses[k], alone)
            for key, parameter in head.named_parameters():
                torch.testing.assert_close(parameters[key].grad[k], parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "n_layers", "dim", "n_outputs", "expected"),
    [
        ("layer-attention", 24, 1024, 4, 4_332_541),
        ("layer-attention", 12, 768, 4, 2_396_549),
        ("layer-attention", 25, 1024, 4, 4_333_045),
        ("weighted-dense", 13, 768, 4, 115_473),
        ("weighted-dense", 13, 768, 7, 115_860),
        ("weighted-dense", 13, 768, 8, 115_989),
        ("weighted-dense", 1, 768, 4, 115_460),
        ("weighted-dense", 1, 25, 4, 20_356),
        ("weighted-dense", 1, 257, 7, 50_439),
        ("superb", 13, 768, 4, 13 + 768 * 256 + 256 + 256 * 4 + 4),
        ("linear", 12, 768, 4, 12 + 768 * 4 + 4),
        ("mlp", 12, 768, 4, 12 + 768 * 256 + 256 + 256 * 4 + 4),
    ],
)
def test_parameter_counts(name: str, n_layers: int, dim: int, n_outputs: int, expected: int) -> None:
    assert n_parameters(name, n_layers, dim, n_outputs) == expected
