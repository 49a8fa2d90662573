"""A Slurm cluster of virtual nodes on this host: Debian's slurmctld, slurmd, slurm-client and munge.

    apt-get install slurmctld slurmd slurm-client munge
    make test-slurm

Everything lies in one folder, listens on 127.0.0.1 and is gone with the block. It needs root, as slurmd does.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scancel", "squeue")
_CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
KillWait=5
OverTimeLimit=0
MinJobAge=300
SchedulerParameters=sched_interval=1,batch_sched_delay=0
{nodes}
PartitionName=main Nodes={names} Default=YES MaxTime=60 State=UP
"""


def wanted() -> bool:
    """Whether these tests were asked for: they take minutes, and start daemons."""
    return bool(os.environ.get("SERCACHE_TEST_SLURM"))


def lacking() -> str | None:
    """Why there can be no Slurm here; None where there can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"no {', '.join(absent)}: install slurmctld, slurmd, slurm-client and munge"
    return None if os.geteuid() == 0 else "slurmd needs root"


@dataclass(frozen=True)
class Slurm:
    """A cluster that runs."""

    folder: Path
    environment: dict[str, str]
    """With which Slurm's commands and jobs find it."""

    def command(self, *words: str) -> str:
        """What one of Slurm's commands says; AssertionError where it fails."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def jobs(self) -> list[str]:
        """Job ids that wait or run."""
        return self.command("squeue", "--noheader", "--format=%A").split()

    def lose(self, node: str) -> None:
        """Kill a node's slurmd and all that it runs, as if the power went."""
        pid = int((self.folder / f"{node}.pid").read_text())
        for child in _descendants(pid):
            _kill(child)
        _kill(pid)

    def revive(self, node: str) -> None:
        """Start a node that was lost."""
        _start(["slurmd", "-f", str(self.folder / "slurm.conf"), "-N", node], self.environment)


@contextmanager
def running(folder: Path, n_nodes: int = 2, cpus: int = 2) -> Iterator[Slurm]:
    """A cluster of nodes n1, n2, … with so many cores each, for the time of the block."""
    ports = _free_ports(n_nodes + 1)
    nodes = [f"n{k + 1}" for k in range(n_nodes)]
    for name in ("state", "munge", *nodes):
        (folder / name).mkdir(parents=True, mode=0o755)
    lines = [
        f"NodeName={name} NodeHostname={platform.node()} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=100000"
        for name, port in zip(nodes, ports[1:], strict=True)
    ]
    text = _CONF.format(
        host=platform.node(), folder=folder, ports=ports, nodes="\n".join(lines), names=",".join(nodes)
    )
    (folder / "slurm.conf").write_text(text)
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    conf = str(folder / "slurm.conf")
    cluster = Slurm(folder, environment)
    try:
        munge = {name: str(folder / "munge" / name) for name in ("socket", "pid", "log", "seed")}
        options = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        words = [f"--{option}={munge[name]}" for option, name in options.items()]
        _start(["munged", "--force", f"--key-file={key}", *words], environment)
        _start(["slurmctld", "-f", conf], environment)
        for name in nodes:
            _start(["slurmd", "-f", conf, "-N", name], environment)
        until(lambda: cluster.command("sinfo", "--noheader", "--format=%t %D") == f"idle {n_nodes}", 30)
        yield cluster
    finally:
        for name in nodes:
            with_pid(folder / f"{name}.pid", lambda pid: [_kill(each) for each in [*_descendants(pid), pid]])
        for path in (folder / "slurmctld.pid", folder / "munge" / "pid"):
            with_pid(path, _kill)


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition; AssertionError where it does not come about in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.2)


def with_pid(path: Path, act: Callable[[int], object]) -> None:
    """Call ``act`` with the pid that a file holds, where there is one."""
    if path.is_file() and (found := path.read_text().strip()):
        act(int(found))


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _start(words: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{words[0]}: {done.stderr}"


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """Processes below one; steps of a node's jobs have left it, and are found by their command line."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    known = {pid, *_steps_of(pid)}
    while fresh := [child for child, parent in parents.items() if parent in known and child not in known]:
        known.update(fresh)
    return [each for each in known if each != pid]


def _steps_of(pid: int) -> list[int]:
    """slurmstepd processes of the node whose slurmd this is: they name its spool folder or node in their title."""
    name = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    node = name[name.index("-N") + 1] if "-N" in name else ""
    steps = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"SLURMD_NODENAME={node}\0".encode() in path.read_bytes():
                steps.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return steps


def _free_ports(n: int) -> list[int]:
    opened = [socket.socket() for _ in range(n)]
    try:
        for each in opened:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in opened]
    finally:
        for each in opened:
            each.close()
