"""What an extraction tells: its encoder and plan, what came out, what was left out and which heads are served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sercache import (
    advice,
    clips,
    encoders,
    extraction,
    objects,
    settings,
    stores,
)
from sercache.claims import on_the_way
from sercache.datasets import Corpus, Skipped, Utterance
from sercache.encoders import Encoder
from sercache.errors import (
    AudioError,
    LeftOutError,
)
from sercache.experiment.extract_options import ExtractOptions, command_again
from sercache.experiment.pace import amount, pace
from sercache.experiment.served import served
from sercache.extraction import Extraction, Plan
from sercache.progress import used, warn
from sercache.stores import FeatureSpec
from sercache.units import duration, listed, size

_SHOWN = 20
"""Recordings left out that are named."""


def say_served(request: ExtractOptions, root: str, spec: FeatureSpec, corpus: Corpus | None) -> None:
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
            "shard": None,
        }
        command = command_again(request, root=settings.expanded(root).absolute(), **as_published)
        warn(f"{head} was published with other features than these; run: {command}")


def describe_encoder(encoder: Encoder) -> None:
    """Print what encoder it is, and the notes that its family asks for."""
    identity = encoder.identity
    revision = f" @ {identity['revision'][:12]}" if identity.get("revision") else ""
    used("encoder", f"{encoder.name} ({identity.get('source', 'no weights')}{revision})")
    if identity.get("weights_sha256"):
        used("", f"weights sha256 {identity['weights_sha256'][:16]}…, states {' '.join(encoder.states)}")
    for line in encoders.remarks(str(identity["family"])).values():
        warn(line)


def say_other_devices(spec: FeatureSpec, folder: Path) -> None:
    """Name stores of the same features that were computed on another kind of device, where this one is new."""
    if stores.exists(folder):
        return
    here = encoders.device_kind(spec.identity)
    anywhere = replace(spec, identity=encoders.without_device(spec.identity))
    for path, found in stores.find(folder.parents[1]):
        there = encoders.device_kind(found.identity)
        if there != here and replace(found, identity=encoders.without_device(found.identity)) == anywhere:
            warn(
                f"{path} has these features computed on {there}; {spec.identity['family']} is not shown to give "
                f"equal ones on {here}, so they stay apart: --device {there} continues that store"
            )


def tell_plan(plan: Plan, encoder: Encoder, folder: Path, speed: float) -> None:
    """``speed``: times real time where it is known, else 0."""
    spec = plan.spec
    pending = plan.pending
    kind = f"sequences in {spec.dtype}, means and deviations" if spec.frames else "means and deviations only"
    used("states", f"{' '.join(spec.states)}  ({len(spec.states)} x {spec.dim}; {kind}; clip {spec.sound})")
    used("store", str(folder))
    time = ""
    if pending:
        about = "at most about" if plan.sources else "about"
        with on_the_way(f"trying encoder {encoder.name}"):
            speed = speed or extraction.real_time_factor(encoder, spec.states)
        time = f", {about} {duration(plan.seconds / speed)} ({pace(spec, speed)})"
    done = f", {len(plan.done)} there already" if plan.done else ""
    used("plan", f"{len(pending)} entries, {amount(spec, plan.seconds)}{time}{done}")
    if plan.sources:
        kind = "text" if spec.is_text else "audio"
        used(
            "",
            f"what equals {kind} of {listed(source.path for source in plan.sources)} is copied, not encoded",
        )
    where = (
        "on disk" if objects.place_of(folder) is None else "in the object store; on the disk of its shards"
    )
    used("", f"{size(plan.n_bytes)} {where}, {size(plan.free_bytes)} free")


def nothing_to_do(plan: Plan, folder: Path) -> str:
    """What is said where the store lacks nothing of what is to be done here."""
    if plan.part.is_whole:
        return f"nothing to do: all {len(plan.done)} entries are in {folder}"
    return f"nothing to do: all entries of part {plan.part} are in {folder}, which holds {len(plan.done)}"


def summary(result: Extraction, spec: FeatureSpec, folder: Path) -> str:
    """What was encoded and how fast, in one line."""
    if result.n_encoded:
        speed = result.audio_seconds / result.seconds if result.seconds else 0.0
        took = f"{amount(spec, result.audio_seconds)} in {duration(result.seconds)} ({pace(spec, speed)})"
    else:
        took = f"in {duration(result.seconds)}"
    kind = "text" if spec.is_text else "audio"
    copied = f", {result.n_copied} copied from equal {kind}" if result.n_copied else ""
    if result.n_copied_from:
        copied += f" ({listed((f'{n} from {path}' for path, n in result.n_copied_from.items()))})"
    if result.n_overtaken:
        copied += f", {result.n_overtaken} of them stored by another process meanwhile"
    if result.n_elsewhere:
        copied += f", {result.n_elsewhere} by other processes"
    return f"done: {result.n_encoded} entries encoded{copied}, {took}, in {folder}"


def damaged_sources(result: Extraction) -> list[str]:
    """Lines for stores whose features of equal audio could not be copied."""
    return [
        f"{n} entries are encoded that {path} holds: it is damaged there; run {advice.command('verify', path)}"
        for path, n in result.n_damaged.items()
    ]


def complain(skipped: Sequence[Skipped], utterances: Sequence[Utterance], clip: str, n_stored: int) -> None:
    """Say what was left out, pieces of one recording for one reason together. Raises AudioError where anything was.

    LeftOutError where processes were lost with it.
    """
    known, rule = {u.id for u in utterances}, clips.parse(clip)
    pieces: dict[tuple[str, str], int] = {}
    lost: dict[str, None] = {}
    for item in skipped:
        whose = item.what if item.what in known else clips.utterance_id(item.what, rule)
        if isinstance(item, extraction.LeftOut):
            lost[whose] = None
        pieces[whose, item.reason] = pieces.get((whose, item.reason), 0) + 1
    for (whose, reason), n in list(pieces.items())[:_SHOWN]:
        warn(f"skipped {whose}{f' ({n} pieces)' if n > 1 else ''}: {reason}")
    if len(pieces) > _SHOWN:
        warn(f"and {len(pieces) - _SHOWN} more")
    if lost:
        raise LeftOutError(
            f"left out: {listed(lost)}, since every process that encoded {'it' if len(lost) == 1 else 'them'} was lost "
            "(its memory, a fault of the encoder, a damaged recording); the rest is stored, and the same command tries "
            "again"
        )
    if skipped and not n_stored:
        raise AudioError(f"none of {len(utterances)} recordings could be encoded")
    if skipped:
        n_lost = len({whose for whose, _ in pieces})
        whole = " whole" if rule.kind == "split" else ""
        raise AudioError(
            f"{n_lost} of {len(utterances)} recordings could not be encoded{whole}; the rest is stored"
        )
