"""Several processes, of one host or of several, that make the same at a time: all is there once, whole."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
from conftest import Outcome
from many_helpers import forks
from store_helpers import make_spec
from test_extraction_sharing import no_flock
from test_signals import left_of, start, wait_until
from test_store_copying import LENGTHS, fill

from sercache import files, signals, stores
from sercache.claims import claims_in, taken
from sercache.errors import DiskSpaceError
from sercache.progress import Shown, sent_to
from sercache.report import plots

Sercache = Callable[..., Outcome]


@pytest.mark.parametrize("first_wins", [False, True])
def test_of_several_that_put_a_folder_in_place_at_a_time_one_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_wins: bool
) -> None:
    folder, rename = tmp_path / "made", Path.rename
    folder.mkdir()

    def rivalled(self: Path, target: Path) -> Path:
        if self == folder and not first_wins and (folder / "earlier").exists():
            rename(folder, tmp_path / "gone")  # a rival takes it away before we do
        if target == folder and not (tmp_path / "there").exists():
            (tmp_path / "there").touch()  # and puts its own in place
            folder.mkdir(exist_ok=True)
            (folder / "rivals").touch()
        return rename(self, target)

    if not first_wins:
        (folder / "earlier").touch()
    monkeypatch.setattr(Path, "rename", rivalled)
    with files.new_folder(folder, first_wins=first_wins) as temporary:
        (temporary / "ours").touch()
    assert [path.name for path in folder.iterdir()] == ["rivals" if first_wins else "ours"]
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_picture_is_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure((1, 1))
    before = {path: path.read_bytes() for path in plots.save(figure, tmp_path / "drawn")}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    figure.set_facecolor("red")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskSpaceError):
        plots.save(figure, tmp_path / "drawn")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_hosts_that_see_no_locks_of_each_other_fill_a_store_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", no_flock)
    spec = make_spec()
    fill(tmp_path / "left", LENGTHS, "zarr")
    with ThreadPoolExecutor(2) as pool:
        made = list(
            pool.map(lambda _: stores.copy(tmp_path / "both", spec, "zarr", [tmp_path / "left"]), range(2))
        )
    assert sorted(each.n_new for each in made) == [0, len(LENGTHS)]
    assert stores.verify(tmp_path / "both") == []
    left, both = (stores.open(tmp_path / name) for name in ("left", "both"))
    assert sorted(both.ids()) == sorted(left.ids())
    for id in LENGTHS:
        np.testing.assert_array_equal(both.read(id), left.read(id))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both", "left"]


def test_who_waits_for_another_to_fill_a_store_says_so(tmp_path: Path) -> None:
    fill(tmp_path / "left", LENGTHS, "zarr")
    told: list[str] = []

    class Heard(Shown):
        def used(self, label: str, value: object) -> None:
            told.append(f"{label} {value}")
            over.set()

    over, begun = threading.Event(), threading.Event()

    def hold() -> None:
        with claims_in(tmp_path / ".both.filling") as claims, taken(claims, "turn"):
            begun.set()
            over.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(30)
    with sent_to(Heard()):
        stores.copy(tmp_path / "both", make_spec(), "zarr", [tmp_path / "left"])
    holder.join()
    assert told == [f"waiting {tmp_path / 'both'} is being filled by another process"]


def test_a_part_of_an_array_with_more_tasks_than_batches_has_nothing_to_do(
    sercache: Sercache, recordings: Path, own_settings: Path
) -> None:
    """The first to come found no store."""
    extract = ["extract", "--encoder", "logmel", "--dataset", "manifest", "--root", recordings]
    code, out, err = sercache(*extract, "--shard", "2/2")
    assert (code, err) == (0, "")
    assert "nothing to do: there are fewer batches than parts, and part 2/2 has none" in out
    assert sercache(*extract, "--shard", "1/2").code == 0
    code, out, err = sercache(*extract, "--shard", "2/2")
    assert (code, err) == (0, "")
    [(folder, _)] = stores.find(own_settings / "cache")
    assert len(stores.open(folder).ids()) == 24


def test_processes_of_an_engine_do_not_hear_a_terminal() -> None:
    """They are this process's to end, which lets them commit first."""

    def blocked() -> set[int]:
        status = "import re; print(re.search(r'SigBlk:\\s*(\\w+)', open('/proc/self/status').read())[1])"
        told = subprocess.run([sys.executable, "-c", status], capture_output=True, text=True, check=True)
        return {number for number in range(1, 32) if int(told.stdout, 16) >> (number - 1) & 1}

    with signals.not_passed_on(), ThreadPoolExecutor(1) as pool:
        found = pool.submit(blocked).result()
    assert found & {signal.SIGINT, signal.SIGHUP, signal.SIGTERM} == {signal.SIGINT, signal.SIGHUP}
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGHUP}


@pytest.mark.slow
def test_a_probe_by_workers_that_is_interrupted_leaves_nothing_and_is_resumed(
    sercache: Sercache, cached: Path, own_settings: Path
) -> None:
    """Ctrl-C in a terminal reaches every process of the command."""
    pytest.importorskip("distributed")
    probe = ["probe", "--encoder", "logmel", "--dataset", "manifest", "--protocol", "leave-one-speaker-out"]
    running = start(*probe, "--cluster", "local:2")
    wait_until(lambda: list(cached.glob(".cluster/share-*/0.out")), running)
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=90)
    told = "interrupted; run the same command again to resume: what was finished is kept"
    assert (running.returncode, err.splitlines()[-1]) == (130, told)
    assert "Traceback" not in err
    assert left_of(running.pid) == []
    assert not [path for path in cached.rglob("*") if path.name == ".cluster" or path.suffix == ".owner"]
    assert sercache(*probe).code == 0
    assert sercache(*probe, "--runs", own_settings / "whole").code == 0
    found = [next(folder.glob("probe-*/probe.csv")) for folder in (cached, own_settings / "whole")]
    assert found[0].read_text() == found[1].read_text()


@pytest.mark.slow
@forks
def test_two_hosts_with_one_command_make_what_one_process_makes() -> None:
    script = Path(__file__).with_name("kill_hosts.py")
    done = subprocess.run(
        [sys.executable, script, "evaluate", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(each["blows"] == 2 for each in json.loads(done.stdout.splitlines()[-1]).values())
