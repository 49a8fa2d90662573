"""What a head is: the contract that training keeps to, and one small contract for each ability beyond it.

A head is a file with a class ``Head`` and what it was published with (``Declared``). B utterances in a batch, L
layers, T frames, D feature size, C outputs (classes or numbers), U utterances, S speakers. A head of several inputs
is given a tuple in the place of each number and tensor, one entry for each input.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from sercache import catalog
from sercache.readings import Reading
from sercache.recipe import Recipe, Setup

if TYPE_CHECKING:
    from torch import Tensor, nn

    Inputs = Tensor | tuple[Tensor, ...]

SHAPE = ("n_layers", "dim", "n_outputs")
"""What the constructor of every head takes first; whatever follows is an option and has a default."""


class Head(Protocol):
    """A ``torch.nn.Module`` that turns features into outputs.

    ``Head(n_layers, dim, n_outputs, **options)``: L, D and C, then options, each with a default. No state outside
    parameters and buffers, so that many can be trained as one. What must be said of a run (a size that differs from
    the published one) is a line each of ``notes: tuple[str, ...]``.
    """

    def forward(self, x: Inputs, mask: Inputs) -> Tensor:
        """Logits or numbers (B, C) of features x (B, L, T, D) float32 and mask (B, T) bool, true on real frames.

        Means over time come with T = 1. What stands in the padding, be it nan, moves no output.
        """
        ...


@runtime_checkable
class WeighsLayers(Protocol):
    """A head that sums the states with weights of its own."""

    def layer_weights(self) -> Tensor:
        """Share (L,) of each state; they sum to 1."""
        ...


@runtime_checkable
class Attends(Protocol):
    """A head whose attention tells how much each state counts."""

    def attention(self, x: Inputs, mask: Inputs) -> Tensor:
        """Attention (B, heads, queries, L) paid to each state; the last dimension sums to 1."""
        ...


@runtime_checkable
class Embeds(Protocol):
    """A head with a vector for each utterance, which ``sercache map`` draws."""

    def embed(self, x: Inputs, mask: Inputs) -> Tensor:
        """Vectors (B, D'), whatever their size."""
        ...


@runtime_checkable
class Solves(Protocol):
    """A head that is solved instead of trained: it has no epochs, and its recipe is not used."""

    def solve(self, pooled: Tensor, labels: Tensor, seed: int) -> None:
        """Set the own weights from means (U, L, D) and classes (U,) of the training part."""
        ...


@runtime_checkable
class StartsFrom(Protocol):
    """A head that begins with parts of other trained heads."""

    start_from: Callable[..., None]
    """Takes the weights over: a parameter for each part, called as the part is (``--start-from PART=RUN``), with a
    mapping of weights by name, or None."""


@runtime_checkable
class StartsCentres(Protocol):
    """A head with a centre for each speaker, the second target, that begins at the mean vector of its utterances."""

    def embed_speaker(self, x: Tensor, mask: Tensor) -> Tensor:
        """Vectors (B, D') by which speakers are told, of the last input."""
        ...

    def start_centres(self, vectors: Tensor) -> None:
        """Put the centres at the mean vectors (S, D')."""
        ...


@runtime_checkable
class TrainsBelow(Protocol):
    """A head that minds which of its encoders are trained with it."""

    def trained_below(self, inputs: tuple[bool, ...]) -> None:
        """Whether the encoder of each input is trained. Raises ValueError to refuse."""
        ...


@runtime_checkable
class Notes(Protocol):
    """A head that has something to say of itself, for the run."""

    notes: tuple[str, ...]
    """A line each."""


@runtime_checkable
class Standardises(Protocol):
    """A head that takes statistics of its training part by itself."""

    standardises: str
    """``global``: mean and deviation over the training part; ``none``."""


@runtime_checkable
class Stacks(Protocol):
    """A head, or a part of one, that says whether several can be computed as one model."""

    STACKS: bool
    """False: it cannot be; True: it can although it has parts of torch that mostly cannot."""


ABILITIES: tuple[type, ...] = (
    WeighsLayers, Attends, Embeds, Solves, StartsFrom, StartsCentres, TrainsBelow, Notes, Standardises, Stacks,
)  # fmt: skip
"""All that a head may do beside ``forward``."""


def is_solved(head_class: object) -> bool:
    """Whether heads of this class are solved instead of trained."""
    return isinstance(head_class, type) and issubclass(head_class, Solves)


def notes_of(head: object) -> tuple[str, ...]:
    """What a head has to say of itself."""
    return tuple(head.notes) if isinstance(head, Notes) else ()


class HeadFile(Protocol):
    """What the file of a head holds; what it may hold beside that is in ``Declared``."""

    Head: type[nn.Module]
    """The class."""
    SOURCE: str
    """Where the head comes from, in one line: authors, year and title, or what else it is."""
    RECIPE: Recipe
    """How it is trained: loss, optimiser, learning rate, epochs, stopping."""
    SETUP: Setup
    """What it reads and how it is judged: encoder, states, frames or means, corpus, protocol."""


@dataclass(frozen=True)
class Declared:
    """What a head's file says beside the class, in capitals there: what it was published with."""

    source: str
    """``SOURCE``: authors, year and title, or what else it is, in one line."""
    recipe: Recipe
    """``RECIPE``: training settings."""
    setup: Setup
    """``SETUP``: what it reads and how it is judged."""
    setups: Mapping[str, Setup]
    """``SETUPS``: those of a paper that used several corpora, by corpus."""
    open: tuple[str, ...]
    """``OPEN``: fields of set-up, recipe and options that the paper does not fix."""
    updates: int | None
    """``UPDATES``: about how many updates a training of the paper makes."""
    printed: tuple[str, ...]
    """``PRINTED``: tables that print results of this head, as ``reproduce`` takes them: ``PAPER TABLE``."""
    readings: tuple[Reading, ...]
    """``READINGS``: where the paper's text, its authors' code and the head differ, a ``sercache.readings.Reading``
    each."""
    code: str
    """``CODE``: where the authors' code lies, and its commit; empty where none was published."""
    baseline: bool
    """``BASELINE``: that there is no paper."""
    inputs: int
    """``INPUTS``: how many inputs it reads."""
    one_state: bool
    """``ONE_STATE``: that it reads one state of each input, no more."""
    options: Mapping[str, str]
    """``OPTIONS``: what each option of the head means, in a line."""
    added: tuple[str, ...]
    """``ADDED``: options that came later: at their defaults they name no other training than before."""
    small: Mapping[str, Any]
    """``SMALL``: options that make it quick to try, where its published sizes take long."""
    version: str
    """``VERSION``: raised with a change that moves the numbers of this head alone."""


def declared(module: ModuleType) -> Declared:
    """What a head's file says of it, with what it leaves out."""
    found = vars(module)
    return Declared(
        source=found["SOURCE"],
        recipe=found["RECIPE"],
        setup=found["SETUP"],
        setups=found.get("SETUPS", {}),
        open=tuple(found.get("OPEN", ())),
        updates=found.get("UPDATES"),
        printed=tuple(found.get("PRINTED", ())),
        readings=tuple(found.get("READINGS", ())),
        code=str(found.get("CODE", "")),
        baseline=bool(found.get("BASELINE", False)),
        inputs=int(found.get("INPUTS", 1)),
        one_state=bool(found.get("ONE_STATE", False)),
        options=found.get("OPTIONS", {}),
        added=tuple(found.get("ADDED", ())),
        small=found.get("SMALL", {}),
        version=version_of(found["Head"]),
    )


def options_of(head_class: Any) -> dict[str, Any]:
    """Options of a head with their defaults: what its constructor takes beyond the shape of its inputs."""
    parameters = inspect.signature(head_class).parameters.values()
    return {each.name: each.default for each in parameters if each.name not in SHAPE}


def deciding_options(head_class: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that name a training: all, but for those at their defaults that came later (``ADDED``).

    Trainings of before there was such a choice are those of its default.
    """
    found = inspect.unwrap(head_class)
    module = sys.modules.get(found.__module__)
    added = () if module is None else vars(module).get("ADDED", ())
    usual = options_of(head_class)
    every = {**usual, **options}
    return {name: value for name, value in every.items() if name not in added or value != usual[name]}


def version_of(head_class: Any) -> str:
    """``VERSION`` of the file of a head of sercache, the digest of its file for others; empty where it has none."""
    found = inspect.unwrap(head_class)  # blocks that are trained below it are versioned by TRAINING
    digest = catalog.digest_of_class(found)
    if digest:
        return digest
    module = sys.modules.get(found.__module__)
    return "" if module is None else str(vars(module).get("VERSION", ""))


def of_class(head_class: type[nn.Module], usual: Setup) -> ModuleType:
    """A class of the user's as the file of a head: what its own file says, else ``usual`` and the plain recipe."""
    module = sys.modules.get(head_class.__module__)
    file = {} if module is None else vars(module)
    if module is not None and file.get("Head") is head_class and {"SOURCE", "RECIPE", "SETUP"} <= set(file):
        return module
    made = ModuleType(head_class.__module__, head_class.__doc__)
    made.__dict__.update(
        Head=head_class,
        SOURCE=f"class {head_class.__module__}.{head_class.__qualname__}",
        RECIPE=Recipe(),
        SETUP=usual,
        BASELINE=True,
    )
    return made
