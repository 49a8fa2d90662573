"""Members trained by forked processes, one thread each, that share the cache their parent holds."""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

import torch

from sercache import signals
from sercache.errors import LostProcessError
from sercache.objects import bucket
from sercache.recipe import Recipe
from sercache.training.contract import Fit, Member
from sercache.training.loop import train_alone
from sercache.training.plan import Epoch
from sercache.training.state import begin
from sercache.training.tables import Tables


def can_fork(device: str) -> bool:
    """Whether forked processes can train: on a CPU under Linux, where nothing was started that forbids it.

    With a GPU about, autograd keeps threads that a forked process lacks, as connections to object stores do; elsewhere
    forking itself is unsafe.
    """
    if bucket.is_used():
        return False
    return torch.device(device).type == "cpu" and sys.platform == "linux" and not torch.cuda.is_available()


@dataclass(frozen=True)
class Worker:
    """A process that trains, and the line to it."""

    process: ForkProcess
    line: Connection


@contextmanager
def workers(
    members: Sequence[Member], recipe: Recipe, n_workers: int, tables: Tables
) -> Iterator[list[Worker]]:
    """Processes that wait for members to train; stopped on the way out, whatever happened."""
    context = multiprocessing.get_context("fork")
    started: list[Worker] = []
    try:
        for _ in range(n_workers):
            ours, theirs = context.Pipe()
            # A child must not hold its parent's ends: it would not notice that the parent is gone.
            foreign = [*(worker.line for worker in started), ours]
            process = context.Process(
                target=_work, args=(theirs, foreign, members, recipe, tables), daemon=True
            )
            with warnings.catch_warnings(), signals.held():
                warnings.simplefilter(
                    "ignore", DeprecationWarning
                )  # forking beside threads, which only sleep
                process.start()
            theirs.close()
            started.append(Worker(process, ours))
        yield started
    finally:
        for worker in started:
            worker.line.close()
            worker.process.kill()
        for worker in started:
            worker.process.join()


def train(
    crew: Sequence[Worker],
    members: Sequence[Member],
    progress: Callable[[int, Epoch], None] | None,
    take: Callable[[int], bool] | None = None,
) -> Iterator[tuple[int, Fit]]:
    """Train the members, one at a time in each process; they come as they finish. ``take`` may leave some out."""
    waiting = list(range(len(members)))[::-1]
    busy: dict[Connection, Worker] = {}

    def send(worker: Worker) -> None:
        while waiting:
            number = waiting.pop()
            if take is None or take(number):
                worker.line.send(number)
                busy[worker.line] = worker
                return

    for worker in crew[: len(waiting)]:
        send(worker)
    while busy:
        for line in wait(list(busy)):
            worker = busy[line]  # type: ignore[index]
            kind, number, found = _receive(worker)
            if kind == "epoch":
                if progress:
                    progress(number, found)
                continue
            del busy[worker.line]
            send(worker)
            yield number, _unpacked(members[number], *found)


def _receive(worker: Worker) -> tuple[str, int, Any]:
    try:
        kind, number, found = worker.line.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        code = worker.process.exitcode
        raise LostProcessError(
            f"a training process ended with code {code}; expected it to finish: if memory ran out, train with "
            "--serial"
        ) from None
    if kind == "fault":
        raise found
    return kind, number, found


def _work(
    line: Connection, foreign: list[Connection], members: Sequence[Member], recipe: Recipe, tables: Tables
) -> None:
    """The life of a process: train what the parent names, until the parent is gone."""
    signals.leave_to_parent()
    for other in foreign:
        other.close()
    torch.set_num_threads(1)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            number = line.recv()

            def report(epoch: Epoch, number: int = number) -> None:
                line.send(("epoch", number, epoch))

            try:
                done = train_alone(begin(members[number], recipe, "cpu", tables), report)
                line.send(("done", number, _packed(done)))
            except (EOFError, OSError):
                raise
            except Exception as fault:  # told to the parent, which raises it
                line.send(("fault", number, fault))


def _packed(done: Fit) -> tuple[dict[str, Any], dict[str, Any]]:
    """A fit without its head, and the weights as arrays."""
    fields = {name: getattr(done, name) for name in done.__dataclass_fields__ if name != "head"}
    return fields, {name: value.numpy() for name, value in done.head.state_dict().items()}


def _unpacked(member: Member, fields: dict[str, Any], weights: dict[str, Any]) -> Fit:
    """The fit in the parent, the member's own head with the trained weights."""
    member.head.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return Fit(head=member.head.to("cpu").eval(), **fields)
