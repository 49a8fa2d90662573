"""`sercache export`: a trained encoder, a store or a corpus, written as what other tools load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sercache import catalog, encoders, files, settings, stores, trained_on
from sercache.errors import SettingsError, UnknownNameError
from sercache.evaluation import setup_of, training_of
from sercache.experiment import corpus_files
from sercache.experiment.corpora import cache_if_any, read_corpus
from sercache.experiment.finding import is_same
from sercache.experiment.options import Count
from sercache.experiment.origin import checkpoint
from sercache.experiment.plain_files import FORMS, Form, write
from sercache.progress import used
from sercache.recipe import Setup, inputs
from sercache.record import Report, Run
from sercache.report import runs
from sercache.states import select
from sercache.training import Adapting, adapt, merge, tail_name


@dataclass(frozen=True)
class ExportOptions:
    """The options of one call."""

    run: Path | None = None
    """A run folder, or a store; None of a corpus."""
    out: Path | None = None
    """None, of a store or a corpus: its name in the current folder."""
    dataset: str | None = None
    """A corpus."""
    root: Path | None = None
    """Where that lies."""
    to: str | None = None
    """What a store or a corpus becomes: one of FORMS, of ``datasets.writers()``."""
    copy_audio: bool = False
    """Of a corpus: with copies of its recordings."""
    states: str = "all"
    """Of a store."""
    shard_size: Count = 1000
    """Of a store, in MB: features in a file of a form that has several."""
    fold: str | None = None
    seed: int | None = None
    encoder: str | None = None
    """Where a local checkpoint lies, unless the cache knows it."""
    number: Count = 1
    """Of the input, from 1, for a head with several."""


def run(request: ExportOptions) -> Path:
    """Write the encoder of one training of a run, a store, or a corpus, to ``out``; it appears complete or not at all.

    Gives ``out``. Raises SettingsError where the run kept that encoder frozen, or the training is not named;
    EncoderError; as ``plain_files.write`` for a store, as ``corpus_files.write`` for a corpus.
    """
    if request.run is None or request.dataset is not None:
        return _corpus(request)
    if request.root is not None or request.copy_audio:
        raise SettingsError("--root and --copy-audio are of a corpus; name it with --dataset")
    if stores.exists(request.run):
        return _store(request, request.run)
    return _encoder(request, request.run)


def _corpus(request: ExportOptions) -> Path:
    """Write a corpus. Raises SettingsError for options of runs and stores."""
    if request.dataset is None or request.run is not None:
        raise SettingsError("name one thing to write: a run, a store, or a corpus with --dataset")
    _refuse(request, _OF_RUNS | {"states", "shard_size"}, "is a corpus", request.dataset)
    form = corpus_files.check_form(request.to, FORMS)
    known = settings.load()
    corpus, _ = read_corpus(request.dataset, request.root, known, cache_if_any(known))
    out = request.out or Path(f"{catalog.file_name(corpus.name)}-{form}")
    return corpus_files.write(corpus, form, out, copy_audio=request.copy_audio)


def _refuse(request: ExportOptions, fields: set[str], what: str, name: object) -> None:
    """Raise SettingsError where options are given that are of something else."""
    usual = ExportOptions()
    strange = sorted(each for each in fields if getattr(request, each) != getattr(usual, each))
    if strange:
        raise SettingsError(f"{name} {what}: leave out what is of others ({', '.join(strange)})")


_OF_RUNS = {"fold", "seed", "encoder", "number"}


def _store(request: ExportOptions, folder: Path) -> Path:
    """Write a store. Raises SettingsError for options of a run."""
    usual = ExportOptions()
    strange = [
        name
        for name in ("fold", "seed", "encoder", "number")
        if getattr(request, name) != getattr(usual, name)
    ]
    if request.to not in FORMS or strange:
        raise SettingsError(
            f"{folder} is a store: say what to make of it with --to {' or '.join(FORMS)}"
            + (f", and leave out what is of a run ({', '.join(strange)})" if strange else "")
        )
    out = request.out or Path(f"{folder.absolute().name}-{request.to}")
    shard_bytes = request.shard_size * 10**6
    return write(folder, cast(Form, request.to), out, states=request.states, shard_bytes=shard_bytes)


def _encoder(request: ExportOptions, folder: Path) -> Path:
    """Write the encoder of one training of a run."""
    out = request.out
    if request.to is not None or request.states != "all" or out is None:
        raise SettingsError(
            f"{folder} is no store: --to and --states are of one"
            if out is not None
            else f"{folder} is no store; of a run, name the folder to write with --out"
        )
    report = runs.load(folder)
    setup, spec = _input(report, folder, request.number)
    boundary = setup.finetune_from
    if boundary is None:
        raise SettingsError(
            f"{folder} left its encoder {setup.encoder} as it was, so there is none to write; runs "
            "with --finetune-from have one"
        )
    if out.exists():
        raise SettingsError(f"{out} exists already; choose another folder with --out")
    one = member(report, folder, request.fold, request.seed)
    revision = spec["identity"].get("revision")
    encoder = request.encoder or checkpoint(setup.encoder, spec["identity"], cache_if_any(settings.load()))
    if not _is_same(encoder, revision, spec["identity"], folder):
        raise SettingsError(
            f"{encoder} has other weights or settings than the encoder that {folder} was trained on; give the "
            "checkpoint with --encoder"
        )
    states = select(spec.get("encoder_states") or spec["states"], setup.states)
    tail = encoders.load_tail(encoder, boundary, states, revision=revision)
    before = encoders.training_record(encoder, revision=revision)
    trained = training_of(report, one, folder.resolve().name, before)
    weights = runs.read_tensors(runs.weights_path(folder, one.fold, one.seed))
    adapt(tail, Adapting.of(report.recipe))
    prefix = f"{tail_name(request.number - 1)}."
    tail.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    merge(tail)
    with (
        files.new_folder(out) as temporary,
        files.write_faults_named(out, "choose another folder with --out"),
    ):
        encoders.export(encoder, temporary, tail, trained, revision=revision)
    used("encoder", f"{encoder}, trained from {boundary} up, fold {one.fold}, seed {one.seed}")
    used("", f"{trained}; {trained_on.FILE} tells later commands")
    used("written", f"{out}; use it as --encoder {out}")
    return out


def _is_same(encoder: str, revision: str | None, identity: dict[str, Any], folder: Path) -> bool:
    """As ``is_same``. Raises SettingsError where nobody knows the name that a run has kept of a local checkpoint."""
    try:
        return is_same(encoder, revision, identity)
    except UnknownNameError as fault:
        raise SettingsError(
            f"{folder} was trained on {encoder}, and nothing here says where that lies: {identity.get('source')}; give "
            "the checkpoint's folder with --encoder"
        ) from fault


def _input(report: Report, folder: Path, number: int) -> tuple[Setup, dict[str, Any]]:
    """Set-up and spec of one input. Raises SettingsError where there are fewer."""
    found = inputs(setup_of(report.setup))
    if not 1 <= number <= len(found):
        raise SettingsError(f"{folder} has {len(found)} inputs, got --input {number}; count them from 1")
    stores = [report.features, *report.features.get("beside", ())]
    return found[number - 1], dict(stores[number - 1]["spec"])


def member(report: Report, folder: Path, fold: str | None, seed: int | None) -> Run:
    """The training that is meant. Raises SettingsError where it is none or several."""
    fitting = [
        each
        for each in report.runs
        if (fold is None or each.fold == fold) and (seed is None or each.seed == seed)
    ]
    if len(fitting) != 1:
        there = ", ".join(f"{each.fold}/{each.seed}" for each in report.runs)
        raise SettingsError(
            f"{len(fitting)} trainings of {folder} fit, expected one; name it with --fold and --seed "
            f"(fold/seed: {there})"
        )
    return fitting[0]
