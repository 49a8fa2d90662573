"""`sercache extract`: plan, print, encode, commit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sercache import (
    advice,
    audio,
    catalog,
    clips,
    encoders,
    extraction,
    settings,
    signals,
    states,
    stores,
    text,
)
from sercache.datasets import Corpus, Skipped, Utterance
from sercache.encoders import Encoder
from sercache.errors import (
    AudioError,
    DiskSpaceError,
    FileError,
    SercacheError,
    SettingsError,
    UnknownNameError,
)
from sercache.experiment.corpora import read_corpus
from sercache.experiment.filling import carry_out, place_of, plan_for
from sercache.experiment.options import Count, NotNegative, Precision, StoreFormat
from sercache.experiment.origin import known_origin, write_origin
from sercache.experiment.pace import amount, entries_bar, pace
from sercache.experiment.served import served
from sercache.extraction import DeviceWorker, Extraction, Plan, words
from sercache.progress import bar, say, used, warn
from sercache.published.head import published_setup
from sercache.stores.spec import DType, FeatureSpec
from sercache.units import duration, size

_SHOWN = 20
"""Recordings left out that are named."""


@dataclass(frozen=True)
class ExtractOptions:
    """The options of one call."""

    encoder: str
    """Empty: one that was made in Python, which no name makes again."""
    dataset: str
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    devices: str | None = None
    """Several, by comma: a process for each."""
    revision: str | None = None
    for_head: str | None = None
    states: str | None = None
    clip: str | None = None
    pooled_only: bool = False
    dtype: DType = "float16"
    store_format: StoreFormat = "zarr"
    precision: Precision = "float32"
    task: str | None = None
    language: str | None = None
    limit: Count | None = None
    transcripts: Path | None = None
    workers: Count | None = None
    seal_every: NotNegative = 60.0
    dry_run: bool = False


def run(
    request: ExtractOptions,
    *,
    at_hand: Encoder | None = None,
    corpus: Corpus | None = None,
    strict: bool = True,
) -> Path:
    """Extract as asked; gives the folder of the store.

    An encoder ``at_hand`` and a ``corpus`` take the place of their names. Raises SercacheError; AudioError at the end
    where recordings were skipped, unless not ``strict``.
    """
    if at_hand is not None:
        request = _asked_with(request, at_hand)
    asked, request = request, _as_published(request)
    known = settings.load()
    cache = known.value("cache", request.cache)
    devices, source = _devices(request, known) if at_hand is None else (["that of the encoder"], "at hand")
    cache_folder = Path(cache.value).expanduser()
    if corpus is None:
        corpus, where = read_corpus(request.dataset, request.root, known, cache_folder)
        root = where.value
    else:
        root = str(corpus.table or corpus.root)
    request = replace(request, dataset=corpus.dataset)
    utterances = chosen_utterances(corpus, request.task, request.language, request.limit)
    used("cache", cache)
    used("device", f"{', '.join(devices)}  ({source})")
    load = partial(_load, request.encoder, request.revision, request.precision)
    # With several, each process loads one onto its device; the one here only tells lengths.
    encoder = at_hand or load(devices[0] if len(devices) == 1 else "cpu")
    describe_encoder(encoder)
    utterances, transcripts = words.replaced(utterances, request.transcripts, encoder)
    # A head's clip rule is for its recordings; only one that was asked for is refused.
    clip = asked.clip if encoders.modality(encoder) == "text" else request.clip
    _check_states(asked, request, encoder)
    spec = extraction.feature_spec(
        encoder,
        corpus,
        selection=request.states or "all",
        dtype=request.dtype,
        frames=not request.pooled_only,
        clip=clip or "none",
        transcripts=transcripts,
    )
    spec, folder = place_of(cache_folder, spec, corpus, request.store_format)
    if len(devices) == 1:
        skipped, n_stored = work(request, root, encoder, utterances, spec, folder, corpus=corpus)
    else:
        with extraction.start_workers(devices, load, spec) as device_workers:
            skipped, n_stored = work(request, root, encoder, utterances, spec, folder, device_workers, corpus)
    if strict:
        complain(skipped, utterances, spec.clip, n_stored)
    return folder


def _asked_with(request: ExtractOptions, encoder: Encoder) -> ExtractOptions:
    """The request with what the encoder at hand was loaded from. Raises SettingsError for what would load another."""
    usual = ExtractOptions("", "")
    for name in ("device", "devices", "revision", "precision"):
        if getattr(request, name) != getattr(usual, name):
            raise SettingsError(f"{name} is for an encoder that is named; give it to load_encoder")
    loaded = encoders.loaded_from(encoder)
    if loaded is None:
        return replace(request, encoder="")
    return replace(request, encoder=loaded.name, revision=loaded.revision, precision=loaded.precision)  # type: ignore[arg-type]


def _devices(request: ExtractOptions, known: settings.Settings) -> tuple[list[str], str]:
    """Names of the devices to use, and where they were named. Raises SettingsError for one that is not here."""
    if request.devices is None:
        device = known.value("device", request.device)
        return [settings.resolve_device(device.value)], device.source
    if request.device is not None:
        raise SettingsError(f"give --device or --devices, got {request.device} and {request.devices}")
    names = [settings.resolve_device(name.strip()) for name in request.devices.split(",")]
    on_cuda = [name for name in names if name != "cpu"]
    if len(set(on_cuda)) < len(on_cuda):
        raise SettingsError(f"--devices names a device twice: {request.devices}")
    return names, "flag"


def _load(name: str, revision: str | None, precision: str, device: str) -> Encoder:
    return encoders.load(name, revision=revision, device=device, precision=precision)


def work(
    request: ExtractOptions,
    root: str,
    encoder: Encoder,
    utterances: list[Utterance],
    spec: FeatureSpec,
    folder: Path,
    device_workers: Sequence[DeviceWorker] = (),
    corpus: Corpus | None = None,
) -> tuple[Sequence[Skipped], int]:
    """Plan, print the plan, and unless it is a dry run fill the store at ``folder``; with ``device_workers``, by them.

    Gives what was left out, and how many entries are stored.
    """
    # First, so that a damaged store can be repaired after it.
    if request.encoder and stores.exists(folder) and not request.dry_run:
        _say_where(folder, _origin(request, root))
    plan = plan_for(
        encoder,
        utterances,
        spec,
        folder,
        device_workers=device_workers,
        progress=lambda items: bar(items, desc="plan", total=len(utterances), unit="utt"),
    )
    _print_plan(plan, encoder, folder, sum(each.ready.speed for each in device_workers))
    if request.dry_run:
        _say_served(request, root, spec, corpus)
        return (), len(plan.done)
    n_stored = len(plan.done)
    trained = (
        encoders.training_record(request.encoder, revision=request.revision) if request.encoder else None
    )
    if trained is not None:
        used("", f"{trained}: no later test counts these as unseen")
    if plan.pending:
        writer = stores.create(folder, spec, request.store_format)
        extraction.record_training(folder, trained)
        if request.encoder:
            write_origin(folder, _origin(request, root))
        result = _encode(plan, encoder, writer, request, device_workers)
        say(_summary(result, spec, folder))
        say(f"limit: {result.load}")
        for line in audio.counted(result.remarked):
            warn(line)
        skipped = result.skipped
        n_stored += result.n_encoded + result.n_copied
    else:
        say(f"nothing to do: all {len(plan.done)} entries are in {folder}")
        try:
            extraction.record_training(folder, trained)
        except (DiskSpaceError, FileError) as fault:  # the disk may be read-only
            warn(f"what the encoder was trained on is not recorded beside its features: {fault}")
        extraction.mark_finished(folder)
        skipped = plan.skipped
    extraction.record_skips(folder, skipped)
    _say_served(request, root, spec, corpus)
    return skipped, n_stored


def _encode(
    plan: Plan,
    encoder: Encoder,
    writer: stores.FeatureWriter,
    request: ExtractOptions,
    device_workers: Sequence[DeviceWorker],
) -> Extraction:
    hours, advance = entries_bar(plan)
    try:
        return carry_out(
            plan,
            encoder,
            writer,
            request.store_format,
            device_workers=device_workers,
            workers=request.workers,
            seal_every=request.seal_every,
            progress=advance,
        )
    except KeyboardInterrupt as fault:
        hours.close()
        n_all = len(plan.pending) + len(plan.done)
        safe = f"{len(stores.open(writer.path).ids())} of {n_all} entries are safe in {writer.path}"
        say(f"{signals.how(fault)[0]}: {safe}; run the same command to go on")
        raise
    finally:
        hours.close()


def _say_served(request: ExtractOptions, root: str, spec: FeatureSpec, corpus: Corpus | None) -> None:
    """Which published heads the store serves, and what to type for the others of this encoder and corpus."""
    if corpus is None or not request.encoder:
        return
    found = served(spec, corpus)
    if found.heads:
        used("serves", f"as published: {', '.join(found.heads)}")
    for head in found.others:
        as_published = {
            "states": None,
            "clip": None,
            "pooled_only": False,
            "dry_run": False,
            "for_head": head,
        }
        command = _again(request, root=settings.expanded(root).absolute(), **as_published)
        warn(f"{head} was published with other features than these; run: {command}")


def _again(request: ExtractOptions, **changes: Any) -> str:
    """The command of a request with some of its options changed."""
    usual, names = ExtractOptions(encoder="", dataset=""), {"for_head": "for", "store_format": "format"}
    how = text.reading()
    options = {
        names.get(key, key): value
        for key, value in (asdict(request) | changes).items()
        if value != getattr(usual, key)
    }
    return advice.command(
        "extract", **options, encoding=how.encoding, labels_as_written=how.labels_as_written
    )


def _as_published(request: ExtractOptions) -> ExtractOptions:
    """The request with states, clip rule and kind taken from a head's set-up, where it names one."""
    if request.for_head is None:
        return request
    setup = published_setup(catalog.load("sercache.heads", request.for_head), request.dataset)
    return replace(
        request,
        states=request.states or setup.cached_states,
        clip=request.clip or setup.clip,
        pooled_only=request.pooled_only or not setup.cached_frames,
    )


def _check_states(asked: ExtractOptions, request: ExtractOptions, encoder: Encoder) -> None:
    """Raises SettingsError where the encoder lacks the states that a head was published with."""
    if asked.for_head is None or asked.states is not None:
        return
    try:
        states.select(encoder.states, request.states or "all")
    except UnknownNameError as fault:
        raise SettingsError(
            f"{asked.for_head} was published on states {request.states}, {encoder.name} has "
            f"{' '.join(encoder.states)}; choose others with --states, here and in training, for example: "
            + _again(asked, states="blocks")
        ) from fault


def chosen_utterances(
    corpus: Corpus, task: str | None, language: str | None = None, limit: int | None = None
) -> list[Utterance]:
    """Utterances with a class or numbers for ``task`` (``all``: every one), in corpus order, at most ``limit``.

    ``language`` (``zh``) keeps those in it, whatever the region.

    Says how many of the corpus they are. Raises SettingsError where none is left.
    """
    members = set() if task == "all" else set(corpus.members(task))
    chosen = [u for u in corpus.utterances if task == "all" or u.id in members]
    if not chosen and task is None:  # a corpus without labels is still worth its features
        chosen = list(corpus.utterances)
    chosen = [u for u in chosen if language in (None, u.language.split("-")[0])]
    if not chosen and language:
        raise SettingsError(f"no utterance of {corpus.name} is in language {language}")
    if not chosen:
        raise SettingsError(f"task {task or corpus.info.default_task} labels no utterance of {corpus.name}")
    if len(chosen) < len(corpus.utterances):
        named = task or corpus.info.default_task
        spoken = f" in {language}" if language else ""
        used(
            "", f"{len(chosen)} of them{spoken} carry a label of task {named} (--task all takes the rest too)"
        )
    return chosen[:limit]


def describe_encoder(encoder: Encoder) -> None:
    """Print what encoder it is, and the notes that its family asks for."""
    identity = encoder.identity
    revision = f" @ {identity['revision'][:12]}" if identity.get("revision") else ""
    used("encoder", f"{encoder.name} ({identity.get('source', 'no weights')}{revision})")
    if identity.get("weights_sha256"):
        used("", f"weights sha256 {identity['weights_sha256'][:16]}…, states {' '.join(encoder.states)}")
    for line in encoders.remarks(str(identity["family"])).values():
        warn(line)


def _print_plan(plan: Plan, encoder: Encoder, folder: Path, speed: float) -> None:
    """``speed``: times real time where it is known, else 0."""
    spec = plan.spec
    pending = plan.pending
    kind = f"sequences in {spec.dtype}, means and deviations" if spec.frames else "means and deviations only"
    used("states", f"{' '.join(spec.states)}  ({len(spec.states)} x {spec.dim}; {kind}; clip {spec.clip})")
    used("store", str(folder))
    time = ""
    if pending:
        speed = speed or extraction.real_time_factor(encoder, spec.states)
        time = f", about {duration(plan.seconds / speed)} ({pace(spec, speed)})"
    done = f", {len(plan.done)} there already" if plan.done else ""
    used("plan", f"{len(pending)} entries, {amount(spec, plan.seconds)}{time}{done}")
    used("", f"{size(plan.n_bytes)} on disk, {size(plan.free_bytes)} free")


def _summary(result: Extraction, spec: FeatureSpec, folder: Path) -> str:
    speed = result.audio_seconds / result.seconds if result.seconds else 0.0
    kind = "text" if spec.is_text else "audio"
    copied = f", {result.n_copied} copied from equal {kind}" if result.n_copied else ""
    return (
        f"done: {result.n_encoded} entries encoded{copied}, {amount(spec, result.audio_seconds)} in "
        f"{duration(result.seconds)} ({pace(spec, speed)}), in {folder}"
    )


def complain(skipped: Sequence[Skipped], utterances: Sequence[Utterance], clip: str, n_stored: int) -> None:
    """Say what was left out, pieces of one recording for one reason together. Raises AudioError where anything was."""
    known, rule = {u.id for u in utterances}, clips.parse(clip)
    pieces: dict[tuple[str, str], int] = {}
    for item in skipped:
        whose = item.what if item.what in known else clips.utterance_id(item.what, rule)
        pieces[whose, item.reason] = pieces.get((whose, item.reason), 0) + 1
    for (whose, reason), n in list(pieces.items())[:_SHOWN]:
        warn(f"skipped {whose}{f' ({n} pieces)' if n > 1 else ''}: {reason}")
    if len(pieces) > _SHOWN:
        warn(f"and {len(pieces) - _SHOWN} more")
    if skipped and not n_stored:
        raise AudioError(f"none of {len(utterances)} recordings could be encoded")
    if skipped:
        n_lost = len({whose for whose, _ in pieces})
        whole = " whole" if rule.kind == "split" else ""
        raise AudioError(
            f"{n_lost} of {len(utterances)} recordings could not be encoded{whole}; the rest is stored"
        )


def _origin(request: ExtractOptions, root: str) -> dict[str, Any]:
    """The request as JSON values, folders made absolute so that it can be run again from anywhere."""
    record = {key: value for key, value in asdict(request).items() if value is not None}
    for key in ("cache", "root", "devices"):
        record.pop(key, None)
    record["encoder"] = encoders.absolute(request.encoder)
    if request.transcripts is not None:
        record["transcripts"] = str(settings.expanded(request.transcripts).absolute())
    how = text.reading()
    if how.encoding is not None:
        record["encoding"] = how.encoding
    if how.labels_as_written:
        record["labels_as_written"] = True
    place = settings.expanded(root).absolute()
    # A way up is taken now: the folder that it leads out of may be gone later. Links stay, as they may be moved.
    return {**record, "root": str(place.resolve() if ".." in place.parts else place)}


def _say_where(folder: Path, now: dict[str, Any]) -> None:
    """Remember how a store was made where that is not known, and where corpus and encoder have moved to."""
    before = known_origin(folder)
    gone = [
        key
        for key in ("root", "encoder")
        if Path(str(before.get(key, ""))).is_absolute() and not Path(str(before[key])).exists()
    ]
    if before and not gone:
        return
    with suppress(SercacheError):  # the disk may be read-only
        write_origin(folder, {**now, **before, **{key: now[key] for key in gone}} if before else now)
