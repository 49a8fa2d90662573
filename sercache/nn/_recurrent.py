"""Recurrent pieces that never see padding: every utterance ends at its own last frame."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sercache.nn._attention import QueryAttention
from sercache.nn._together import dropout


def over_frames(rnn: nn.RNNBase, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, H) of a recurrent network, zeros beyond ``lengths`` (B,), and its last states (K, B, H).

    K: layers times directions, in torch's order. A length of 0 is read as 1.
    """
    packed = pack_padded_sequence(x, lengths.clamp_min(1).cpu(), batch_first=True, enforce_sorted=False)
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
        outputs, _ = over_frames(self.gru, x, mask.sum(1))
        return dropout(outputs, self.dropout_rate, self.training)


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
