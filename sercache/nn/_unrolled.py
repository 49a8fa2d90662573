"""GRU and LSTM layers over packed frames, step by step, for K networks at once.

torch's own recurrent layers ran at a fifth of the rate of matrix products on a CPU (a batch of 32 at a time is
small, and each step's share of the weight gradient is summed by itself), and have no rule for ``vmap``. Here the
input map and all weight gradients are one product each over all frames; a step is the product with the recurrent
map and four or five element-wise operations, of all K networks together (docs/decisions/0009).

Frames are packed by time: those of time 0 of all utterances, longest utterance first, then those of time 1, and
so on; an utterance that has ended takes no part. No frame of padding is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sercache.nn._cells import CELLS, Parts, batched, states_before


@dataclass(frozen=True)
class Order:
    """How the frames of a padded batch (B, T, D) are packed."""

    sizes: tuple[int, ...]
    """Utterances that take part in each step."""
    places: Tensor
    """(F,) among the B x T frames."""
    firsts: Tensor
    """(B,) packed places of the first frame of each utterance."""
    lasts: Tensor
    """(B,) packed places of the last frame of each utterance."""
    mirror: Tensor
    """(F,) packed place of the frame that is as far from the end of its utterance as each is from its beginning."""


def order_of(lengths: Tensor, n_frames: int) -> Order:
    """The packing of utterances with ``lengths`` (B,) frames, 1 or more, padded to ``n_frames``.

    Worked out on the CPU, which must know how many steps there are: one wait for a device, and one move back.
    """
    device, lengths = lengths.device, lengths.cpu()
    descending, by_length = lengths.sort(descending=True, stable=True)
    n_steps = int(descending[0])
    going = torch.arange(n_steps)[:, None] < descending  # (steps, B)
    times = torch.arange(n_steps)[:, None]
    sizes = going.sum(1)
    starts = sizes.cumsum(0) - sizes
    rank = torch.empty_like(by_length).scatter_(0, by_length, torch.arange(len(lengths)))
    opposite = (descending - 1 - times).clamp_min(0)
    found = (
        (by_length * n_frames + times)[going],
        rank,
        starts[lengths - 1] + rank,
        (starts[opposite] + torch.arange(len(lengths)))[going],
    )
    return Order(tuple(sizes.tolist()), *torch.cat(found).to(device).split([len(each) for each in found]))


def both_ways(
    kind: str, x: Tensor, maps: tuple[Tensor, Tensor], biases: tuple[Tensor, Tensor], order: Order
) -> tuple[Tensor, Tensor]:
    """Outputs (L, F, H) of L networks that run forward, and of the L of the same maps and biases (2 L, ...) that turn.

    Where networks are computed by batched products all of them take their steps at once, half as many in all: those
    that run backward read utterances that were turned, each within its own length.
    """
    if not batched(x.device):
        forward, backward = unrolled(kind, x, maps, biases, order, len(x)).split(len(x))
        return forward, backward
    mirrored: Tensor = _Mirrored.apply(x, order.mirror)
    forward, backward = unrolled(kind, torch.cat([x, mirrored]), maps, biases, order, 0).split(len(x))
    return forward, _Mirrored.apply(backward, order.mirror)


class _Mirrored(torch.autograd.Function):
    """Frames (K, F, D) in the order of their mirror, which is its own inverse."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, mirror: Tensor) -> Tensor:
        return x.index_select(1, mirror)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # As it is a permutation: index_select's own gradient adds, which a card does one by one to repeat itself.
        return gradients[0].index_select(1, ctx.saved_tensors[0]), None


def unrolled(
    kind: str,
    x: Tensor,
    maps: tuple[Tensor, Tensor],
    biases: tuple[Tensor, Tensor],
    order: Order,
    n_turned: int,
) -> Tensor:
    """Outputs (K, F, H) of a layer of K networks.

    ``kind`` is ``gru`` or ``lstm`` with torch's order of gates; x (N, F, D) is read by the networks k with the
    same k modulo N; ``maps``: input (K, G H, D) and recurrent (K, G H, H), G = 3 or 4 gates; ``biases`` (K, G H)
    of each. The last ``n_turned`` networks run from each utterance's last frame to its first.
    """
    hidden = maps[1].shape[-1]
    if kind == "lstm":
        before, within = biases[0] + biases[1], biases[1][:, :0]
    else:  # the bias of a GRU's new state lies inside the product with its reset gate
        outside = torch.cat([biases[1][:, : 2 * hidden], torch.zeros_like(biases[1][:, 2 * hidden :])], 1)
        before, within = biases[0] + outside, biases[1][:, 2 * hidden :]
    found: Parts = _Unrolled.apply(x, *maps, before, within, order.sizes, n_turned, kind, 1)
    return found[0]


class _Unrolled(torch.autograd.Function):
    """Outputs, what the products inside a cell need, and gates after their activations."""

    @staticmethod
    def forward(
        x: Tensor,
        w_in: Tensor,
        w_back: Tensor,
        bias: Tensor,
        within: Tensor,
        sizes: tuple[int, ...],
        n_turned: int,
        kind: str,
        n_alike: int,
    ) -> Parts:
        """``n_alike`` networks in a row read the same x."""
        gates = x.new_empty(len(w_in), x.shape[1], w_in.shape[1])
        out, kept = (x.new_empty(*gates.shape[:2], w_back.shape[-1]) for _ in range(2))

        def compute(some: slice, turned: bool) -> None:
            for k in range(some.start, some.stop):
                torch.addmm(bias[k], x[k // n_alike % len(x)], w_in[k].T, out=gates[k])
            back = w_back[some].mT.contiguous()  # a fifth faster than turned anew in every step
            CELLS[kind].forward(gates[some], back, within[some], sizes, turned, out[some], kept[some])

        _for_each(compute, len(gates), n_turned, x.device)
        return out, kept, gates

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Parts) -> None:
        x, w_in, w_back, _, ctx.within, ctx.sizes, ctx.n_turned, ctx.kind, ctx.n_alike = inputs
        ctx.within = ctx.within.shape
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, w_in, w_back, *output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, w_in, w_back, out, kept, gates = ctx.saved_tensors
        gradient = gradients[0]
        if gradient is None:
            return (None,) * 9
        of_in, of_back, of_bias = (
            torch.empty_like(w_in),
            torch.empty_like(w_back),
            w_in.new_empty(w_in.shape[:2]),
        )
        of_within = w_in.new_empty(ctx.within)
        of_x = x.new_empty(len(w_in), *x.shape[1:]) if ctx.needs_input_grad[0] else None
        hidden, n_alike = out.shape[-1], ctx.n_alike

        def compute(some: slice, turned: bool) -> None:
            before = states_before(out[some], ctx.sizes, turned)
            of_gates, of_new = CELLS[ctx.kind].backward(
                gradient[some], w_back[some], before, kept[some], gates[some], ctx.sizes, turned
            )
            torch.bmm(of_gates.mT, before, out=of_back[some])
            if of_new is not None:  # before the reset gate: what the product with the input has of it
                torch.sum(of_gates[..., -hidden:], 1, out=of_within[some])
                of_gates[..., -hidden:] = of_new
            torch.sum(of_gates, 1, out=of_bias[some])
            for k, of_gate in enumerate(of_gates, start=some.start):
                torch.mm(of_gate.T, x[k // n_alike % len(x)], out=of_in[k])
                if of_x is not None:
                    torch.mm(of_gate, w_in[k], out=of_x[k])

        _for_each(compute, len(gates), ctx.n_turned, x.device)
        total = None if of_x is None else of_x.unflatten(0, (-1, len(x), n_alike)).sum((0, 2))
        return total, of_in, of_back, of_bias, of_within, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, *rest: Any) -> tuple[Parts, Parts]:
        n = info.batch_size
        *tensors, sizes, n_turned, kind, n_alike = rest
        # Networks come before members: those that are turned stay the last. An x that members share is read once.
        if in_dims[0] is not None:
            x, n_alike = x.movedim(in_dims[0], 1).flatten(0, 1), 1
        else:
            n_alike *= n
        merged = [
            (
                each[:, None].expand(-1, n, *each.shape[1:]) if place is None else each.movedim(place, 1)
            ).flatten(0, 1)
            for each, place in zip(tensors, in_dims[1:5], strict=True)
        ]
        found: Parts = _Unrolled.apply(x, *merged, sizes, n_turned * n, kind, n_alike)
        return tuple(each.unflatten(0, (-1, n)) for each in found), (1,) * len(found)  # type: ignore[return-value]


def _for_each(
    compute: Callable[[slice, bool], None], n_networks: int, n_turned: int, device: torch.device
) -> None:
    """Call ``compute`` with networks that are computed at once, and whether they are turned.

    On a CPU each by itself, as its maps then stay in the core's cache from step to step, and as many at the same
    time as torch may use threads: two threads within one small product gained a third, in two products all.
    """
    middle = n_networks - n_turned
    if batched(device):
        for some in (slice(0, middle), slice(middle, n_networks)):
            if some.start < some.stop:
                compute(some, some.start == middle and n_turned > 0)
        return
    n_threads = torch.get_num_threads()
    if min(n_threads, n_networks) == 1:
        for k in range(n_networks):
            compute(slice(k, k + 1), k >= middle)
        return

    inferring = torch.is_inference_mode_enabled()

    def alone(k: int) -> None:
        # A thread begins with modes of its own: it would record gradients, and may not write into this one's tensors.
        with torch.inference_mode() if inferring else torch.no_grad():
            compute(slice(k, k + 1), k >= middle)

    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(min(n_threads, n_networks)) as pool:
            list(pool.map(alone, range(n_networks)))
    finally:
        torch.set_num_threads(n_threads)
