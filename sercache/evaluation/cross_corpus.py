"""Trained heads on corpora that no part of their training saw: right after training, or from a run folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sercache.datasets import Corpus
from sercache.errors import SettingsError
from sercache.evaluation.describe import (
    describe_corpus,
    describe_features,
    normalisation_cross_corpus,
    setup_of,
    standardises,
)
from sercache.evaluation.layers import layer_weights
from sercache.evaluation.method import Extra
from sercache.evaluation.parts import Part, open_cross_corpus
from sercache.evaluation.public_encoders import leaks
from sercache.evaluation.scores import (
    confusion,
    flat_remark,
    predictions_of,
    scores,
    summarise,
    undefined,
)
from sercache.evaluation.trained_encoders import encoder_records
from sercache.evaluation.unseen import unseen_part
from sercache.machine import free_memory
from sercache.recipe import Setup
from sercache.record import Classes, CrossCorpus, Prediction, Report, Run, StartRecord, Target, TrainedEncoder
from sercache.training import predict
from sercache.views import MEMORY_SHARE, AnyView, FeatureView, Scaling, beside

HeadOf = Callable[[str, int, AnyView], nn.Module]
"""Gives the trained head of a fold and a seed, for the shape of a view."""


@dataclass(frozen=True)
class HeadOutput:
    """What one trained head said of a test part, or of another corpus."""

    fold: str
    seed: int
    predictions: Sequence[Prediction]
    layer_weights: tuple[float, ...] | None


def output_of(
    head: nn.Module, view: AnyView, part: Part, fold: str, seed: int, device: str = "cpu"
) -> HeadOutput:
    """What one head says of the ``view`` of ``part``, which is normalised as the head expects it."""
    found = predictions_of(predict(head, view, device=device), view, fold, seed, part.speakers)
    return HeadOutput(fold, seed, found, layer_weights(head, view, device))


def conclude(
    extra: Extra,
    part: Part,
    setup: Setup,
    target: Target,
    inside: str,
    outputs: Sequence[HeadOutput],
) -> CrossCorpus:
    """What all heads of a run said of a corpus, scored; ``inside`` is what these standardise by."""
    members = [
        Run(each.fold, each.seed, scores(each.predictions, target), 0, False, 0, ()) for each in outputs
    ]
    predictions = tuple(one for each in outputs for one in each.predictions)
    return CrossCorpus(
        dataset=extra.corpus.name,
        task=part.task,
        classes=_classes_there(part, target),
        corpus=describe_corpus(extra.corpus, part),
        features=describe_features(extra.stores, part),
        normalisation=normalisation_cross_corpus(setup, inside),
        summary=summarise(members, predictions, target),
        predictions=predictions,
        confusion=confusion(predictions, target),
        layer_weights=tuple(each.layer_weights for each in outputs if each.layer_weights is not None),
        notes=(*_notes(extra, part, setup, target), *flat_remarks(outputs, target)),
    )


def _classes_there(part: Part, target: Target) -> tuple[str, ...]:
    """The trained classes that a corpus has, in their order; none where numbers are trained."""
    held = set(part.truth.labels.values())
    return tuple(name for name in target.names if name in held)


def flat_remarks(outputs: Sequence[HeadOutput], target: Target) -> tuple[str, ...]:
    """A line on correlations that are not defined, where there are such."""
    flat = [
        f"fold {each.fold}, seed {each.seed}, {name}"
        for each in outputs
        for name in undefined(each.predictions, target)
    ]
    return (flat_remark(flat, len(outputs) * len(target.names)),) if flat else ()


def _notes(extra: Extra, part: Part, setup: Setup, target: Target) -> list[str]:
    name, notes = extra.corpus.name, []
    absent = (
        sorted(set(target.names) - set(_classes_there(part, target))) if isinstance(target, Classes) else []
    )
    if absent:
        notes.append(
            f"{name} has no {', '.join(absent)}: UA is the mean recall of the other classes, and every output "
            "of the heads stays on offer"
        )
    clip = extra.store.spec.clip
    if clip != setup.clip:
        notes.append(f"{name} was encoded with clip {clip}, the training corpus with {setup.clip}")
    notes += [*part.remarks, *leaks(extra.stores, extra.corpus)]
    if extra.language is not None:
        notes.append(f"{name}: only utterances in language {extra.language}")
    return notes


def check_unseen(before: Sequence[StartRecord | TrainedEncoder], corpora: Collection[Corpus]) -> None:
    """Raises SettingsError where a run that gave initial weights or trained an encoder has seen one of the corpora."""
    for each in before:
        for corpus in corpora:
            if any(corpus.is_called(*seen) for seen in each.seen):
                raise SettingsError(
                    f"{each.whose} was trained on {corpus.name}: testing on it is no test; leave {corpus.name} out of "
                    "what is tested on"
                )


def evaluate_cross_corpus(
    report: Report,
    extra: Extra,
    head_of: HeadOf,
    scalings: Mapping[str, Sequence[Scaling]],
    *,
    device: str = "cpu",
    budget: int | None = None,
    duplicates: str | None = None,
    progress: Callable[[Run], None] | None = None,
) -> CrossCorpus:
    """What the heads of a finished run say of another corpus; the same as testing on it right after training.

    ``scalings`` are the statistics of each fold's inputs where the run normalised globally; ``duplicates`` says what
    is to be done about recordings that it was trained on (see Setup).
    Raises SettingsError where the run or its initial weights were trained on that corpus, and what ``gather``
    raises.
    """
    trained = [report.corpus, *report.also_trained]
    same = [about for about in trained if extra.corpus.is_called(about["name"], about["release"])]
    if same:
        was = same[0]["release"]
        which = f" (release {was}; here {extra.corpus.release})" if was != extra.corpus.release else ""
        raise SettingsError(
            f"this run was trained on {extra.corpus.name}{which}: what it says of it is no test; its own test parts "
            "are in the run"
        )
    own = encoder_records(extra.stores)
    before: list[StartRecord | TrainedEncoder] = [*report.started_from, *report.encoders_trained]
    before += [each.recorded for each in own]
    check_unseen(before, [extra.corpus])
    setup = setup_of(report.setup)
    budget = int(MEMORY_SHARE * free_memory()) if budget is None else budget
    part = open_cross_corpus(extra, (), setup, report.corpus["task"], report.target, budget)
    part = unseen_part(extra.corpus.name, part, report.recordings, duplicates or setup.duplicates)
    found: list[HeadOutput] = []
    inside = "none"
    for run in report.runs:
        view = normalised(part.inputs, scalings.get(run.fold, ()))
        head = head_of(run.fold, run.seed, view)
        inside = standardises(head)
        found.append(output_of(head, view, part, run.fold, run.seed, device))
        if progress:
            progress(run)
    return conclude(extra, part, setup, report.target, inside, found)


def normalised(inputs: Sequence[FeatureView], scalings: Sequence[Scaling]) -> AnyView:
    """All inputs as one view, scaled by these statistics where there are any."""
    if not scalings:
        return beside(inputs)
    return beside([view.scaled(scaling) for view, scaling in zip(inputs, scalings, strict=True)])


def scaling_tensors(scalings: Sequence[Scaling]) -> dict[str, Tensor]:
    """Global statistics of each input as float64 tensors (L, D), to be saved; ``read_scalings`` gives them back."""
    return {
        f"{k}.{name}": torch.from_numpy(np.array(values[0], np.float64))
        for k, scaling in enumerate(scalings)
        for name, values in (("mean", scaling.mean), ("std", scaling.std))
    }


def read_scalings(tensors: Mapping[str, Tensor]) -> tuple[Scaling, ...]:
    """The statistics that ``scaling_tensors`` took."""
    n_inputs = len(tensors) // 2
    return tuple(
        Scaling(tensors[f"{k}.mean"].numpy()[None], tensors[f"{k}.std"].numpy()[None])
        for k in range(n_inputs)
    )
