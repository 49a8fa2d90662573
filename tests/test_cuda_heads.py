"""Heads trained on a card come to what they come to on the CPU, alone and as one stacked model."""

from __future__ import annotations

from functools import partial

import golden
import many_helpers as many
import pytest
import test_training_recording as recorded
import torch
from golden import _in_float64
from on_card import DEVICE as CARD
from tolerances import assert_trained_alike

from sercache import catalog
from sercache.head import is_solved
from sercache.heads import layer_attention, linear, mlp, superb, weighted_dense
from sercache.nn import _together
from sercache.training import fit, fit_many, loop, recording, stack_epoch, stacked

pytestmark = pytest.mark.cuda
DEVICE = "cpu" if CARD.startswith("cpu") else CARD
"""Trainings on a CPU of another name would copy what is to stay where it is."""
CASES = {
    name: case
    for name, case in golden.cases().items()
    if not any(name.startswith(f"head: {head}") for head in catalog.names("sercache.heads")
               if is_solved(catalog.load("sercache.heads", head).Head))
}  # fmt: skip
"""Small trainings of every head that is trained, and of every loss, optimiser, schedule and order of batches."""


class _All:
    """In the place of what draws the elements that dropout keeps: all of them."""

    @staticmethod
    def apply(x: torch.Tensor, p: float, mask: torch.Tensor | None = None) -> torch.Tensor:
        return torch.ones_like(x)


@pytest.fixture(autouse=True)
def no_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its draws differ between devices, which is no mistake."""
    monkeypatch.setattr(_together, "_Kept", _All)
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, *args, **options: x)
    # cuDNN draws its own between the layers of a network, by the rate that the network was built with.
    none = property(lambda rnn: 0.0, lambda rnn, rate: None)
    monkeypatch.setattr(torch.nn.RNNBase, "dropout", none, raising=False)


@pytest.mark.parametrize("name", CASES)
def test_trainings_come_to_what_they_come_to_on_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = golden.numbers(CASES[name])
    monkeypatch.setattr(golden, "fit", partial(fit, device=DEVICE))
    assert golden.difference(golden.numbers(CASES[name]), expected, CASES[name].tolerance) is None


@pytest.mark.parametrize(
    "head", [linear, mlp, superb, layer_attention, weighted_dense], ids=lambda m: m.__name__[15:]
)
def test_a_stack_comes_to_what_its_members_come_to_alone_on_the_cpu(head) -> None:  # type: ignore[no-untyped-def]
    frames = (3, 9) if head.SETUP.frames else (1, 1)
    with _in_float64():
        members = many.doubled(many.members(head.Head, frames))
        expected = [fit(m.head, m.train, m.dev, many.RECIPE, seed=m.seed) for m in members]
        again, said = many.doubled(many.members(head.Head, frames)), list[str]()
        found = fit_many(again, many.RECIPE, device=DEVICE, way="stacked", say=said.append)
    assert said == ["as one stacked model"]
    assert_trained_alike(found, expected, many.RECIPE)


@pytest.mark.parametrize("way", ["serial", "stacked"])
@pytest.mark.parametrize("head", [linear, mlp, superb, layer_attention], ids=lambda m: m.__name__[15:])
def test_what_was_recorded_is_what_is_computed_without(head, way, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    replayed, record = [], recording.recorder_of

    def spied(*given):  # type: ignore[no-untyped-def]
        recorder = record(*given)
        return recorder and (lambda compute: (replayed.append(given), recorder(compute))[1])

    runs = []
    for recorder_of in (spied, lambda *given: None):
        for module in (loop, stacked, stack_epoch):
            monkeypatch.setattr(module, "recorder_of", recorder_of)
        runs.append(fit_many(recorded.members(head.Head), recorded.RECIPE, device=DEVICE, way=way))
    assert bool(replayed) == DEVICE.startswith("cuda")
    assert_trained_alike(*runs, recorded.RECIPE)
