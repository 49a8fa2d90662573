"""The line on several devices: one process for each, one plan, one store.

The leading process goes through the batches in the plan's order and says of each what is computed, so
equal audio is found, and batches are composed, as on one device. Every process seals its own shards.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import cast

from sercache import signals, stores
from sercache.datasets import Skipped
from sercache.errors import SercacheError, StoreError
from sercache.extraction import decode, notes, stages
from sercache.extraction.plan import Piece, Plan
from sercache.extraction.roll import Roll, Sound
from sercache.extraction.run import Extraction
from sercache.extraction.worker import (
    Batch,
    Done,
    End,
    Failed,
    Finished,
    Fresh,
    Heard,
    Load,
    Ready,
    Start,
    Told,
    serve,
)
from sercache.progress import warn
from sercache.stores import FeatureSpec, FeatureWriter

_GIVEN = decode.LOOKAHEAD + 2
"""Batches that a process has at a time: one computed, one launched, the rest decoded ahead."""
_LEAVE_SECONDS = 10


@dataclass
class Hand:
    """A process that works on one device."""

    device: str
    process: BaseProcess
    connection: Connection
    ready: Ready = field(default_factory=lambda: Ready(1, 1.0))
    given: set[int] = field(default_factory=set)
    """Batches that it has."""
    busy: dict[str, float] | None = None
    """Seconds by stage; None: it has not finished."""

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
                "safe: run the same command to go on"
            ) from fault
        if isinstance(message, Failed):
            raise message.fault
        return message


@contextmanager
def crew(devices: Sequence[str], load: Load, spec: FeatureSpec) -> Iterator[list[Hand]]:
    """Processes with ``load(device)`` each, ready to work. Raises what loading raises."""
    import torch

    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    n_on_cpu = sum(not device.startswith("cuda") for device in devices)
    threads = max(1, torch.get_num_threads() // max(1, n_on_cpu))
    resource_tracker.ensure_running()  # else starting it would let the signals through that are held below
    hands: list[Hand] = []
    try:
        for device in devices:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=serve, args=(theirs, load, device, threads, spec), name=device, daemon=True
            )
            with signals.held():
                process.start()
            theirs.close()
            hands.append(Hand(device, process, ours))
        for hand in hands:
            hand.ready = cast(Ready, hand.recv())
        yield hands
    finally:
        for hand in hands:
            hand.connection.close()  # which ends those that still wait for work
        for hand in hands:
            hand.process.join(_LEAVE_SECONDS)
            if hand.process.is_alive():
                hand.process.kill()


def extract_together(
    plan: Plan,
    hands: Sequence[Hand],
    writer: FeatureWriter,
    format: str,
    *,
    writers: int = 1,
    workers: int = 2,
    seal_every: float = 60.0,
    progress: Callable[[Piece], None] = lambda piece: None,
) -> Extraction:
    """``extract`` on the devices of ``hands``, with equal features; ``workers`` threads decode and ``writers`` write
    for each device.

    Whatever is raised, each process commits what it computed before that
    goes on up; a process that is gone raises StoreError.
    """
    began, store = time.monotonic(), stores.open(writer.path)
    notes.mark_begun(store.path)
    lead = _Lead(plan, hands, Roll(plan, store), progress)
    n_copied = 0
    try:
        for hand in hands:
            hand.send(Start(writer.path, format, workers, seal_every, plan.done, writers))
        lead.run()
        for piece in lead.roll.copy_twins(writer, store):
            n_copied += 1
            progress(piece)
        writer.close()
    except BaseException:
        lead.dismiss()
        writer.close()
        raise
    notes.mark_finished(store.path)
    seconds = time.monotonic() - began
    return Extraction(
        lead.n_encoded,
        n_copied,
        (*plan.skipped, *lead.roll.skipped),
        lead.n_samples / plan.spec.sample_rate,
        seconds,
        stages.load([hand.busy or {} for hand in hands], seconds, workers, writers),
        tuple(lead.roll.remarked),
    )


class _Lead:
    """What the leading process knows of the work under way."""

    def __init__(
        self,
        plan: Plan,
        hands: Sequence[Hand],
        roll: Roll,
        progress: Callable[[Piece], None],
    ) -> None:
        self.hands, self.roll, self.done = hands, roll, plan.done
        self.progress = progress
        self.waiting = deque(enumerate(plan.unfinished))
        self.batches = dict(self.waiting)
        self.next = 0
        """The batch whose turn it is to be decided."""
        self.heard: dict[int, tuple[Hand, Heard]] = {}
        self.left: dict[str, int] = {}
        """Batch of each entry that is being computed."""
        self.sounds: dict[str, Sound] = {}
        self.n_encoded = self.n_samples = 0

    def run(self) -> None:
        """Until every process has finished."""
        for hand in self.hands:
            self.give(hand)
        if not self.batches:
            self.end(at_once=False)
        while any(hand.busy is None for hand in self.hands):
            for hand in self._speaking():
                self.take(hand, hand.recv())

    def _speaking(self) -> list[Hand]:
        listening = {hand.connection: hand for hand in self.hands if hand.busy is None}
        return [listening[connection] for connection in wait(list(listening))]  # type: ignore[index]

    def give(self, hand: Hand) -> None:
        """Fill the hand with batches to decode."""
        while self.waiting and len(hand.given) < _GIVEN:
            number, pieces = self.waiting.popleft()
            hand.given.add(number)
            hand.send(Batch(number, pieces))

    def take(self, hand: Hand, message: object) -> None:
        """Answer a message."""
        if isinstance(message, Heard):
            self.heard[message.number] = hand, message
            self.decide()
        elif isinstance(message, Done):
            self.note(hand, message)
        elif isinstance(message, Told):
            warn(f"{hand.device}: {message.text}")
        elif isinstance(message, Finished):
            hand.busy = message.busy

    def decide(self) -> None:
        """Say what is computed of the batches whose turn it is."""
        while self.next in self.heard:
            hand, heard = self.heard.pop(self.next)
            pieces = self.batches.pop(self.next)
            sounds = [
                item if isinstance(item, Skipped) else Sound(piece, *item)
                for piece, item in zip(pieces, heard.found, strict=True)
            ]
            fresh = self.roll.take(sounds)
            hand.send(Fresh(self.next, [sounds.index(sound) for sound in fresh]))
            for sound in fresh:
                self.left[sound.piece.entry_id] = self.next
                self.sounds[sound.piece.entry_id] = sound
            self.release(hand, self.next)
            self.next += 1
        if not self.batches:
            self.end(at_once=False)

    def note(self, hand: Hand, done: Done) -> None:
        """Count what was computed; a batch that is complete makes room for another."""
        self.roll.skipped += done.skipped
        for id in done.ids:
            sound = self.sounds.pop(id)
            if id not in self.done:
                self.n_encoded += 1
                self.n_samples += sound.n_samples
                self.progress(sound.piece)
        for number in {self.left.pop(id) for id in (*done.ids, *(item.what for item in done.skipped))}:
            self.release(hand, number)

    def release(self, hand: Hand, number: int) -> None:
        """Take a batch off the hand where nothing of it is left to compute."""
        if number not in self.left.values():
            hand.given.discard(number)
            self.give(hand)

    def end(self, *, at_once: bool) -> None:
        """Have every process commit and leave."""
        for hand in self.hands:
            hand.send(End(at_once))

    def dismiss(self) -> None:
        """After a fault: wait until those who can have committed what they computed."""
        self.end(at_once=True)
        for hand in self.hands:
            with suppress(SercacheError, RuntimeError):
                while hand.busy is None:
                    message = hand.recv()
                    if isinstance(message, Finished):
                        hand.busy = message.busy
