"""A forecast holds where the host bounds a training: on a card that is none, by a clock that what is dear moves."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from test_training_card import a_card

from sercache.heads import linear
from sercache.recipe import Recipe
from sercache.training import Choice, Fit, Member, Work, fit_many, loop, pace, predict, residing
from sercache.training.feeding import Feeder
from sercache.training.pace import measured
from sercache.training.tables import Gathering
from sercache.views import FeatureView, Shape, drawn, drawn_like

RECIPE = Recipe(
    batch_size=8, max_epochs=12, select="last-epoch", schedule="constant", accumulate=2, balance="undersample"
)
KERNELS, RECORDED, MOVED = 40.0, 2.0, 15.0
"""Seconds of the first update of a process, of the first of a training, and of a head's way to the card or back."""
GATHERED, STEP, SENT, BROUGHT = 4e-3, 3e-3, 3e-2, 1e-2
"""Seconds of a batch that is gathered, of an update, and of a frame that is sent for a batch, or brought before all."""


class Clock:
    """Seconds that pass where they are said to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now, self.patch = 0.0, patch
        patch.setattr(time, "perf_counter", lambda: self.now)

    def costs(self, owner: Any, name: str, seconds: Callable[..., float]) -> None:
        """What a function takes, by what it is given."""
        real = getattr(owner, name)

        def slow(*given: Any, **named: Any) -> Any:
            self.now += seconds(*given, **named)
            return real(*given, **named)

        self.patch.setattr(owner, name, slow)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock, seen = Clock(monkeypatch), set[int]()

    def of_step(training: Any, *_: object) -> float:
        first = STEP + KERNELS * (not seen) + RECORDED * (id(training) not in seen)
        seen.add(id(training))
        kept.append(training)  # its id stays its own
        return first

    def of_move(head: torch.nn.Module, place: Any) -> float:
        return MOVED * (next(head.parameters()).device.type != torch.device(place).type)

    def of_sent(feeder: object, view: FeatureView, rows: np.ndarray) -> float:
        return SENT * float(view.n_frames[rows].sum())

    kept: list[object] = []
    clock.costs(loop, "_step", of_step)
    clock.costs(torch.nn.Module, "to", of_move)
    clock.costs(Gathering, "batch", lambda *_: GATHERED)
    clock.costs(Feeder, "_send", of_sent)
    clock.costs(residing, "_frames", lambda source, device: BROUGHT * float(source.n_frames.sum()))
    return clock


def work_of(n_items: int, n_epochs: int, *, dev: bool) -> Work:
    """Of four classes, half of the items in one."""
    labels = np.where(np.arange(n_items) % 2, 0, np.arange(n_items) // 2 % 4)
    train = drawn([Shape(2, 3, True)], [np.arange(n_items) % 7 + 3], labels)
    judged: Any = dataclasses.replace(train) if dev else None  # rows of one source, as those of folds are
    recipe = dataclasses.replace(RECIPE, max_epochs=n_epochs, select="dev-ua" if dev else "last-epoch")
    return Work(Member(linear.Head(2, 3, 4), train, judged, 0), recipe, "meta", Choice())


def by_the_clock(work: Work, clock: Clock, test: FeatureView) -> float:
    """Seconds of a training and its test."""
    member, began = work.member, clock.now
    again = dataclasses.replace(member, head=copy.deepcopy(member.head))
    done: Fit = fit_many([again], work.recipe, device=work.device)[0]
    predict(done.head, test, device=work.device)
    return clock.now - began


@pytest.mark.parametrize("is_held", [True, False])
@pytest.mark.parametrize("dev", [pytest.param(False, marks=pytest.mark.slow), True])
def test_what_a_card_takes_beside_the_updates_is_foretold(
    is_held: bool, dev: bool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = work_of(64, 6, dev=dev)
    room = work.member.train.source.plan.bytes / residing.SHARE  # type: ignore[attr-defined]
    # Short of a byte, what is drawn of it for the measurement would fit all the same.
    monkeypatch.setattr(residing, "free_on", lambda device: room if is_held else room - 1)
    test: Any = drawn_like(work.member.train, np.arange(64))
    with a_card():
        told = measured(work, 25)
        forecast = work.once(told) + work.seconds(told, int(test.n_frames.sum()))
        assert work.is_held == is_held
        assert not told.is_rough
        taken = by_the_clock(work, clock, test)
    # Lengths of 3 to 9 frames, in batches of eight that are drawn anew: a tenth is more than they differ by.
    assert forecast == pytest.approx(taken, rel=0.1)


def test_items_that_were_drawn_by_class_are_all_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    work, begun = dataclasses.replace(work_of(640, 1, dev=False), device="cpu"), list[Any]()
    begin = pace.begin
    monkeypatch.setattr(pace, "begin", lambda *given: begun.append(begin(*given)) or begun[-1])
    for number, group in enumerate(work.groups[:-1]):
        seen = pace._epochs(work, [number], 1)
        assert (
            begun[-1].n_frames - begun[-1].n_padded == work.member.train.n_frames[np.concatenate(group)].sum()
        )
        assert seen.n_updates == begun[-1].n_updates == 1


def test_features_that_lie_there_are_not_brought_again() -> None:
    work = work_of(64, 1, dev=False)
    brought = dataclasses.replace(work, choice=Choice(held=True))
    told = pace.Pace(1.0, 8.0, 0.0, brought=0.5)
    assert work.once(told) == 0.5 * work.member.train.n_frames.sum()
    assert brought.once(told) == 0
    assert brought.is_held
    assert not dataclasses.replace(work, choice=Choice(held=False)).is_held


def test_the_first_update_of_a_process_is_not_taken_for_one_of_many(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else one update alone would be measured, as if each of the others took as long."""
    epochs, chosen = pace._epochs, list[int]()
    monkeypatch.setattr(
        pace, "_epochs", lambda work, some, n: chosen.append(len(some)) or epochs(work, some, n)
    )
    with a_card():
        measured(work_of(640, 100, dev=False), 25)
    assert chosen[0] == 1
    assert chosen[-1] > 1
