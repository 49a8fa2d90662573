"""`sercache export`: a trained encoder as a checkpoint folder, or a store as files, that anything can load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import encoders, files, stores, trained_on
from sercache.errors import SettingsError
from sercache.evaluation import setup_of, training_of
from sercache.experiment.finding import is_same
from sercache.experiment.options import Count
from sercache.experiment.plain_files import FORMS, Form, write
from sercache.progress import used
from sercache.recipe import Setup, inputs
from sercache.record import Report, Run
from sercache.report import runs
from sercache.states import select
from sercache.training import tail_name


@dataclass(frozen=True)
class ExportOptions:
    """The options of one call."""

    run: Path
    """A run folder, or a store."""
    out: Path | None = None
    """None, of a store alone: its name in the current folder."""
    to: Form | None = None
    """What a store becomes."""
    states: str = "all"
    """Of a store."""
    shard_size: Count = 1000
    """Of a store, in MB: features in a file of a form that has several."""
    fold: str | None = None
    seed: int | None = None
    encoder: str | None = None
    """Where a local checkpoint lies, which a run does not record."""
    number: Count = 1
    """Of the input, from 1, for a head with several."""


def run(request: ExportOptions) -> Path:
    """Write the encoder of one training of a run, or a store, to ``out``; it appears complete or not at all.

    Gives ``out``. Raises SettingsError where the run kept that encoder frozen, or the training is not named;
    EncoderError; as ``plain_files.write`` for a store.
    """
    if stores.exists(request.run):
        return _store(request)
    return _encoder(request)


def _store(request: ExportOptions) -> Path:
    """Write a store. Raises SettingsError for options of a run."""
    usual = ExportOptions(Path())
    strange = [
        name
        for name in ("fold", "seed", "encoder", "number")
        if getattr(request, name) != getattr(usual, name)
    ]
    if request.to is None or strange:
        raise SettingsError(
            f"{request.run} is a store: say what to make of it with --to {' or '.join(FORMS)}"
            + (f", and leave out what is of a run ({', '.join(strange)})" if strange else "")
        )
    out = request.out or Path(f"{request.run.absolute().name}-{request.to}")
    shard_bytes = request.shard_size * 10**6
    return write(request.run, request.to, out, states=request.states, shard_bytes=shard_bytes)


def _encoder(request: ExportOptions) -> Path:
    """Write the encoder of one training of a run."""
    folder, out = request.run, request.out
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
    encoder, revision = request.encoder or setup.encoder, spec["identity"].get("revision")
    if not is_same(encoder, revision, spec["identity"]):
        raise SettingsError(
            f"{encoder} has other weights or settings than the encoder that {folder} was trained on; give the "
            "checkpoint with --encoder"
        )
    states = select(spec.get("encoder_states") or spec["states"], setup.states)
    tail = encoders.load_tail(encoder, boundary, states, revision=revision)
    before = encoders.training_record(encoder, revision=revision)
    trained = training_of(report, one, folder.resolve().name, before)
    weights = runs.read_tensors(runs.weights_path(folder, one.fold, one.seed))
    prefix = f"{tail_name(request.number - 1)}."
    tail.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    with (
        files.new_folder(out) as temporary,
        files.write_faults_named(out, "choose another folder with --out"),
    ):
        encoders.export(encoder, temporary, tail, trained, revision=revision)
    used("encoder", f"{encoder}, trained from {boundary} up, fold {one.fold}, seed {one.seed}")
    used("", f"{trained}; {trained_on.FILE} tells later commands")
    used("written", f"{out}; use it as --encoder {out}")
    return out


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
