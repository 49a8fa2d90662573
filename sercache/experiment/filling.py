"""Filling a store: what it lacks, and the line that computes that; the command and the Python face go this way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sercache import extraction, stores
from sercache.datasets import Corpus, Utterance
from sercache.encoders import Encoder
from sercache.extraction import Extraction, Hand, Piece, Plan
from sercache.stores.spec import FeatureSpec


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
    hands: Sequence[Hand] = (),
    progress: Callable[[Iterable], Iterable] = iter,
) -> Plan:
    """What the store at ``folder`` lacks, in batches that fit the device, or each of the ``hands``.

    Raises as ``extraction.make_plan``.
    """
    budgets = [hand.ready.budget for hand in hands] or [extraction.frame_budget(encoder, spec)]
    done = stores.open(folder).ids() if stores.exists(folder) else []
    return extraction.make_plan(
        encoder, utterances, spec, folder, done=done, pack_frames=min(budgets), progress=progress
    )


def carry_out(
    plan: Plan,
    encoder: Encoder,
    writer: stores.FeatureWriter,
    format: str,
    *,
    hands: Sequence[Hand] = (),
    workers: int | None = None,
    seal_every: float = 60.0,
    progress: Callable[[Piece], None] = lambda piece: None,
) -> Extraction:
    """Compute what the plan leaves to do, by the encoder or by ``hands``, with the threads that keep up with it.

    ``workers`` are the threads that decode, for each device. Raises as ``extraction.extract``.
    """
    store = stores.open(writer.path)
    decoders, writers = extraction.threads(encoder, plan.spec, [hand.device for hand in hands])
    decoders = workers or decoders
    if hands:
        return extraction.extract_together(
            plan,
            hands,
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
