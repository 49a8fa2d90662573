"""Small files beside a store: what could not be encoded, what its encoder was trained on, whether it is finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sercache import advice, trained_on
from sercache.datasets import Skipped
from sercache.errors import DamagedStoreError
from sercache.extraction.plan import Plan
from sercache.objects import mirror
from sercache.stores import FeatureStore, drop_note, notes_folder, read_note, write_note
from sercache.stores import open as open_store
from sercache.trained_on import TrainedOn

_SKIPS = "skipped.json"
_UNFINISHED = "unfinished"
_REPAIRING = "repairing"


def mark_begun(folder: Path) -> None:
    """Say that an extraction into ``folder`` is on its way."""
    mirror.send(notes_folder(folder) / _UNFINISHED, b"")
    (notes_folder(folder) / _UNFINISHED).touch()


def mark_finished(folder: Path) -> None:
    """Say that everything asked for is in the store; an extraction that has nothing to do says so too."""
    path = notes_folder(folder) / _UNFINISHED
    if path.exists():  # else nothing is touched: the disk may be read-only
        drop_note(folder, _UNFINISHED)


def is_finished(folder: Path) -> bool:
    """Whether the last extraction into ``folder`` came to its end.

    Without that, a recording that is split may lack its last pieces, which nothing else would tell.
    """
    return not (notes_folder(folder) / _UNFINISHED).exists()


@contextmanager
def repairing(folder: Path) -> Iterator[None]:
    """Say that damaged entries are taken out and computed again, until the block has come to its end."""
    path = notes_folder(folder) / _REPAIRING
    path.touch()
    yield
    path.unlink(missing_ok=True)


def is_half_repaired(folder: Path) -> bool:
    """Whether a repair of ``folder`` was interrupted: what it took out may be missing, which is no damage."""
    return (notes_folder(folder) / _REPAIRING).exists()


def record_skips(folder: Path, skipped: Sequence[Skipped], plan: Plan | None = None) -> None:
    """Write what could not be encoded, and why, beside the features; nothing skipped leaves no file.

    Where only a part of ``plan`` was done, what other parts noted stays; the last of them says that all is finished.
    """
    reasons = {item.what: item.reason for item in skipped}
    if plan is not None and not plan.part.is_whole:
        entries = open_store(folder).entries()
        with suppress(DamagedStoreError):
            reasons = {id: why for id, why in skips(folder).items() if id not in entries} | reasons
        if all(p.entry_id in entries or p.entry_id in reasons for batch in plan.batches for p in batch):
            mark_finished(folder)
    with suppress(DamagedStoreError):
        if skips(folder) == reasons:  # nothing is touched: the disk may be read-only
            return
    if reasons:
        write_note(folder, _SKIPS, reasons)
    else:
        drop_note(folder, _SKIPS)


def skips(folder: Path) -> dict[str, str]:
    """Entries that the last extraction into ``folder`` could not encode: id -> reason. Raises DamagedStoreError."""
    return read_note(folder, _SKIPS)


def record_training(folder: Path, record: TrainedOn | None) -> None:
    """Write what the encoder was trained on beside the features that it makes; None leaves what is known of it."""
    if record is None:
        return
    value = record.to_json()
    with suppress(DamagedStoreError):
        if read_note(folder, trained_on.FILE) == value:  # nothing is touched: the disk may be read-only
            return
    write_note(folder, trained_on.FILE, value)


def training_record(store: FeatureStore) -> TrainedOn | None:
    """What the encoder of a store was trained on; None where it is not one that a run trained.

    Raises DamagedStoreError, also where a record that was damaged was set aside.
    """
    path = notes_folder(store.path) / trained_on.FILE
    again = f"run the extraction once more, which writes it: {advice.command('info', store.path)} shows the command"
    if not path.exists():
        if (path.parent / "damaged" / path.name).exists():
            raise DamagedStoreError(
                f"{path} was damaged, and what the encoder was trained on is not known; {again}"
            )
        return None
    try:
        found = TrainedOn.from_json(read_note(store.path, trained_on.FILE))
    except ValueError as fault:
        raise DamagedStoreError(f"{path} is damaged: {fault}; {again}") from fault
    if found.weights_sha256 != store.spec.identity.get("weights_sha256"):
        raise DamagedStoreError(f"{path} is of other weights than made this store; {again}")
    return found
