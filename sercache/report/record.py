"""Report: everything a result rests on. Tables, plots and pages are drawn from it, never from memory.

C classes or targets, L states, U utterances. All values are plain, so that a report is its JSON and back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from sercache.metrics import FEWEST_UNITS
from sercache.record import Experiment

SCHEMA = 3
READABLE = (1, 2, 3)
"""Schemas that this sercache reads; 1 had neither numbers nor other corpora, 2 neither units nor an experiment."""

METRICS = ("wa", "ua", "macro_f1")
"""Of tasks that give classes."""
NUMBER_METRICS = ("rho", "ccc", "mse")
"""Of tasks that give numbers: Spearman's rho, concordance, mean squared error; each the mean over targets,
and ``rho:<target>`` and so on for one target."""
NAMES = {"wa": "WA", "ua": "UA", "macro_f1": "macro F1", "rho": "rho", "ccc": "CCC", "mse": "MSE"}

Aggregate = Literal["folds", "seeds"]
"""How one number is made of many: see AGGREGATES."""

AGGREGATES: dict[Aggregate, str] = {
    "folds": "score of each fold (mean over its seeds), then mean ± sample std over folds",
    "seeds": "score of the pooled predictions of all folds for each seed, then mean ± sample std over seeds",
}

HEADLINE: Aggregate = "seeds"
"""The one that a result is told by, unless it is compared with a paper that goes by the other: it counts every
utterance once, and no fold's score is a mean over the classes that its few speakers happen to have."""


@dataclass(frozen=True)
class Score:
    """A mean with its spread."""

    mean: float
    std: float | None
    """Sample standard deviation (n - 1); None for one value."""
    n: int
    """Values that the mean is over: folds or seeds."""


@dataclass(frozen=True)
class Interval:
    """95 % bootstrap interval of one estimand, with the units that were drawn."""

    low: float | None
    """None, as the next, where there are too few units for an interval."""
    high: float | None
    n: int
    """Units."""
    units: str
    """What they are: speakers, folds, utterances."""

    @property
    def counted(self) -> str:
        """The units in words: ``10 speakers``."""
        return counted(self.n, self.units.removesuffix("s"))


@dataclass(frozen=True)
class Summary:
    """One metric by both conventions; they are different quantities, and each has an interval of its own."""

    folds: Score
    """Mean over folds (of seed means): the convention of Ioannides et al."""
    seeds: Score
    """Pooled over folds, mean over seeds: the convention of Pepino et al."""
    folds_interval: Interval | None = None
    """Of the mean over folds; None where folds share some test speakers, so that nothing can be drawn."""
    seeds_interval: Interval | None = None
    """Of the pooled score."""

    def score(self, aggregate: Aggregate) -> Score:
        """The score by one convention."""
        return self.folds if aggregate == "folds" else self.seeds

    def interval(self, aggregate: Aggregate) -> Interval | None:
        """The interval of that score."""
        return self.folds_interval if aggregate == "folds" else self.seeds_interval


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


@dataclass(frozen=True)
class Recording:
    """A stretch of audio that some training of a run heard."""

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


@dataclass(frozen=True)
class Prediction:
    """What one run said of one test utterance."""

    id: str
    fold: str
    seed: int
    true: int
    """Class; -1 where the task gives numbers, as the next."""
    predicted: int
    probabilities: tuple[float, ...]
    """(C,) mean over the utterance's clips of softmax; empty where the task gives numbers."""
    speaker: str = ""
    true_values: tuple[float, ...] = ()
    """(C,) numbers, where the task gives them; as the next."""
    values: tuple[float, ...] = ()
    """(C,) predicted numbers: mean over the utterance's clips."""


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
class Elsewhere:
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


@dataclass(frozen=True, repr=False)
class Report:
    """A result with all that made it."""

    head: str
    options: Mapping[str, Any]
    """Of the head, those at their defaults included."""
    n_parameters: int
    recipe: Mapping[str, Any]
    """Empty for a head that is solved, not trained."""
    setup: Mapping[str, Any]
    """As used; what the paper had is in ``deviations``."""
    deviations: tuple[str, ...]
    """Differences from the published set-up and recipe, one line each."""
    corpus: Mapping[str, Any]
    """Name, release, task, counts, warnings."""
    classes: tuple[str, ...]
    features: Mapping[str, Any]
    """Store spec and digest, states, kind, items."""
    folds: tuple[FoldRecord, ...]
    normalisation: str
    """Scope of the statistics, in a sentence."""
    selection: str
    """How the epoch was chosen, in a sentence."""
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    predictions: tuple[Prediction, ...]
    summary: Mapping[str, Summary]
    """By metric (see METRICS, NUMBER_METRICS); empty where no fold has a test part."""
    confusion: tuple[tuple[int, ...], ...]
    """(C, C) counts summed over folds and seeds: rows are true classes; empty for numbers."""
    layer_weights_are: str = ""
    """What ``layer_weights`` of the runs mean."""
    standardises: str | None = None
    """Scope by which the head standardises inside itself, in the words of the set-up's ``normalise``; ``none`` where
    it does not, None where it was not recorded (before schema 3)."""
    also_trained: tuple[Mapping[str, Any], ...] = ()
    """Other corpora whose utterances were in every training part."""
    started_from: tuple[StartRecord, ...] = ()
    """Earlier runs that gave the initial weights; not known of runs before this was recorded."""
    encoders_trained: tuple[TrainedEncoder, ...] = ()
    """Those of its encoders that had been trained by runs; not known of runs before this was recorded."""
    heard: tuple[Recording, ...] | None = None
    """What any of its trainings heard, those that gave initial weights, and those that trained its encoders; None
    where it was not recorded."""
    targets: tuple[str, ...] = ()
    """What each value is, where the task gives numbers; ``classes`` is empty then."""
    elsewhere: tuple[Elsewhere, ...] = ()
    """Results on other corpora, which no part of the training saw."""
    notes: tuple[str, ...] = ()
    """Remarks that belong under the numbers, a line each."""
    experiment: Experiment | None = None
    """All that decides the numbers but fold and seed; None in runs of before there were any."""
    printed: tuple[Mapping[str, Any], ...] = ()
    """What papers printed when it was saved, where, and what differs from their systems."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Package versions, platform, device."""
    head_file: str = ""
    """Where the head's file lay, of one that is no part of sercache or of an installed package."""
    timing: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """When it was run and for how long: the only part that two equal runs may differ in."""

    def __repr__(self) -> str:
        """One line: what it is of, and its main score with the interval of that score."""
        return f"Report({self.title}: {self.told or 'not tested'})"

    @property
    def told(self) -> str:
        """The main score in a few words, with its spread and interval; empty where nothing was tested."""
        found = self.summary.get(self.main_metric)
        if found is None:
            return ""
        spread = "" if found.seeds.std is None else f" ± {found.seeds.std:.4f}"
        interval = found.seeds_interval
        beside = ""
        if interval is not None:
            low, high = interval.low, interval.high
            ends = "no interval" if low is None or high is None else f"95 % {low:.3f} to {high:.3f}"
            beside = f"; {ends}, {interval.counted}"
        return f"{NAMES[self.main_metric]} {found.seeds.mean:.4f}{spread}, {self.estimand(HEADLINE)}{beside}"

    def estimand(self, aggregate: Aggregate) -> str:
        """What a score by one convention is, in few words: ``pooled, 5 seeds``, ``mean of 10 folds``."""
        n_folds, seeds = len(self.folds), counted(len(self.seeds), "seed")
        if n_folds == 1:
            return f"1 test part, {seeds}"
        return f"mean of {n_folds} folds" if aggregate == "folds" else f"pooled, {seeds}"

    @property
    def scope(self) -> str:
        """Whose statistics the features are scaled by, before the head or in it: none, global, speaker."""
        own = str(self.setup["normalise"])
        return own if own != "none" else self.standardises or "none"

    @property
    def scope_shown(self) -> str:
        """The scope, and that the head has it where it does."""
        own = str(self.setup["normalise"])
        inside = self.standardises or "none"
        if inside == "none":
            return own
        return f"{inside} (in the head)" if own == "none" else f"{own}, then {inside} (in the head)"

    @property
    def title(self) -> str:
        """One line for headings: head, encoder, corpus, protocol."""
        setup = self.setup
        clip = next((f"; {line}" for line in self.deviations if line.startswith("clip ")), "")
        return f"{self.head} on {setup['encoder']}, {self.corpus['name']} ({setup['protocol']}{clip})"

    @property
    def head_source(self) -> tuple[str, str]:
        """What the catalogue takes for the head, and the version that the trainings were computed with."""
        return self.head_file or self.head, self.experiment.head_version if self.experiment else ""

    @property
    def seen(self) -> tuple[tuple[str, str], ...]:
        """Name and release of the corpora that its weights have seen: of the folds, added, of initial weights, of
        its encoders.
        """
        own = [(about["name"], about.get("release", "")) for about in (self.corpus, *self.also_trained)]
        before: list[StartRecord | TrainedEncoder] = [*self.started_from, *self.encoders_trained]
        return tuple(dict.fromkeys([*own, *(pair for each in before for pair in each.seen)]))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of this task, each over all classes or targets."""
        return NUMBER_METRICS if self.targets else METRICS

    @property
    def main_metric(self) -> str:
        """The metric that plots show and intervals are printed of."""
        return "rho" if self.targets else "ua"

    def layer_weights(self) -> np.ndarray | None:
        """(runs, L) shares of the states, or None where the head has none."""
        rows = [run.layer_weights for run in self.runs if run.layer_weights is not None]
        return np.array(rows) if rows else None

    def layer_weights_by_seed(self) -> np.ndarray | None:
        """(seeds, L): mean over the folds of each seed's shares, or None where the head has none.

        Source: Pepino et al. 2021, Figure 2 (shares of each model sum to 1 before they are averaged).
        """
        found = [
            [r.layer_weights for r in self.runs if r.seed == seed and r.layer_weights] for seed in self.seeds
        ]
        return np.array([np.mean(own, axis=0) for own in found]) if all(found) else None

    def run(self, fold: str, seed: int) -> Run:
        """The training of one fold with one seed."""
        return next(run for run in self.runs if (run.fold, run.seed) == (fold, seed))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, with the schema version."""
        experiment = self.experiment.to_json() if self.experiment else None
        return {"schema": SCHEMA, **asdict(self), "experiment": experiment}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Report:
        """The report that ``to_json`` wrote."""
        values = {key: value for key, value in record.items() if key != "schema"}
        experiment = values.get("experiment")
        return cls(
            **values
            | {
                "deviations": tuple(values["deviations"]),
                "classes": tuple(values["classes"]),
                "folds": tuple(_fold(fold) for fold in values["folds"]),
                "seeds": tuple(values["seeds"]),
                "runs": tuple(_run(run) for run in values["runs"]),
                "predictions": tuple(_prediction(p) for p in values["predictions"]),
                "summary": _summaries(values),
                "confusion": tuple(tuple(row) for row in values["confusion"]),
                "also_trained": tuple(values.get("also_trained", ())),
                "started_from": tuple(_start(each) for each in values.get("started_from", ())),
                "encoders_trained": tuple(_encoder(each) for each in values.get("encoders_trained", ())),
                "heard": None
                if values.get("heard") is None
                else tuple(Recording(**r) for r in values["heard"]),
                "targets": tuple(values.get("targets", ())),
                "elsewhere": tuple(_elsewhere(each) for each in values.get("elsewhere", ())),
                "notes": tuple(values.get("notes", ())),
                "printed": tuple(values.get("printed", ())),
                "experiment": Experiment.from_json(experiment) if experiment else None,
            }
        )


def counted(n: int, noun: str) -> str:
    """``1 seed``, ``5 seeds``."""
    return f"{n} {noun}{'s' * (n != 1)}"


def score(values: Sequence[float]) -> Score:
    """Mean and sample standard deviation (n - 1) of some scores."""
    array = np.asarray(values, np.float64)
    std = float(array.std(ddof=1)) if len(array) > 1 else None
    return Score(float(array.mean()), std, len(array))


def _fold(record: Mapping[str, Any]) -> FoldRecord:
    found = record.get("shared_audio")
    if found is None:
        return FoldRecord(**record)
    lists = {name: tuple(map(tuple, found[name])) for name in ("speakers", "first")}
    return FoldRecord(**{**record, "shared_audio": SharedAudio(**{**found, **lists})})


def _run(record: Mapping[str, Any]) -> Run:
    weights = record["layer_weights"]
    lists = {
        "history": tuple(record["history"]),
        "layer_weights": None if weights is None else tuple(weights),
        "notes": tuple(record.get("notes", ())),
    }
    return Run(**{**record, **lists})


def _start(record: Mapping[str, Any]) -> StartRecord:
    lists = {name: tuple(record.get(name, ())) for name in ("corpora", "releases")}
    return StartRecord(**{**record, **lists})


def _encoder(record: Mapping[str, Any]) -> TrainedEncoder:
    lists = {name: tuple(record[name]) for name in ("corpora", "releases")}
    return TrainedEncoder(**{**record, **lists})


def _prediction(record: Mapping[str, Any]) -> Prediction:
    lists = ("probabilities", "true_values", "values")
    return Prediction(**{**record, **{name: tuple(record[name]) for name in lists if name in record}})


def _elsewhere(record: Mapping[str, Any]) -> Elsewhere:
    parts = {
        "classes": tuple(record["classes"]),
        "summary": _summaries(record),
        "predictions": tuple(_prediction(p) for p in record["predictions"]),
        "confusion": tuple(tuple(row) for row in record["confusion"]),
        "layer_weights": tuple(tuple(row) for row in record["layer_weights"]),
        "notes": tuple(record["notes"]),
    }
    return Elsewhere(**{**record, **parts})


def _summaries(record: Mapping[str, Any]) -> dict[str, Summary]:
    """Those of a report or of another corpus."""
    return {metric: _summary(each, record["predictions"]) for metric, each in record["summary"].items()}


def _summary(record: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]]) -> Summary:
    folds, seeds = Score(**record["folds"]), Score(**record["seeds"])
    if "interval" in record:  # before schema 3: of the pooled predictions, whose speakers it did not count
        return Summary(folds, seeds, None, _uncounted(record["interval"], predictions))
    own = [record[name] and Interval(**record[name]) for name in ("folds_interval", "seeds_interval")]
    return Summary(folds, seeds, *own)


def _uncounted(ends: Sequence[float] | None, predictions: Sequence[Mapping[str, Any]]) -> Interval | None:
    speakers = {each["speaker"] for each in predictions}
    if "" in speakers:
        return None
    low, high = ends if ends is not None and len(speakers) >= FEWEST_UNITS else (None, None)
    return Interval(low, high, len(speakers), "speakers")
