"""The parts of a data2vec 2.0 audio model, under the names that its checkpoints have (Baevski et al., 2023).

The forward pass is in ``_packed``. F frames, D feature size, C channels.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.encoders.data2vec2._config import Data2Vec2Config

GELU = SimpleNamespace(act=F.gelu)
"""The exact GELU, as ``hf_speech._dense`` takes it."""


class Data2Vec2(nn.Module):
    """Weights alone; the decoder and the teacher, which serve pretraining, are left out."""

    def __init__(self, config: Data2Vec2Config) -> None:
        super().__init__()
        self.config = config
        self.modality_encoders = nn.ModuleDict({"AUDIO": AudioPart(config)})
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))

    @property
    def audio(self) -> Any:
        """What lies below the blocks that modalities share."""
        return self.modality_encoders["AUDIO"]


class AudioPart(nn.Module):
    """Front end, projection, positions, extra tokens and the blocks of the audio part."""

    def __init__(self, config: Data2Vec2Config) -> None:
        super().__init__()
        dim, channels = config.dim, config.convolutions[-1][0]
        self.local_encoder = nn.ModuleDict({"conv_layers": nn.ModuleList(_front_end(config))})
        self.project_features = nn.Sequential(nn.Identity(), nn.LayerNorm(channels), nn.Linear(channels, dim))
        layers = (_PositionLayer(config) for _ in range(config.position_depth))
        self.relative_positional_encoder = Positions(nn.Identity(), *layers)
        blocks = nn.ModuleList(Block(config) for _ in range(config.prenet_depth))
        self.context_encoder = nn.ModuleDict({"blocks": blocks, "norm": nn.LayerNorm(dim, config.norm_eps)})
        if config.n_extra_tokens:
            self.extra_tokens = nn.Parameter(torch.empty(1, config.n_extra_tokens, dim))
        if config.n_alibi_heads:
            n_layers = config.n_blocks if config.scale_per_layer else 1
            n_heads = config.n_alibi_heads if config.scale_per_head else 1
            self.alibi_scale = nn.Parameter(torch.empty(n_layers, 1, n_heads, 1, 1))

    def front_layers(self) -> Any:
        """The front end as ``hf_speech``'s ``FrontEnd`` takes it."""
        layers: Any = self.local_encoder["conv_layers"]
        found = []
        for layer in layers:
            norm = layer[2][1] if isinstance(layer[2], nn.Sequential) else layer[2]
            parts = {"conv": layer[0], "activation": GELU}
            found.append(SimpleNamespace(**parts, layer_norm=None if isinstance(norm, nn.GELU) else norm))
        return SimpleNamespace(conv_layers=found)


class Positions(nn.Sequential):
    """Convolutions along time, each with a norm, whose sum with the frames tells where a frame is."""

    @property
    def layers(self) -> list[nn.Module]:
        """Of (1, D, T) each."""
        return list(self)[1:]

    def forward(self, x: Tensor) -> Tensor:
        """(1, T, D) to (1, T, D)."""
        x = x.transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        return x.transpose(1, 2)


class _PositionLayer(nn.Sequential):
    def __init__(self, config: Data2Vec2Config) -> None:
        kernel = config.position_kernel
        dim, groups = config.dim, config.position_groups
        super().__init__(nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups))

    @property
    def conv(self) -> nn.Module:
        """The convolution."""
        return self[0]

    def forward(self, x: Tensor) -> Tensor:
        """(1, D, T) to (1, D, T)."""
        y = self[0](x)[..., : x.shape[-1]]  # an even kernel gives a frame too many
        y = F.layer_norm(y.transpose(1, 2), y.shape[1:2])
        return F.gelu(y).transpose(1, 2)


class Block(nn.Module):
    """Attention and feed-forward layer, each normalised behind its residual connection."""

    def __init__(self, config: Data2Vec2Config) -> None:
        super().__init__()
        dim = config.dim
        self.attn = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim), "proj": nn.Linear(dim, dim)})
        self.norm1 = nn.LayerNorm(dim, config.norm_eps)
        self.mlp = FeedForward(dim, int(dim * config.mlp_ratio))
        self.norm2 = nn.LayerNorm(dim, config.norm_eps)


class FeedForward(nn.Module):
    """With the names that ``hf_speech._dense`` reads beside those of the checkpoint."""

    intermediate_act_fn = GELU

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    @property
    def intermediate_dense(self) -> nn.Linear:
        """(D) to (hidden)."""
        return self.fc1

    @property
    def output_dense(self) -> nn.Linear:
        """(hidden) to (D)."""
        return self.fc2


def _front_end(config: Data2Vec2Config) -> list[nn.Module]:
    """Each layer a convolution, dropout (not used here), a norm where there is one, and GELU."""
    layers: list[nn.Module] = []
    n_in = 1
    for number, (n_out, kernel, stride) in enumerate(config.convolutions):
        parts: list[nn.Module] = [nn.Conv1d(n_in, n_out, kernel, stride, bias=False), nn.Identity()]
        if config.mode == "layer_norm":
            parts.append(nn.Sequential(nn.Identity(), nn.LayerNorm(n_out)))
        elif number == 0:
            parts.append(nn.GroupNorm(n_out, n_out))
        layers.append(nn.Sequential(*parts, nn.GELU()))
        n_in = n_out
    return layers
