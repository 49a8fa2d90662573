"""What the weights of an encoder were trained on: a record beside the weights, and beside the features they make.

Of public checkpoints the families hold what their authors say (``SeenCorpus``), by their place on the hub.
An encoder that ``sercache export`` writes carries the record of what it was trained on. It decides no number, so
that it is no part of an encoder's identity: the digest of the weights says whose record it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sercache import files
from sercache.errors import EncoderError, FileError

FILE = "trained_on.json"
"""Its name, in the folder of an encoder and among the notes of a store."""

SCHEMA = 1

LEAK = "leak of "
"""How each note begins that says that a public encoder knows of what is tested."""

HowSeen = Literal["audio", "labels", "pseudo-labels"]
"""Pretrained on its recordings without labels; trained with labels of it; with pseudo-labels of a model that was."""


@dataclass(frozen=True)
class SeenCorpus:
    """A corpus that the authors of a public checkpoint trained it on. Which utterances is not known here."""

    corpus: str
    """Its name in the catalogue of corpora."""
    seen: HowSeen
    detail: str = ""
    """Release, parts, labels, as far as they are published, or what is not."""
    is_certain: bool = True
    """Whether the authors name this corpus, and not a collection that it is one of."""

    @property
    def how(self) -> str:
        """What of its corpus it was trained on, in words that go with several."""
        found = {
            "audio": "audio, without labels",
            "labels": "labels",
            "pseudo-labels": "pseudo-labels of a model that was trained on them",
        }[self.seen]
        return found + ("" if self.is_certain else ", maybe") + self._detail

    def note(self, encoder: str) -> str:
        """What belongs under a number that a corpus of this name was tested for, with features of ``encoder``."""
        was = "was" if self.is_certain else "may have been"
        named = f"{self.corpus}{self._detail}"
        if self.seen == "audio":
            return (
                f"{LEAK}audio: {encoder} {was} pretrained on {named}, without its labels; recordings that are tested "
                "may be among those"
            )
        trained = f"{was} trained on labels of {named}"
        if self.seen == "pseudo-labels":
            trained = f"was trained on pseudo-labels of a model that {trained}"
        return f"{LEAK}labels: {encoder} {trained}; what is tested may be among that, and is no test of unseen speech"

    @property
    def _detail(self) -> str:
        return f" ({self.detail})" if self.detail else ""


Recordings = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Digests of what was trained on (see sercache.evaluation.unseen): corpus -> utterance -> those of its pieces."""


@dataclass(frozen=True)
class Tuning:
    """A training that changed the weights."""

    run: str
    """Name of its folder."""
    head: str
    corpus: str
    """That its folds were made of."""
    fold: str
    seed: int
    experiment: str = ""
    """Digest of all that decided it but fold and seed; empty where it is not known."""

    def __str__(self) -> str:
        return f"{self.run} ({self.head} on {self.corpus}, fold {self.fold}, seed {self.seed})"


_STORED = "heard"
"""What JSON calls ``recordings``."""


@dataclass(frozen=True)
class TrainedOn:
    """What the weights of an encoder were trained on."""

    weights_sha256: str
    """Of the weights that this is said of."""
    tunings: tuple[Tuning, ...]
    """The trainings that changed them, one after another."""
    corpora: tuple[tuple[str, str], ...]
    """Name and release of each corpus; an empty release is not known."""
    recordings: Recordings | None
    """Recordings of train and dev parts; None where they are not known."""

    def __str__(self) -> str:
        what = "recordings that are not known"
        if self.recordings is not None:
            what = ", ".join(f"{len(ids)} recordings of {name}" for name, ids in self.recordings.items())
        return f"trained by {', then '.join(map(str, self.tunings))} on {what or 'no recording'}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, with the schema version."""
        record = asdict(self)
        recordings = record.pop("recordings")
        if recordings is not None:
            recordings = {
                name: {id: list(own) for id, own in ids.items()} for name, ids in recordings.items()
            }
        lists = {"tunings": list(record["tunings"]), "corpora": [list(pair) for pair in self.corpora]}
        return {"schema": SCHEMA, **record, **lists, _STORED: recordings}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TrainedOn:
        """The record that ``to_json`` wrote. Raises ValueError where it is anything else."""
        if record.get("schema") != SCHEMA:
            raise ValueError(f"schema {record.get('schema')!r}, this sercache reads {SCHEMA}")
        wanted = {"schema", _STORED, *cls.__dataclass_fields__} - {"recordings"}
        if set(record) != wanted:
            raise ValueError(f"fields {', '.join(sorted(record))}, expected {', '.join(sorted(wanted))}")
        if not isinstance(record["weights_sha256"], str) or not record["weights_sha256"]:
            raise ValueError(f"weights_sha256 is {record['weights_sha256']!r}, expected a digest")
        tunings = tuple(_tuning(each) for each in _list(record["tunings"], "tunings"))
        corpora = tuple(_pair(each) for each in _list(record["corpora"], "corpora"))
        found = record[_STORED]
        return cls(record["weights_sha256"], tunings, corpora, None if found is None else _recordings(found))


def write(record: TrainedOn, folder: Path, weights_sha256: str) -> None:
    """Write the record of these weights into their folder. Raises FileError."""
    files.write_json(folder / FILE, replace(record, weights_sha256=weights_sha256).to_json())


def read(folder: Path, weights_sha256: str) -> TrainedOn | None:
    """What is said of the weights in an encoder's folder; None where nothing is.

    Raises EncoderError where the record is damaged or of other weights.
    """
    path = folder / FILE
    if not path.exists():
        return None
    remedy = (
        f"export the encoder again, or remove {FILE} if these are weights that nothing here was trained on"
    )
    try:
        found = TrainedOn.from_json(files.read_json(path, remedy))
    except FileError as fault:
        raise EncoderError(str(fault)) from fault
    except ValueError as fault:
        raise EncoderError(f"{path} is damaged: {fault}; {remedy}") from fault
    if found.weights_sha256 != weights_sha256:
        raise EncoderError(
            f"{path} is of other weights (sha256 {found.weights_sha256[:16]}) than lie beside it "
            f"({weights_sha256[:16]}), so that what these were trained on is not known; {remedy}"
        )
    return found


def _tuning(value: object) -> Tuning:
    names = set(Tuning.__dataclass_fields__)
    if not isinstance(value, dict) or set(value) != names:
        raise ValueError(f"tunings hold {value!r}, expected objects with {', '.join(sorted(names))}")
    for name, one in value.items():
        kind = int if name == "seed" else str
        if not isinstance(one, kind) or isinstance(one, bool):
            raise ValueError(f"{name} of a tuning is {one!r}, expected {kind.__name__}")
    return Tuning(**value)


def _pair(value: object) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(each, str) for each in value):
        raise ValueError(f"corpora hold {value!r}, expected a name and a release")
    return value[0], value[1]


def _recordings(value: object) -> Recordings:
    return {
        name: {
            id: tuple(_text(digest) for digest in _list(digests, f"{_STORED} of {id}"))
            for id, digests in _object(ids, f"{_STORED} of {name}").items()
        }
        for name, ids in _object(value, _STORED).items()
    }


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {type(value).__name__}, expected an object")
    return value


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is {type(value).__name__}, expected a list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a digest is {value!r}, expected text")
    return value
