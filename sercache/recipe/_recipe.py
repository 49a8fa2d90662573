"""How a head is trained."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from sercache.catalog import unknown
from sercache.errors import RecipeError

Loss = Literal["cross-entropy", "focal", "arcface", "mse", "ccc"]
Optimiser = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "exponential", "halve-on-plateau", "triangle"]
Balance = Literal["none", "class-weights", "undersample"]
SelectOn = Literal["last-epoch", "dev-loss", "dev-ua", "dev-wa", "dev-rho", "dev-ccc"]
StopOn = Literal["selected", "dev-loss"]


_LATER = ("lora_rank", "lora_alpha", "layer_drop")


@dataclass(frozen=True)
class Recipe:
    """Training settings of a head. Immutable; ``override`` gives a changed copy."""

    loss: Loss = "cross-entropy"
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    arc_scale: float = 30.0
    """ArcFace: what the cosines are multiplied by in training (Deng et al. 2019, s)."""
    arc_margin: float = 0.3
    """ArcFace: radians added to the angle of the true class in training (Deng et al. 2019, m)."""
    second_weight: float = 0.0
    """Share of a second target's loss (beta of Park et al.); 0: the second target is not trained."""
    optimiser: Optimiser = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    schedule: Schedule = "constant"
    """``cosine``: down to zero at ``max_epochs``; ``exponential``: times ``decay`` after each epoch;
    ``halve-on-plateau``: see ``plateau_patience``; ``triangle``: ``lr`` in the first epoch, zero in the second, up to
    ``lr`` again in the middle, then down: SpeechBrain's LinearWarmupScheduler, asked after each epoch."""
    decay: float = 0.98
    plateau_patience: int = 10
    """Epochs without a lower dev loss that are borne before the lr is halved."""
    batch_size: int = 32
    accumulate: int = 1
    """Batches whose gradients make one update; the rest of an epoch makes one too."""
    bucket: int = 1
    """Batches whose utterances are sorted by length together, to pad less; 1: every batch drawn from all."""
    max_epochs: int = 100
    select: SelectOn = "dev-loss"
    """Which epoch's weights are kept. ``last-epoch`` needs no dev set; the test set never selects."""
    patience: int | None = None
    """Epochs without a better dev score after which training stops; None: never."""
    patience_from: int = 1
    """First epoch that counts towards ``patience``."""
    stop_on: StopOn = "selected"
    """Whose lack of progress stops training: the score of ``select``, or the dev loss."""
    clip_value: float | None = None
    """Largest absolute value of a gradient element (Keras ``clipvalue``)."""
    clip_norm: float | None = None
    balance: Balance = "none"
    mixed_precision: bool = False
    """bfloat16 autocast on CUDA; ignored, and said so in the run, elsewhere."""
    lora_rank: int | None = None
    """Of an encoder that is trained: only products of this rank beside its linear layers are (Hu et al. 2022)."""
    lora_alpha: float | None = None
    """What LoRA adds is times ``lora_alpha / lora_rank``; None: times 1."""
    layer_drop: float = 0.0
    """Of an encoder that is trained: share of its blocks that are left out for a batch (Fan et al. 2020)."""

    def __post_init__(self) -> None:
        for name, choices in _choices().items():
            if getattr(self, name) not in choices:
                raise RecipeError(unknown(name, str(getattr(self, name)), list(choices)))
        for name, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise RecipeError(f"recipe field {name} must be a finite number, got {value}")
        for name in (
            "lr",
            "eps",
            "batch_size",
            "accumulate",
            "bucket",
            "max_epochs",
            "decay",
            "arc_scale",
            "patience_from",
        ):
            if not getattr(self, name) > 0:
                raise RecipeError(f"recipe field {name} must be above 0, got {getattr(self, name)}")
        for name in ("weight_decay", "focal_gamma", "plateau_patience", "arc_margin", "second_weight"):
            if not getattr(self, name) >= 0:
                raise RecipeError(f"recipe field {name} must not be negative, got {getattr(self, name)}")
        for name in ("beta1", "beta2", "label_smoothing", "layer_drop"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(f"recipe field {name} must lie in [0, 1), got {getattr(self, name)}")
        for name in ("patience", "clip_value", "clip_norm", "lora_rank", "lora_alpha"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise RecipeError(f"recipe field {name} must be above 0 or none, got {getattr(self, name)}")
        if self.lora_alpha is not None and self.lora_rank is None:
            raise RecipeError(f"lora_alpha goes with lora_rank, got lora_alpha={self.lora_alpha}; set both")
        if self.loss != "cross-entropy" and self.label_smoothing:
            raise RecipeError(
                f"label_smoothing goes with loss=cross-entropy, got loss={self.loss}; set one of them"
            )
        numeric = self.loss in ("mse", "ccc")
        if self.select in (("dev-ua", "dev-wa") if numeric else ("dev-rho", "dev-ccc")):
            kind = "numbers" if numeric else "classes"
            raise RecipeError(f"loss={self.loss} trains {kind}, which have no {self.select}; set select too")
        if self.patience is not None and self.select == "last-epoch":
            raise RecipeError("patience needs a dev score, got select=last-epoch; set patience=none too")

    def deciding(self) -> dict[str, Any]:
        """The fields that name a training: all but those that came later where they are not set.

        They decide nothing then, and trainings of before keep their names.
        """
        return {name: value for name, value in vars(self).items() if value or name not in _LATER}

    @property
    def needs_dev(self) -> bool:
        """Whether these settings cannot be trained without a dev set."""
        return self.select != "last-epoch" or self.schedule == "halve-on-plateau"


@functools.cache
def hints_of(record: type) -> dict[str, Any]:
    """Types of the fields of a record: read once, as every one that is made is checked by them."""
    return get_type_hints(record)


@functools.cache
def _choices() -> dict[str, tuple[str, ...]]:
    return {name: get_args(hint) for name, hint in hints_of(Recipe).items() if hint in _LITERALS}


_LITERALS = (Loss, Optimiser, Schedule, Balance, SelectOn, StopOn)


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """A copy of ``recipe`` with ``name=value`` settings applied, each value read as its field's type.

    Raises RecipeError for a name that is no field or a value that does not fit.
    """
    hints = hints_of(Recipe)
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise RecipeError(f"a recipe setting is written name=value, got {setting!r}")
        if name not in hints:
            raise RecipeError(unknown("recipe field", name, sorted(hints)))
        changes[name] = read_value(name, text.strip(), hints[name])
    return dataclasses.replace(recipe, **changes)


def read_value(name: str, text: str, hint: Any) -> Any:
    """``text`` as a value of the type ``hint``, for the setting ``name``. Raises RecipeError."""
    options = get_args(hint)
    if type(None) in options and text.lower() == "none":
        return None
    kind = hint if isinstance(hint, type) else next((o for o in options if isinstance(o, type)), str)
    try:
        if kind is bool:
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        return text if kind is str else kind(text)
    except (ValueError, KeyError):
        raise RecipeError(f"recipe field {name} takes {kind.__name__}, got {text!r}") from None
