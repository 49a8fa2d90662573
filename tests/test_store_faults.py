"""What the system refuses is one line, and what was committed stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import h5py
import pytest
from store_helpers import SIZES, append, assert_holds, features, make_spec, without_sync

from sercache import stores
from sercache.errors import DiskSpaceError, StoreError

FAULTS = [
    errno.EIO,
    errno.ESTALE,
    errno.EMFILE,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EROFS,
]


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
@pytest.mark.parametrize("format", stores.FORMATS)
def test_a_seal_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, number: int
) -> None:
    path, spec = tmp_path / "store", make_spec()
    content = {id: features(id, 5, spec) for id in "ab"}
    with without_sync():
        writer = stores.create(path, spec, format, **SIZES)
        append(writer, "a", content["a"])
        writer.seal()
        append(writer, "b", content["b"])

    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("sercache.stores.durable.os.fsync", fail)
        full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        with pytest.raises(DiskSpaceError if full else StoreError) as fault:
            writer.seal()
    assert "\n" not in str(fault.value)
    assert stores.open(path).ids() == ["a"]
    with without_sync():
        writer.seal()
        writer.close()
    assert_holds(stores.open(path), content)


@pytest.mark.parametrize("kind", [RuntimeError, OSError])
def test_what_hdf5_says_in_words_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    writer = stores.create(tmp_path / "store", make_spec(), "hdf5", **SIZES)
    append(writer, "a", features("a", 5, make_spec()))
    monkeypatch.setattr(h5py.h5s, "create_simple", lambda shape: h5py_fault(kind))
    with pytest.raises(StoreError, match="what was committed before is safe"):
        writer.seal()
    monkeypatch.undo()
    writer.close()
    assert stores.open(tmp_path / "store").ids() == ["a"]


def h5py_fault(kind: type[Exception]) -> None:
    """A fault that comes through a function of h5py, as its own do."""
    code = compile(
        "def fail(kind):\n    raise kind('unable to flush (file write failed)')", "h5py/h5f.pyx", "single"
    )
    found = type(h5py_fault)(code.co_consts[0], {"__name__": "h5py.h5f"})
    found(kind)
