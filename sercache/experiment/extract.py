"""`sercache extract`: plan, print, encode, commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sercache import (
    audio,
    encoders,
    extraction,
    objects,
    settings,
    stores,
)
from sercache.augment import ReadyAugmentation
from sercache.datasets import Corpus, Skipped, Utterance
from sercache.encoders import Encoder
from sercache.errors import (
    DiskSpaceError,
    FileError,
    SettingsError,
)
from sercache.experiment import augmenting, clustered, corpus_table
from sercache.experiment.augmenting import StorePlace
from sercache.experiment.corpora import read_corpus
from sercache.experiment.extract_options import ExtractOptions as ExtractOptions
from sercache.experiment.extract_options import as_published, asked_with, check_means, check_states
from sercache.experiment.extract_words import complain as complain
from sercache.experiment.extract_words import (
    damaged_sources,
    describe_encoder,
    nothing_to_do,
    say_other_devices,
    say_served,
    summary,
    tell_plan,
)
from sercache.experiment.filling import carry_out, place_of, plan_for
from sercache.experiment.origin import origin_of, remember, write_origin
from sercache.experiment.pace import entries_bar, keep_speed, kept_speed
from sercache.experiment.parts import part_of
from sercache.extraction import DeviceWorker, Extraction, Plan, words
from sercache.progress import bar, say, used, warn
from sercache.stores import FeatureSpec
from sercache.trained_on import TrainedOn


def run(
    request: ExtractOptions,
    *,
    at_hand: Encoder | None = None,
    corpus: Corpus | None = None,
    strict: bool = True,
) -> Path:
    """Extract as asked, gives the folder of the store.

    An encoder ``at_hand`` and a ``corpus`` take the place of their names. Raises SercacheError; AudioError at the end
    where recordings were skipped, unless not ``strict``.
    """
    request = replace(request, augment=augmenting.written(request.augment))
    if clustered.asked(request) and not request.dry_run:
        return _by_workers(request, at_hand is not None or corpus is not None, strict)
    part_of(request.shard)  # a fault is told before anything is read or loaded
    check_means(request)
    if at_hand is not None:
        request = asked_with(request, at_hand)
    asked, request = request, as_published(request)
    known = settings.load()
    cache = known.value("cache", request.cache)
    devices, source = _devices(request, known) if at_hand is None else (["that of the encoder"], "at hand")
    cache_folder = Path(cache.value).expanduser()
    objects.check_writable(cache_folder)
    if corpus is None:
        corpus, where = read_corpus(request.dataset, request.root, known, cache_folder)
        root = where.value
    else:
        corpus.check_recordings()
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
    check_states(asked, request, encoder)
    # A head's clip rule is for its recordings; only one that was asked for is refused.
    clip = asked.clip if encoders.modality(encoder) == "text" else request.clip
    augmented = augmenting.ready(request.augment, corpus, encoder.sample_rate)
    spec = _spec(replace(request, clip=clip), encoder, corpus, transcripts, devices, augmented)
    spec, folder = place_of(cache_folder, spec, corpus, request.store_format)
    place = StorePlace(spec, folder, augmented)
    say_other_devices(spec, folder)
    if len(devices) == 1:
        skipped, n_stored = work(request, root, encoder, utterances, place, corpus=corpus)
    else:
        with extraction.start_workers(devices, load, spec) as device_workers:
            skipped, n_stored = work(request, root, encoder, utterances, place, device_workers, corpus)
    if strict:
        complain(skipped, utterances, spec.clip, n_stored)
    return folder


def run_each(
    request: ExtractOptions,
    *,
    at_hand: Encoder | None = None,
    corpus: Corpus | None = None,
    strict: bool = True,
) -> tuple[Path, ...]:
    """Extract as asked; gives the folder of the store, or of each where ``variants`` are asked for.

    An encoder ``at_hand`` and a ``corpus`` take the place of their names. Raises SercacheError; AudioError at the end
    where recordings were skipped, unless not ``strict``.
    """
    if request.variants is None:
        return (run(request, at_hand=at_hand, corpus=corpus, strict=strict),)
    each = [
        replace(request, augment=t, variants=None)
        for t in augmenting.variants(request.augment, request.variants)
    ]
    return tuple(run(variant, at_hand=at_hand, corpus=corpus, strict=strict) for variant in each)


def _spec(
    request: ExtractOptions,
    encoder: Encoder,
    corpus: Corpus,
    transcripts: str,
    devices: Sequence[str],
    augmented: ReadyAugmentation | None,
) -> FeatureSpec:
    """What the store holds; ``transcripts`` is the digest of a file of them."""
    spec = extraction.feature_spec(
        encoder,
        corpus,
        selection=request.states or "all",
        dtype=request.dtype,
        frames=not request.pooled_only,
        clip=request.clip or "none",
        transcripts=transcripts,
        augmented=augmented,
    )
    if len(devices) > 1:
        return replace(spec, identity=encoders.on_devices(encoder.identity, devices))
    return spec


def _by_workers(request: ExtractOptions, has_objects: bool, strict: bool) -> Path:
    """As ``run``, done by the workers of a cluster."""
    cache = Path(settings.load().value("cache", request.cache).value)
    found = clustered.run("extract", request, cache, has_objects=has_objects, strict=strict)
    return Path(found["folder"])


def _devices(request: ExtractOptions, known: settings.Settings) -> tuple[list[str], str]:
    """Names of the devices to use, and where they were named. Raises SettingsError for one that is not here."""
    if request.devices is None:
        device = known.value("device", request.device)
        return [settings.resolve_device(device.value)], device.source
    if request.device is not None:
        raise SettingsError(f"give --device or --devices, got {request.device} and {request.devices}")
    names = [settings.resolve_device(name.strip()) for name in request.devices.split(",")]
    # cuda is the first card, as cuda:0 is; the CPU may be named more than once, a process for each.
    cards = [name if ":" in name else f"{name}:0" for name in names if name != "cpu"]
    if len(set(cards)) < len(cards):
        raise SettingsError(f"--devices names a device twice: {request.devices}")
    return names, "flag"


def _load(name: str, revision: str | None, precision: str, device: str) -> Encoder:
    return encoders.load(name, revision=revision, device=device, precision=precision)


def work(
    request: ExtractOptions,
    root: str,
    encoder: Encoder,
    utterances: list[Utterance],
    place: StorePlace,
    device_workers: Sequence[DeviceWorker] = (),
    corpus: Corpus | None = None,
) -> tuple[Sequence[Skipped], int]:
    """Plan, print the plan, and unless it is a dry run fill the store; with ``device_workers``, by them.

    Gives what was left out, and how many entries are stored.
    """
    spec, folder = place.spec, place.folder
    # First, so that a damaged store can be repaired after it.
    if request.encoder and stores.exists(folder) and not request.dry_run:
        remember(folder, origin_of(request, root))
    part, named = part_of(request.shard)
    plan = plan_for(
        encoder,
        utterances,
        spec,
        folder,
        device_workers=device_workers,
        augmented=place.augmented,
        progress=lambda items: bar(items, desc="plan", total=len(utterances), unit="utt"),
    )
    plan = replace(plan, part=part)
    if named:
        used("part", f"{part} of the work{'' if part.alone else ' first'}  ({named})")
    device, cache = str(extraction.device_of(encoder)), folder.parents[1]
    speed = sum(each.ready.speed for each in device_workers) or kept_speed(cache, spec, device)
    tell_plan(plan, encoder, folder, speed or 0.0)
    if request.dry_run:
        say_served(request, root, spec, corpus)
        return (), len(plan.done)
    skipped, n_stored = plan.skipped, len(plan.done)
    trained = (
        encoders.training_record(request.encoder, revision=request.revision) if request.encoder else None
    )
    if trained is not None:
        used("", f"{trained}: no later test counts these as unseen")
    if plan.pending:
        writer = stores.create(folder, spec, request.store_format)
        extraction.record_training(folder, trained)
        if corpus is not None:
            corpus_table.write(folder, corpus, request.keep_transcripts)
        if request.encoder:
            write_origin(folder, origin_of(request, root))
        result = _encode(plan, encoder, writer, request, device_workers)
        if not device_workers:
            keep_speed(cache, spec, device, result)
        say(summary(result, spec, folder))
        say(f"limit: {result.load}")
        for line in (*audio.counted(result.remarked), *damaged_sources(result)):
            warn(line)
        skipped = result.skipped
        n_stored += result.n_encoded + result.n_copied + result.n_elsewhere
    elif plan.part.is_whole or stores.exists(folder):
        _bring_up_to_date(plan, folder, trained, corpus, request.keep_transcripts)
    else:  # the first task of an array to come, and there are more tasks than batches
        say(f"nothing to do: there are fewer batches than parts, and part {plan.part} has none")
        return skipped, n_stored
    extraction.record_skips(folder, skipped, plan)
    say_served(request, root, spec, corpus)
    return skipped, n_stored


def _bring_up_to_date(
    plan: Plan, folder: Path, trained: TrainedOn | None, corpus: Corpus | None, keep_transcripts: bool | None
) -> None:
    """Note beside the features of a complete store what is known of its encoder and its corpus by now."""
    say(nothing_to_do(plan, folder))
    try:
        extraction.record_training(folder, trained)
    except (DiskSpaceError, FileError) as fault:  # the disk may be read-only
        warn(f"what the encoder was trained on is not recorded beside its features: {fault}")
    if plan.part.is_whole:
        extraction.mark_finished(folder)
    stores.note_use(folder)  # what adds to it shows by its commits
    if corpus is not None and corpus_table.write(folder, corpus, keep_transcripts):
        say(f"its labels are brought up to date: {corpus.name}, {len(corpus.utterances)} utterances")


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
        fault.add_note(f"{safe}; run the same command to resume")
        raise
    finally:
        hours.close()


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
