"""Extraction into one store: what it lacks is planned, told, encoded and committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sercache import audio, encoders, extraction, stores
from sercache.datasets import Corpus, Skipped, Utterance
from sercache.encoders import Encoder
from sercache.errors import DiskSpaceError, FileError
from sercache.experiment import corpus_table
from sercache.experiment.augmenting import StorePlace
from sercache.experiment.extract_options import ExtractOptions
from sercache.experiment.extract_words import (
    damaged_sources,
    nothing_to_do,
    say_served,
    summary,
    tell_plan,
)
from sercache.experiment.filling import carry_out, plan_for
from sercache.experiment.origin import origin_of, remember, write_origin
from sercache.experiment.pace import entries_bar, keep_speed, kept_speed
from sercache.experiment.parts import part_of
from sercache.extraction import DeviceWorker, Extraction, Plan
from sercache.progress import bar, say, used, warn
from sercache.trained_on import TrainedOn


def fill(
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
    plan = _plan(request.shard, encoder, utterances, place, device_workers)
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
        result = _encode(plan, encoder, writer, place.cache, request, device_workers)
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


def _plan(
    shard: str | None,
    encoder: Encoder,
    utterances: list[Utterance],
    place: StorePlace,
    device_workers: Sequence[DeviceWorker],
) -> Plan:
    """What the store lacks, as it was told: with how long that takes, and which part of it is done here."""
    part, named = part_of(shard)
    plan = plan_for(
        encoder,
        utterances,
        place.spec,
        place.folder,
        device_workers=device_workers,
        augmented=place.augmented,
        progress=lambda items: bar(items, desc="plan", total=len(utterances), unit="utt"),
    )
    plan = replace(plan, part=part)
    if named:
        used("part", f"{part} of the work{'' if part.alone else ' first'}  ({named})")
    speed = sum(each.ready.speed for each in device_workers) or kept_speed(
        place.cache, place.spec, str(extraction.device_of(encoder))
    )
    tell_plan(plan, encoder, place.folder, speed or 0.0)
    _tell_other_recordings(plan, place.folder)
    return plan


def _tell_other_recordings(plan: Plan, folder: Path) -> None:
    """Warn of entries whose lengths are not those of the recordings: another folder's, under the same ids.

    An example of a corpus bears the ids of the real one. At most 1,000 are compared, by the headers that planning read.
    """
    if plan.spec.clip != "none" or plan.augmented:
        return
    there = [
        piece
        for batch in plan.batches
        for piece in batch
        if piece.text is None and piece.entry_id in plan.done
    ]
    looked_at = there[:: max(1, -(-len(there) // 1000))]
    held = stores.open(folder).entries() if looked_at else {}
    other = [
        piece.entry_id
        for piece in looked_at
        if abs(held[piece.entry_id].n_samples - piece.n_samples)
        > 0.1 * piece.n_samples + 0.1 * plan.spec.sample_rate
    ]
    if other:
        warn(
            f"of {len(there)} entries that {folder} holds already, {len(looked_at)} were looked at, and {len(other)} "
            f"are of recordings of another length, first: {other[0]}: they may be of other recordings under the same "
            "ids, and are not encoded again; give one of the two folders a --cache of its own"
        )


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
    cache: Path,
    request: ExtractOptions,
    device_workers: Sequence[DeviceWorker],
) -> Extraction:
    """Encode what the plan leaves to do, and tell what came out, how fast, and what there is to say of recordings."""
    hours, advance = entries_bar(plan)
    try:
        result = carry_out(
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
    if not device_workers:
        keep_speed(cache, plan.spec, str(extraction.device_of(encoder)), result)
    say(summary(result, plan.spec, writer.path))
    say(f"limit: {result.load}")
    for line in (*audio.counted(result.remarked), *damaged_sources(result)):
        warn(line)
    return result
