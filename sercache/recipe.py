"""How a head is trained (Recipe) and what it was published with (Setup)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Setup:
    """What a head was published with: the features it reads and how it was judged.

    Every field is the default of a command-line option and is written into the run. ``states`` is a
    state selection as in ``--states``: ``blocks``, ``projection+blocks``, ``final``, ``1-12``, ``all``.
    """

    encoder: str
    dataset: str
    protocol: str
    states: str
    frames: bool
    """True: the head reads full sequences; False: means over time."""
    task: str | None = None
    """Label map of the corpus; None: the corpus' own default."""
    clip: str = "none"
    """How long recordings are cut before encoding: ``none``, ``trim:15``, ``split:5`` (seconds)."""
    normalise: Literal["none", "global", "speaker"] = "none"
    max_frames: int | None = None
    dev: str = "none"
    """Where the dev part of a fold comes from (see sercache.protocols)."""
    seeds: tuple[int, ...] = (0,)
    beside: tuple[str, ...] = ()
    """Further encoders that a head with several inputs reads: ``ENCODER[:STATES[:pooled|frames]]`` each."""
    target: str | None = None
    """Of a task that gives numbers, the one to train; None: all at once."""
    test_on: tuple[str, ...] = ()
    """Other corpora that every trained head is tested on too: ``DATASET[:TASK]`` each."""
    finetune_from: str | None = None
    """State from which the encoder's blocks are trained with the head; None: the encoder stays frozen. Of
    several inputs one state each, in their order, with commas between: ``conv,conv``, ``-`` for a frozen one."""
    duplicates: Literal["keep", "apart"] | None = None
    """Utterances with equal audio: ``apart``, none is trained on that equals one of the dev or test part, and none of
    another corpus is tested on that was trained on; ``keep``, all are used and counted. None is ``keep`` within a
    corpus, and refuses to test on another corpus that shares recordings with what is trained on."""

    def __post_init__(self) -> None:
        hints = _hints(Setup)
        scopes = list(get_args(hints["normalise"]))
        if self.normalise not in scopes:
            raise RecipeError(unknown("normalise", str(self.normalise), scopes))
        ways = get_args(get_args(hints["duplicates"])[0])
        if self.duplicates not in (None, *ways):
            raise RecipeError(unknown("duplicates", str(self.duplicates), ways))
        n_named, n_inputs = len(_listed(self.finetune_from)), 1 + len(self.beside)
        if "" in _listed(self.finetune_from) or n_named > n_inputs:
            raise RecipeError(
                f"finetune_from names a state, or - for a frozen encoder, for each of {n_inputs} inputs, with commas "
                f"between, got {self.finetune_from!r}"
            )
        if any(self.boundaries) and self.normalise != "none":
            raise RecipeError(
                f"the encoder is trained from state {self.finetune_from} as it was cached, got "
                f"normalise={self.normalise}; set normalise=none, or leave the encoder frozen"
            )

    @property
    def boundaries(self) -> tuple[str | None, ...]:
        """State from which the encoder of each input is trained; None for one that stays frozen."""
        named = [None if state == "-" else state for state in _listed(self.finetune_from)]
        return (*named, *[None] * (1 + len(self.beside) - len(named)))

    @property
    def cached_states(self) -> str:
        """Selection of the states of the first input that are read from the cache."""
        return self.boundaries[0] or self.states

    @property
    def cached_frames(self) -> bool:
        """Whether sequences are read from the cache; what is trained above them may still be pooled."""
        return self.frames or self.boundaries[0] is not None


@dataclass(frozen=True)
class Published:
    """What a paper did, and which of it the paper leaves open."""

    setup: Setup
    recipe: Recipe
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the head, those at their defaults included."""
    open: tuple[str, ...] = ()
    """Fields of set-up, recipe and options that the paper does not fix: ``OPEN`` of the head's file."""
    updates: int | None = None
    """About how many updates a training of the paper makes, where that is known: ``UPDATES`` of the head's file."""
    text: Mapping[str, Any] = field(default_factory=dict)
    """Fields, and ``option NAME``, that the paper's text has otherwise than its code: what it says."""
    code: Mapping[str, Any] = field(default_factory=dict)
    """What the authors' code does of them."""


def inputs(setup: Setup) -> tuple[Setup, ...]:
    """What each input of a head reads, as set-ups of one input: the first, then one for each of ``beside``.

    An entry that names no states means all, one that names no kind that of ``setup``. Raises RecipeError.
    """
    found = [dataclasses.replace(setup, beside=(), finetune_from=setup.boundaries[0])]
    for text, boundary in zip(setup.beside, setup.boundaries[1:], strict=True):
        encoder, _, rest = text.partition(":")
        states, _, kind = rest.partition(":")
        if not encoder or kind not in ("", "pooled", "frames"):
            raise RecipeError(
                f"a further input is written ENCODER[:STATES[:pooled|frames]], got {text!r}; "
                "for example egemaps:all:frames"
            )
        frames = setup.frames if not kind else kind == "frames"
        found.append(
            dataclasses.replace(
                setup,
                encoder=encoder,
                states=states or "all",
                frames=frames,
                beside=(),
                finetune_from=boundary,
            )
        )
    return tuple(found)


def _listed(text: str | None) -> list[str]:
    """The entries of a list with commas; none for None."""
    return [] if text is None else [entry.strip() for entry in text.split(",")]


@functools.cache
def _hints(record: type) -> dict[str, Any]:
    """Types of the fields of a record: read once, as every one that is made is checked by them."""
    return get_type_hints(record)


@functools.cache
def _choices() -> dict[str, tuple[str, ...]]:
    return {name: get_args(hint) for name, hint in _hints(Recipe).items() if hint in _LITERALS}


_LITERALS = (Loss, Optimiser, Schedule, Balance, SelectOn, StopOn)


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """A copy of ``recipe`` with ``name=value`` settings applied, each value read as its field's type.

    Raises RecipeError for a name that is no field or a value that does not fit.
    """
    hints = _hints(Recipe)
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
