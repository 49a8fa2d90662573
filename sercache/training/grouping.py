"""Which members can be computed as one model, and in which stacks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from sercache.head import Stacks
from sercache.training.members import Member

_UNSTACKED = (nn.RNNBase, nn.modules.dropout._DropoutNd, nn.MultiheadAttention)
"""Parts of torch that have no rule for a stack, or draw for all members from one stream."""

_START = 3
"""What a stack costs beside its members, as many members: of superb 3.7 ms a step, and each member 0.8."""


def stacks(members: Sequence[Member], most: int) -> list[list[int]]:
    """Numbers of the members of each stack: those that share their batches together, ``most`` at once."""
    groups: dict[object, list[int]] = {}
    shared = share_batches(members)
    for number, member in enumerate(members):
        key = (id(member.train), member.order_seed) if shared else None
        groups.setdefault(key, []).append(number)
    return [group[k : k + most] for group in groups.values() for k in range(0, len(group), most)]


def pieces(units: Sequence[Sequence[int]], n_workers: int) -> list[list[int]]:
    """Stacks for ``n_workers`` processes, largest first: whole ones, and those left over cut so that none idles.

    A process takes the next when it is done. Stacks are cut into as few as give the shortest longest load.
    """
    rest = len(units) % n_workers
    whole, left = list(units[: len(units) - rest]), units[len(units) - rest :]
    plans = []
    for n in range(1, max((len(unit) for unit in left), default=1) + 1):
        cut = [list(each) for each in [*whole, *(part for unit in left for part in _cut(unit, n))]]
        plans.append(sorted(cut, key=lambda each: -len(each)))
    return min(plans, key=lambda plan: max(loads(plan, n_workers, _START)))


def loads(units: Sequence[Sequence[int]], n_workers: int, start: int = 0) -> list[int]:
    """Members that each process trains, when it takes the next unit as soon as it is done.

    ``start`` is what a unit costs beside its members.
    """
    found = [0] * n_workers
    for unit in units:
        least = min(range(n_workers), key=found.__getitem__)
        found[least] += len(unit) + start
    return found


def _cut(unit: Sequence[int], n: int) -> list[Sequence[int]]:
    """A stack in ``n`` parts (no more than it has members) whose sizes differ by one at most."""
    n = min(n, len(unit))
    return [unit[len(unit) * k // n : len(unit) * (k + 1) // n] for k in range(n)]


def share_batches(members: Sequence[Member]) -> bool:
    """Whether several of the members see the same batches."""
    return len({(id(member.train), member.order_seed) for member in members}) < len(members) and all(
        member.order_seed is not None for member in members
    )


def can_stack(members: Sequence[Member], padded: bool = False) -> bool:
    """Whether these members may be computed as one model: one geometry, one set of options, one length.

    ``padded`` allows sequences whose batches are filled up to the longest of an update.
    """
    first = members[0].head
    declared = isinstance(first, Stacks) and first.STACKS
    if any(
        (isinstance(module, Stacks) and not module.STACKS)
        or (isinstance(module, _UNSTACKED) and not declared)
        for module in first.modules()
    ):
        return False
    if any(True for _ in first.buffers()):
        return False
    own_lengths = not share_batches(members) and any(int(m.train.n_frames.max()) > 1 for m in members)
    if own_lengths and not padded:
        return False
    return len({_shape(member.head) for member in members}) == 1


def _shape(head: nn.Module) -> str:
    """What two heads must share to be one model with two sets of parameters."""
    shapes = [(name, tuple(p.shape), p.requires_grad) for name, p in head.named_parameters()]
    plain = [
        (name, key, value)
        for name, module in head.named_modules()
        for key, value in sorted(vars(module).items())
        if isinstance(value, bool | int | float | str | tuple) and key != "training"
    ]
    return repr((type(head), shapes, plain))
