"""What was done, in words and plain values, for the Report."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sercache.datasets import Corpus
from sercache.errors import RecipeError
from sercache.evaluation.material import Material, lacking
from sercache.evaluation.parts import Part
from sercache.evaluation.published import written_out
from sercache.evaluation.sound import equal_within, shared_audio
from sercache.head import Standardises, is_solved
from sercache.objects import place_of
from sercache.protocols import Fold
from sercache.recipe import Recipe, Setup
from sercache.record import FoldRecord, Numbers, Report
from sercache.stores import FeatureStore
from sercache.training import FineTuned
from sercache.views import FeatureView

_PACKAGES = ("sercache", "torch", "numpy", "transformers", "zarr", "h5py", "scipy", "soxr", "soundfile")
_OF_FAMILIES = {"egemaps": "opensmile"}
"""Packages that the encoders of a family compute with."""

_SCOPES = {
    "none": "no normalisation of features",
    "global": "mean and standard deviation per state and dimension over the training part of each fold; "
    "dev and test parts are not used",
    "speaker": "mean and standard deviation per state and dimension over all utterances of each speaker, "
    "those of the test part included (their features, never their labels)",
}

_SCOPES_CROSS_CORPUS = {
    "none": "no normalisation of features",
    "global": "mean and standard deviation of each model's own training part; nothing of this corpus is used",
    "speaker": "mean and standard deviation over all utterances of each of this corpus' own speakers (their "
    "features, never their labels)",
}

_UNSEEN = "; the test part selects nothing"
_INSIDE = {"none": "", "global": "; the head standardises what it reads by the training part of each fold"}

_CHOICES = {
    "last-epoch": "the last epoch",
    "dev-loss": "the epoch with the lowest dev loss",
    "dev-ua": "the epoch with the highest dev UA",
    "dev-wa": "the epoch with the highest dev WA",
    "dev-rho": "the epoch with the highest dev rho",
    "dev-ccc": "the epoch with the highest dev CCC",
}


def setup_as_used(setup: Setup, corpus: Corpus, store: FeatureStore) -> Setup:
    """``setup`` with what the corpus and the store really are."""
    return replace(
        setup,
        encoder=store.spec.shown,
        dataset=corpus.name,
        clip=store.spec.clip,
        task=corpus.task_name(setup.task),
        beside=written_out(setup),
    )


def setup_of(record: Mapping[str, Any]) -> Setup:
    """The Setup that a report holds as JSON values."""
    names = {field.name for field in fields(Setup)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in record.items()
        if name in names
    }
    return Setup(**values)


def provenance(
    corpus: Corpus,
    stores: Sequence[FeatureStore],
    material: Material,
    setup: Setup,
    recipe: Recipe,
    head: nn.Module,
) -> dict[str, Any]:
    """The fields of a Report that say what was read and how it was judged."""
    inside, read = standardises(head), describe_corpus(corpus, material.main)
    read["warnings"] += lacking(material.folds, corpus, setup.protocol)
    return {
        "corpus": read,
        "classes": () if isinstance(material.target, Numbers) else material.target.names,
        "targets": material.target.names if isinstance(material.target, Numbers) else (),
        "features": describe_features(stores, material.main),
        "folds": tuple(describe_fold(fold, material.main) for fold in material.folds),
        "normalisation": normalisation_sentence(setup, material) + _INSIDE[inside],
        "standardises": inside,
        "selection": "solved, not trained: there are no epochs and nothing is selected"
        if is_solved(type(head))
        else selection_sentence(setup, recipe, material),
        "also_trained": tuple(describe_corpus(extra.corpus, part) for extra, part in material.also),
    }


def describe_corpus(corpus: Corpus, part: Part) -> dict[str, Any]:
    """Name, release and counts of what was used of a corpus."""
    counts = Counter(part.truth.labels.values())
    equal = equal_within(part.audio, part.truth.values.keys(), part.truth.labels)
    return {
        "name": corpus.name,
        **({"reader": corpus.reader} if corpus.reader else {}),
        "release": corpus.release,
        **({"reader_sha256": corpus.reader_sha256} if corpus.reader_sha256 else {}),
        "task": part.task,
        "n_utterances": len(part.truth.values),
        "n_speakers": len(set(part.speakers.values()) - {""}),
        "class_counts": {name: counts[name] for name in sorted(counts)},
        **({"equal_audio": equal} if equal is not None else {}),
        "left_out": dict(part.truth.left_out),
        "skipped": [f"{each.what}: {each.reason}" for each in corpus.skipped],
        "warnings": list(corpus.warnings),
    }


def describe_features(stores: Sequence[FeatureStore], part: Part) -> dict[str, Any]:
    """The store and what was read of it; those of further inputs under ``beside``."""
    first, *more = (_describe_input(*pair) for pair in zip(stores, part.inputs, strict=True))
    return {**first, "beside": more} if more else first


def _describe_input(store: FeatureStore, view: FeatureView) -> dict[str, Any]:
    return {
        "spec": store.spec.to_json(),
        "digest": store.spec.digest,
        "states": list(view.states),
        "dim": view.dim,
        "kind": view.plan.kind,
        "n_items": view.plan.n_items,
        "n_frames": view.plan.n_frames,
    }


def describe_fold(fold: Fold, part: Part) -> FoldRecord:
    """Sizes, id digests and claims of a fold."""
    return FoldRecord(
        name=fold.name,
        speakers_disjoint=fold.speakers_disjoint,
        dev_speakers_disjoint=fold.dev_speakers_disjoint,
        sentences_disjoint=fold.sentences_disjoint,
        shared_audio=shared_audio(fold, part.audio, part.speakers),
        n_train=len(fold.train),
        n_dev=len(fold.dev),
        n_test=len(fold.test),
        train_sha256=ids_digest(fold.train),
        dev_sha256=ids_digest(fold.dev),
        test_sha256=ids_digest(fold.test),
    )


def standardises(head: nn.Module | type[nn.Module]) -> str:
    """Scope of the statistics that a head takes inside itself: its ``standardises``, ``none`` without.

    Raises RecipeError for a scope that there is not.
    """
    own = head.head if isinstance(head, FineTuned) else head
    found = own.standardises if isinstance(own, Standardises) else "none"
    if found not in _INSIDE:
        raise RecipeError(
            f"this head says that it standardises by {found!r}; expected {' or '.join(_INSIDE)}"
        )
    return found


def normalisation_cross_corpus(setup: Setup, inside: str) -> str:
    """Scope of the feature statistics for a corpus that is tested on and never trained on.

    ``inside`` is what the head ``standardises`` by.
    """
    return f"{setup.normalise}: {_SCOPES_CROSS_CORPUS[setup.normalise]}{_INSIDE[inside]}"


def with_scope(report: Report, head_class: type[nn.Module]) -> Report:
    """The report with the scope inside its head, which was not recorded before schema 3."""
    if report.standardises is not None:
        return report
    inside = standardises(head_class)
    return replace(report, standardises=inside, normalisation=report.normalisation + _INSIDE[inside])


def normalisation_sentence(setup: Setup, material: Material) -> str:
    """Scope of the feature statistics."""
    text = f"{setup.normalise}: {_SCOPES[setup.normalise]}"
    if setup.normalise == "global" and not _is_tested(material):
        text = "global: mean and standard deviation per state and dimension over the training part alone"
    if setup.normalise == "global" and material.also:
        text += "; added corpora count as training part"
    return text


def selection_sentence(setup: Setup, recipe: Recipe, material: Material) -> str:
    """How the epoch that is tested was chosen."""
    if recipe.select == "last-epoch":
        return f"the last of {recipe.max_epochs} epochs{_UNSEEN if _is_tested(material) else ''}"
    patience = f", stopping after {recipe.patience} epochs without a better one" if recipe.patience else ""
    dev = setup.dev
    if dev == "none":
        dev = "of the split itself"
    if any(fold.dev_speakers_disjoint is False for fold in material.folds):
        dev += ", which shares speakers with the training part"
    about = f"dev part: {dev}{_UNSEEN if _is_tested(material) else ''}"
    if any(fold.dev_is_test for fold in material.folds):
        about = "the test part selects it, so that no score is held out"
    return f"{_CHOICES[recipe.select]} among at most {recipe.max_epochs}{patience}; {about}"


def _is_tested(material: Material) -> bool:
    return any(fold.test for fold in material.folds)


def environment(
    device: str, stores: Sequence[FeatureStore] = (), is_solved: bool = False, named: Path | None = None
) -> dict[str, Any]:
    """What the numbers may depend on beside the seed: packages, commit, machine, device, threads.

    And where a store lay that was ``named``, so that the same can be named again.
    """
    families = [str(store.spec.identity.get("family", "")).partition("-")[0] for store in stores]
    more = [_OF_FAMILIES[family] for family in dict.fromkeys(families) if family in _OF_FAMILIES]
    packages = (*_PACKAGES, *more, *(("scikit-learn",) if is_solved else ()))
    place = torch.device(device)
    name = (
        torch.cuda.get_device_name(place)
        if place.type == "cuda"
        else platform.processor() or platform.machine()
    )
    return {
        "python": sys.version.split()[0],
        "packages": {name: found for name in packages if (found := _version(name))},
        "commit": _commit(),
        "platform": platform.platform(),
        "device": device,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "repeatable": "same seed, same machine: same numbers; other hardware, thread counts or versions "
        "may round differently",
        **({"slurm_array": array} if (array := slurm_array()) else {}),
        **({} if named is None else {"store": str(named if place_of(named) else named.absolute())}),
    }


def slurm_array() -> str:
    """The job array of Slurm that this process is a task of; empty outside of one."""
    return os.environ.get("SLURM_ARRAY_JOB_ID", "")


@functools.cache
def _commit() -> str | None:
    """Commit of the git checkout that sercache runs from, with + where its files differ; None for an installed one."""
    folder, here = Path(__file__).parent, Path(__file__).name

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # A package may be installed within another project's checkout, which does not list its files.
    if not git("ls-files", "--error-unmatch", here):
        return None
    commit = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return commit and commit + ("+" if changed else "")


@functools.cache  # a search of the file system, for every report
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def ids_digest(ids: Sequence[str]) -> str:
    """Hexadecimal sha256 of the sorted ids joined by newlines."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
