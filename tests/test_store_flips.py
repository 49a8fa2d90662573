"""Bytes of a store are flipped one by one: it is reported, naming the file, or all that is read is what was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from store_helpers import append, features, make_spec, without_sync

from sercache import stores
from sercache.errors import DamagedStoreError, StoreError
from sercache.stores import zarr_metadata

KINDS = [(format, frames) for format in stores.FORMATS for frames in (True, False)]
SIZES = {"shard_frames": 8, "chunk_frames": 4, "shard_utterances": 2}
BELIEVED_BY_NOBODY = ("lock", "view.json")


@pytest.fixture(scope="module", params=KINDS, ids=str)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    format, frames = request.param
    path = tmp_path_factory.mktemp("flips") / "store"
    spec = make_spec(frames=frames, states=("1", "2"), dim=2)
    with pytest.MonkeyPatch.context() as patch, without_sync():
        patch.setattr(zarr_metadata, "_INDEX_ROWS", 2)  # else they are mostly unused rows
        with stores.create(path, spec, format, **SIZES) as writer:
            for id, n_frames in (("a", 3), ("b", 9), ("c", 1)):
                append(writer, id, features(id, n_frames, spec))
        stores.write_note(path, "origin.json", {"encoder": "x", "root": "/a"})
        assert stores.verify(path) == []
        yield path


def given(path: Path) -> dict[str, bytes]:
    """All that a reader gives."""
    store = stores.open(path)
    found = {what: store.pooled(what=what).tobytes() for what in ("mean", "std")}
    found |= {id: store.read(id).tobytes() for id in store.ids() if store.spec.frames}
    found["entries"] = repr(list(store.entries().values())).encode()
    found["origin"] = repr(stores.read_note(path, "origin.json")).encode()
    return found


def found_by_verify(path: Path) -> list[str]:
    """The files that it names, or the error that it ends with.

    Frames that continue in a further file have one checksum for all of them: the utterance is named with the first.
    """
    try:
        found = stores.verify(path)
        frames = [path / "frames" for damage in found if damage.id == "b"]
        further = [str(file) for folder in frames for file in folder.glob("c.*")]
        return [*(str(damage.path) for damage in found), *further]
    except DamagedStoreError as fault:
        return [str(fault)]


def check(path: Path, file: Path, position: int, bits: int, whole: dict[str, bytes]) -> None:
    """Flip a byte; other exceptions than ours leave this function."""
    data = file.read_bytes()
    file.write_bytes(data[:position] + bytes([data[position] ^ bits]) + data[position + 1 :])
    try:
        said = "", ""
        try:
            assert given(path) == whole, (file, position, bits)
        except StoreError as fault:
            said = type(fault).__name__, str(fault)
        assert "\n" not in said[1]
        # A StoreError that is no damage: the number of the layout in spec.json is of another version.
        assert said[0] in ("", DamagedStoreError.__name__) or file.name == "spec.json"
        if file.name not in BELIEVED_BY_NOBODY:
            assert str(file) in "\n".join(found_by_verify(path)), (file, position, bits)
    finally:
        file.write_bytes(data)


def test_sampled_bytes(store: Path) -> None:
    whole = given(store)
    for n, file in enumerate(sorted(path for path in store.rglob("*") if path.is_file())):
        size = file.stat().st_size
        for position in range(n % 7, size, max(1, size // 5)):
            check(store, file, position, 1 << (position + n) % 8, whole)


@pytest.mark.slow
def test_bytes_one_by_one(store: Path) -> None:
    """All bytes of small files, every ninth of large ones: each flip costs a whole verification."""
    whole = given(store)
    for n, file in enumerate(sorted(path for path in store.rglob("*") if path.is_file())):
        size = file.stat().st_size
        for position in range(n % 9 if size > 200 else 0, size, 9 if size > 200 else 1):
            check(store, file, position, 1 + position % 255, whole)
