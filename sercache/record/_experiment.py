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
    augment: Mapping[str, Any] = field(default_factory=dict)
    """What was done to the recordings before they were encoded; empty: nothing."""
    speech: str = ""
    """What told speech from silence where the clip rule is to; empty: nothing did."""
    beside: tuple[Mapping[str, Any], ...] = ()
    """As ``augment``, of further versions of the recordings that are trained on: an epoch draws one for each."""


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
        return digest_of(self._deciding())

    def differs_from(self, other: Experiment) -> tuple[str, ...]:
        """What decides other numbers here than in ``other``, a phrase each: ``lr 0.001 instead of 0.0001``."""
        if self.digest == other.digest:
            return ()
        own, theirs = _leaves(self._deciding()), _leaves(other._deciding())
        found = [
            f"{_words(path)} {_shown(own.get(path))} instead of {_shown(theirs.get(path))}"
            for path in dict.fromkeys([*own, *theirs])
            if json.dumps(own.get(path)) != json.dumps(theirs.get(path))  # 1 and True are no number alike
        ]
        return tuple(found) or (f"experiment {self.digest} instead of {other.digest}",)

    def _deciding(self) -> dict[str, Any]:
        """As plain values, without the names for people."""
        record = self._values()
        for each in record["inputs"]:
            del each["encoder"]
        return record

    def _values(self) -> dict[str, Any]:
        record: dict[str, Any] = _plain(asdict(self))
        for each in record["inputs"]:
            for name in (
                "augment",
                "speech",
                "beside",
            ):  # trainings of before there were any keep their names
                if not each[name]:
                    del each[name]
        return record

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, with the digest."""
        return {"digest": self.digest, **self._values()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Experiment:
        """The experiment that ``to_json`` wrote."""
        names = {each.name for each in fields(cls)}
        values = {name: value for name, value in record.items() if name in names}
        inputs = [
            Features(**{**each, "states": tuple(each["states"]), "beside": tuple(each.get("beside", ()))})
            for each in record["inputs"]
        ]
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
    # Names of folders may be bytes that are no text.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """As JSON would give it back, whole numbers as int."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


_WORDS = {
    "training": "version of the training code",
    "head_version": "version of the head's file",
    "dtype": "stored type",
    "corpus": "name",
    "weights": "training of the initial weights",
    "transcripts": "transcripts (digest)",
}
"""What fields are called where their own names do not tell."""
_LONG = 12
"""Digits of a digest that are shown."""


def _leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """The values of nested records by where they stand; a list of plain values is one value."""
    if isinstance(value, Mapping):
        named = [(str(name), each) for name, each in value.items()]
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        named = [(str(number), each) for number, each in enumerate(value, start=1)]
    else:
        return {} if value == [] else {path: value}
    return {at: leaf for name, each in named for at, leaf in _leaves(each, (*path, name)).items()}


def _words(path: tuple[str, ...]) -> str:
    """A field of an experiment in words: ``lr``, ``head option hidden``, ``stored type of input 2``."""
    first, name = path[0], path[-1]
    words = _WORDS.get(name, name.replace("_", " "))
    match first:
        case "options":
            return f"head option {name}"
        case "inputs":
            of = "the encoder" if path[2] == "identity" else "the features"
            return f"{words} of {of}" + (f" (input {path[1]})" if path[1] != "1" else "")
        case "trained_on":
            return f"{words} of the corpus" + (" that is added" if path[1] != "1" else "")
    return words


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    text = str(value)
    if value is None or not text:
        return "none"
    is_digest = len(text) > _LONG and not set(text) - set("0123456789abcdef")
    return text[:_LONG] if is_digest else text
