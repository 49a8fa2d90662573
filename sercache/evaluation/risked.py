"""What a head does to the process that builds or measures it before any of its trainings is claimed, counted by claims.

A head may end its process: its size takes all memory, or it has a fault. Who is lost with it in hand leaves a claim in
the folder of the unfinished run, by which those who come after know; the head is named and left out at last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sercache import catalog
from sercache.claims import LOSSES, Claims, claims_in, leader
from sercache.errors import LeftOutError
from sercache.evaluation.method import How, Method
from sercache.evaluation.partial import CLAIMS, tidy
from sercache.progress import used
from sercache.record import Experiment

MOST = 99
"""Processes that count each other; more share the work all the same."""
_FORECAST = "forecast"
Doing = Literal["building", "building-every", "measuring"]
"""What is done with a head; what ends no process in one way may end it in another, so each is counted by itself."""
_DONE = {"building": "built", "building-every": "built", "measuring": "measured"}


@contextmanager
def at_risk(
    doing: Doing, method: Method, how: How, experiment: Experiment, *, is_ahead: bool = False
) -> Iterator[None]:
    """Do with a head, inside the block, what may end this process: counted where an unfinished run is kept.

    Raises LeftOutError where it has ended LOSSES processes, one after another; one of them, where what is done is but
    to look ahead.
    """
    if how.partial is None:
        yield
        return
    try:
        with (
            claims_in(how.partial / CLAIMS, in_passing=True) as claims,
            risked(doing, claims, method, experiment, is_ahead=is_ahead),
        ):
            yield
    finally:
        tidy(how.partial)


@contextmanager
def risked(
    doing: Doing, claims: Claims, method: Method, experiment: Experiment, *, is_ahead: bool = False
) -> Iterator[None]:
    """As ``at_risk``, by claims that are at hand. Processes that do it at a time do not wait for each other."""
    name, most_lost = f"{experiment.digest}-{doing}", 0 if is_ahead else LOSSES - 1
    lost = claims.lost([name, *numbered(name)])
    if sum(lost.values()) > most_lost or claims.is_left_out(name):
        if not is_ahead:
            if leader() and claims.take(name):
                claims.leave_out(name)  # by all that it leads
            claims.clear_up()  # the next command tries it again
        raise LeftOutError(
            f"left out: {_called(method)}, since every process that {_DONE[doing]} it was lost (its memory, or a fault "
            "of the head); mend it or change its options, and the same command tries again"
        )
    own = next((place for place in numbered(name) if claims.take(place)), None)
    if own is not None:
        claims.begin(own, f"{doing.replace('-', ' ')} {_called(method)}")
    try:
        yield
    finally:
        if own is not None:
            claims.release(own)


@contextmanager
def looking_ahead(claims: Claims) -> Iterator[bool]:
    """Whether this process is to look ahead, inside the block: it is the only one at work that does so now.

    Not where it is one of those that something leads: that tells how far they are.
    """
    is_ours = not leader() and claims.take(_FORECAST)
    if not is_ours and not leader():
        used("forecast", "another process of this command makes it now")
    try:
        yield is_ours
    finally:
        if is_ours:
            claims.release(_FORECAST)


def numbered(name: str) -> list[str]:
    """Claims of which each process takes one: how they count each other."""
    return [f"{name}-{number}" for number in range(1, MOST + 1)]


def _called(method: Method) -> str:
    """A head with what it was given: ``head cta-rnn (hidden=512)``."""
    options = ", ".join(f"{name}={value}" for name, value in method.options.items())
    return f"head {catalog.shown(method.head)}{f' ({options})' if options else ''}"
