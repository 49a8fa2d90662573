"""The line in a process of its own: its encoder on its device, its decoding threads, its shards.

What is computed together is decided by the process that leads (sercache.extraction.together), so that features
do not depend on how many processes there are.
"""

from __future__ import annotations

import os
import queue
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sercache import clips, signals, stores
from sercache.audio import Remark
from sercache.augment import ReadyAugmentation
from sercache.datasets import Skipped
from sercache.encoders import Encoder, windowed
from sercache.errors import SercacheError
from sercache.extraction import compute, decode
from sercache.extraction.decode import Decoded, Result
from sercache.extraction.pieces import Piece
from sercache.extraction.run import kept, real_time_factor
from sercache.extraction.sharing import Fence, Turn
from sercache.extraction.splits import Company, Splits
from sercache.extraction.stages import Busy
from sercache.extraction.writing import Writing
from sercache.stores import FeatureSpec

Load = Callable[[str], Encoder]
"""Gives the encoder on a device; it is pickled on its way into the process."""


@dataclass(frozen=True)
class StartMessage:
    """To a worker: write into this store."""

    folder: Path
    format: str
    workers: int
    seal_every: float
    writers: int
    """Threads that write."""
    augmented: ReadyAugmentation | None = None
    """What is done to recordings before they are encoded."""


@dataclass(frozen=True)
class BatchMessage:
    """To a worker: decode these."""

    number: int
    turn: Turn


@dataclass(frozen=True)
class Fresh:
    """To a worker: compute these (by position) of a decoded batch; none means that it can be dropped."""

    number: int
    chosen: Sequence[int]


@dataclass(frozen=True)
class Commit:
    """To a worker: commit what it was given to compute, once it is computed, and say so."""


@dataclass(frozen=True)
class End:
    """To a worker: commit and leave, at once or when what it was given to compute is computed."""

    at_once: bool


@dataclass(frozen=True)
class Ready:
    """From a worker: the encoder is loaded."""

    pack_frames: int
    """Frames of a batch that run best on its device."""
    speed: float
    """Times real time."""


@dataclass(frozen=True)
class DecodedMessage:
    """From a worker: digest, length and remarks of each piece of a batch, or why there is none."""

    number: int
    found: Sequence[tuple[str, int, tuple[Remark, ...]] | Skipped]


@dataclass(frozen=True)
class Done:
    """From a worker: entry ids that were computed, and what was given up."""

    ids: Sequence[str]
    skipped: Sequence[Skipped]


@dataclass(frozen=True)
class Committed:
    """From a worker: all that was asked for before is committed."""

    n_overtaken: int


@dataclass(frozen=True)
class NoteMessage:
    """From a worker: a line for the user."""

    text: str


@dataclass(frozen=True)
class Failed:
    """From a worker: what ended it."""

    fault: Exception


@dataclass(frozen=True)
class FinishedMessage:
    """From a worker: all is committed; seconds that each stage was at work."""

    busy: dict[str, float]


def serve(connection: Connection, load: Load, device: str, threads: int, spec: FeatureSpec) -> None:
    """Body of the process. It ends when it is told to, or when the leading process is gone."""
    signals.leave_to_parent()
    sender = _Sender(connection)
    try:
        encoder = windowed(_placed(load, device, threads), clips.parse(spec.clip))
        sender.send(Ready(encoder.pack_frames, real_time_factor(encoder, spec.states)))
        start = connection.recv()
        if isinstance(start, StartMessage):
            sender.send(FinishedMessage(_work(connection, sender, encoder, spec, start)))
    except EOFError:
        pass  # the leading process is gone, and with it whom to answer
    except SercacheError as fault:
        sender.send(Failed(fault))
    except Exception as fault:
        traceback.print_exc()
        sender.send(Failed(RuntimeError(f"the process on {device} failed: {fault!r}")))


def _placed(load: Load, device: str, threads: int) -> Encoder:
    import torch

    index = torch.device(device).index  # that of "cuda" is what it already is
    if device.startswith("cuda"):
        torch.cuda.set_device(torch.cuda.current_device() if index is None else index)
    else:
        torch.set_num_threads(threads)
    return load(device)


def _work(
    connection: Connection, sender: _Sender, encoder: Encoder, spec: FeatureSpec, start: StartMessage
) -> dict[str, float]:
    """Compute what is asked for until the end is asked for; busy seconds by stage."""
    busy = Busy()
    with ExitStack() as opened, decode.pool_of(start.workers) as pool:
        writers = [
            opened.enter_context(stores.create(start.folder, spec, start.format))
            for _ in range(start.writers)
        ]
        decoding = decode.decoder(encoder, busy, start.augmented, clips.parse(spec.clip))
        requests = _Requests(connection, sender, partial(decode.submit, pool, decode=decoding))
        for each in writers:
            each.guard(requests.fence.lost)
        requests.start()
        splits, n_lost = Splits(start.folder, requests.done), 0
        while not requests.is_over:
            with Writing(writers, start.seal_every, busy) as line:
                for batch in compute.features(requests.fresh(), encoder, spec, busy, splits, sender.note):
                    line.put(kept(batch, requests.done, encoder))
                    sender.send(Done([item.piece.entry_id for item in batch.items], batch.skipped))
            n_lost, lost_before = requests.fence.n_lost, n_lost
            sender.send(Committed(line.n_overtaken + n_lost - lost_before))
    return busy.seconds()


class _Sender:
    """Messages to the leading process, from any thread; dropped once that is gone."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def note(self, text: str) -> None:
        """A line for the user."""
        self.send(NoteMessage(text))

    def send(self, message: Any) -> None:
        with self._lock:
            try:
                self._connection.send(message)
            except (BrokenPipeError, ConnectionResetError):
                return  # the reading end sees the same, and ends the work


class _Requests:
    """Reads what the leading process asks for, has it decoded, and passes on what is to be computed."""

    def __init__(
        self,
        connection: Connection,
        sender: _Sender,
        submit: Callable[[Sequence[Piece]], list[Future[Result]]],
    ) -> None:
        self._connection, self._sender, self._submit = connection, sender, submit
        self._decoding: dict[int, tuple[str, list[Future[Result]]]] = {}
        """Batches by number: their digests, and their pieces on the way."""
        self._ready: queue.SimpleQueue[Company | Commit | None] = queue.SimpleQueue()
        self._at_once = False
        self.fence = Fence()
        self.done: set[str] = set()
        """Entries that were stored before the batches came that hold them."""
        self.is_over = False

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def fresh(self) -> Iterator[Company]:
        """What is to be computed together, until a commit or the end is asked for."""
        while not self.is_over:
            batch = self._ready.get()
            self.is_over = batch is None or self._at_once
            if isinstance(batch, Commit):
                return
            if batch is not None and not self.is_over:
                yield batch

    def _read(self) -> None:
        try:
            while not isinstance(message := self._connection.recv(), End):
                if isinstance(message, BatchMessage):
                    self._decode(message)
                elif isinstance(message, Commit):
                    self._ready.put(message)
                else:
                    self._choose(message)
            self._at_once = message.at_once
        except (EOFError, OSError):
            # The leading process was killed. Ending as it did leaves what is committed, and no writer that
            # commits beside the next run.
            os._exit(1)
        self._ready.put(None)

    def _decode(self, batch: BatchMessage) -> None:
        self.done |= batch.turn.done
        self.fence.add(batch.turn)
        futures = self._submit(batch.turn.pieces)
        self._decoding[batch.number] = batch.turn.claim.name if batch.turn.claim else "", futures
        left = set(futures)
        lock = threading.Lock()

        def note(future: Future[Result]) -> None:
            with lock:
                left.discard(future)
                last = not left
            if last and not any(future.cancelled() for future in futures):
                self._sender.send(self._decoded(batch.number, futures))

        for future in futures:
            future.add_done_callback(note)

    def _decoded(self, number: int, futures: Sequence[Future[Result]]) -> DecodedMessage | Failed:
        faults = [fault for future in futures if isinstance(fault := future.exception(), Exception)]
        if faults:
            return Failed(RuntimeError(f"decoding failed: {faults[0]!r}"))
        found = [future.result() for future in futures]
        known = [
            item if isinstance(item, Skipped) else (item.digest, item.n_samples, item.remarks)
            for item in found
        ]
        return DecodedMessage(number, known)

    def _choose(self, fresh: Fresh) -> None:
        batch, futures = self._decoding.pop(fresh.number)
        chosen = [futures[k].result() for k in fresh.chosen]
        if chosen:
            items = [item for item in chosen if isinstance(item, Decoded)]
            self._ready.put(Company(batch, fresh.chosen, items))
