"""Attention over frames and over blocks, and ArcFace centres."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.nn._masked import masked_max, masked_mean, masked_softmax
from sercache.nn._together import dropout


class AttentionBlock(nn.Module):
    """Multi-head self-attention over frames, then the largest value over time: (B, D) of (B, T, D).

    No residual, norm or feed-forward; weights, initialisation and dropout (on the attention weights) are
    those of ``torch.nn.MultiheadAttention``. Source: Park et al. 2023. Raises ValueError where the
    heads do not divide D.
    """

    def __init__(self, dim: int, heads: int = 4, dropout_rate: float = 0.1) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} attention heads do not divide the feature size {dim}; set heads")
        self.heads, self.dropout_rate = heads, dropout_rate
        self.project = nn.Linear(dim, 3 * dim)
        self.mix = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.mix.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, D) of x (B, T, D) with mask (B, T); zeros without frames."""
        x = torch.where(mask[..., None], x, 0.0)
        projected = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = projected.unbind()
        # Written out: torch's fused attention does not stack under vmap on a CPU.
        scores = query * key.shape[-1] ** -0.5 @ key.transpose(-1, -2)
        weights = masked_softmax(scores, mask[:, None, None])
        mixed = dropout(weights, self.dropout_rate, self.training) @ value
        return masked_max(self.mix(mixed.transpose(1, 2).flatten(2)), mask)


class AttentionBlocks(nn.Module):
    """ReLU, a linear map, then K attention blocks on the same frames: (B, K, D) of (B, T, D).

    Source: Park et al. 2023 (order of the first two: their code).
    """

    def __init__(self, dim: int, n_blocks: int = 4, heads: int = 4, dropout_rate: float = 0.1) -> None:
        super().__init__()
        self.before = nn.Linear(dim, dim)
        self.blocks = nn.ModuleList(AttentionBlock(dim, heads, dropout_rate) for _ in range(n_blocks))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, K, D) of x (B, T, D) with mask (B, T)."""
        frames = self.before(F.relu(x))
        return torch.stack([block(frames, mask) for block in self.blocks], 1)


class ArcFace(nn.Module):
    """Cosines (B, C) between vectors (B, D) and C learned centres (Deng et al. 2019).

    Margin and scale belong to the loss. Centres begin Xavier uniform; no bias.
    """

    def __init__(self, dim: int, n_classes: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_classes, dim)))

    def forward(self, x: Tensor) -> Tensor:
        """Cosines (B, C) of x (B, D); 0 for a zero vector."""
        return F.normalize(x, dim=-1) @ F.normalize(self.centres, dim=-1).T


class LearnedQuery(nn.Module):
    """Scores (B, heads, N) of rows (B, N, D): W_Q (W_K row) / sqrt(d) with one learned query per head.

    Nothing stands between query and key map, so they are folded into one vector (D,) per head: N x D x heads
    products instead of N x D x (heads x d). Source: Chen and Zhang 2022, equations of the MHSA.
    """

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(heads, head_dim).uniform_(-(head_dim**-0.5), head_dim**-0.5))
        self.key = nn.Linear(dim, heads * head_dim, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Scores (B, heads, N) of rows (B, N, D)."""
        heads, head_dim = self.query.shape
        folded = torch.einsum("hk,hkd->hd", self.query, self.key.weight.unflatten(0, (heads, head_dim)))
        return (rows @ (folded * head_dim**-0.5).T).transpose(1, 2)


class QueryAttention(nn.Module):
    """Attention of learned queries over frames: (B, heads x d) of (B, T, D). No biases.

    The value map is applied to what is pooled, not to every frame: both are linear. Source: Chen and Zhang
    2022, RNN-MHSA.
    """

    def __init__(self, dim: int, heads: int = 8, head_dim: int = 64) -> None:
        super().__init__()
        self.scores = LearnedQuery(dim, heads, head_dim)
        self.value = nn.Linear(dim, heads * head_dim, bias=False)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        """(B, heads x d) of h (B, T, D) with mask (B, T); h is finite in the padding."""
        return _values(self.value, self.weights(h, mask) @ h)

    def weights(self, h: Tensor, mask: Tensor) -> Tensor:
        """Attention (B, heads, T) that each frame receives; sums to 1 over the real ones."""
        return masked_softmax(self.scores(h), mask[:, None])


class BlockTimeAttention(nn.Module):
    """Attention over blocks and over time at once: (B, heads x d) of (B, L, T, D). No biases.

    ``alpha_t`` (B, heads, L) weighs blocks by their means over time, ``alpha_c`` (B, heads, T) weighs frames
    by their means over blocks; the outer product of both weighs every block and frame. As it factors, frames
    are summed first, then blocks, then the value map is applied once per head. Source: Chen and Zhang 2022,
    CTA.
    """

    def __init__(self, dim: int, heads: int = 8, head_dim: int = 64) -> None:
        super().__init__()
        self.over_blocks = LearnedQuery(dim, heads, head_dim)
        self.over_time = LearnedQuery(dim, heads, head_dim)
        self.value = nn.Linear(dim, heads * head_dim, bias=False)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        """(B, heads x d) of h (B, L, T, D) with mask (B, T); h is finite in the padding."""
        alpha_c = masked_softmax(self.over_time(h.mean(1)), mask[:, None])
        even = (mask.to(alpha_c) / mask.sum(1, keepdim=True).clamp_min(1))[:, None]
        # One product reads every frame once: the sums of all heads, and the means that weigh the blocks.
        sums = torch.cat([alpha_c, even], 1)[:, None] @ h  # (B, L, heads + 1, D)
        alpha_t = self.over_blocks(sums[:, :, -1]).softmax(-1)
        return _values(self.value, torch.einsum("bhl,blhd->bhd", alpha_t, sums[:, :, :-1]))

    def block_weights(self, h: Tensor, mask: Tensor) -> Tensor:
        """alpha_t (B, heads, L): the share of each block, sum 1."""
        return self.over_blocks(masked_mean(h, mask)).softmax(-1)


def _values(value: nn.Linear, pooled: Tensor) -> Tensor:
    """Each head's own rows of the value map on its own pooled vector: (B, heads x d) of (B, heads, D)."""
    weights = value.weight.unflatten(0, (pooled.shape[1], -1))
    return torch.einsum("bhd,hkd->bhk", pooled, weights).flatten(1)
