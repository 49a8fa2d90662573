"""Encoders, heads, losses, optimisers and tails on a card that is none: nothing stays behind, values are the CPU's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, get_args, get_type_hints

import encoder_helpers as tiny
import numpy as np
import pytest
import text_helpers as texts
import torch
from families import BOUND, CHECKPOINTS
from golden import LOSSES, OPTIMISERS, SMALL
from mock_card import DEVICE, MAY_MIX, Card, OnCard, card
from published_sizes import NEVER_ON_A_CARD
from torch.utils._python_dispatch import TorchDispatchMode

from sercache import catalog, encoders
from sercache.errors import UnknownNameError
from sercache.recipe import Recipe
from sercache.training.loop import optimiser_of
from sercache.training.losses import dev_loss, training_loss

LENGTHS = (8_000, 4_000, 15_999)


def checkpoint(name: str, folder: Path) -> str:
    return str(CHECKPOINTS[name][1](folder / name))


def states_on(device: str, folder: str, watch: Any = None) -> dict[str, torch.Tensor]:
    encoder = encoders.load(folder, device=device)
    waves = [tiny.noise(min(n, encoder.max_samples or n), seed=n) for n in LENGTHS]
    with watch or nullcontext():
        return {name: x.clone() for name, x in encoder.encode(waves)}


class Watch(TorchDispatchMode):
    """Notes products and convolutions that run while TensorFloat-32 may round them."""

    def __init__(self) -> None:
        super().__init__()
        self.n_exact, self.rounded = 0, list[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if any(each in name for each in ("mm", "convolution", "attention", "linear")):
            exact = torch.get_float32_matmul_precision() == "highest" and not torch.backends.cudnn.allow_tf32
            self.n_exact += exact
            self.rounded += [] if exact else [name]
        return func(*args, **(kwargs or {}))


@contextmanager
def rounding_asked_for() -> Iterator[None]:
    """A program that asked for TensorFloat-32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_encoder_computes_on_its_device_alone_and_in_full_float32(name: str, tmp_path: Path) -> None:
    folder = checkpoint(name, tmp_path)
    watch = Watch()
    with rounding_asked_for():
        expected = states_on("cpu", folder, watch)
        assert torch.get_float32_matmul_precision() == "high", "settings are given back"
    assert watch.rounded == []
    assert watch.n_exact > 0
    with card():
        found = states_on("cuda", folder)
        assert {each.device for each in found.values()} == {DEVICE}
        copies = {state: each.cpu() for state, each in found.items()}
    for state, each in expected.items():
        assert tiny.error(copies[state], each) <= BOUND, state


WALKED_ALONE = {
    "demo": "demo-wavlm",
    "logmel": "logmel",
    "kaldi-fbank": "kaldi-fbank",
    "mfcc": "mfcc",
    "spectrogram": "spectrogram",
}
"""Families without checkpoints: what they offer by name."""


@pytest.mark.parametrize("name", [*WALKED_ALONE.values(), "fbank40"])
def test_every_encoder_without_a_checkpoint_computes_on_its_device_alone(name: str) -> None:
    expected = states_on("cpu", name)
    with card():
        found = {state: each.cpu() for state, each in states_on("cuda", name).items()}
    for state, each in expected.items():
        assert tiny.error(found[state], each) <= BOUND, state


@pytest.mark.parametrize("name", texts.CONFIGS)
def test_every_encoder_of_text_computes_on_its_device_alone(name: str, tmp_path: Path) -> None:
    folder = str(texts.save(name, tmp_path / name))
    pieces = [np.array([4, 5, 6]), np.array([7]), np.array([8, 9, 10])]

    def states(device: str) -> dict[str, torch.Tensor]:
        encoder = encoders.load(folder, device=device)
        return {state: x.clone() for state, x in encoder.encode(pieces)}

    expected = states("cpu")
    with card():
        found = {state: each.cpu() for state, each in states("cuda").items()}
    for state, each in expected.items():
        assert tiny.error(found[state], each) <= BOUND, state


def test_a_program_has_its_settings_back_between_two_states(tmp_path: Path) -> None:
    encoder = encoders.load(checkpoint("wav2vec2-base", tmp_path))
    with rounding_asked_for():
        for _ in encoder.encode([tiny.noise(4_000)]):
            assert torch.get_float32_matmul_precision() == "high"
            assert torch.backends.cudnn.allow_tf32


def test_a_tensor_that_was_left_behind_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sercache.encoders.hf_speech._convolutions import FrontEnd

    monkeypatch.setattr(FrontEnd, "is_of", lambda self, weight: True)  # keeps the weights it was made with
    folder = checkpoint("conformer-rel-pos", tmp_path)
    with card(), pytest.raises(RuntimeError, match="mixes tensors of the CPU and of the card"):
        states_on("cuda", folder)


def inputs_of(n_inputs: int, n_layers: int, n_frames: int, dim: int) -> tuple[Any, Any]:
    """Features and mask of four items, a tensor each or one for each of several inputs, on the CPU."""
    draws = torch.Generator().manual_seed(0)
    mask = torch.arange(n_frames) < torch.tensor([n_frames, 1, n_frames, max(1, n_frames // 2)])[:, None]
    x = [torch.randn(4, n_layers, n_frames, dim, generator=draws) for _ in range(n_inputs)]
    return (x[0], mask) if n_inputs == 1 else (tuple(x), (mask,) * n_inputs)


def moved(value: Any, device: torch.device) -> Any:
    return tuple(each.to(device) for each in value) if isinstance(value, tuple) else value.to(device)


TRAINED = [
    name
    for name in catalog.names("sercache.heads")
    if not hasattr(catalog.load("sercache.heads", name).Head, "solve")
]


DIM = 16


def _head(name: str, module: Any, n_layers: int, n_inputs: int) -> Any:
    shape = (n_layers, DIM) if n_inputs == 1 else ((n_layers,) * n_inputs, (DIM,) * n_inputs)
    return module.Head(*shape, 4, **SMALL.get(name, {}))


def trained(name: str, device: torch.device) -> list[float]:
    """Losses of two updates and the sum of the outputs after them."""
    module = catalog.load("sercache.heads", name)
    n_inputs, recipe = getattr(module, "INPUTS", 1), module.RECIPE
    torch.manual_seed(0)
    try:
        n_layers, head = 3, _head(name, module, 3, n_inputs)
    except ValueError:  # it reads one state
        n_layers, head = 1, _head(name, module, 1, n_inputs)
    head = head.to(device).eval()  # no dropout: its draws differ between devices
    parameters = [*head.parameters()]
    optimiser = optimiser_of(parameters, recipe)
    x, mask = (
        moved(each, device) for each in inputs_of(n_inputs, n_layers, 12 if module.SETUP.frames else 1, DIM)
    )
    truth = torch.rand(4, 4) if recipe.loss in ("mse", "ccc") else torch.tensor([0, 1, 2, 3])
    truth, values = truth.to(device), []
    for _ in range(2):
        outputs = head(x, mask)
        loss = training_loss(recipe)(outputs[0] if isinstance(outputs, tuple) else outputs, truth)
        loss.backward()
        if recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        values.append(loss.item())
    with torch.no_grad():
        head.train()(x, mask)  # with dropout
    return values


@pytest.mark.parametrize("name", TRAINED)
def test_every_head_is_trained_on_its_device_alone(name: str) -> None:
    expected = trained(name, torch.device("cpu"))
    with card():
        found = trained(name, DEVICE)
    # Two evaluations in float32 of a loss of order one, by other kernels (cuDNN's way on a card).
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_loss_and_optimiser_works_on_its_device_alone(loss: Any, optimiser: Any) -> None:
    numeric = loss in ("mse", "ccc")
    recipe = Recipe(loss=loss, optimiser=optimiser, select="last-epoch")
    with card():
        layer = torch.nn.Linear(8, 4).to(DEVICE)
        steps = optimiser_of([*layer.parameters()], recipe)
        x = torch.randn(6, 8).to(DEVICE)
        truth = (torch.randn(6, 4) if numeric else torch.arange(6) % 4).to(DEVICE)
        weights = None if numeric else torch.ones(4).to(DEVICE)
        for of in (training_loss(recipe, weights), dev_loss(recipe)):
            of(layer(x).clamp(-0.9, 0.9), truth).backward()
            steps.step()
        assert all(bool(each.isfinite().all()) for each in layer.parameters())


def tails() -> list[str]:
    """Checkpoints of families whose blocks can be trained from a cached state."""
    room = "sercache.encoders"
    able = {name for name in catalog.names(room) if hasattr(catalog.load(room, name), "tail")}
    return [name for name, (family, _) in CHECKPOINTS.items() if family in able]


@pytest.mark.parametrize("name", tails())
def test_every_tail_is_trained_on_its_device_alone(name: str, tmp_path: Path) -> None:
    folder = checkpoint(name, tmp_path)
    encoder = encoders.load(folder)
    try:
        below, tail = "conv", encoders.load_tail(folder, "conv", [encoder.states[-1]])
    except UnknownNameError:
        below, tail = "input", encoders.load_tail(folder, "input", [encoder.states[-1]])
    x = torch.randn(3, 1, 20, encoder.dims.get(below, encoder.dims["1"]))
    mask = torch.arange(20) < torch.tensor([20, 7, 13])[:, None]
    expected = tail.eval()(x, mask).detach()
    with card():
        tail = tail.to(DEVICE)
        found = tail(x.to(DEVICE), mask.to(DEVICE))
        found.square().mean().backward()
        got = found.detach().cpu()
    gradients = [each.grad for each in tail.parameters() if each.grad is not None]
    assert gradients
    assert all(isinstance(each, OnCard) for each in gradients)
    for row, n in enumerate((20, 7, 13)):
        assert tiny.error(got[row, :, :n], expected[row, :, :n]) <= BOUND


PACKED = torch.nn.utils.rnn.pack_padded_sequence
LENGTHS_OF = torch.tensor([3, 1])
MIXED: dict[str, Any] = {
    "aten.copy_": lambda place: torch.zeros(3, 2, device=place).copy_(torch.ones(3, 2)),
    "aten.index": lambda place: torch.ones(3, 2).to(place)[torch.tensor([0, 2])],
    "aten.index_put_": lambda place: torch.zeros(3, device=place).index_put_(
        (torch.tensor([1]),), torch.ones(1).to(place)
    ),
    "aten._pack_padded_sequence": lambda place: PACKED(torch.ones(2, 3, 2).to(place), LENGTHS_OF, True).data,
}
"""Of each operation that takes tensors of both devices, a use of it."""


@pytest.mark.parametrize("name", MAY_MIX)
def test_each_operation_that_may_mix_is_used_so_and_has_a_reason(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, reason = MAY_MIX[name]
    assert len(reason) > 20
    with card():
        assert MIXED[name](DEVICE).device == DEVICE
        monkeypatch.delitem(MAY_MIX, name)
        with pytest.raises(RuntimeError, match=f"{re.escape(name)}[.].*mixes"):
            MIXED[name](DEVICE)


def test_what_is_walked_is_all_that_there_is() -> None:
    room = "sercache.encoders"
    walked = {family for family, _ in CHECKPOINTS.values()} | set(WALKED_ALONE) | {"text"}
    assert walked | set(NEVER_ON_A_CARD) == set(catalog.names(room))
    solved = {name for name in catalog.names("sercache.heads") if name not in TRAINED}
    assert solved == {"logistic", "svm"}, "which scikit-learn and scipy solve on the CPU"
    assert set(get_args(get_type_hints(Recipe)["loss"])) == set(LOSSES)
    assert set(get_args(get_type_hints(Recipe)["optimiser"])) == set(OPTIMISERS)
    able = {name for name in catalog.names(room) if hasattr(catalog.load(room, name), "tail")}
    assert {CHECKPOINTS[name][0] for name in tails()} == able


def test_the_card_refuses_what_a_card_refuses() -> None:
    with Card():
        x = torch.randn(3).to(DEVICE)
        with pytest.raises(RuntimeError, match="mixes"):
            x + torch.randn(3)
        with pytest.raises(RuntimeError, match="mixes"):
            torch.randn(3)[torch.tensor([0, 1]).to(DEVICE)]
        assert (x + 1).device == DEVICE
        assert torch.equal(x[torch.tensor([0, 1])].cpu(), x.cpu()[:2])
        assert torch.zeros(2, device=DEVICE).sum().item() == 0
