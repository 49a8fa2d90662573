"""The cells of GRU and LSTM, step by step over packed frames (``sercache.nn._unrolled``), and back.

Tensors of K networks that are computed together: gates (K, F, G H), states (K, F, H). ``sizes``: utterances that
take part in each step; ``turned`` networks begin with the last step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

Parts = tuple[Tensor, ...]


class RecurrentCell(NamedTuple):
    """How a cell is computed, and its gradients."""

    forward: Callable[..., None]
    """Finishes gates in place; writes outputs and what is kept for the way back."""
    backward: Callable[..., tuple[Tensor, Tensor | None]]
    """Gradients of the products with states, and of the part of the gates that differs."""


def _gru(
    gates: Tensor,
    w_back: Tensor,
    within: Tensor,
    sizes: tuple[int, ...],
    turned: bool,
    out: Tensor,
    inner: Tensor,
) -> None:
    """Finish gates (K, F, 3 H); write outputs and the products inside the new states, (K, F, H) each."""
    hidden = out.shape[-1]
    inner.copy_(within[:, None])
    of_gates, of_new = w_back[..., : 2 * hidden], w_back[..., 2 * hidden :]
    state = gates.new_zeros(len(gates), sizes[0], hidden)
    steps = _steps(sizes, turned, gates[..., : 2 * hidden], gates[..., 2 * hidden :], inner, out)
    for both, new, product, found in steps:
        before = state[:, : both.shape[1]]
        both.baddbmm_(before, of_gates)
        product.baddbmm_(before, of_new)
        reset, update = both.sigmoid_().chunk(2, -1)
        new.addcmul_(reset, product).tanh_()
        before.copy_(torch.lerp(new, before, update, out=found))


def _gru_back(
    gradient: Tensor,
    w_back: Tensor,
    before: Tensor,
    inner: Tensor,
    gates: Tensor,
    sizes: tuple[int, ...],
    turned: bool,
) -> tuple[Tensor, Tensor | None]:
    """Gradients (K, F, 3 H) of the products with states, and (K, F, H) of the new state's part of the gates."""
    reset, update, new = gates.chunk(3, -1)
    damped = (1 - update).mul_(1 - new * new)
    parts = gates.new_empty(*gates.shape[:2], 3, before.shape[-1])
    torch.mul(damped, reset, out=parts[:, :, 2])
    torch.mul(parts[:, :, 2], inner, out=parts[:, :, 0]).mul_(1 - reset)
    torch.mul(before - new, update, out=parts[:, :, 1]).mul_(1 - update)
    total = gradient.clone(memory_format=torch.contiguous_format)
    later: Parts | None = None
    for of_state, part, share in _steps(sizes, not turned, total, parts, update):
        if later is not None:
            _hand_on(of_state, later, w_back)
        part.mul_(of_state[:, :, None])
        later = of_state, part.flatten(2), share
    return parts.flatten(2), total.mul_(damped)


def _hand_on(target: Tensor, later: Parts, w_back: Tensor) -> None:
    """Add to the gradient of a step's states what the step after it, in time of the network, gives them."""
    of_state, part, share = later
    n = min(target.shape[1], of_state.shape[1])
    target = target[:, :n]
    if share.shape[-1]:
        target.addcmul_(of_state[:, :n], share[:, :n])
    target.baddbmm_(part[:, :n], w_back)


def _lstm(
    gates: Tensor,
    w_back: Tensor,
    within: Tensor,
    sizes: tuple[int, ...],
    turned: bool,
    out: Tensor,
    cells: Tensor,
) -> None:
    """Finish gates (K, F, 4 H); write outputs and cells, (K, F, H) each."""
    hidden = out.shape[-1]
    state, held = (gates.new_zeros(len(gates), sizes[0], hidden) for _ in range(2))
    for gate, found, cell in _steps(sizes, turned, gates, out, cells):
        n = gate.shape[1]
        gate.baddbmm_(state[:, :n], w_back)
        gate[..., : 2 * hidden].sigmoid_()
        gate[..., 2 * hidden : 3 * hidden].tanh_()
        gate[..., 3 * hidden :].sigmoid_()
        let_in, kept, new, let_out = gate.chunk(4, -1)
        torch.mul(kept, held[:, :n], out=cell).addcmul_(let_in, new)
        torch.tanh(cell, out=found).mul_(let_out)
        state[:, :n].copy_(found)
        held[:, :n].copy_(cell)


def _lstm_back(
    gradient: Tensor,
    w_back: Tensor,
    before: Tensor,
    cells: Tensor,
    gates: Tensor,
    sizes: tuple[int, ...],
    turned: bool,
) -> tuple[Tensor, Tensor | None]:
    """Gradients (K, F, 4 H) of the products with states; nothing else differs."""
    let_in, kept, new, let_out = gates.chunk(4, -1)
    bent = cells.tanh()
    parts = gates.new_empty(*gates.shape[:2], 4, before.shape[-1])
    torch.mul(new, let_in, out=parts[:, :, 0]).mul_(1 - let_in)
    torch.mul(states_before(cells, sizes, turned), kept, out=parts[:, :, 1]).mul_(1 - kept)
    torch.mul(1 - new * new, let_in, out=parts[:, :, 2])
    torch.mul(bent, let_out, out=parts[:, :, 3]).mul_(1 - let_out)
    opened = (1 - bent * bent).mul_(let_out)
    total = gradient.clone(memory_format=torch.contiguous_format)
    of_cells = torch.zeros_like(total)
    later: Parts | None = None
    for of_state, of_cell, part, open_, keep in _steps(
        sizes, not turned, total, of_cells, parts, opened, kept
    ):
        if later is not None:
            _hand_on(of_state, (*later[:2], keep[..., :0]), w_back)
            n = min(of_cell.shape[1], later[2].shape[1])
            of_cell[:, :n].addcmul_(later[2][:, :n], later[3][:, :n])
        of_cell.addcmul_(of_state, open_)
        part[:, :, :3].mul_(of_cell[:, :, None])
        part[:, :, 3].mul_(of_state)
        later = of_state, part.flatten(2), of_cell, keep
    return parts.flatten(2), None


def batched(device: torch.device) -> bool:
    """Whether networks are computed by batched products: launching them one by one would take longer."""
    return device.type != "cpu"


def _steps(sizes: tuple[int, ...], turned: bool, *packed: Tensor) -> Any:
    """The parts (K, n, ...) of each step of packed tensors (K, F, ...), in the order of the network."""
    parts = zip(*(each.split(sizes, 1) for each in packed), strict=True)
    return reversed(list(parts)) if turned else parts


def states_before(states: Tensor, sizes: tuple[int, ...], turned: bool) -> Tensor:
    """The states (K, F, H) that each frame began with: zeros at the first that the network reads."""
    n = torch.tensor(sizes)
    # Frame p of step t was preceded by p less the size of the step before it: ranks stay.
    places = torch.arange(sizes[0], states.shape[1])
    earlier = (places - n[:-1].repeat_interleave(n[1:])).to(states.device)
    before = torch.zeros_like(states)
    if turned:
        return before.index_copy_(1, earlier, states[:, sizes[0] :])
    before[:, sizes[0] :] = states.index_select(1, earlier)
    return before


CELLS = {"gru": RecurrentCell(_gru, _gru_back), "lstm": RecurrentCell(_lstm, _lstm_back)}
"""By torch's name of the kind of layer, in small letters."""
