"""What differs between operating systems: kept in one module, and what stands in where a system lacks something."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import linux
import pytest

from sercache import system

TOP = Path(__file__).parents[1]
ONLY_THERE = re.compile(
    r"\bfcntl\b|preadv|\"/proc|CDLL\(None\)|os\.fsync|sched_getaffinity|/dev/fd|win32|malloc_trim"
)
ALLOWED = {
    "system.py",
    "machine.py",  # limits of Linux's control groups, read from below a folder that its tests name
    "audio/_c_output.py",  # variables of two C libraries, of Linux and of macOS
}


def test_only_one_module_asks_the_operating_system() -> None:
    package = TOP / "sercache"
    for path in package.rglob("*.py"):
        if str(path.relative_to(package)) not in ALLOWED:
            code = "\n".join(
                line.partition("#")[0]
                for line in path.read_text(encoding="utf-8").splitlines()
                if "``" not in line
            )
            assert not ONLY_THERE.search(code), (
                f"{path}: {ONLY_THERE.findall(code)} belongs into sercache/system.py"
            )


def test_windows_is_told_what_it_lacks() -> None:
    code = "import sys; sys.platform = 'win32'; import sercache.system"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=TOP, check=False)
    last = found.stderr.strip().splitlines()[-1]
    assert found.returncode
    assert re.match(r"ImportError: sercache needs .* WSL 2", last), last


def test_reading_at_an_offset_without_preadv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(bytes(range(100)))
    descriptor = os.open(tmp_path / "bytes", os.O_RDONLY)
    found = []
    for lacks in (False, True):
        if lacks:
            monkeypatch.delattr(os, "preadv")
        out = bytearray(30)
        found.append((system.read_at(descriptor, memoryview(out), 80), bytes(out)))
        assert system.read_at(descriptor, memoryview(out), 100) == 0
    os.close(descriptor)
    assert found == [(20, bytes(range(80, 100)) + bytes(10))] * 2


def test_the_drive_is_asked_where_syncing_ends_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: asked.append("fsync"))
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda descriptor, command: asked.append(command))
    system.sync_path(tmp_path)
    assert asked == [51]

    def unknown(descriptor: int, command: int) -> None:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(fcntl, "fcntl", unknown)
    system.sync_path(tmp_path)
    assert asked == [51, "fsync"]


def test_without_proc_nothing_is_known_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(system, "_PROCESSES", tmp_path / "none")
    (tmp_path / "file").write_bytes(b"x")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert system.kernel.__wrapped__() == {"boot": "", "pids": ""}
        assert system.started(os.getpid()) is None
        assert system.command_line(os.getpid()) == []
        assert system.lock_holders(descriptor) == []
        assert system.memory_held() == system.memory_held(peak=True) == 0
        assert system.processor.__wrapped__()
        system.begin_peak()
        assert system.path_of(descriptor).read_bytes() == b"x"
    finally:
        os.close(descriptor)
    assert system.c_function("no_such_function") is None


def test_who_holds_a_lock_is_told(tmp_path: Path) -> None:
    descriptor, other = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    try:
        system.lock_shared(descriptor)
        assert system.lock_holders(other) == [os.getpid()]
        with pytest.raises(BlockingIOError):
            system.lock_alone(other)
    finally:
        os.close(descriptor)
        os.close(other)


def test_tests_of_what_linux_alone_has_say_so() -> None:
    for path in (TOP / "tests").glob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        if linux.ONLY_THERE.search(text):
            assert re.search(r"^import (linux|failing_disk)\b", text, re.MULTILINE), path
