"""Whether a finished run is what a training that is asked for now would give; told without training anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from sercache.evaluation.describe import ids_digest, setup_as_used
from sercache.evaluation.experiment import (
    all_settings,
    experiment_of,
    features_of,
    jobs_of,
    version_of,
)
from sercache.evaluation.material import Material, gather
from sercache.evaluation.method import Data, Extra, How, Method
from sercache.head import deciding_options
from sercache.recipe import Recipe, Setup, inputs
from sercache.record import TRAINING, Classes, CrossCorpus, Experiment, Job, Report
from sercache.stores import FeatureSpec

UNRECORDED = "it was made before runs recorded all that decides their numbers"
"""Of runs without an experiment: they are taken for no other run, as training takes nothing from them."""


def differs(report: Report, method: Method, data: Data, how: How) -> tuple[str, ...]:
    """What makes ``report`` another result than the one that is asked for, a phrase each; none where it is the same.

    The blocks of encoders that are trained below the head need not be part of ``method.kind``. More seeds than those
    that are asked for make no other result. Raises what gathering the features raises.
    """
    if report.experiment is None:
        return (UNRECORDED,)
    method = replace(method, setup=setup_as_used(method.setup, data.corpus, data.stores[0]))
    material = gather(replace(data, test_on=()), method.setup, fold_seed=method.fold_seed)
    experiment = experiment_of(method, data.corpus, material, how)
    found = report.experiment.differs_from(experiment)
    if found:
        return found
    with_speakers = bool(method.recipe.second_weight)
    jobs = jobs_of(experiment, material, method.setup.seeds, with_speakers=with_speakers, look=method.look)
    return (*_trainings(report, jobs, bool(how.started_from)), *_tests(report, material))


def differs_in_code(
    report: Report, head_class: type[nn.Module], options: Mapping[str, Any], recipe: Recipe
) -> tuple[str, ...]:
    """As ``differs``, without a look at corpora and features: what code and settings alone tell."""
    return experiment_differs_in_code(report.experiment, head_class, options, recipe)


def experiment_differs_in_code(
    experiment: Experiment | None, head_class: type[nn.Module], options: Mapping[str, Any], recipe: Recipe
) -> tuple[str, ...]:
    """As ``differs_in_code``, of the experiment of a run."""
    if experiment is None:
        return (UNRECORDED,)
    now = replace(
        experiment,
        head_version=version_of(head_class),
        options=deciding_options(head_class, options),
        recipe=all_settings(head_class, recipe),
        training=TRAINING,
    )
    return experiment.differs_from(now)


def cross_corpus_differs(
    there: CrossCorpus, extra: Extra, setup: Setup, classes: Sequence[str]
) -> tuple[str, ...]:
    """What makes a result on another corpus another one than that on ``extra``: its release, features or truth.

    ``classes`` are those that the predictions are numbered by.
    """
    corpus, found = extra.corpus, []
    if there.corpus.get("release") != corpus.release:
        found.append(f"{there.dataset} {there.corpus.get('release')} instead of {corpus.release}")
    recorded = [there.features, *there.features.get("beside", ())]
    for number, (own, before, store) in enumerate(
        zip(inputs(setup), recorded, extra.stores, strict=True), start=1
    ):
        was = features_of(FeatureSpec.from_json(before["spec"]), before["states"], own)
        now = features_of(store.spec, before["states"], own)
        if replace(was, encoder=now.encoder) != now:  # its name decides nothing
            found.append(f"other features of {there.dataset} (input {number})")
    truth = corpus.targets(there.task) if corpus.is_numeric(there.task) else corpus.labels(there.task)
    said = {each.id: each.true for each in there.predictions}
    left_out = set(there.corpus["left_out"])
    if said.keys() | left_out != truth.keys() | left_out:
        found.append(f"{len(said)} utterances of {there.dataset} instead of {len(truth)}")
    elif not corpus.is_numeric(there.task) and any(
        Classes(tuple(classes)).shown(true) != (truth[id],) for id, true in said.items()
    ):
        found.append(f"labels of {there.dataset} have changed")
    return tuple(found)


def _trainings(report: Report, jobs: Sequence[Job], started: bool) -> list[str]:
    """Trainings that the report lacks, or that held other utterances, recordings or labels."""
    held = {(run.fold, run.seed): run.job for run in report.runs}
    absent = [job for job in jobs if (job.fold, job.seed) not in held]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        return [f"no training of fold {absent[0].fold} with seed {absent[0].seed}{more}"]
    if started:  # its jobs are named by the initial weights too, which the digest of the experiment tells
        return []
    changed = dict.fromkeys(job.fold for job in jobs if held[job.fold, job.seed] != job.digest)
    return [f"other utterances, recordings or labels in training of fold {name}" for name in [*changed][:1]]


def _tests(report: Report, material: Material) -> list[str]:
    """Test parts of other utterances, and what is said to be true of them."""
    before = {fold.name: fold for fold in report.folds}
    for fold in material.folds:
        was = before.get(fold.name)
        for part, ids in (("train", fold.train), ("dev", fold.dev), ("test", fold.test)):
            if was is None or getattr(was, f"{part}_sha256") != ids_digest(ids):
                return [f"other utterances in the {part} part of fold {fold.name}"]
    truth = _truth(material)
    for each in report.predictions:
        if each.id in truth and report.target.shown(each.true) != truth[each.id]:
            return [f"another label of test utterance {each.id}"]
    return []


def _truth(material: Material) -> dict[str, Any]:
    """Class or numbers by id, these as they are trained on."""
    return {
        id: (value,) if isinstance(value, str) else tuple(np.array(value, np.float32).tolist())
        for id, value in material.main.truth.values.items()
    }
