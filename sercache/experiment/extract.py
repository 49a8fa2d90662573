"""`sercache extract`: plan, print, encode, commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sercache import encoders, extraction, objects, settings
from sercache.augment import ReadyAugmentation
from sercache.datasets import Corpus
from sercache.encoders import Encoder
from sercache.errors import SettingsError
from sercache.experiment import augmenting, clustered
from sercache.experiment.augmenting import StorePlace
from sercache.experiment.corpora import read_corpus
from sercache.experiment.extract_options import ExtractOptions as ExtractOptions
from sercache.experiment.extract_options import as_published, asked_with, check_means, check_states
from sercache.experiment.extract_words import complain as complain
from sercache.experiment.extract_words import describe_encoder, say_other_devices
from sercache.experiment.extract_work import fill
from sercache.experiment.filling import place_of
from sercache.experiment.parts import part_of
from sercache.experiment.selection import chosen_utterances
from sercache.extraction import words
from sercache.progress import used
from sercache.stores import FeatureSpec


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
        skipped, n_stored = fill(request, root, encoder, utterances, place, corpus=corpus)
    else:
        with extraction.start_workers(devices, load, spec) as device_workers:
            skipped, n_stored = fill(request, root, encoder, utterances, place, device_workers, corpus)
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
