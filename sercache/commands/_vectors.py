"""Vectors that a trial's trained network gives for utterances, and how far apart groups of them are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from sercache import catalog, settings, stores
from sercache.commands._material import Place, inputs_of
from sercache.commands._trial import Plan
from sercache.commands._trials import folder_of, obtain, setup_to_run
from sercache.commands.train import head_class
from sercache.errors import SettingsError
from sercache.evaluation import gather
from sercache.evaluation.material import Material, fold_views
from sercache.papers import Vectors
from sercache.recipe import Setup
from sercache.report import record, runs
from sercache.training import build
from sercache.training.contract import moved
from sercache.views import AnyView

_CHUNK = 16
"""Utterances at a time."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Vectors (U, D) with the name of the group that each belongs to."""

    vectors: np.ndarray
    labels: tuple[str, ...]


def labelled(wanted: Vectors, plan: Plan, place: Place) -> Labelled:
    """The vectors of the trial's first training. Raises SettingsError for heads that give none."""
    check_embeds(plan.trial.head)
    report = obtain(plan, place)
    setup = _setup(wanted, setup_to_run(plan, place))
    corpus, store, *beside = inputs_of(setup, plan.trial.head, place, task=setup.task)
    found = stores.open(store)
    more = [stores.open(each) for each in beside]
    material = gather(corpus, found, setup, beside=more)
    view = _view(wanted, material, setup)
    kind = head_class(plan.module, setup, [each.spec for each in (found, *more)])
    first = report.runs[0]
    head = build(kind, view, len(report.classes), first.seed, **plan.trial.options)
    head.load_state_dict(load_file(runs.weights_path(folder_of(plan, place), first.fold, first.seed)))
    vectors, outputs = embedded(head.eval(), view, settings.resolve_device(place.device))
    if wanted.by == "speaker":
        labels = [material.main.speakers[each] for each in view.utterance_ids]
    else:
        labels = [report.classes[k] for k in outputs.argmax(1)]
    return Labelled(vectors, tuple(labels))


def separation(found: Labelled) -> record.Score | None:
    """Mean silhouette by cosine: 1 where groups lie apart, 0 where they are mixed; n is the utterances.

    None for fewer than two groups, as where one class alone is predicted.
    """
    from sklearn.metrics import silhouette_score

    n_groups = len(set(found.labels))
    if not 1 < n_groups < len(found.labels):
        return None
    mean = silhouette_score(found.vectors, found.labels, metric="cosine")
    return record.Score(float(mean), None, len(found.labels))


def _setup(wanted: Vectors, setup: Setup) -> Setup:
    """What to read: the trial's own recordings, or all of another corpus."""
    setup = replace(setup, test_on=(), clip=wanted.clip or setup.clip)
    if wanted.on is None:
        return setup
    dataset, _, task = wanted.on.partition(":")
    return replace(setup, dataset=dataset, task=task or None, protocol="all", dev="none")


def _view(wanted: Vectors, material: Material, setup: Setup) -> AnyView:
    if wanted.part == "all":
        return material.main.view
    views = fold_views(material, material.folds[0], setup.normalise)
    view = views.train if wanted.part == "train" else views.test
    assert view is not None
    return view


def check_embeds(name: str) -> None:
    """Raises SettingsError for a head without vectors of its own, naming those that have some."""
    if not _embeds(name):
        others = ", ".join(each for each in catalog.names("sercache.heads") if _embeds(each))
        raise SettingsError(f"{name} has no vectors of its own to show; heads that have: {others}")


def _embeds(name: str) -> bool:
    return hasattr(catalog.load("sercache.heads", name).Head, "embed")


def embedded(head: Any, view: AnyView, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (U, D) and outputs (U, C) of all items."""
    head = head.to(device)
    vectors, outputs = [], []
    with torch.inference_mode():
        for start in range(0, len(view), _CHUNK):
            x, mask = view.batch(np.arange(start, min(start + _CHUNK, len(view))))
            x, mask = moved(x, torch.device(device)), moved(mask, torch.device(device))
            vectors.append(head.embed(x, mask).float().cpu().numpy())
            outputs.append(head(x, mask).float().cpu().numpy())
    return np.concatenate(vectors), np.concatenate(outputs)
