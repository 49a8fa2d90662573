"""Experiment: all that decides the numbers of a training, but for its fold and its seed.

Two trainings of one experiment, fold and seed are the same training: that is what resuming goes by, and what tells
whether two runs are the same. Five seeds contain two. What decides no number is no part of it: the device and the
ways of computing (they differ by rounding, and by what dropout draws), folders, progress, names for people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

TRAINING = 1
"""Version of how trainings are computed: the loop, losses, order of batches, initial weights, scaling, parts of heads.

Raise it with any change that moves the numbers of a training: nothing that another version trained is then taken for
finished. A change that moves no number (a docstring, a faster way to the same sums) leaves it as it is. The golden
numbers under tests/ fail where this was forgotten. For a change of one head, raise ``VERSION`` in its file instead.
"""


@dataclass(frozen=True)
class Features:
    """What one input of a head reads."""

    encoder: str
    """Name for people; ``identity`` decides."""
    identity: Mapping[str, Any]
    """Of the encoder: family, source, revision, sha256 of the weights, preprocessing, precision."""
    states: tuple[str, ...]
    """By name, in the encoder's order."""
    kind: Literal["frames", "means"]
    clip: str
    """Rule by which recordings are cut."""
    dtype: str
    """Type in which the values are stored."""
    transcripts: str = ""
    """Of an encoder of text: digest of the file whose transcripts it took; empty: the corpus' own."""
    trained_from: str | None = None
    """State from which the encoder is trained with the head; None: it is frozen."""


@dataclass(frozen=True)
class Labelled:
    """Utterances of a corpus as a task labels them."""

    corpus: str
    release: str
    task: str
    label_map: str
    """Digest of raw label -> class; empty where the task gives numbers."""
    language: str | None = None
    """Only utterances in this language; None: all."""


@dataclass(frozen=True)
class Initial:
    """Weights that a training begins with, from a run that was done before."""

    part: str
    """Of the head; empty for the whole of it."""
    weights: str
    """Digest of the weights of that run."""


@dataclass(frozen=True)
class Experiment:
    """All that decides the numbers of a training, but for its fold and its seed."""

    head: str
    head_version: str
    """``VERSION`` of the head's file, or a digest of a file of the user's; empty where it has none."""
    options: Mapping[str, Any]
    """Of the head, those at their defaults included."""
    inputs: tuple[Features, ...]
    trained_on: tuple[Labelled, ...]
    """The corpus that the folds are made of, then those that are added to every training part."""
    target: str | None
    """Of a task that gives numbers, the one that is trained; None: all of them."""
    protocol: str
    dev: str
    fold_seed: int
    """Of random folds and dev parts."""
    normalise: str
    max_frames: int | None
    recipe: Mapping[str, Any]
    """Every field; empty for a head that is solved instead of trained."""
    start: tuple[Initial, ...] = ()
    """Initial weights; none: drawn from the seed."""
    order_seed: int | None = None
    """Seed of the order of batches that all seeds share; None: each has its own."""
    training: int = field(default=TRAINING)
    """TRAINING when it was trained."""

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that name the experiment."""
        record = asdict(self)
        for each in record["inputs"]:
            del each["encoder"]
        return digest_of(record)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, with the digest."""
        return {"digest": self.digest, **_plain(asdict(self))}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Experiment:
        """The experiment that ``to_json`` wrote."""
        names = {each.name for each in fields(cls)}
        values = {name: value for name, value in record.items() if name in names}
        inputs = [Features(**{**each, "states": tuple(each["states"])}) for each in record["inputs"]]
        return cls(
            **{
                **values,
                "inputs": tuple(inputs),
                "trained_on": tuple(Labelled(**each) for each in record["trained_on"]),
                "start": tuple(Initial(**each) for each in record["start"]),
            }
        )


@dataclass(frozen=True)
class Job:
    """One training of an experiment."""

    experiment: str
    """Digest of the experiment."""
    fold: str
    seed: int
    items: str
    """Digest of what the fold holds: ids, recordings and labels of its training and dev part."""

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that name the training."""
        return digest_of(asdict(self))


def digest_of(record: Any) -> str:
    """First 16 hexadecimal digits of the sha256 of some values as canonical JSON; 1 and 1.0 are one number."""
    text = json.dumps(_plain(record), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """As JSON would give it back, whole numbers as int."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
