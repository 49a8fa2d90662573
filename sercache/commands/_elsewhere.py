"""Corpora that trained heads are tested on, and the stores of them that the same encoders made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sercache import stores
from sercache.commands._cache import read_corpus
from sercache.commands._console import used, warn
from sercache.commands._find import find_store
from sercache.evaluation import Extra
from sercache.evaluation.parts import task_elsewhere
from sercache.recipe import Setup, inputs
from sercache.settings import Settings


def other_corpus(
    text: str,
    main_task: str,
    setup: Setup,
    identities: Sequence[Mapping[str, Any]],
    head: str,
    known: Settings,
    cache: Path,
    *,
    root: Path | None = None,
    clip_is_chosen: bool = False,
) -> Extra:
    """The corpus ``DATASET[:TASK]`` with a store for each input, made by the encoders of these identities.

    ``clip_is_chosen``: no store of another clip rule will do.
    Without a task it gets the one that is called as ``main_task``, or else its default.
    Raises SettingsError, CorpusError, MissingFeaturesError.
    """
    name, _, task = text.partition(":")
    corpus, _ = read_corpus(name, root, known, cache)
    task = task or task_elsewhere(corpus, main_task)
    found = []
    for own, identity in zip(inputs(setup), identities, strict=True):
        there = dataclasses.replace(own, dataset=name, task=task)
        found.append(find_store(cache, corpus, there, head, clip_is_chosen=clip_is_chosen, identity=identity))
    for line in (line for each in found for line in each.deviations):
        warn(f"{name}: {line}")
    used("tested on", f"{name}, task {task}, {found[0].folder}")
    first, *more = (stores.open(each.folder) for each in found)
    return Extra(corpus, first, task, beside=tuple(more))
