"""The same command on several workers until no work is left: those that end are counted, the lost are replaced."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sercache.claims import LOSSES
from sercache.cluster import member
from sercache.cluster.member import Call, Ended
from sercache.errors import ClusterError
from sercache.units import listed

ALLOWED_LOSSES = 10
"""Members that may be lost one after another, with nothing begun or done meanwhile that had not been before.

What ends each process that does it is left out by the members themselves after some losses, which are bounded so.
"""
MOST_LOSSES = 100
"""Members that may be lost one after another, with nothing done meanwhile: it is a fault of all the work, or nearly."""
_LOOK_SECONDS = 1.0
_REFUSED = (1, 2)
"""Exit codes of a member that said why it cannot."""
_STOPPED = tuple(128 + number for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
"""Exit codes of a member that was asked to stop, by a scheduler or by an operator."""


@dataclass(frozen=True)
class ClusterRun:
    """What became of the members of a call."""

    n_members: int
    n_replaced: int
    said: str
    """Standard output of the member that ended last."""


def share(
    call: Call,
    executor: Executor,
    n_members: int,
    *,
    environments: Callable[[int], Mapping[str, str]] = lambda number: {},
    watch: Callable[[Path], object] = lambda folder: None,
    note: Callable[[str], None] = lambda text: None,
) -> ClusterRun:
    """Run ``call`` as ``n_members`` processes, each on a worker of ``executor``, until each has found nothing to do.

    ``environments`` gives what the environment of member k has of its own; ``watch`` is called every second with the
    folder that members write to; ``note`` is told of members that are replaced. Whatever is raised, members are told
    to stop before it goes on up. Raises ClusterError where a member refuses the work, or too many are lost.
    """
    Path(call.folder).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="share-", dir=call.folder)).absolute()
    members = _Members(replace(call, folder=str(folder)), executor, environments, note)
    try:
        for number in range(n_members):
            members.submit(number)
        while members.waiting:
            members.take_ended()
            watch(folder)
    except BaseException as fault:
        # Logs of what went wrong are kept; those of what was interrupted are of no use.
        if members.stop() and not isinstance(fault, Exception):
            _remove(folder)
        raise
    _remove(folder)
    return ClusterRun(n_members, members.n_replaced, members.said)


def _remove(folder: Path) -> None:
    """Of a share, whose members have all ended."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # others may be at work there, too
        folder.parent.rmdir()


class _Members:
    """Members under way."""

    def __init__(
        self,
        call: Call,
        executor: Executor,
        environments: Callable[[int], Mapping[str, str]],
        note: Callable[[str], None],
    ) -> None:
        self._call, self._executor, self._environments, self._note = call, executor, environments, note
        self._folder = Path(call.folder)
        self._best: dict[tuple[str, float], float] = {}
        """How far any member has been, by its bar."""
        self._starts: dict[int, int] = {}
        """How often each member was started, as far as was told."""
        self.waiting: dict[Future[Ended], int] = {}
        self._begun: dict[str, int] = {}
        """By work that members had begun when they were lost: which time that was."""
        self._named: dict[str, None] = {}
        """Those of it since something was done, in words."""
        self._lost_in: list[str] = []
        """On the way to what the last members were lost, one after another, since any work was begun or done."""
        self.n_replaced = self._n_lost = self._n_idle = 0
        self.said = ""

    def submit(self, number: int) -> None:
        """Have a member started where there is a worker for it."""
        own = dict(self._environments(number))
        self._starts[number] = self._starts.get(number, 0) + 1
        self.waiting[self._executor.submit(member.run, self._call, number, own)] = number

    def take_ended(self) -> None:
        """Wait for members to end, at most a second, and replace those that were lost. Raises ClusterError."""
        for future in wait(self.waiting, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED).done:
            number, fault = self.waiting.pop(future), future.exception()
            ended = None if fault is not None else future.result()
            if ended is not None and ended.code == 0:
                self.said = ended.said
            elif not self.said:  # else there is no work left to take up
                self._replace(number, ended, fault)
        self._tell_started_anew()

    def _tell_started_anew(self) -> None:
        """Count members whose worker was lost, and which the engine started once more without a word."""
        for number, known in self._starts.items():
            with suppress(FileNotFoundError):
                hosts = (self._folder / f"{number}{member.STARTS}").read_text(encoding="utf-8").splitlines()
                for host in hosts[known:]:
                    self._note(f"worker {number} was lost with all that ran it; started anew on {host}")
                    self._starts[number] += 1
                    self.n_replaced += 1

    def _has_advanced(self) -> bool:
        """Whether some member is further in the work than any was when this was asked last."""
        has_advanced = False
        for path in self._folder.glob("*" + member.PROGRESS):
            said = json.loads(path.read_text())
            bar = str(said["desc"]), float(said["total"] or 0)
            if said["n"] > self._best.get(bar, 0):
                self._best[bar], has_advanced = said["n"], True
        return has_advanced

    def _has_begun(self, number: int) -> bool:
        """Whether a member that was lost had begun some work for the first time, or once more than any before."""
        has_begun = False
        for name, generation, words in self._told(number):
            if generation > self._begun.get(name, 0):
                self._begun[name], has_begun = generation, True
                self._named[words] = None
        return has_begun

    def _told(self, number: int) -> list[tuple[str, int, str]]:
        """What a member said of what it began: the claim, its generation, words."""
        path, told = self._folder / f"{number}{member.BEGUN}", []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            with suppress(ValueError):  # cut off
                name, generation, words = json.loads(line)
                told.append((name, generation, words))
        return told

    def _check_way(self, number: int, how: str, *, goes_on: bool) -> None:
        """Raises ClusterError where members are lost, one after another, on the way to any work: that is in none."""
        name, _, words = next(iter(self._told(number)[-1:]), ("", 0, ""))
        if goes_on or name or not words or words not in self._lost_in:
            self._lost_in = []
        if words and not name:
            self._lost_in.append(words)
        if len(self._lost_in) >= LOSSES:
            raise ClusterError(
                f"{words}: {len(self._lost_in)} workers were lost one after another with that, the last one {how}; "
                f"logs: {self._folder}; mend it, then run the same command to resume"
            )

    def _replace(self, number: int, ended: Ended | None, fault: BaseException | None) -> None:
        if ended is not None and ended.code in _REFUSED:
            said = ended.last.removeprefix("error: ") or "no word"
            raise ClusterError(
                f"worker {number} on {ended.host}: {said} (its log: {self._folder}/{number}.log)"
            )
        how, is_lost = _how(ended, fault), ended is None or ended.code not in _STOPPED
        has_advanced = self._has_advanced()
        if has_advanced:
            self._named.clear()
        has_begun = self._has_begun(number)
        if is_lost:
            self._check_way(number, how, goes_on=has_advanced or has_begun)
        self._n_idle = (0 if has_advanced else self._n_idle) + is_lost
        self._n_lost = 0 if has_begun else (0 if has_advanced else self._n_lost) + is_lost
        if self._n_lost > ALLOWED_LOSSES or self._n_idle > MOST_LOSSES:
            named = f", having begun {listed(self._named, 8)}" if self._named else ""
            raise ClusterError(
                f"{self._n_idle} workers were lost one after another, the last one {how}{named}; logs: {self._folder}; "
                "what was committed is safe: run the same command to resume"
            )
        self._note(f"worker {number} {how}; another takes its place")
        self.n_replaced += 1
        self.submit(number)

    def stop(self) -> bool:
        """Tell all to end, and wait for those that run to commit what they have; whether all have ended."""
        (self._folder / member.STOP).touch()
        run = [future for future, number in self.waiting.items() if (self._folder / f"{number}.out").exists()]
        running = wait(run, timeout=member.GRACE_SECONDS).not_done
        for future in self.waiting:
            future.cancel()
        return not running


def _how(ended: Ended | None, fault: BaseException | None) -> str:
    """How a member was lost, in words."""
    if ended is None:
        return f"is gone ({type(fault).__name__})"
    if ended.code < 0:
        return f"on {ended.host} was killed by {signal.Signals(-ended.code).name}"
    if ended.code in _STOPPED:
        return f"on {ended.host} was stopped"
    return f"on {ended.host} ended with code {ended.code}: {ended.last}"
