"""Whether stores are whole, by every checksum; what is damaged is extracted anew where that is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import advice, clips, encoders, extraction, objects, settings, stores
from sercache.encoders import Encoder
from sercache.errors import DamagedStoreError, SercacheError, StoreError
from sercache.experiment import augmenting, corpus_table, extract
from sercache.experiment.augmenting import StorePlace
from sercache.experiment.corpora import read_corpus
from sercache.experiment.extract_work import fill
from sercache.experiment.origin import extract_again, origin_by_spec, read_origin
from sercache.experiment.selection import chosen_utterances
from sercache.experiment.upkeep import copy_first
from sercache.extraction import words
from sercache.progress import bar, say, used, warn
from sercache.stores import Damage, FeatureSpec


@dataclass(frozen=True)
class VerifyOptions:
    """The options of one call."""

    stores: Sequence[str | Path] = ()
    """Their folders; none named: all of the cache."""
    root: Path | None = None
    """Where the corpus lies, for a repair."""
    cache: Path | None = None
    device: str | None = None
    repair: bool = False


@dataclass(frozen=True)
class Verified:
    """The state of one store, after the repair where one was asked for."""

    folder: Path
    damage: tuple[Damage, ...] = ()
    """Empty where it is whole."""
    fault: SercacheError | None = None
    """What kept it from being checked or repaired."""

    @property
    def is_whole(self) -> bool:
        """Whether it was checked and is not damaged."""
        return not self.damage and self.fault is None

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {"is_whole": self.is_whole, **vars(self)}


def run(request: VerifyOptions) -> list[Verified]:
    """Check the stores named, or all of the cache, one after another, whatever is wrong with one of them.

    Raises what keeps the only store from being checked or repaired.
    """
    known = settings.load()
    cache_setting = known.value("cache", request.cache)
    cache_folder = Path(cache_setting.value).expanduser()
    if not request.stores:
        used("cache", cache_setting)
    named = [settings.expanded(folder) for folder in request.stores]
    chosen = named or [folder for folder, _ in stores.find_all(cache_folder)]
    for folder in chosen if request.repair else ():
        objects.refuse(folder, "--repair", copy_first(folder))
    found = []
    for folder in chosen:
        try:
            damage = _check(folder)
            _print(folder, damage)
            if request.repair and (damage or extraction.is_half_repaired(folder)):
                _repair(folder, damage, request.root, cache_folder, request.device, known)
                damage = _check(folder)
                _print(folder, damage)
            found.append(Verified(folder, tuple(damage)))
        except SercacheError as fault:
            if len(chosen) == 1:
                raise
            warn(str(fault))
            found.append(Verified(folder, fault=fault))
    return found


def complain(found: Sequence[Verified], request: VerifyOptions) -> None:
    """Raise DamagedStoreError where damage remains, StoreError where a store could not be checked."""
    unchecked = [each.fault for each in found if each.fault is not None]
    n_unread = sum(not isinstance(fault, DamagedStoreError) for fault in unchecked)
    n_damaged = sum(not each.is_whole for each in found) - n_unread
    unread = f"{n_unread} of {len(found)} stores cannot be checked (see above)" if n_unread else ""
    if n_damaged:
        raise DamagedStoreError(
            f"{n_damaged} of {len(found)} stores are damaged{unread and f', {unread}'}; "
            f"{advice.command('verify', *request.stores, repair=True)} extracts the damaged part anew"
        )
    if unread:
        again = advice.command("verify", *request.stores, repair=request.repair)
        raise StoreError(f"{unread}: mend that, then run {again}")


def _check(folder: Path) -> list[Damage]:
    with bar(desc=f"checking {folder.name}", unit="B", unit_scale=True) as read:
        damage = stores.verify(folder, read.update)
    if stores.has_corpus(folder) and not any(fault.path == stores.corpus_path(folder) for fault in damage):
        damage += corpus_table.damage(folder)
    return damage


def _print(folder: Path, damage: Sequence[Damage]) -> None:
    if not damage:
        say(f"whole: {folder} ({len(stores.open(folder).ids())} entries)")
        if extraction.is_half_repaired(folder):
            again = advice.command("verify", folder, repair=True)
            warn(f"{folder}: a repair was interrupted, so entries that it took out are missing; run {again}")
        return
    say(f"damaged: {folder} ({len(damage)} faults)")
    for fault in damage[:20]:
        warn(f"{fault.id or fault.path}: {fault.reason}")
    if len(damage) > 20:
        warn(f"and {len(damage) - 20} more")


def _repair(
    folder: Path,
    damage: Sequence[Damage],
    root: Path | None,
    cache: Path,
    device_flag: str | None,
    known: settings.Settings,
) -> None:
    """Encode the damaged entries again with the encoder that made the store.

    Raises StoreError where that encoder cannot be had or has other weights now; nothing is dropped then.
    """
    lost = any(fault.path == stores.corpus_path(folder) for fault in damage)
    damage = _without_derived(folder, damage)
    if lost:
        _labels_anew(folder, root, cache, known)
    if not damage and not extraction.is_half_repaired(folder):
        return
    origin, spec = read_origin(folder), stores.read_spec(folder)
    if not origin:
        origin = origin_by_spec(folder, root)
        warn(f"{folder} no longer says how it was made; its spec says most of that")
    device = settings.resolve_device(known.value("device", device_flag).value)
    encoder, request = _encoder(folder, origin, root, device), _request(origin, spec)
    corpus, where = read_corpus(origin["dataset"], root or _path(origin.get("root")), known, cache)
    known_words, transcripts = words.replaced(corpus.utterances, request.transcripts, encoder)
    now = extraction.feature_spec(
        encoder,
        corpus,
        selection=request.states or "all",
        dtype=spec.dtype,
        frames=spec.frames,
        clip=spec.clip,
        transcripts=transcripts,
        augmented=(augmented := augmenting.ready(request.augment, corpus, encoder.sample_rate)),
    )
    if corpus.goes_by(spec.corpus, spec.release):  # it may have been named since
        now = dataclasses.replace(now, corpus=spec.corpus)
    _check_same(folder, spec, now, f"{origin['encoder']} or {where.value}")
    # What any earlier call put there, not only the last one; a damaged record no longer tells its ids.
    rule = clips.parse(spec.clip)
    with extraction.repairing(folder):
        dropped = [*stores.drop(folder, damage), *stores.dropped(folder)]
        wanted = {clips.utterance_id(entry, rule) for entry in (*dropped, *stores.open(folder).ids())}
        asked = chosen_utterances(corpus, request.task, request.language, request.limit)
        wanted |= {u.id for u in asked}
        utterances = [u for u in known_words if u.id in wanted]
        skipped, n_stored = fill(
            request, where.value, encoder, utterances, StorePlace(spec, folder, augmented)
        )
    extract.complain(skipped, utterances, spec.clip, n_stored)


def _check_same(folder: Path, spec: FeatureSpec, now: FeatureSpec, sources: str) -> None:
    """Raise StoreError where ``sources`` give other features ``now``, or may on this kind of device."""
    made_on, here = encoders.device_kind(spec.identity), encoders.device_kind(now.identity)
    if made_on != here:
        again = advice.command("verify", folder, repair=True, device=made_on)
        raise StoreError(
            f"{folder} was computed on {made_on}; on {here} it may be other features; run: {again}"
        )
    if now.digest != spec.digest:
        raise StoreError(
            f"{folder} cannot be repaired: {sources} is no longer what the store was made from; extract into a new "
            "store instead"
        )


def _labels_anew(folder: Path, root: Path | None, cache: Path, known: settings.Settings) -> None:
    """Write the table of a store's corpus anew where the recordings are at hand; else say what does."""
    origin = read_origin(folder) or origin_by_spec(folder, root)
    try:
        corpus, _ = read_corpus(origin["dataset"], root or _path(origin.get("root")), known, cache)
    except SercacheError as fault:
        warn(f"{folder} is without the table of its corpus now: {fault}")
        return
    spec = stores.read_spec(folder)
    if corpus.goes_by(spec.corpus, spec.release):
        corpus_table.write(folder, corpus)
    else:
        warn(
            f"{folder} is without the table of its corpus now: the release there is {corpus.release}, expected "
            f"{spec.release}"
        )


def _without_derived(folder: Path, damage: Sequence[Damage]) -> list[Damage]:
    """Mend what holds no features, and so is lost by nobody: it follows from what is whole. Gives the other damage."""
    derived = [fault for fault in damage if fault.kind in ("derived", "note")]
    if derived:
        stores.drop(folder, derived)
        say(f"written anew or set aside: {len(derived)} files of {folder} that hold no features")
    return [fault for fault in damage if fault not in derived]


def _encoder(folder: Path, origin: Mapping[str, Any], root: Path | None, device: str) -> Encoder:
    """The encoder that made the store. Raises StoreError, with what to do where there is one."""
    try:
        return encoders.load(
            origin["encoder"], revision=origin.get("revision"), device=device, precision=origin["precision"]
        )
    except SercacheError as fault:
        again = f"{extract_again(folder, root)}; then {advice.command('verify', folder, repair=True)}"
        raise StoreError(f"{folder} cannot be repaired: {fault}; where you have it, run: {again}") from fault


def _request(origin: Mapping[str, Any], spec: FeatureSpec) -> extract.ExtractOptions:
    """What the last call asked for that wrote to the store."""
    fields = {field.name for field in dataclasses.fields(extract.ExtractOptions)} - {"root"}
    asked = extract.ExtractOptions(**{key: value for key, value in origin.items() if key in fields})
    return dataclasses.replace(
        asked, transcripts=_path(origin.get("transcripts")) if spec.transcripts else None
    )


def _path(text: Any) -> Path | None:
    return None if text is None else Path(text)
