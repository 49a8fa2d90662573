"""How encoder blocks are trained with a head: all of their weights, or small ones beside them; with layer drop or not.

F frames, D feature size of an input or output, r rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sercache.errors import RecipeError


@dataclass(frozen=True)
class Adapting:
    """What a recipe says of the encoder's part of a training."""

    rank: int | None = None
    """r of LoRA; None: all weights of the blocks are trained."""
    alpha: float = 1.0
    """What LoRA adds is times alpha / r."""
    layer_drop: float = 0.0
    """Share of blocks that are left out in training, drawn anew for every batch and block."""

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> Adapting:
        """What the fields of a recipe say; one that was written before there were such fields says nothing."""
        rank = recipe.get("lora_rank")
        alpha = recipe.get("lora_alpha") or rank or cls.alpha
        return cls(rank, float(alpha), recipe.get("layer_drop", 0.0))


class LowRank(nn.Module):
    """A linear layer that stays as it is, and beside it a trained product of two thin ones (Hu et al. 2022, LoRA):
    W x + b + (alpha / r) B A x, (F, D) to (F, D').

    A is drawn as torch draws a linear layer, B is zero, so that training begins at the layer itself.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)
        nn.init.zeros_(self.up.weight)
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        """As the linear layer."""
        found: Tensor = self.base(x) + self.scale * self.up(self.down(x))
        return found

    def merged(self) -> nn.Linear:
        """The linear layer with what was learned added to its weights, in place."""
        added = self.scale * (self.up.weight.double() @ self.down.weight.double())
        self.base.weight.data.add_(added.to(self.base.weight.dtype))
        return self.base


def adapt(tail: nn.Module, how: Adapting) -> None:
    """Change ``tail`` in place to be trained as ``how`` says; new weights are drawn from torch's generator.

    With LoRA every linear layer that is larger than the product of its rank gets one, nothing else is trained, and
    ``state_dict`` holds nothing else. Raises RecipeError where a tail cannot be trained so.
    """
    if how.layer_drop:
        drop = getattr(tail, "drop", None)
        if drop is None:
            raise RecipeError(
                f"{type(tail).__name__} leaves no block out: it has no drop.p; set layer_drop=0, or let it have one"
            )
        drop.p = how.layer_drop
    if how.rank is None:
        return
    large = [
        (parent, name, part)
        for parent in list(tail.modules())
        for name, part in parent.named_children()
        if isinstance(part, nn.Linear)
        and part.weight.requires_grad
        and how.rank * (part.in_features + part.out_features) < part.in_features * part.out_features
    ]
    if not large:
        raise RecipeError(
            f"lora_rank {how.rank} is no less than training every weight: no linear layer of the encoder's blocks is "
            "larger than a product of that rank; set a lower one"
        )
    tail.requires_grad_(False)
    for parent, name, part in large:
        setattr(parent, name, LowRank(part, how.rank, how.alpha))
    tail.register_state_dict_post_hook(_drop_frozen)
    tail.register_load_state_dict_post_hook(_allow_frozen)


def merge(tail: nn.Module) -> None:
    """Turn what LoRA learned into weights of the layers beside it, in place: a tail of the stock parts."""
    for parent in list(tail.modules()):
        for name, part in parent.named_children():
            if isinstance(part, LowRank):
                setattr(parent, name, part.merged())


def _frozen(tail: nn.Module) -> set[str]:
    """Names of what LoRA leaves as it is: the checkpoint has it."""
    buffers = {name for name, _ in tail.named_buffers()}
    return buffers | {name for name, value in tail.named_parameters() if not value.requires_grad}


def _drop_frozen(tail: nn.Module, held: dict[str, Any], prefix: str, _: Any) -> None:
    for name in _frozen(tail):
        held.pop(prefix + name, None)


def _allow_frozen(tail: nn.Module, incompatible: Any) -> None:
    frozen = _frozen(tail)
    ends = tuple(f".{name}" for name in frozen)
    missing = incompatible.missing_keys
    missing[:] = [name for name in missing if name not in frozen and not name.endswith(ends)]
