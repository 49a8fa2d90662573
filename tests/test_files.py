"""Small files and folders are whole or absent, whatever happens; what the dead leave is cleared."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sercache import files, settings, stores
from sercache.errors import DamagedStoreError, DiskSpaceError, FileError
from sercache.files import _folders


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_file_is_the_old_one_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})

    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail) if step == "fsync" else patch.setattr(Path, "replace", fail)
        with pytest.raises(FileError, match=r"a.json cannot be written: Input/output error"):
            files.write_json(path, {"a": 2})
    assert files.read_json(path, "") == {"a": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_what_is_written_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def noted_replace(path: Path, target: Path) -> Path:
        seen.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    files.write_text(tmp_path / "a", "text")
    assert seen == ["file", "rename", "folder"]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DiskSpaceError, match=r"the disk of .* is full: free some space"):
        files.write_text(tmp_path / "a", "text")
    with pytest.raises(DiskSpaceError), files.new_folder(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_what_is_no_json_object_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(FileError, match=r"a.json is damaged: .*; delete it"):
        files.read_json(tmp_path / "a.json", "delete it")


HOLDS = """
import os, sys, time
from pathlib import Path
from sercache import files
with files.new_folder(Path(sys.argv[1])) as temporary:
    (temporary / "half").write_text("x")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_folders_of_the_dead_are_cleared_and_those_of_the_living_left(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS]
    with (
        subprocess.Popen([*command, str(tmp_path / "a")], stdout=subprocess.PIPE) as living,
        subprocess.Popen([*command, str(tmp_path / "b")], stdout=subprocess.PIPE) as dead,
    ):
        for each in (living, dead):
            assert each.stdout is not None
            each.stdout.readline()
        elsewhere, long_ago = tmp_path / ".e.0123abcd.new", tmp_path / ".c.0123abcd.new"
        for each in (elsewhere, long_ago):  # of other hosts, to which locks may not reach
            each.mkdir()
        os.utime(long_ago, (0, 0))
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        with files.new_folder(tmp_path / "c"):
            names = sorted(path.name.split(".")[1] for path in tmp_path.iterdir())
            assert names == ["a", "c", "e"], "of those that may live, and the one that is being written"
        elsewhere.rmdir()
        living.kill()
    with files.new_folder(tmp_path / "d"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d"]


def test_what_was_taken_away_comes_back(tmp_path: Path) -> None:
    """One was killed after it took the old folder away and before the new one had its name."""
    number = f"{_folders._host()}abcd"
    (tmp_path / f".run.{number}.old").mkdir()
    (tmp_path / f".run.{number}.old/report.json").write_text("{}")
    (tmp_path / f".run.{number}.new").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / ".other.0123abce.old").mkdir()
    (tmp_path / ".partial").mkdir()
    files.clear_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial", "other", "run"]
    assert (tmp_path / "run/report.json").exists()


def test_what_another_host_took_away_comes_back_once_that_is_no_longer_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("old", "new"):
        (tmp_path / f".run.0123abcd.{kind}").mkdir()
    files.clear_leftovers(tmp_path)
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(_folders, "_MOMENT_SECONDS", -1)
    files.clear_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".run.0123abcd.new", "run"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "a") as made:
        (made / "x").write_text("1")

    def stopped() -> None:
        with files.new_folder(tmp_path / "a") as made:
            (made / "x").write_text("2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert (tmp_path / "a/x").read_text() == "1"
    with files.new_folder(tmp_path / "a", first_wins=True) as made:
        (made / "x").write_text("3")
    assert (tmp_path / "a/x").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_weights_are_for_whom_the_umask_lets_read(tmp_path: Path, mask: int) -> None:
    torch = pytest.importorskip("torch")
    before = os.umask(mask)
    try:
        files.write_tensors(tmp_path / "one.safetensors", {"a": torch.zeros(2)})
        with files.new_folder(tmp_path / "run") as made:
            files.write_tensors(made / "weights/a.safetensors", {"a": torch.zeros(2)})
            (made / "report.json").write_text("{}")
    finally:
        os.umask(before)
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(found) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o666 & ~mask}


def test_what_is_not_there_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("nothing", "file/below", "n" * 300):
        with pytest.raises(OSError, match=name) as caught:
            (tmp_path / name).read_bytes()
        assert str(files.read_fault(tmp_path / name, caught.value)).endswith("; check the path")


def test_tensors_are_read_whatever_their_name(tmp_path: Path) -> None:
    """Whose name is no UTF-8 were called damaged, and unfinished trainings among them trained again."""
    import torch

    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xe9r"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the names of this disk are UTF-8")
    files.write_tensors(folder / "a.safetensors", {"x": torch.arange(3.0)}, {"said": "yes"})
    with files.opened_tensors(folder / "a.safetensors") as file:
        assert (list(file.keys()), file.metadata()) == (["x"], {"said": "yes"})
        found = file.get_tensor("x")
    (folder / "a.safetensors").unlink()
    assert found.tolist() == [0, 1, 2]


# --- notes beside a store ---


def notes(cache: Path) -> Path:
    [(folder, _)] = stores.find(cache)
    return stores.notes_folder(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"root": ["a"]}', b"\0" * 300])
def test_a_damaged_origin_stops_nobody(cached: Path, sercache: Callable, content: bytes) -> None:
    folder = notes(cached.parent / "cache")
    (folder / "origin.json").write_bytes(content)
    done = sercache("extract", "--encoder", "logmel", "--dataset", "manifest")
    assert done.code == 2
    assert "origin.json is damaged" in done.err
    assert "where is manifest? give --root FOLDER" in done.err
    assert sercache("info").code == 0
    assert sercache("info", folder.parent).code == 0


def test_any_changed_byte_of_a_note_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    value = {"encoder": "größe", "root": "/a", "pooled_only": True}
    stores.write_note(tmp_path, "origin.json", value)
    assert stores.read_note(tmp_path, "origin.json") == value
    path = tmp_path / "ledger/origin.json"
    data = path.read_bytes()
    for position in range(len(data)):
        for bit in range(8):
            path.write_bytes(data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :])
            with pytest.raises(DamagedStoreError, match=r"origin.json is damaged.*verify .* --repair"):
                stores.read_note(tmp_path, "origin.json")


def test_settings_are_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERCACHE_CONFIG", str(tmp_path / "file/config.toml"))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError, match=r"config.toml cannot be written.*SERCACHE_CONFIG"):
        settings.change(settings.Settings(tmp_path / "file/config.toml"), {"device": "cpu"})
