"""Processes that encode, one for each device."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import cast

from sercache import signals
from sercache.errors import StoreError
from sercache.extraction.worker import Failed, Load, Ready, serve
from sercache.stores import FeatureSpec

_LEAVE_SECONDS = 10


@dataclass
class DeviceWorker:
    """A process that works on one device."""

    device: str
    process: BaseProcess
    connection: Connection
    ready: Ready = field(default_factory=lambda: Ready(1, 1.0))
    given: set[int] = field(default_factory=set)
    """Batches that it has."""
    busy: dict[str, float] | None = None
    """Seconds by stage; None: it has not finished."""
    has_committed: bool = True
    """Since it was last asked to."""

    def send(self, message: object) -> None:
        """A message; one that cannot be delivered shows when the answer is read."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)

    def recv(self) -> object:
        """The next message. Raises StoreError where the process is gone, and what it says that ended it."""
        try:
            message = self.connection.recv()
        except (EOFError, ConnectionResetError) as fault:
            self.process.join(_LEAVE_SECONDS)
            raise StoreError(
                f"the process on {self.device} ended with exit code {self.process.exitcode}; what was committed is "
                "safe: run the same command to resume"
            ) from fault
        if isinstance(message, Failed):
            raise message.fault
        return message


@contextmanager
def start_workers(devices: Sequence[str], load: Load, spec: FeatureSpec) -> Iterator[list[DeviceWorker]]:
    """Processes with ``load(device)`` each, ready to work. Raises what loading raises."""
    import torch

    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    n_on_cpu = sum(not device.startswith("cuda") for device in devices)
    threads = max(1, torch.get_num_threads() // max(1, n_on_cpu))
    resource_tracker.ensure_running()  # else starting it would let the signals through that are held below
    device_workers: list[DeviceWorker] = []
    try:
        for device in devices:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=serve, args=(theirs, load, device, threads, spec), name=device, daemon=True
            )
            with signals.held():
                process.start()
            theirs.close()
            device_workers.append(DeviceWorker(device, process, ours))
        for device_worker in device_workers:
            device_worker.ready = cast(Ready, device_worker.recv())
        yield device_workers
    finally:
        for device_worker in device_workers:
            device_worker.connection.close()  # which ends those that still wait for work
        for device_worker in device_workers:
            device_worker.process.join(_LEAVE_SECONDS)
            if device_worker.process.is_alive():
                device_worker.process.kill()
