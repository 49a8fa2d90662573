"""Members trained by forked processes, one thread each, that share the cache their parent holds.

A process trains an order at a time: a member by itself, or several as one stacked model.
"""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

import torch

from sercache import signals
from sercache.errors import TrainingError
from sercache.recipe import Recipe
from sercache.training import stacked
from sercache.training.contract import Fit
from sercache.training.feeding import Tables
from sercache.training.members import Member, pace, train_member
from sercache.training.plan import Epoch

Order = Sequence[int]
"""Numbers of the members that a process trains together: one by itself, several as a stack."""


def can_fork(device: str) -> bool:
    """Whether forked processes can train: on a CPU under Linux, where nothing was started that forbids it.

    With a GPU about, autograd keeps threads that a forked process lacks; elsewhere forking itself is unsafe.
    """
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
    """Processes that wait for orders; stopped on the way out, whatever happened."""
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


def trial(crew: Sequence[Worker], orders: Mapping[str, Order], limit: float) -> dict[str, float | str]:
    """Seconds of a batch of one member by each order, all measured at once in processes of their own.

    What processes take from each other is in the measurement. Of an order that cannot be computed, why.
    """
    asked = [(worker, name) for worker, name in zip(crew, cycle(orders), strict=False)]
    for worker, name in asked:
        worker.line.send(("pace", orders[name], limit))
    paces: dict[str, float | str] = {}
    for worker, name in asked:
        found, before = _receive(worker)[2], paces.get(name, 0.0)
        if not isinstance(before, str):
            paces[name] = found if isinstance(found, str) else max(before, found)
    return paces


def train(
    crew: Sequence[Worker],
    members: Sequence[Member],
    orders: Sequence[Order],
    progress: Callable[[int, Epoch], None] | None,
) -> Iterator[tuple[int, Fit]]:
    """Train the members that the orders name, an order at a time in each process; they come as they finish."""
    waiting = list(orders)[::-1]
    busy: dict[Connection, Worker] = {}
    left: dict[Connection, int] = {}

    def send(worker: Worker) -> None:
        order = waiting.pop()
        worker.line.send(("train", order, 0.0))
        busy[worker.line], left[worker.line] = worker, len(order)

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
            left[worker.line] -= 1
            if not left[worker.line]:
                del busy[worker.line]
                if waiting:
                    send(worker)
            yield number, _unpacked(members[number], *found)


def _receive(worker: Worker) -> tuple[str, int, Any]:
    try:
        kind, number, found = worker.line.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        code = worker.process.exitcode
        raise TrainingError(
            f"a training process ended with code {code}; expected it to go on: if memory ran out, train with "
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
            what, order, limit = line.recv()
            try:
                if what == "pace":
                    line.send(("pace", order[0], _pace(order, members, recipe, tables, limit)))
                    continue
                for number, done in _fits(order, members, recipe, tables, line):
                    line.send(("done", number, _packed(done)))
            except (EOFError, OSError):
                raise
            except Exception as fault:  # told to the parent, which raises it
                line.send(("fault", order[0], fault))


def _pace(
    order: Order, members: Sequence[Member], recipe: Recipe, tables: Tables, limit: float
) -> float | str:
    if len(order) == 1:
        return pace(members[order[0]], recipe, "cpu", tables, limit).step
    try:
        return stacked.pace([members[number] for number in order], recipe, "cpu", tables, limit)
    except torch.OutOfMemoryError:
        return f"{len(order)} of them at a time do not fit in memory"


def _fits(
    order: Order, members: Sequence[Member], recipe: Recipe, tables: Tables, line: Connection
) -> Iterator[tuple[int, Fit]]:
    """The members of an order, one by itself or several as a stack; the parent hears of their epochs."""

    def heard(k: int, epoch: Epoch) -> None:
        line.send(("epoch", order[k], epoch))

    if len(order) == 1:
        yield order[0], train_member(members[order[0]], recipe, "cpu", partial(heard, 0), tables)
        return
    for k, done in stacked.train([members[number] for number in order], recipe, "cpu", heard, tables):
        yield order[k], done


def _packed(done: Fit) -> tuple[dict[str, Any], dict[str, Any]]:
    """A fit without its head, and the weights as arrays."""
    fields = {name: getattr(done, name) for name in done.__dataclass_fields__ if name != "head"}
    return fields, {name: value.numpy() for name, value in done.head.state_dict().items()}


def _unpacked(member: Member, fields: dict[str, Any], weights: dict[str, Any]) -> Fit:
    """The fit in the parent, the member's own head with the trained weights."""
    member.head.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return Fit(head=member.head.to("cpu").eval(), **fields)
