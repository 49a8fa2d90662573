"""Which members can be computed as one model, and in which stacks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from sercache.head import Stacks
from sercache.nn import at_once
from sercache.training.contract import Member

_UNSTACKED = (nn.RNNBase, nn.modules.dropout._DropoutNd, nn.MultiheadAttention)
"""Parts of torch that have no rule for a stack, or draw for all members from one stream."""


def stacks(members: Sequence[Member], most: int) -> list[list[int]]:
    """Numbers of the members of each stack: those that share their batches together, ``most`` at once."""
    groups: dict[object, list[int]] = {}
    shared = share_batches(members)
    for number, member in enumerate(members):
        key = (id(member.train), member.order_seed) if shared else None
        groups.setdefault(key, []).append(number)
    return [group[k : k + most] for group in groups.values() for k in range(0, len(group), most)]


def share_batches(members: Sequence[Member]) -> bool:
    """Whether several of the members see the same batches."""
    return len({(id(member.train), member.order_seed) for member in members}) < len(members) and all(
        member.order_seed is not None for member in members
    )


def can_stack(members: Sequence[Member]) -> bool:
    """Whether these members may be computed as one model: one geometry, one set of options."""
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
    return len({geometry(member.head) for member in members}) == 1


def gains(members: Sequence[Member], device: torch.device) -> bool:
    """Whether a stack is worth it: few recurrent networks are not on a device, where cuDNN computes one at a time."""
    networks = [module for module in members[0].head.modules() if isinstance(module, nn.RNNBase)]
    return device.type == "cpu" or not networks or at_once(networks, len(members))


def geometry(head: nn.Module) -> str:
    """What two heads must share to be one model with two sets of parameters."""
    shapes = [(name, tuple(p.shape), p.requires_grad) for name, p in head.named_parameters()]
    plain = [
        (name, key, value)
        for name, module in head.named_modules()
        for key, value in sorted(vars(module).items())
        if isinstance(value, bool | int | float | str | tuple) and key != "training"
    ]
    return repr((type(head), shapes, plain))
