"""Filling a store: what it lacks, and the line that computes that; the command and the Python face go this way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sercache import extraction, stores
from sercache.augment import ReadyAugmentation
from sercache.claims import on_the_way
from sercache.datasets import Corpus, Utterance
from sercache.encoders import Encoder
from sercache.errors import StoreError
from sercache.extraction import DeviceWorker, Extraction, Piece, Plan
from sercache.stores import FeatureSpec


def place_of(cache: Path, spec: FeatureSpec, corpus: Corpus, format: str) -> tuple[FeatureSpec, Path]:
    """The spec and the folder of the store that is to be filled.

    Of a corpus of one's own there may be one that was made before these had names, under the name of the reader.
    """
    before = replace(spec, corpus=corpus.reader or corpus.name)
    if stores.exists(folder := stores.store_path(cache, before, format)):
        return before, folder
    return spec, stores.store_path(cache, spec, format)


def plan_for(
    encoder: Encoder,
    utterances: Sequence[Utterance],
    spec: FeatureSpec,
    folder: Path,
    *,
    device_workers: Sequence[DeviceWorker] = (),
    augmented: ReadyAugmentation | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Plan:
    """What the store at ``folder`` lacks, in batches that run best on the device, or on each of the ``device_workers``.

    Raises as ``extraction.make_plan``.
    """
    packs = [device_worker.ready.pack_frames for device_worker in device_workers] or [encoder.pack_frames]
    done = stores.open(folder).ids() if stores.exists(folder) else []
    with on_the_way("planning: asking each recording for its length"):
        plan = extraction.make_plan(
            encoder,
            utterances,
            spec,
            folder,
            done=done,
            pack_frames=min(packs),
            augmented=augmented,
            progress=progress,
        )
    return replace(plan, sources=tuple(_sources(spec, folder))) if plan.pending else plan


def _sources(spec: FeatureSpec, folder: Path) -> Iterator[stores.FeatureStore]:
    """Other stores of the cache whose features of equal audio are those of ``spec``: of an older release, say."""
    for path, found in stores.find(folder.parents[1]):
        if path != folder and spec.is_held_by(found):
            with suppress(StoreError):  # a damaged one is told of by what uses it
                yield stores.open(path)


def carry_out(
    plan: Plan,
    encoder: Encoder,
    writer: stores.FeatureWriter,
    format: str,
    *,
    device_workers: Sequence[DeviceWorker] = (),
    workers: int | None = None,
    seal_every: float = 60.0,
    progress: Callable[[Piece], None] = lambda piece: None,
) -> Extraction:
    """Compute what the plan leaves to do, by the encoder or ``device_workers``, with the threads that keep up.

    ``workers`` are the threads that decode, for each device. Raises as ``extraction.extract``.
    """
    store = stores.open(writer.path)
    decoders, writers = extraction.threads(
        encoder, plan.spec, [device_worker.device for device_worker in device_workers]
    )
    decoders = workers or decoders
    if device_workers:
        return extraction.extract_together(
            plan,
            device_workers,
            writer,
            format,
            writers=writers,
            workers=decoders,
            seal_every=seal_every,
            progress=progress,
        )
    return extraction.extract(
        plan,
        encoder,
        writer,
        store,
        beside=[stores.create(writer.path, plan.spec, format) for _ in range(writers - 1)],
        workers=decoders,
        seal_every=seal_every,
        progress=progress,
    )
