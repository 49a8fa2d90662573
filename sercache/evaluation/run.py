"""Evaluation run: all folds and seeds of a protocol, as a Report with the trained heads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from sercache import catalog
from sercache.evaluation.counter import Progress
from sercache.evaluation.cross_corpus import (
    HeadOutput,
    conclude,
    flat_remarks,
    output_of,
    scaling_tensors,
)
from sercache.evaluation.describe import environment, provenance, standardises
from sercache.evaluation.layers import layer_weights, meaning_of
from sercache.evaluation.material import Material
from sercache.evaluation.method import Data, How, Method
from sercache.evaluation.prepare import Prepared, prepare
from sercache.evaluation.published import differences, fewer_updates
from sercache.evaluation.scores import confusion, predictions_of, run_record, summarise
from sercache.evaluation.shared import at_work, fill
from sercache.evaluation.trainings import TrainedMember, trainings
from sercache.head import is_solved, notes_of
from sercache.progress import used
from sercache.recipe import Published, Setup
from sercache.record import CrossCorpus, Prediction, Report, Run
from sercache.training import predict

Weights = dict[tuple[str, int | None], Mapping[str, Tensor]]
"""Weights of the head of each fold and seed; under (fold, None) the statistics of that fold, where normalisation is
global (see ``scaling_tensors``)."""

_SHARED = (
    "the seeds of a fold share the order of their batches; they differ in initial weights and dropout only"
)
_LOOK = "a coarse look, of one seed and few epochs: no result, and never taken for one"
_UNTESTED = "not tested: the dev part is to choose among several trainings first"


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What came out of an evaluation."""

    report: Report
    weights: Weights


@dataclass(eq=False)
class _Trained:
    """What the trainings left, one entry for each."""

    runs: list[Run] = field(default_factory=list)
    at_home: list[HeadOutput] = field(default_factory=list)
    cross_corpus: list[list[HeadOutput]] = field(default_factory=list)
    dev: list[Prediction] = field(default_factory=list)
    """Of the dev parts."""
    seconds: list[float] = field(default_factory=list)
    timings: list[Mapping[str, Any]] = field(default_factory=list)
    """How each was computed."""
    notes: dict[str, None] = field(default_factory=dict)
    """Of the trainings: what could not be done as the recipe says."""
    weights: Weights = field(default_factory=dict)
    inside: str = "none"
    """Scope by which the heads standardise inside themselves."""

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """Of the test parts."""
        return tuple(one for each in self.at_home for one in each.predictions)

    def add(self, at: TrainedMember, material: Material, how: How) -> None:
        """Test a training that is done, and record what it was."""
        done, fold = at.done, at.fold.name
        self.inside = standardises(done.head)
        own = _hear_at_home(at, material, how)
        self.at_home.append(own)
        self.dev += _hear_dev(at, material, how.device)
        self.cross_corpus.append(_predict_cross_corpus(at, material, how.device))
        said, weighed = own.predictions, own.layer_weights
        self.runs.append(run_record(fold, at.seed, done, said, weighed, material.target, at.job.digest))
        self.seconds.append(done.seconds)
        self.timings.append(done.timing)
        self.notes |= dict.fromkeys(done.notes)
        self.weights[fold, at.seed] = {
            name: value.detach().cpu() for name, value in done.head.state_dict().items()
        }
        if at.views.scalings:
            self.weights[fold, None] = scaling_tensors(at.views.scalings)


def _n_kept(head: nn.Module) -> int:
    """Parameters that a run keeps of a head: not those of a checkpoint that LoRA leaves as they are."""
    kept = head.state_dict().keys()
    return sum(p.numel() for name, p in head.named_parameters() if name in kept)


def evaluate(
    method: Method,
    data: Data,
    *,
    published: Published | None = None,
    how: How | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Evaluated:
    """Train and test a head on every fold and seed; the Report says what was done and what came out.

    ``published`` is what the paper did, if there is one: differences are listed. ``how`` says how the trainings are
    computed, and where each is kept as it finishes, shared with other processes that do the same; ``progress`` is
    called with every epoch.
    Raises MissingFeaturesError, ProtocolError, RecipeError, SettingsError before training; TrainingError.
    """
    how = how or How()
    ready = prepare(method, data, how)
    say_reading(ready)
    if how.partial is None:
        return assemble(ready, published, how, progress)
    with at_work(how.partial, ready) as claims:
        fill(ready, how, claims, progress)
        return assemble(ready, published, how, progress)


def assemble(
    ready: Prepared,
    published: Published | None,
    how: How,
    progress: Callable[[Progress], None] | None = None,
) -> Evaluated:
    """Test what was trained, and train what was not, as ``evaluate`` says."""
    data, method, experiment = ready.data, ready.method, ready.experiment
    setup, solves = method.setup, is_solved(method.kind)
    members = trainings(method, ready.material, ready.jobs, how, progress)
    trained = _Trained()
    for member in members:
        trained.add(member, ready.material, how)
    others = [f"{extra.corpus.name} added to every training part" for extra in data.also_train]
    if published is not None:
        own = differences(published, setup, experiment.recipe, experiment.options)
        others = [*map(str, [*own, *fewer_updates(published, setup, trained.runs)]), *others]
    report = Report(
        head=catalog.shown(method.head),
        head_file=catalog.absolute(method.head) if catalog.is_file(method.head) else "",
        options=experiment.options,
        n_parameters=_n_kept(ready.head),
        recipe=experiment.recipe,
        setup={**_plain(setup), "fold_seed": method.fold_seed},
        deviations=(*others, *notes_of(ready.head), *_remarks(how), *trained.notes),
        seeds=setup.seeds,
        layer_weights_are=meaning_of(ready.head),
        started_from=how.started_from,
        encoders_trained=ready.encoders,
        recordings=ready.recordings,
        **_results(trained, ready, how),
        **provenance(data.corpus, data.stores, ready.material, setup, method.recipe, ready.head),
        experiment=experiment,
        environment=environment(how.device, data.stores, solves, data.named),
        look=method.look,
        timing=_timing(ready, trained),
    )
    return Evaluated(report, trained.weights)


def say_reading(ready: Prepared) -> None:
    """How each input is read, in a line."""
    for part in (ready.material.main, *(part for _, part in ready.material.cross_corpus)):
        for view in part.inputs:
            used("reading", str(view.plan))


def _remarks(how: How) -> tuple[str, ...]:
    return (*((_SHARED,) if how.share_order else ()), *map(str, how.started_from))


def _results(trained: _Trained, ready: Prepared, how: How) -> dict[str, Any]:
    """The fields of a Report that say what came out."""
    target, predictions = ready.material.target, trained.predictions
    notes = (*flat_remarks(trained.at_home, target), *_ways_remarks(trained.timings))
    return {
        "runs": tuple(trained.runs),
        "predictions": predictions,
        "dev_predictions": tuple(trained.dev),
        "summary": summarise(trained.runs, predictions, target),
        "cross_corpus": _cross_corpus(trained, ready),
        "notes": (
            *((_LOOK,) if ready.method.look else ()),
            *ready.remarks,
            *notes,
            *(() if how.test else (_UNTESTED,)),
        ),
        "confusion": confusion(predictions, target),
    }


def _cross_corpus(trained: _Trained, ready: Prepared) -> tuple[CrossCorpus, ...]:
    """What all heads said of each other corpus."""
    material, setup = ready.material, ready.method.setup
    return tuple(
        conclude(
            extra, part, setup, material.target, trained.inside, [each[k] for each in trained.cross_corpus]
        )
        for k, (extra, part) in enumerate(material.cross_corpus)
    )


def _timing(ready: Prepared, trained: _Trained) -> dict[str, Any]:
    return {
        "started": ready.started.isoformat(timespec="seconds"),
        "seconds": time.perf_counter() - ready.clock,
        "training_seconds": trained.seconds,
        "trainings": trained.timings,
    }


def _ways_remarks(timings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A line where some of the trainings were computed elsewhere, by an earlier run."""
    ways = Counter((each["device"], each["torch"]) for each in timings if "device" in each)
    if len(ways) < 2:
        return ()
    shown = ", ".join(f"{n} on {device} by torch {version}" for (device, version), n in ways.items())
    return (
        f"the trainings were not all computed in one way ({shown}): the same but for rounding and what dropout draws",
    )


def _hear_at_home(at: TrainedMember, material: Material, how: How) -> HeadOutput:
    """What a head says of its fold's test part; nothing where there is none or nothing is to be tested."""
    view = at.views.test if how.test else None
    if view is None:
        return HeadOutput(at.fold.name, at.seed, (), layer_weights(at.done.head, None, how.device))
    return output_of(at.done.head, view, material.main, at.fold.name, at.seed, how.device)


def _hear_dev(at: TrainedMember, material: Material, device: str) -> list[Prediction]:
    """What a head says of its fold's dev part at the epoch that was kept; nothing where there is none."""
    view = at.views.dev
    if view is None:
        return []
    outputs = predict(at.done.head, view, device=device)
    return predictions_of(outputs, view, at.fold.name, at.seed, material.main.speakers)


def _predict_cross_corpus(at: TrainedMember, material: Material, device: str) -> list[HeadOutput]:
    """What a head says of each other corpus."""
    there = zip(material.cross_corpus, at.views.cross_corpus, strict=True)
    return [output_of(at.done.head, view, part, at.fold.name, at.seed, device) for (_, part), view in there]


def _plain(record: Setup) -> dict[str, Any]:
    """A record as JSON values."""
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
