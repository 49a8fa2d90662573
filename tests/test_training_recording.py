"""Updates in memory that stays: to the bit those of the loop, whether they are recorded or not.

A card records a graph of what is computed; here a tape of operations is its like.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from many_helpers import assert_same
from test_training_feeding import IDS, view
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sercache.heads import layer_attention, linear, mlp, superb
from sercache.recipe import Recipe
from sercache.training import Member, build, fit_many, loop, stack_epoch, stacked
from sercache.training.loop import optimiser_of, set_rate
from sercache.training.recording import WARM, StaticUpdate
from sercache.views import global_scaling

RECIPE = Recipe(lr=1e-2, batch_size=2, max_epochs=4, select="dev-loss", patience=1, clip_value=0.5)


class Tape(TorchDispatchMode):
    """Operations on memory that stays, done again without the code that asked for them, as a graph of a card does them.

    What is recorded is done once, which a graph does not: all memory that was there before is put back after.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self._before: dict[int, tuple[Any, Tensor]] = {}
        self._own: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if "_local_scalar_dense" in str(func):
            raise RuntimeError("operation not permitted when stream is capturing")
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        held = {_memory(each) for each in given}
        for each in given:
            if func._schema.is_mutable and _memory(each) not in self._own:
                self._before.setdefault(_memory(each), (each.untyped_storage(), _bytes(each).clone()))
        found = func(*args, **kwargs)
        fresh = [
            each for each in tree_leaves(found) if isinstance(each, Tensor) and _memory(each) not in held
        ]
        self._own |= {_memory(each) for each in fresh}
        if fresh or func._schema.is_mutable:  # else it is a view
            self.operations.append((func, args, kwargs, fresh))
        return found

    def put_back(self) -> None:
        """Memory as it was before recording."""
        for storage, bytes_before in self._before.values():
            torch.empty(0, dtype=torch.uint8).set_(storage).copy_(bytes_before)

    def again(self) -> None:
        """All operations, on the same memory."""
        with torch.no_grad():
            for func, args, kwargs, fresh in self.operations:
                found = [each for each in tree_leaves(func(*args, **kwargs)) if isinstance(each, Tensor)]
                for own, new in zip(fresh, found, strict=False):
                    own.detach().copy_(new)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _bytes(tensor: Tensor) -> Tensor:
    return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())


class Recorder:
    """Records on tape, and counts."""

    def __init__(self) -> None:
        self.n_recorded = self.n_replayed = self.n_refused = 0

    def recorder_of(
        self, device: torch.device, streams: Sequence[torch.Generator] = ()
    ) -> Callable[[Callable[[], Tensor]], Callable[[], Tensor]]:
        def record(compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
            sources = [torch.default_generator, *streams]
            tape, drawn = Tape(), [each.get_state() for each in sources]
            try:
                with tape:
                    found = compute()
            except RuntimeError:
                self.n_refused += 1
                raise
            finally:
                tape.put_back()
                for source, state in zip(sources, drawn, strict=True):
                    source.set_state(state)
            self.n_recorded += 1

            def replay() -> Tensor:
                self.n_replayed += 1
                tape.again()
                return found

            return replay

        return record


def recorded(patch: pytest.MonkeyPatch) -> Recorder:
    """What records the updates of trainings from now on."""
    found = Recorder()
    for module in (loop, stacked, stack_epoch):
        patch.setattr(module, "recorder_of", found.recorder_of)
    return found


def members(head: type[nn.Module], *, shared: bool = False) -> list[Member]:
    """Folds of 9 and 11 items by two seeds, of 5 and 6 updates; the last are of one item."""
    whole = view()
    whole = whole.scaled(global_scaling(whole))
    return [
        Member(build(head, part, 4, seed), part, dev, seed, 0 if shared else None)
        for ids, others in ((IDS[:9], IDS[7:]), (IDS[1:], IDS[:3]))
        for part, dev in [(whole.subset(ids), whole.subset(others))]
        for seed in (1, 2)
    ]


@pytest.mark.parametrize("head", [superb.Head, linear.Head, mlp.Head, layer_attention.Head])
@pytest.mark.parametrize(
    ("way", "shared"),
    [("serial", False), ("stacked", False), ("stacked", True)],
    ids=["alone", "own", "shared"],
)
@pytest.mark.parametrize("change", [{}, {"optimiser": "sgd"}], ids=["adam", "sgd"])
def test_what_was_recorded_does_what_the_loop_does(
    head: type[nn.Module], way: Any, shared: bool, change: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, in early stopping, dropout and short batches too."""
    recipe = replace(RECIPE, **change)
    expected = fit_many(members(head, shared=shared), recipe, way=way)
    recorder = recorded(monkeypatch)
    assert_same(fit_many(members(head, shared=shared), recipe, way=way), expected)
    assert recorder.n_replayed > recorder.n_recorded > 0
    assert not recorder.n_refused


class Looks(nn.Module):
    """A head that looks at a value, which a graph cannot."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.out(x[:, 0, 0]) * (1.0 if float(x.sum()) > 0 else 0.5)


def test_what_cannot_be_recorded_is_computed_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fit_many(members(Looks), RECIPE, way="serial")
    recorder = recorded(monkeypatch)
    assert_same(fit_many(members(Looks), RECIPE, way="serial"), expected)
    assert (recorder.n_recorded, recorder.n_refused) == (0, len(expected)), "it is tried once for each"


@pytest.mark.parametrize(
    ("change", "frames"),
    [({"accumulate": 2, "balance": "class-weights"}, False), ({}, True)],
    ids=["several batches an update", "frames"],
)
def test_updates_of_many_shapes_are_not_recorded(
    change: dict, frames: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, whole = recorded(monkeypatch), view(frames=frames)
    several = [Member(build(linear.Head, whole, 4, seed), whole, whole, seed) for seed in (1, 2)]
    for way in ("serial", "stacked"):
        fit_many(several, replace(RECIPE, max_epochs=2, **change), way=way)  # type: ignore[arg-type]
    assert not recorder.n_recorded
    assert not recorder.n_refused


def test_a_rate_that_changes_reaches_what_was_recorded() -> None:
    """On a card it lies in memory; a number would stay that of the first epoch."""
    rate = torch.tensor(0.1)
    group = {"lr": rate}
    set_rate(group, 0.05)
    assert group["lr"] is rate
    assert float(rate) == pytest.approx(0.05)
    layer = nn.Linear(2, 2)
    assert optimiser_of([*layer.parameters()], RECIPE, recorded=True).param_groups[0]["lr"] == RECIPE.lr


def test_an_update_reads_its_own_memory_alone() -> None:
    given, seen = torch.ones(2), []
    update = StaticUpdate(lambda memory: seen.append(memory[0]) or memory[0].sum(), lambda compute: compute)  # type: ignore[func-returns-value]
    losses = []
    for k in range(WARM + 3):
        given.fill_(k)
        losses.append(update((given,)))
    assert [float(loss) for loss in losses] == [2.0 * k for k in range(WARM + 3)]
    assert len({id(memory) for memory in seen}) == 1
    assert seen[0] is not given
