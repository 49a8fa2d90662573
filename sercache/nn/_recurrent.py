"""Recurrent pieces that never see padding: every utterance ends at its own last frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sercache.nn._attention import QueryAttention
from sercache.nn._together import dropout, in_stack
from sercache.nn._unrolled import Order, both_ways, order_of, unrolled

CUDNN = 8
"""Networks, each direction one, up to which cuDNN takes no longer, one after another, than ours do at once."""


def over_frames(rnn: nn.RNNBase, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, H) of a GRU or LSTM, zeros beyond ``lengths`` (B,), and its last states (K, B, H).

    K: layers times directions, in torch's order. A length of 0 is read as 1.
    """
    outputs, last = over_frames_of_each([rnn], x[:, None], lengths)
    return outputs[:, 0], last[0]


def over_frames_of_each(rnns: Sequence[nn.RNNBase], x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (B, L, T, H) of L networks of one geometry, each on its layer of x (B, L, T, D), zeros in the padding.

    And their last states (L, K, B, H). A length of 0 is read as 1.
    """
    lengths = lengths.clamp_min(1)
    if x.device.type != "cpu" and not in_stack() and not at_once(rnns):
        lengths = lengths.cpu()  # torch wants them there; one wait for the device
        found = [_by_torch(rnn, x[:, k], lengths) for k, rnn in enumerate(rnns)]
        return torch.stack([out for out, _ in found], 1), torch.stack([last for _, last in found])
    order = order_of(lengths, x.shape[2])
    frames = x.transpose(1, 2).flatten(0, 1).index_select(0, order.places).transpose(0, 1)  # (L, F, D)
    outputs, last = _layers(rnns, frames, order)
    padded = outputs.new_zeros(x.shape[0] * x.shape[2], len(rnns), outputs.shape[-1])
    padded = padded.index_copy(0, order.places, outputs.transpose(0, 1))
    return padded.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2), last


def at_once(rnns: Sequence[nn.RNNBase], n_members: int = 1) -> bool:
    """Whether networks side by side, of as many members, are computed at once on a device, and not by cuDNN.

    cuDNN computes one after another (docs/decisions/0009).
    """
    return sum(2 if rnn.bidirectional else 1 for rnn in rnns) * n_members > CUDNN


def _layers(rnns: Sequence[nn.RNNBase], frames: Tensor, order: Order) -> tuple[Tensor, Tensor]:
    """Outputs (L, F, H) of all layers and directions, and last states (L, K, B, H), of packed frames (L, F, D)."""
    first, last = rnns[0], []
    for layer in range(first.num_layers):
        if layer:
            frames = dropout(frames, first.dropout, first.training)
        ends = ("", "_reverse")[: 2 if first.bidirectional else 1]
        maps, biases = _weights(rnns, [f"l{layer}{end}" for end in ends])
        kind = first.mode.lower()
        if len(ends) > 1:
            found: tuple[Tensor, ...] = both_ways(kind, frames, maps, biases, order)
        else:
            found = (unrolled(kind, frames, maps, biases, order, 0),)
        last += [found[0].index_select(1, order.lasts), *(f.index_select(1, order.firsts) for f in found[1:])]
        frames = torch.cat(found, -1) if len(found) > 1 else found[0]
    return frames, torch.stack(last, 1)


def _weights(
    rnns: Sequence[nn.RNNBase], of: Sequence[str]
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Maps (K, G H, D), (K, G H, H) and biases (K, G H) of a layer: all networks forward, then all backward."""
    maps, biases = (
        [torch.stack([getattr(rnn, f"{kind}_{of_}") for of_ in of for rnn in rnns]) for kind in kinds]
        for kinds in (("weight_ih", "weight_hh"), ("bias_ih", "bias_hh") if rnns[0].bias else ())
    )
    none = torch.zeros_like(maps[0][..., 0])
    return (maps[0], maps[1]), (biases[0], biases[1]) if biases else (none, none)


def _by_torch(rnn: nn.RNNBase, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """As ``over_frames``, by torch's own layers: cuDNN's kernels for a single network."""
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, state = rnn(packed)
    last = state[0] if isinstance(state, tuple) else state
    return pad_packed_sequence(outputs, batch_first=True, total_length=x.shape[1])[0], last


class BiGRU(nn.Module):
    """Two bidirectional GRU layers, dropout after each: (B, T, 2 hidden) of (B, T, D), zeros in the padding.

    ``hidden`` units in each direction. Source: Chen and Zhang 2022 (RNN-MHSA).
    """

    def __init__(self, dim: int, hidden: int = 256, dropout_rate: float = 0.3) -> None:
        super().__init__()
        self.dropout_rate = dropout_rate
        self.gru = nn.GRU(
            dim, hidden, num_layers=2, bidirectional=True, batch_first=True, dropout=dropout_rate
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, 2 hidden) of x (B, T, D) with mask (B, T)."""
        return bigru_of_each([self], x[:, None], mask)[:, 0]


def bigru_of_each(rnns: Sequence[BiGRU], x: Tensor, mask: Tensor) -> Tensor:
    """(B, L, T, 2 hidden) of x (B, L, T, D): each layer through a network of its own, all at once."""
    outputs, _ = over_frames_of_each([rnn.gru for rnn in rnns], x, mask.sum(1))
    return dropout(outputs, rnns[0].dropout_rate, rnns[0].training)


class RecurrentAttention(nn.Module):
    """RNN-MHSA: BiGRU, then attention of learned queries over its frames: (B, heads x d) of (B, T, D).

    Source: Chen and Zhang 2022 (RNN-MHSA).
    """

    def __init__(
        self,
        dim: int,
        hidden: int = 256,
        heads: int = 8,
        head_dim: int = 64,
        dropout_rate: float = 0.3,
    ) -> None:
        super().__init__()
        self.rnn = BiGRU(dim, hidden, dropout_rate)
        self.pool = QueryAttention(2 * hidden, heads, head_dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, heads x d) of x (B, T, D) with mask (B, T)."""
        return self.pool(self.rnn(x, mask), mask)

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attention (B, heads, T) that each frame receives."""
        return self.pool.weights(self.rnn(x, mask), mask)


def recurrent_attention_of_each(blocks: Sequence[RecurrentAttention], x: Tensor, mask: Tensor) -> Tensor:
    """(B, L, heads x d) of x (B, L, T, D): each layer through an RNN-MHSA of its own, all GRUs at once."""
    outputs = bigru_of_each([block.rnn for block in blocks], x, mask)
    return torch.stack([block.pool(outputs[:, k], mask) for k, block in enumerate(blocks)], 1)
