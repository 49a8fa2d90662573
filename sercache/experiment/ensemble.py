"""The trained heads of a run, with all that turns a recording into what they read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import nn

from sercache import encoders, settings
from sercache.catalog import unknown
from sercache.encoders import Encoder
from sercache.errors import SettingsError, StoreError
from sercache.evaluation import setup_of
from sercache.experiment.corpora import cache_if_any
from sercache.experiment.origin import checkpoint
from sercache.experiment.result import Result
from sercache.experiment.tails import load_tail
from sercache.progress import used, warn
from sercache.recipe import Setup, inputs
from sercache.record import Report, Run, counted
from sercache.report import runs
from sercache.stores import FeatureSpec
from sercache.training import Adapting, finetuned

SpeakerStatistics = Literal["column", "together"]


@dataclass(frozen=True)
class PredictOptions:
    """What is to be predicted, and by which heads of a run."""

    run: Path
    paths: Sequence[str | Path] = ()
    """Files and folders."""
    manifest: Path | None = None
    """A table of recordings, as of a corpus of one's own."""
    dataset: str | None = None
    """A corpus, all of which is predicted; what it says itself stands beside."""
    task: str | None = None
    """Labels of the corpus; None: the task that is called as the run's."""
    root: Path | None = None
    """Of the corpus."""
    transcripts: Path | None = None
    """File of what is said, for a run that reads text."""
    window: float | None = None
    """Seconds of the stretches that long recordings are predicted by; None: each as a whole."""
    step: float | None = None
    """Seconds from one window to the next; None: one window's length."""
    folds: Sequence[str] = ()
    """Whose heads; none named: all. As the next."""
    seeds: Sequence[int] = ()
    encoders: Sequence[str] = ()
    """Where the checkpoint of each input lies; none named: as the run or the cache remembers."""
    head: str | None = None
    """File of the run's head, where the run alone names it or nothing does."""
    speaker_statistics: SpeakerStatistics | None = None
    """Of a run that was normalised by speaker: whose recordings are one speaker's."""
    cache: Path | None = None
    device: str | None = None
    watch: Path | None = None
    """A folder whose new recordings are predicted as they are complete, until it is interrupted."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Trained heads of a run, and all that turns a recording into what they read."""

    result: Result
    setup: Setup
    specs: tuple[FeatureSpec, ...]
    """Of the features of each input."""
    encoders: tuple[Encoder, ...]
    kind: type[nn.Module]
    members: tuple[Run, ...]
    device: str
    speaker_statistics: SpeakerStatistics | None
    heads: dict[tuple[str, int], nn.Module] = field(default_factory=dict)
    """Those that were read already."""


def ensemble(options: PredictOptions, result: Result | None = None) -> Ensemble:
    """The heads that are asked for, with the encoders whose features they were trained on.

    Raises SettingsError for heads that the run does not have or did not keep, EncoderError and StoreError where the
    encoder is not to be had or is another one.
    """
    result = result or Result.load(options.run, options.head)
    report = result.report
    known = settings.load()
    device = settings.resolve_device(known.value("device", options.device).value)
    used("run", f"{result.folder or 'in memory'}: {report.title}")
    members = _chosen(result, options)
    setup = setup_of(report.setup)
    _check_scope(setup, options)
    about = [report.features, *report.features.get("beside", ())]
    own = inputs(setup)
    if len(options.encoders) > len(own):
        raise SettingsError(
            f"the run reads {len(own)} inputs, got {len(options.encoders)} encoders; give one for each"
        )
    cache, specs, loaded, names = cache_if_any(known, options.cache), [], [], []
    for k, (each, features) in enumerate(zip(own, about, strict=True)):
        recorded = FeatureSpec.from_json(features["spec"])
        spec = dataclasses.replace(
            recorded,
            corpus="predict",
            states=tuple(features["states"]),
            frames=each.cached_frames,
            augment={},  # what is predicted is taken as it is
        )
        given = options.encoders[k] if k < len(options.encoders) else None
        name = given or checkpoint(recorded.encoder, recorded.identity, cache)
        loaded.append(_encoder(name, recorded, device))
        specs.append(spec)
        names.append(name)
    if options.transcripts is not None and not any(spec.is_text for spec in specs):
        raise SettingsError("--transcripts is for runs that read text; this one reads recordings alone")
    head = result.head_file.Head
    if any(setup.boundaries):
        placed = [dataclasses.replace(each, encoder=name) for each, name in zip(own, names, strict=True)]
        tails = [load_tail(each, spec) for each, spec in zip(placed, specs, strict=True)]
        head = finetuned(head, tails, [each.frames for each in own], Adapting.of(report.recipe))
    n_folds, n_seeds = len({m.fold for m in members}), len({m.seed for m in members})
    whose = f"{counted(n_folds, 'fold')}, {counted(n_seeds, 'seed')}"
    used("heads", f"{len(members)} ({whose}), encoder {', '.join(names)}")
    return Ensemble(
        result, setup, tuple(specs), tuple(loaded), head, members, device, options.speaker_statistics
    )


def _chosen(result: Result, options: PredictOptions) -> tuple[Run, ...]:
    """The members that are asked for. Raises SettingsError where one is not there."""
    report, folder = result.report, result.folder or "this result"
    folds, seeds = [fold.name for fold in report.folds], list(report.seeds)
    for fold in options.folds:
        if fold not in folds:
            raise SettingsError(unknown(f"fold of {folder}", fold, folds))
    for seed in options.seeds:
        if seed not in seeds:
            raise SettingsError(unknown(f"seed of {folder}", str(seed), [str(each) for each in seeds]))
    found = tuple(
        each
        for each in report.runs
        if each.fold in (options.folds or folds) and each.seed in (options.seeds or seeds)
    )
    for each in found:
        if (each.fold, each.seed) not in result.weights:
            path = runs.weights_path(result.folder or Path(), each.fold, each.seed)
            raise SettingsError(f"{path} is not there: this run did not keep its heads; train it again")
    return found


def _check_scope(setup: Setup, options: PredictOptions) -> None:
    """Statistics of a new speaker are none of the run's: who asks for them has to say what they are of."""
    if setup.normalise == "speaker" and options.speaker_statistics is None:
        raise SettingsError(
            "this run was normalised by speaker, with statistics over all utterances of each, those of its test parts "
            "too; say whose the recordings are: --speaker-statistics together (all are of one speaker) or column (the "
            "column speaker of --manifest), or train with --normalise global"
        )
    has_speakers = options.manifest is not None or options.dataset is not None
    if options.speaker_statistics == "column" and (not has_speakers or options.paths):
        raise SettingsError(
            "--speaker-statistics column reads the column speaker of a table; name that alone, with --manifest or "
            "--dataset, or take --speaker-statistics together"
        )
    if setup.normalise != "speaker" and options.speaker_statistics is not None:
        raise SettingsError(
            f"this run was normalised with scope {setup.normalise}, which needs no speakers; leave "
            "--speaker-statistics out"
        )


def _encoder(name: str, spec: FeatureSpec, device: str) -> Encoder:
    """The encoder of the run's features. Raises StoreError where what lies there is another one."""
    identity = spec.identity
    found = encoders.load(
        name,
        revision=identity.get("revision"),
        device=device,
        precision=identity.get("precision", "float32"),
        clip=spec.clip,
    )
    if encoders.without_device(found.identity) == encoders.without_device(identity):
        there, here = (encoders.device_kind(each) for each in (identity, found.identity))
        if there != here:
            warn(f"the run was trained on features computed on {there}; those of {here} may differ from them")
        return found
    differs = sorted(k for k in {*found.identity, *identity} if found.identity.get(k) != identity.get(k))
    raise StoreError(
        f"{name} is not the encoder of this run: {', '.join(differs)} differ (weights sha256 "
        f"{str(found.identity.get('weights_sha256'))[:16]}, expected {str(identity.get('weights_sha256'))[:16]}); name "
        "the checkpoint that its features were extracted with by --encoder"
    )


def trained_by(report: Report, members: Sequence[Run]) -> Callable[[Sequence[str]], tuple[str, ...]] | None:
    """A function from digests of a recording to the members that were trained on it; None where it is not known.

    A run notes what any of its folds was trained on, and whom each fold tested: the rest of its corpus trained it.
    """
    if report.recordings is None:
        return None
    owners_of: dict[str, list[tuple[str, str]]] = {}
    for each in report.recordings:
        owners_of.setdefault(each.audio, []).append((each.corpus, each.id))
    n_digits = max(map(len, owners_of), default=0)
    tested = {(each.fold, each.id) for each in report.predictions}
    name = report.corpus["name"]

    def by(digests: Sequence[str]) -> tuple[str, ...]:
        owners = [owner for digest in digests for owner in owners_of.get(digest[:n_digits], ())]
        return tuple(
            f"{each.fold}/{each.seed}"
            for each in members
            if any(corpus != name or (each.fold, id) not in tested for corpus, id in owners)
        )

    return by
