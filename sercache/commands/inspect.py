"""`sercache info`: the stores of the cache, and what is known of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from sercache import advice, settings, stores
from sercache.commands.console import columns
from sercache.errors import DamagedStoreError, SercacheError, StoreError
from sercache.experiment.origin import extract_command, known_origin
from sercache.extraction import skips, training_record
from sercache.progress import say, used, warn
from sercache.units import duration, size


def info(folders: Sequence[Path], cache_flag: Path | None) -> None:
    """List the stores of the cache, or describe those named.

    Those that cannot be opened are listed with the reason, and then a StoreError is raised.
    """
    if folders:
        faults = [fault for folder in folders if (fault := _fault_of(partial(_describe_store, folder)))]
        _complain(faults, len(folders))
        return
    cache = settings.load().value("cache", cache_flag)
    used("cache", cache)
    found = stores.find_all(Path(cache.value).expanduser())
    if not found:
        say(
            f"no stores yet; make one with: {advice.command('extract', encoder='demo-wavlm', dataset='demo')}"
        )
        return
    rows: list[tuple[object, ...]] = [
        ("corpus", "encoder", "states", "kept", "clip", "entries", "audio", "disk", "folder")
    ]
    faults = []
    for folder, spec in found:
        fault = spec if isinstance(spec, SercacheError) else _fault_of(partial(_add_row, rows, folder))
        faults += [fault] if fault else []
    for line in columns(rows, right=(5, 6, 7), below=8) if len(rows) > 1 else ():
        say(line)
    _complain(faults, len(found))


def _add_row(rows: list[tuple[object, ...]], folder: Path) -> None:
    """Add a store of the cache to the list."""
    store = stores.open(folder)
    spec, entries = store.spec, store.entries().values()
    seconds = sum(entry.n_samples for entry in entries) / spec.sample_rate
    kind = f"{spec.dtype} frames" if spec.frames else "pooled"
    length = "-" if spec.is_text else duration(seconds)
    shape = f"{len(spec.states)} x {spec.dim}"
    disk = size(folder_bytes(folder))
    rows.append((spec.corpus, spec.shown, shape, kind, spec.clip, len(entries), length, disk, folder))


def _fault_of(job: Callable[[], object]) -> SercacheError | None:
    """Why a job was refused, or None."""
    try:
        job()
    except SercacheError as fault:
        return fault
    return None


def _complain(faults: Sequence[SercacheError], n_stores: int) -> None:
    """List what cannot be opened. Raises StoreError where there is any; alone it is the error itself."""
    if faults and n_stores == 1:
        raise faults[0]
    for fault in faults:
        say(f"cannot be opened: {fault}")
    if faults:
        raise StoreError(
            f"{len(faults)} of {n_stores} stores cannot be opened; the lines above say why, and what to do"
        )


def folder_bytes(folder: Path) -> int:
    """Bytes that the files below ``folder`` take on disk; holes in sparse files do not count."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _describe_store(folder: Path) -> None:
    store = stores.open(folder)
    spec = store.spec
    entries = store.entries()
    seconds = sum(entry.n_samples for entry in entries.values()) / spec.sample_rate
    used("store", str(folder))
    used("digest", spec.digest)
    used("corpus", f"{spec.corpus} {spec.release}".rstrip())
    used("encoder", spec.shown)
    for key, value in spec.identity.items():
        used("", f"{key}: {value}")
    try:
        if trained := training_record(store):
            used("", str(trained))
    except DamagedStoreError as fault:  # the last line shows the command that mends it
        warn(str(fault))
    used("states", " ".join(spec.states))
    rate = "word pieces" if spec.is_text else f"{spec.sample_rate / spec.hop:g} frames/s"
    used("shape", f"D = {spec.dim}, {rate}, {spec.dtype}, clip {spec.clip}")
    length = "" if spec.is_text else f"{duration(seconds)} of audio, "
    used("entries", f"{len(entries)}, {length}{sum(e.n_frames for e in entries.values())} frames")
    if spec.is_text:
        used(
            "text",
            f"of a file, digest {spec.transcripts}" if spec.transcripts else "the corpus' own transcripts",
        )
    used("disk", size(folder_bytes(folder)))
    for entry_id, reason in skips(folder).items():
        used("skipped", f"{entry_id}: {reason}")
    origin = known_origin(folder)
    if origin:
        used("made by", f"encoder {origin['encoder']}, root {origin['root']}")
        used("continue", extract_command(folder))
