"""What a report holds: folds, trainings, predictions, recordings, results on other corpora. C classes, L states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sercache.record._scores import Summary
from sercache.record._target import Answer


@dataclass(frozen=True)
class SharedAudio:
    """Equal audio in two parts of a fold, found by digests of the samples."""

    n_test: int
    """Test utterances whose audio is in the training or dev part too."""
    n_dev: int
    """Dev utterances whose audio is in the training part too."""
    n_left_out: int
    """Utterances that were left out of training and dev part, as their audio is judged (duplicates apart)."""
    speakers: tuple[tuple[str, str, int], ...]
    """Who is called the speaker of a test utterance, who of its equal, and of how many; the most first."""
    first: tuple[tuple[str, str], ...]
    """Some of these: a test utterance and its equal."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A stretch of audio that some training of a run was trained on."""

    corpus: str
    id: str
    """Of its utterance."""
    audio: str
    """First digits of the digest of its samples."""
    by: str = ""
    """``encoder`` for what an encoder of the run had been trained on before; empty for its own trainings, and those
    that gave initial weights."""


@dataclass(frozen=True)
class FoldRecord:
    """What a fold was."""

    name: str
    speakers_disjoint: bool
    n_train: int
    """Utterances, as the next two."""
    n_dev: int
    n_test: int
    train_sha256: str
    """Of the sorted ids joined by newlines, as the next two."""
    dev_sha256: str
    test_sha256: str
    dev_speakers_disjoint: bool | None = None
    """Dev against train; None without a dev part."""
    sentences_disjoint: bool | None = None
    """Test against train texts; None where texts are not known."""
    shared_audio: SharedAudio | None = None
    """None where that was not checked: runs of before it was, and features of text."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one run said of one test utterance."""

    id: str
    fold: str
    seed: int
    true: Answer
    predicted: Answer
    """Numbers: mean over the utterance's clips."""
    probabilities: tuple[float, ...] = ()
    """(C,) mean over the utterance's clips of softmax; empty where the task gives numbers."""
    speaker: str = ""


@dataclass(frozen=True)
class Run:
    """One training: one fold, one seed."""

    fold: str
    seed: int
    scores: Mapping[str, float]
    """Of the test part, by metric."""
    best_epoch: int
    """The epoch whose weights were kept, from 1."""
    stopped_early: bool
    n_updates: int
    history: tuple[Mapping[str, float | None], ...]
    """One record per epoch: ``number``, ``train_loss``, ``dev_loss``, …; no times."""
    layer_weights: tuple[float, ...] | None = None
    """(L,) share of each state, where the head has them."""
    weights_sha256: str = ""
    """Of the trained weights, so that equal runs can be told."""
    job: str = ""
    """Digest of experiment, fold, seed and what the fold holds (sercache.record.Job); empty in older runs."""
    notes: tuple[str, ...] = ()
    """What could not be done as the recipe says."""


@dataclass(frozen=True)
class StartRecord:
    """An earlier run that gave initial weights."""

    part: str
    """Of the head; empty for the whole of it."""
    run: str
    """Name of its folder."""
    head: str
    corpora: tuple[str, ...]
    """All that its weights have seen, the one of its folds first."""
    releases: tuple[str, ...] = ()
    """Of these corpora; not known of runs before they were recorded."""
    weights: str = ""
    """Digest of what trained them; empty in older runs."""

    @property
    def seen(self) -> tuple[tuple[str, str], ...]:
        """Name and release of these corpora; an empty release is not known."""
        known = (*self.releases, *[""] * (len(self.corpora) - len(self.releases)))
        return tuple(zip(self.corpora, known, strict=True))

    @property
    def whose(self) -> str:
        """What it is, in a sentence on what it was trained on."""
        return f"{self.run}, which gives initial weights,"

    def __str__(self) -> str:
        of = f" of {self.part}" if self.part else ""
        return f"initial weights{of} from {self.run} ({self.head} on {self.corpora[0]})"


@dataclass(frozen=True)
class TrainedEncoder:
    """An encoder below the heads whose weights runs had trained before it was extracted with."""

    encoder: str
    """As the report calls it."""
    weights_sha256: str
    trained_by: str
    """The last of these runs, and what it was, in words."""
    corpora: tuple[str, ...]
    """All that its weights have seen."""
    releases: tuple[str, ...]
    """Of these corpora; empty where not known."""

    @property
    def seen(self) -> tuple[tuple[str, str], ...]:
        """Name and release of these corpora."""
        return tuple(zip(self.corpora, self.releases, strict=True))

    @property
    def whose(self) -> str:
        """What it is, in a sentence on what it was trained on."""
        return f"the encoder {self.encoder}"

    def __str__(self) -> str:
        return f"the encoder {self.encoder} was trained by {self.trained_by}"


@dataclass(frozen=True)
class CrossCorpus:
    """What every trained head said of all of another corpus."""

    dataset: str
    task: str
    classes: tuple[str, ...]
    """Classes of the report that this corpus has; empty where the task gives numbers."""
    corpus: Mapping[str, Any]
    """As in the report."""
    features: Mapping[str, Any]
    """As in the report."""
    normalisation: str
    """Scope of the statistics, in a sentence."""
    summary: Mapping[str, Summary]
    """By metric. ``folds`` is the mean over the models (of each fold, mean over its seeds), ``seeds`` takes the
    predictions of all folds together."""
    predictions: tuple[Prediction, ...]
    """By class numbers of the report; ``fold`` and ``seed`` say which model spoke."""
    confusion: tuple[tuple[int, ...], ...]
    """(C, C) over the report's classes, summed over models; rows are true classes."""
    layer_weights: tuple[tuple[float, ...], ...] = ()
    """(runs, L) share of each state on this corpus, in the order of the report's runs; empty without."""
    notes: tuple[str, ...] = ()
    """Remarks that belong under its table."""
