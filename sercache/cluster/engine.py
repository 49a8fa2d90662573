"""Dask as the engine: workers started, replaced when they are lost, and ended with the block."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import signals
from sercache.cluster.script import check_guarded
from sercache.cluster.where import Where
from sercache.errors import ClusterError, MissingExtraError, SettingsError

_CLUSTERS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
}
_CONFIG: dict[str, Any] = {
    # Workers that are lost under one piece of work before it is given up, those that it only waited on included.
    "distributed.scheduler.allowed-failures": 10,
    # Memory is the scheduler's or the kernel's to watch: Dask would stop a worker at a share of it.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.comm.timeouts.connect": "60s",
}
_DEATH_SECONDS = 120
"""For a worker to find its scheduler again, before its job ends."""
_START_SECONDS = 60
"""For a running cluster to answer."""
_SPARE_SECONDS = (60, 600)
"""Before the end of a job's walltime in which a worker leaves: at least, and at most."""
_SPARE_SHARE = 20
_CORES, _MEMORY = "2", "8GB"
"""Of a job, where nothing else is said."""


@dataclass(frozen=True)
class Engine:
    """Workers, as concurrent.futures sees them."""

    executor: Executor
    n_workers: int
    environments: Callable[[int], Mapping[str, str]]
    """What the environment of member k has of its own: its graphics card, its cores."""


@contextmanager
def started(
    where: Where, folder: Path, *, cards: Sequence[str] = (), lifetime: float | None = None, cores: int = 1
) -> Iterator[Engine]:
    """Workers for the time of the block; at its end, however it is left, none remain and no job is queued.

    ``folder`` is one that all hosts see: keys, logs of jobs. ``cards`` are the graphics cards of this host, ``cores``
    those that workers here share; ``lifetime`` is when a worker leaves of itself, in seconds.

    Raises MissingExtraError, SettingsError for options that the scheduler's kind of job lacks and for a script that
    workers of this host cannot import, ClusterError where no cluster can be started or reached.
    """
    dask, distributed = _modules()
    if where.kind == "local":
        check_guarded()
    n_workers = where.n_workers or max(1, len(cards)) if where.kind != "running" else where.n_workers
    with ExitStack() as opened:
        opened.enter_context(dask.config.set(_CONFIG))
        opened.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of libraries that are not ours
        try:
            if where.kind == "running":
                client = opened.enter_context(_client_of(distributed, where.address))
                n_workers = len(client.scheduler_info(n_workers=-1)["workers"])
            else:
                cluster = opened.enter_context(_cluster(distributed, where, folder, n_workers or 1, lifetime))
                cluster.adapt(minimum=n_workers, maximum=n_workers)
                client = opened.enter_context(distributed.Client(cluster, set_as_default=False))
        except (OSError, RuntimeError, ValueError) as fault:
            raise ClusterError(
                f"--cluster {where}: {' '.join(str(fault).split()) or type(fault).__name__}"
            ) from fault
        if not n_workers:
            raise ClusterError(
                f"the cluster at {where.address} has no worker; start some: dask worker {where.address}"
            )
        here = where.kind == "local"
        yield Engine(
            client.get_executor(pure=False),
            n_workers,
            lambda number: _environment(number, n_workers, cards, cores) if here else {},
        )
    shutil.rmtree(_logs(folder), ignore_errors=True)  # of what went well they are of no use


def job_script(where: Where, folder: Path, lifetime: float | None = None) -> str:
    """The script of one job, as it would be submitted. Raises as ``started``."""
    _modules()
    import dask_jobqueue

    job = getattr(dask_jobqueue, _CLUSTERS[where.kind]).job_cls
    try:
        options = _job_options(where, folder, lifetime)
        for name in ("shared_temp_directory", "scheduler_options"):  # those of the cluster, not of its jobs
            options.pop(name)
        return str(job("tls://SCHEDULER:PORT", name="sercache-0", **options).job_script())
    except (ValueError, TypeError) as fault:
        raise SettingsError(
            f"--cluster {where} with {_said(where)}: {' '.join(str(fault).split())}"
        ) from fault


def _modules() -> tuple[Any, Any]:
    interrupted = signal.getsignal(signal.SIGINT)
    try:
        import cryptography  # noqa: F401 - what keys of one run are made with
        import dask
        import dask_jobqueue  # noqa: F401
        import distributed
    except ImportError as fault:
        raise MissingExtraError(
            f"--cluster needs dask, distributed and dask-jobqueue ({fault}); run: pip install 'sercache[cluster]'"
        ) from fault
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, interrupted)  # at its import, dask-jobqueue makes Ctrl-C a plain end
    return dask, distributed


def _client_of(distributed: Any, address: str) -> Any:
    """Of a cluster that others started; keys for tls:// come from Dask's own configuration."""
    name, _, path = address.partition(":")
    given = {"scheduler_file": path} if name == "file" else {"address": address}
    try:
        return distributed.Client(**given, timeout=_START_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as fault:
        raise ClusterError(
            f"no Dask scheduler answers at {address} within {_START_SECONDS} s; see whether it runs "
            f"({' '.join(str(fault).split())})"
        ) from fault


def _cluster(distributed: Any, where: Where, folder: Path, n_workers: int, lifetime: float | None) -> Any:
    # Whoever reaches a scheduler runs code as its user, and hosts of a lab are shared: keys of this run alone.
    security = distributed.Security.temporary()
    if where.kind == "local":
        with signals.not_passed_on():  # workers end with this process, which lets them commit first
            return distributed.LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                memory_limit=0,
                host="127.0.0.1",
                dashboard_address=None,
                security=security,
                silence_logs=50,
                **({"lifetime": f"{lifetime:.0f}s"} if lifetime else {}),
            )
    import dask_jobqueue

    job_script(where, folder, lifetime)  # which refuses what no job can have, before anything listens
    options = _job_options(where, folder, lifetime) | {"security": security}
    return getattr(dask_jobqueue, _CLUSTERS[where.kind])(**options)


def _said(where: Where) -> str:
    return (
        " ".join(f"--cluster-option {key}={value}" for key, value in where.options) or "no --cluster-option"
    )


def _job_options(where: Where, folder: Path, lifetime: float | None) -> dict[str, Any]:
    """Arguments of a cluster of jobs: one worker with one thread for each, whatever its cores."""
    given = dict(where.options)
    given.pop("directive", None)
    directives: Any = [value for key, value in where.options if key == "directive"]
    if where.kind == "htcondor":
        directives = dict(value.partition("=")[::2] for value in directives)
        given.setdefault("disk", "1GB")
    lifetime = lifetime or _lifetime(given.get("walltime", ""))
    logs = _logs(folder)
    logs.mkdir(parents=True, exist_ok=True)
    return {
        "cores": int(given.pop("cores", _CORES)),
        "memory": given.pop("memory", _MEMORY),
        "processes": 1,
        "job_name": "sercache",
        "death_timeout": _DEATH_SECONDS,
        "log_directory": str(logs),
        "local_directory": given.pop("local_directory", "/tmp"),
        "shared_temp_directory": str(folder),
        "job_extra_directives": directives,
        "worker_extra_args": [
            *("--nthreads", "1", "--memory-limit", "0", "--no-dashboard"),
            *(("--lifetime", f"{lifetime:.0f}s") if lifetime else ()),
        ],
        "scheduler_options": {"dashboard": False, "dashboard_address": None},
        **given,
    }


def _logs(folder: Path) -> Path:
    """Where the jobs of this process write what they say."""
    return folder / f"jobs-{platform.node()}-{os.getpid()}"


def _lifetime(walltime: str) -> float | None:
    """When a worker leaves, in seconds, of a job with this limit: early enough to commit what it has."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+)(?::(\d+))?", walltime)
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    limit = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    low, high = _SPARE_SECONDS
    return max(limit / 2, limit - min(high, max(low, limit / _SPARE_SHARE)))


def _environment(number: int, n_workers: int, cards: Sequence[str], cores: int) -> dict[str, str]:
    """Of a member on this host: one card, and its part of the cores."""
    own = {"CUDA_VISIBLE_DEVICES": cards[number % len(cards)]} if cards else {}
    if "OMP_NUM_THREADS" not in os.environ:
        own["OMP_NUM_THREADS"] = str(max(1, cores // n_workers))
    return own
