"""Dasheng's encoder over packed frames: chunks laid one after another, attention within each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.encoders._checkpoint import Checkpoint
from sercache.encoders._weight_files import tensors_behind, weight_files
from sercache.encoders.dasheng._config import N_MELS, PATCH, DashengShape
from sercache.errors import EncoderError
from sercache.units import listed

_BEFORE = r"(?:dasheng\.)?encoder\."
_EPS = 1e-6


class DashengAttention(nn.Module):
    """Attention of each frame to all of its chunk."""

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """(F, D) to (F, D); ``lengths``: frames of each chunk."""
        heads = (
            self.qkv(x).unflatten(1, (3, self.n_heads, -1)).permute(1, 2, 0, 3)
        )  # (3, heads, F, D / heads)
        chunks = [
            F.scaled_dot_product_attention(*chunk[:, None])[0] for chunk in heads.split(list(lengths), 2)
        ]
        return self.proj(torch.cat(chunks, 1).transpose(0, 1).flatten(1))


class DashengBlock(nn.Module):
    """Attention and a layer of four times the width, each behind a LayerNorm."""

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=_EPS)
        self.attn = DashengAttention(dim, n_heads)
        self.norm2 = nn.LayerNorm(dim, eps=_EPS)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """(F, D) to (F, D)."""
        x = x + self.attn(self.norm1(x), lengths)
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Dasheng(nn.Module):
    """The encoder; its tensors are named as in the published checkpoints."""

    def __init__(self, shape: DashengShape) -> None:
        super().__init__()
        self.shape, dim = shape, shape.embed_dim
        self.target_length = shape.target_length
        self.init_bn = nn.BatchNorm1d(N_MELS)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, dim, (N_MELS, PATCH), (N_MELS, PATCH))})
        self.time_pos_embed = nn.Parameter(torch.empty(1, dim, 1, shape.target_length // PATCH))
        self.freq_pos_embed = nn.Parameter(torch.empty(1, dim, 1, 1))
        self.blocks = nn.ModuleList([DashengBlock(dim, shape.num_heads) for _ in range(shape.depth)])
        self.norm = nn.LayerNorm(dim, eps=_EPS)

    def chunks(self, spectra: Tensor) -> list[Tensor]:
        """(T, D) of each chunk that goes into block 1, of the spectra of a recording (mels, S) in float32."""
        normed = self.init_bn(spectra[None]).to(self.time_pos_embed.dtype)[0]
        if normed.shape[1] <= self.target_length:
            return [self._embedded(normed)]
        pieces = [piece for piece in normed.split(self.target_length, 1) if piece.shape[1] >= PATCH]
        return [self._embedded(F.pad(piece, (0, self.target_length - piece.shape[1]))) for piece in pieces]

    def states(self, x: Tensor, lengths: Sequence[int]) -> Iterator[tuple[str, Tensor]]:
        """(state, (F, D)) of packed chunks of ``lengths`` frames."""
        yield "input", x
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, lengths)
            yield str(number), x
        yield "final", self.norm(x)

    def _embedded(self, spectra: Tensor) -> Tensor:
        x = self.patch_embed["proj"](spectra[None, None])[0]  # (D, 1, T)
        return (x + self.time_pos_embed[0, :, :, : x.shape[2]] + self.freq_pos_embed[0])[:, 0].T


def build(checkpoint: Checkpoint, shape: DashengShape) -> tuple[Any, list[str]]:
    """The encoder in float32 with the checkpoint's weights, and the names of tensors that it lacks.

    Raises EncoderError for tensors that the published checkpoints do not have, and of other shapes.
    """
    held = tensors_behind(weight_files(checkpoint.folder), _BEFORE)
    tensors = {re.sub(r"^init_bn\.1\.", "init_bn.", name): x for name, x in held}
    tensors = {name: x.float() if x.is_floating_point() else x for name, x in tensors.items()}
    tensors.setdefault("init_bn.num_batches_tracked", torch.tensor(0))
    with torch.device("meta"):
        model = Dasheng(shape)
    known = model.state_dict()
    if strange := sorted(tensors.keys() - known.keys()):
        raise EncoderError(
            f"{checkpoint.folder} holds {len(strange)} tensors that the published checkpoints of Dasheng do not have: "
            f"{listed(strange)}; it is of another kind"
        )
    missing = sorted(known.keys() - tensors.keys())
    if not missing:
        model.load_state_dict(tensors, assign=True)
    return model, missing
