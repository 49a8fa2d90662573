"""Making a store's folder, or finding that it is there and the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sercache.errors import StoreError
from sercache.objects import mirror
from sercache.stores import checked_json, roster
from sercache.stores.durable import make_folder, replace_file, write_faults_named
from sercache.stores.layout import LAYOUT, Layout, check_format, choose_sizes, load, spec_path, to_json
from sercache.stores.spec import FeatureSpec


def make_or_continue(path: Path, spec: FeatureSpec, format: str, sizes: Mapping[str, int | None]) -> Layout:
    """The layout of the store at ``path``, which exists afterwards.

    Raises StoreError where the folder holds something else, or a store of another spec, format or sizes.
    """
    check_format(format)
    mirror.arrive(path, fresh=True)
    wanted = Layout(path, spec, format, choose_sizes(spec, **sizes))
    with write_faults_named(path):
        _check_free(path)
        for folder in (path, wanted.ledger):
            make_folder(folder)
        with roster.short_lock(wanted.ledger):
            roster.make_folders(wanted.ledger)
            if not spec_path(path).exists():
                data = checked_json.dump(to_json(wanted), indent=1)
                if mirror.create(spec_path(path), data):
                    replace_file(spec_path(path), wanted.ledger / "spec.json.tmp", data)
    there = load(path, fresh=True)  # of an object store, where a rival may have been the first
    _check_same(there, wanted, any(sizes.values()))
    if there.version < LAYOUT:  # earlier versions would take what is written from here on for damaged
        there = replace(there, version=LAYOUT)
        with write_faults_named(path), roster.short_lock(there.ledger):
            data = checked_json.dump(to_json(there), indent=1)
            mirror.send(spec_path(path), data)
            replace_file(spec_path(path), there.ledger / "spec.json.tmp", data)
    return there


def _check_free(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file, expected a folder or nothing; choose another cache folder")
    names = {each.name for each in path.iterdir()} if path.is_dir() else set()  # at once: others make it too
    if names and "ledger" not in names:
        raise StoreError(f"{path} holds other files and is no feature store; choose another cache folder")


def _check_same(there: Layout, wanted: Layout, sizes_given: bool) -> None:
    if there.spec.digest != wanted.spec.digest:
        old, new = there.spec.to_json(), wanted.spec.to_json()
        fields = ", ".join(key for key in new if old.get(key) != new[key])
        raise StoreError(
            f"{there.path} holds features of another spec (differs in {fields}); choose another folder"
        )
    if there.format != wanted.format:
        raise StoreError(f"{there.path} is a {there.format} store, got format {wanted.format}")
    if sizes_given and there.sizes != wanted.sizes:
        raise StoreError(f"{there.path} was made with {there.sizes}, got {wanted.sizes}; leave the sizes out")
