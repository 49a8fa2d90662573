"""Report: everything a result rests on. Tables, plots and pages are drawn from it, never from memory.

C classes or targets, L states, U utterances. All values are plain, so that a report is its JSON and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sercache.record._experiment import Experiment
from sercache.record._parts import (
    CrossCorpus,
    FoldRecord,
    Prediction,
    Recording,
    Run,
    StartRecord,
    TrainedEncoder,
)
from sercache.record._reading import (
    cross_corpus_from,
    encoder_from,
    fold_from,
    prediction_from,
    run_from,
    start_from,
    summaries_from,
)
from sercache.record._scores import HEADLINE, NAMES, Aggregate, Summary, counted
from sercache.record._target import Classes, Numbers, Target

SCHEMA = 3
READABLE = (1, 2, 3)
"""Schemas that this sercache reads; 1 had neither numbers nor other corpora, 2 neither units nor an experiment."""

_STORED = {"cross_corpus": "elsewhere", "recordings": "heard"}
"""Fields that JSON calls as it did before they had their names."""


LOOK = "A LOOK, NO RESULT"
"""Begins the title of what was trained for a few epochs to see what a table would be like."""


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
    recordings: tuple[Recording, ...] | None = None
    """What trained any of its heads, their initial weights, and its encoders; None where it was not recorded."""
    targets: tuple[str, ...] = ()
    """What each value is, where the task gives numbers; ``classes`` is empty then."""
    cross_corpus: tuple[CrossCorpus, ...] = ()
    """Results on other corpora, which no part of the training saw."""
    notes: tuple[str, ...] = ()
    """Remarks that belong under the numbers, a line each."""
    experiment: Experiment | None = None
    """All that decides the numbers but fold and seed; None in runs of before there were any."""
    printed: tuple[Mapping[str, Any], ...] = ()
    """What papers printed when it was saved, where, and what differs from their systems."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Package versions, platform, device."""
    dev_predictions: tuple[Prediction, ...] = ()
    """What each training says of its dev part at the epoch that was kept; empty without one, and in runs of before
    these were kept."""
    head_file: str = ""
    """Where the head's file lay, of one that is no part of sercache or of an installed package."""
    look: bool = False
    """Whether it is a coarse look, of one seed and few epochs, and no result."""
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
        mark = f"{LOOK}: " if self.look else ""
        return f"{mark}{self.head} on {setup['encoder']}, {self.corpus['name']} ({setup['protocol']}{clip})"

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
    def target(self) -> Target:
        """What its task asks of a head."""
        return Numbers(self.targets) if self.targets else Classes(self.classes)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of this task, each over all classes or targets."""
        return self.target.metrics

    @property
    def main_metric(self) -> str:
        """The metric that plots show and intervals are printed of."""
        return self.target.main_metric

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
        values = {_STORED.get(name, name): value for name, value in asdict(self).items()}
        if not self.look:
            del values["look"]  # results are written as before there were looks
        return {"schema": SCHEMA, **values, "experiment": experiment}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Report:
        """The report that ``to_json`` wrote."""
        named = {stored: name for name, stored in _STORED.items()}
        values = {named.get(key, key): value for key, value in record.items() if key != "schema"}
        experiment = values.get("experiment")
        return cls(
            **values
            | {
                "deviations": tuple(values["deviations"]),
                "classes": tuple(values["classes"]),
                "folds": tuple(fold_from(fold) for fold in values["folds"]),
                "seeds": tuple(values["seeds"]),
                "runs": tuple(run_from(run) for run in values["runs"]),
                "predictions": tuple(prediction_from(p) for p in values["predictions"]),
                "dev_predictions": tuple(prediction_from(p) for p in values.get("dev_predictions", ())),
                "summary": summaries_from(values),
                "confusion": tuple(tuple(row) for row in values["confusion"]),
                "also_trained": tuple(values.get("also_trained", ())),
                "started_from": tuple(start_from(each) for each in values.get("started_from", ())),
                "encoders_trained": tuple(encoder_from(each) for each in values.get("encoders_trained", ())),
                "recordings": None
                if values.get("recordings") is None
                else tuple(Recording(**r) for r in values["recordings"]),
                "targets": tuple(values.get("targets", ())),
                "cross_corpus": tuple(cross_corpus_from(each) for each in values.get("cross_corpus", ())),
                "notes": tuple(values.get("notes", ())),
                "printed": tuple(values.get("printed", ())),
                "experiment": Experiment.from_json(experiment) if experiment else None,
            }
        )
