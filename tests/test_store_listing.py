"""A damaged store is listed with the reason and hides no other; what made it is found by its spec."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sercache import stores


def flip(file: Path, position: int) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= 4
    file.write_bytes(data)


@pytest.fixture
def three(cached: Path, tmp_path: Path) -> list[Path]:
    """A cache of three stores, of which two are to be damaged; gives their folders."""
    [(folder, _)] = stores.find(tmp_path / "cache")
    copies = [folder.with_name(f"{folder.name}-{name}") for name in ("b", "c")]
    for copy in copies:
        shutil.copytree(folder, copy)
    return [folder, *copies]


def test_info_goes_on_behind_a_damaged_store(three: list[Path], sercache: Callable) -> None:
    flip(three[0] / "ledger/spec.json", 5)
    flip(next(three[1].glob("ledger/commits/*.json")), 30)
    for checkpoint in three[1].glob("ledger/checkpoints/*"):
        checkpoint.unlink()
    done = sercache("info")
    assert done.code == 2
    lines = done.out.splitlines()
    assert any(str(three[2]) in line for line in lines)
    told = [line for line in lines if line.startswith("cannot be opened: ")]
    assert [str(folder) in line for folder, line in zip(three, told, strict=False)] == [True, True]
    assert all("; " in line for line in told)
    assert (
        done.err.strip() == "error: 2 of 3 stores cannot be opened; the lines above say why, and what to do"
    )
    done = sercache("info", three[1], three[2])
    assert done.code == 2
    assert "1 of 2 stores" in done.err
    assert str(three[2]) in done.out
    done = sercache("info", three[1])
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {three[1]}")


@pytest.mark.parametrize("gone", ["spec.json", "ledger", "all but commits"])
def test_a_part_of_a_store_is_told(three: list[Path], tmp_path: Path, sercache: Callable, gone: str) -> None:
    """What a copy that broke off leaves: `verify` passed over it, and its corpus was called unknown."""
    for folder in three:
        if gone == "all but commits":
            for path in (
                path for path in folder.rglob("*") if path.is_file() and path.parent.name != "commits"
            ):
                path.unlink()
        else:
            path = folder / "ledger" / gone if gone == "spec.json" else folder / gone
            path.unlink() if path.is_file() else shutil.rmtree(path)
    (tmp_path / "cache/notes").mkdir()
    (tmp_path / "cache/notes/zarr.json").write_text('{"attributes": {}}')
    done = sercache("verify")
    assert done.code == 2
    for folder in three:
        assert (
            f"{folder} holds a part of a store: {folder}/ledger/spec.json is missing; restore it, or"
            in done.err
        )
    assert "3 of 3 stores are damaged" in done.err
    assert sercache("info").out.count("holds a part of a store") == 3
    done = sercache("train", "--head", "linear", "--encoder", "logmel", "--dataset", "recordings")
    assert done.code == 2
    assert re.search(
        r"unknown dataset .*; of the cache .*-c cannot be read: sercache info says why$", done.err.strip()
    )


def test_verify_goes_on_behind_a_store_that_cannot_be_opened(three: list[Path], sercache: Callable) -> None:
    """And does not call a cache whole in which a spec is damaged."""
    flip(three[0] / "ledger/spec.json", 5)
    flip(next(three[1].glob("pooled_mean/c.*")), 3)
    done = sercache("verify", "--repair")
    assert done.code == 2
    assert "2 of 3" not in done.err
    assert "1 of 3 stores are damaged" in done.err
    assert f"whole: {three[1]}" in done.out
    assert f"whole: {three[2]}" in done.out
    assert "spec.json is damaged" in done.err


def test_features_and_origin_are_repaired_together(
    cached: Path, recordings: Path, sercache: Callable
) -> None:
    [(folder, _)] = stores.find(cached.parent / "cache")
    before = stores.open(folder).pooled(sorted(stores.open(folder).ids()))
    for kind in ("pooled_mean/c.*", "ledger/commits/*.json"):
        flip(next(folder.glob(kind)), 30)
        flip(folder / "ledger/origin.json", 40)
        done = sercache("verify", folder, "--repair")
        assert done.code == 2, "nobody knows where the corpus lies"
        assert "give --root" in done.err or "unknown dataset" in done.err
        done = sercache("verify", folder, "--repair", "--root", recordings)
        assert done.code == 0, done.err
        store = stores.open(folder)
        assert store.pooled(sorted(store.ids())).tobytes() == before.tobytes()
        assert stores.read_note(folder, "origin.json")["root"] == str(recordings)
        assert sercache("verify").code == 0


def test_a_repair_without_its_encoder_says_what_to_run(
    cached: Path, recordings: Path, sercache: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercache import encoders
    from sercache.errors import UnknownNameError

    [(folder, _)] = stores.find(cached.parent / "cache")
    flip(next(folder.glob("pooled_mean/c.*")), 3)
    (folder / "ledger/origin.json").unlink()

    def gone(name: str, **options: object) -> None:
        raise UnknownNameError(f"unknown encoder {name!r}")

    with monkeypatch.context() as patch:
        patch.setattr(encoders, "load", gone)
        done = sercache("verify", folder, "--repair", "--root", recordings)
    assert done.code == 2
    words = r"cannot be repaired: unknown encoder 'logmel'; where you have it, run: (.*); then (.*)$"
    found = re.search(words, done.err.strip())
    assert found, done.err
    command = found[1].replace("--encoder FOLDER", "--encoder logmel")
    done = sercache(*shlex.split(command)[1:])
    assert done.code == 0, done.err
    done = sercache(*shlex.split(found[2])[1:])
    assert done.code == 0, done.err
