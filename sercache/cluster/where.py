"""Where workers run, as ``--cluster`` and ``--cluster-option`` say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sercache import units
from sercache.advice import unknown
from sercache.errors import SettingsError

SCHEDULERS = ("slurm", "pbs", "sge", "lsf", "htcondor")
"""Those that jobs are submitted to."""
_FORMS = (
    "local, local:N, slurm:N, pbs:N, sge:N, lsf:N, htcondor:N, tcp://HOST:PORT, tls://HOST:PORT or "
    "file:SCHEDULER.json"
)


@dataclass(frozen=True)
class Where:
    """Which workers there are to be."""

    kind: str
    """``local``, one of SCHEDULERS, or ``running``: a Dask scheduler that others started."""
    n_workers: int | None = None
    """None: one for each graphics card or, of a running cluster, all that it has."""
    address: str = ""
    """Of a running scheduler: its address, or the file that it wrote."""
    options: tuple[tuple[str, str], ...] = ()
    """What a scheduler is told of each job, as dask-jobqueue names it: queue, account, walltime, cores, memory, …;
    ``directive`` may be there more than once."""

    def __str__(self) -> str:
        if self.kind == "running":
            return self.address
        return self.kind if self.n_workers is None else f"{self.kind}:{self.n_workers}"


def parse(given: str, options: Sequence[str] = ()) -> Where:
    """``given`` is ``local[:N]``, ``slurm:N``, …, an address or ``file:PATH``; ``options`` are ``KEY=VALUE``.

    Raises SettingsError for anything else.
    """
    kind, _, rest = given.partition(":")
    if kind in ("tcp", "tls") and re.fullmatch(r"//[^/\s]+:\d+", rest):
        return _without_options(Where("running", address=given), options)
    if kind == "file" and rest:
        return _without_options(Where("running", address=_scheduler_file(rest)), options)
    if kind in ("local", *SCHEDULERS):
        n_workers = _count(given, rest)
        if kind == "local":
            return _without_options(Where(kind, n_workers), options)
        return Where(kind, n_workers or 1, options=_read(options))
    if kind in ("tcp", "tls", "file"):
        raise SettingsError(f"--cluster {given!r} is no address; give {_FORMS}")
    raise SettingsError(f"{unknown('cluster', kind, ('local', *SCHEDULERS))}; give {_FORMS}")


def seconds(given: str) -> float:
    """Seconds of ``90s``, ``50m``, ``1h30m`` or ``2h``. Raises SettingsError for anything else."""
    return units.seconds(given, "--lifetime")


def _count(given: str, rest: str) -> int | None:
    if not rest and ":" not in given:
        return None
    if not rest.isascii() or not rest.isdigit() or int(rest) < 1:
        raise SettingsError(f"--cluster {given!r}: {rest!r} is no number of workers; give {_FORMS}")
    return int(rest)


def _scheduler_file(path: str) -> str:
    place = Path(path).expanduser()
    if not place.is_file():
        raise SettingsError(
            f"--cluster file:{path}: there is no such file; give the one that dask scheduler --scheduler-file wrote"
        )
    return f"file:{place.absolute()}"


def _without_options(where: Where, options: Sequence[str]) -> Where:
    if options:
        raise SettingsError(
            f"--cluster-option is for jobs of {', '.join(SCHEDULERS)}, got {options[0]!r} with --cluster {where}"
        )
    return where


def _read(options: Sequence[str]) -> tuple[tuple[str, str], ...]:
    read: list[tuple[str, str]] = []
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_-]*", key):
            raise SettingsError(
                f"--cluster-option takes KEY=VALUE (queue=gpu, walltime=02:00:00), got {option!r}"
            )
        key = key.replace("-", "_")
        if key != "directive" and key in dict(read):
            raise SettingsError(
                f"--cluster-option {key} is given twice; of each there is one, but for directive"
            )
        read.append((key, value))
    return tuple(read)
