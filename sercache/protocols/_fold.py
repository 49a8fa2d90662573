"""Fold: the parts of one split, and the checks that they are what they claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sercache import advice
from sercache.datasets import Corpus, Utterance
from sercache.errors import ProtocolError

ALL = "all"
"""Name of the protocol, and of its only fold, in which everything trains."""
ON_DEV = "dev"
"""Name of the fixed split, and of its only fold, in which the dev part is the test part too."""


@dataclass(frozen=True)
class Fold:
    """Ids of the train, dev and test parts of one fold. Parts are disjoint; ``dev`` may be empty.

    ``test`` is empty in the fold of the protocol ``all``, and nowhere else; it is ``dev`` in that of
    ``fixed:dev``, and nowhere else.
    """

    name: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    speakers_disjoint: bool
    """Whether no speaker of the test part talks in the train or dev part: checked, not believed."""
    dev_speakers_disjoint: bool | None = None
    """Whether no speaker of the dev part talks in the train part; None without a dev part."""
    sentences_disjoint: bool | None = None
    """Whether no text of the test part is spoken in the train part; None where texts are not known."""
    left_out: tuple[str, ...] = ()
    """Utterances of no part, as their audio equals one that is judged."""
    lacking: tuple[str, ...] = ()
    """What its lists name and the copy of the corpus has not, labelled or not: recordings, sessions, speakers."""

    def __post_init__(self) -> None:
        parts = {"train": self.train, "dev": self.dev, "test": self.test}
        for first, second in (("train", "dev"), ("train", "test"), ("dev", "test")):
            shared = sorted(set(parts[first]) & set(parts[second]))
            if shared and not (self.dev_is_test and (first, second) == ("dev", "test")):
                raise ProtocolError(
                    f"fold {self.name}: {len(shared)} utterances are in {first} and {second}, "
                    f"first: {shared[0]}; parts must be disjoint"
                )
        for part in ("train",) if self.name == ALL else ("train", "test"):
            if not parts[part]:
                raise ProtocolError(
                    f"fold {self.name}: the {part} part is empty; choose another --protocol, --dev or --task"
                )

    @property
    def dev_is_test(self) -> bool:
        """Whether what selects the epoch is what is tested, so that the scores are not held out."""
        return self.name == ON_DEV and self.dev == self.test


@dataclass(frozen=True)
class Listed:
    """What lists say of one fold."""

    parts: dict[str, list[str]]
    """Ids of the train, dev and test part."""
    named: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All names of each part."""
    lacking: tuple[str, ...] = ()
    """Names that no utterance of the corpus bears, whether the task labels it or not."""


def check_there(
    name: str, parts: Mapping[str, Sequence[str]], named: Mapping[str, Sequence[str]], corpus: Corpus
) -> None:
    """Raises ProtocolError where a part that cannot be empty is so, though its list ``named`` some for it.

    Those are recordings, sessions or speakers that the copy lacks, or that the task does not label.
    """
    for part in ("train", "test"):
        lacking = named.get(part, ())
        if lacking and not parts.get(part, ("",)):
            raise ProtocolError(
                f"fold {name}: the {part} part is empty, as this copy of {corpus.name} has nothing that the task "
                f"labels of the {len(lacking)} that are listed for it, first: {lacking[0]}; complete it "
                f"({advice.command('doctor', dataset=corpus.dataset)} lists what is missing), or choose another "
                "--protocol"
            )


def build_fold(
    name: str,
    parts: Mapping[str, Iterable[str]],
    utterances: Mapping[str, Utterance],
    labels: Mapping[str, str],
    lacking: tuple[str, ...] = (),
) -> Fold:
    """The fold with these parts (train, dev, test), its speakers and texts compared.

    Raises ProtocolError where parts overlap or are empty, or where a class has no training utterance.
    """
    train, dev, test = (tuple(sorted(parts[part])) for part in ("train", "dev", "test"))
    missing = sorted(set(labels.values()) - {labels[i] for i in train})
    if train and missing:
        raise ProtocolError(
            f"fold {name}: no training utterance of {', '.join(missing)}; choose a task without it, "
            "or a protocol that spreads classes, such as kfold:5"
        )
    return Fold(
        name,
        train,
        dev,
        test,
        speakers_disjoint=bool(_disjoint("speaker", utterances, test, train if dev == test else train + dev)),
        dev_speakers_disjoint=bool(_disjoint("speaker", utterances, dev, train)) if dev else None,
        sentences_disjoint=_disjoint("sentence", utterances, test, train),
        lacking=lacking,
    )


def _disjoint(
    field: str, utterances: Mapping[str, Utterance], first: Iterable[str], second: Iterable[str]
) -> bool | None:
    """Whether no value of ``field`` occurs in both parts; None where one is not known."""
    left, right = ({getattr(utterances[i], field) for i in ids} for ids in (first, second))
    return None if "" in left | right else left.isdisjoint(right)
