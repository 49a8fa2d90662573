"""The Experiment of an evaluation, and a digest of what each of its folds holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sercache import catalog
from sercache.augment import said
from sercache.datasets import Corpus
from sercache.evaluation.material import Material
from sercache.evaluation.method import How, Method
from sercache.evaluation.parts import Part, Value
from sercache.head import deciding_options, is_solved, version_of
from sercache.protocols import Fold
from sercache.recipe import Recipe, Setup, inputs
from sercache.record import Experiment, Features, Initial, Job, Labelled, digest_of
from sercache.states import select
from sercache.stores import FeatureSpec


def experiment_of(method: Method, corpus: Corpus, material: Material, how: How) -> Experiment:
    """All that decides what the trainings of this material give, but for fold and seed."""
    setup = method.setup
    own = inputs(setup)
    added = [(extra.corpus, part.task, extra.language) for extra, part in material.also]
    main = (corpus, material.main.task, None)
    return Experiment(
        head=catalog.shown(method.head),
        head_version=version_of(method.kind),
        options=deciding_options(method.kind, method.options),
        inputs=tuple(
            replace(features_of(view.source.store.spec, view.states, each), beside=_beside(material, k))
            for k, (view, each) in enumerate(zip(material.main.inputs, own, strict=True))
        ),
        trained_on=tuple(_labelled(*each) for each in (main, *added)),
        target=setup.target,
        protocol=setup.protocol,
        dev=setup.dev,
        fold_seed=method.fold_seed,
        normalise=setup.normalise,
        max_frames=setup.max_frames,
        recipe=all_settings(method.kind, method.recipe),
        start=tuple(Initial(each.part, each.weights) for each in how.started_from),
        order_seed=setup.seeds[0] if how.share_order else None,
    )


def _beside(material: Material, k: int) -> tuple[Mapping[str, Any], ...]:
    """What was done to the recordings of the versions that are trained on beside the main one, of an input."""
    return tuple(dict(part.inputs[k].source.store.spec.augment) for part in material.augmented)


def all_settings(head_class: Any, recipe: Recipe) -> dict[str, Any]:
    """The recipe of a head, every field that decides; empty for one that is solved."""
    return {} if is_solved(head_class) else recipe.deciding()


def features_of(spec: FeatureSpec, states: Sequence[str], setup: Setup) -> Features:
    """What a head reads of one input: of an encoder that is trained with it, the states above the cached one."""
    if setup.finetune_from is not None:
        states = select(spec.encoder_states or spec.states, setup.states)
    return Features(
        encoder=spec.encoder,
        identity=dict(spec.identity),
        states=tuple(states),
        kind="frames" if setup.frames else "means",
        clip=spec.clip,
        dtype=spec.values if setup.cached_frames else "float32",  # means are, in every store
        transcripts=spec.transcripts,
        augment=dict(spec.augment),
        speech=spec.speech,
        trained_from=setup.finetune_from,
    )


def _labelled(corpus: Corpus, task: str, language: str | None) -> Labelled:
    label_map = "" if corpus.is_numeric(task) else digest_of(corpus.label_map(task))
    return Labelled(corpus.name, corpus.release, task, label_map, language)


def jobs_of(
    experiment: Experiment,
    material: Material,
    seeds: Sequence[int],
    *,
    with_speakers: bool,
    look: bool = False,
) -> list[Job]:
    """The trainings of an experiment: folds outside, seeds inside. ``with_speakers``: whether speakers are trained.

    Those of a ``look`` have names of their own.
    """
    items = items_digests(material, experiment.normalise, with_speakers=with_speakers)
    if look:
        items = {fold: digest_of([each, "look"]) for fold, each in items.items()}
    name = experiment.digest
    return [Job(name, fold.name, seed, items[fold.name]) for fold in material.folds for seed in seeds]


def items_digests(material: Material, normalise: str, *, with_speakers: bool) -> dict[str, str]:
    """By fold a digest of ids, recordings, labels and order of its training and dev part, and of added corpora.

    Speakers count where they are trained (``with_speakers``) or normalised by. The labels of a test part decide no
    training.
    """
    by_speaker = with_speakers or normalise == "speaker"
    main = _lines(material.main, by_speaker)
    shared = [
        line
        for _, part in material.also
        for line in (*_lines(part, by_speaker).values(), *_stored(part, material))
    ]
    shared += [line for part in material.augmented for line in _recordings(part, by_speaker).values()]
    if (
        normalise == "speaker"
    ):  # the statistics of a speaker are over all of its utterances, tested ones included
        shared += _recordings(material.main, by_speaker).values()
    return {fold.name: _digest(fold, main, shared) for fold in material.folds}


def _stored(part: Part, material: Material) -> list[str]:
    """How the features of an added corpus are stored and cut, where that is another way than those of the main one."""
    lines = []
    for number, (view, main) in enumerate(zip(part.inputs, material.main.inputs, strict=True)):
        own, theirs = (
            (
                each.source.store.spec.values if view.plan.kind == "frames" else "",
                *((spec := each.source.store.spec).clip, *filter(None, (spec.speech, said(spec.augment)))),
            )
            for each in (view, main)
        )
        if own != theirs:
            lines.append(f"input {number}: {own}")
    return lines


def _digest(fold: Fold, main: Mapping[str, str], shared: Sequence[str]) -> str:
    state = hashlib.sha256()
    for n, lines in (
        (len(fold.train), map(main.__getitem__, fold.train)),
        (len(fold.dev), map(main.__getitem__, fold.dev)),
        (len(shared), iter(shared)),
    ):
        state.update(f"{n}\n".encode())
        for line in lines:
            state.update(f"{line}\n".encode())
    return state.hexdigest()[:16]


def _lines(part: Part, by_speaker: bool) -> dict[str, str]:
    """By id, what is read of an utterance and what is true of it."""
    found = _recordings(part, by_speaker)
    for id, value in part.truth.values.items():
        found[id] += f" {_shown(value)}"
    return found


def _shown(value: Value) -> str:
    """A class, or the bytes of numbers as they are trained on."""
    return value if isinstance(value, str) else np.array(value, np.float32).tobytes().hex()


def _recordings(part: Part, by_speaker: bool) -> dict[str, str]:
    """By id, the stored entries of an utterance in every input, with digests of their audio."""
    found = {id: f"{id} {part.speakers.get(id, '') if by_speaker else ''}" for id in part.truth.values}
    for view in part.inputs:
        entries = view.source.store.entries()
        for entry, id in zip(view.entry_ids, view.utterance_ids, strict=True):
            found[id] += f" {entry}:{entries[entry].n_frames}:{entries[entry].audio_digest}"
    return found
