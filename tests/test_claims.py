"""Claims: one owner a name, taken over once when its owner is gone, whatever happens between two steps."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sercache import claims
from sercache.claims import LOSSES, Claims
from sercache.errors import DiskSpaceError, FileError

EXPIRY = 60.0
NAMES = ("a", "0f" * 16)


class Clock:
    """Time (s) that passes when it is told to, or slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def open_claims(folder: Path, clock: Clock) -> Claims:
    return Claims(folder, EXPIRY, clock=clock, sleep=clock.sleep)


@pytest.fixture
def pair(tmp_path: Path, clock: Clock) -> Iterator[tuple[Claims, Claims]]:
    with open_claims(tmp_path, clock) as one, open_claims(tmp_path, clock) as other:
        yield one, other


def expire(clock: Clock, watching: Claims, name: str = "a") -> None:
    """Let time pass for a rival that looks every few seconds, and nobody else."""
    for _ in range(14):
        clock.now += 5
        watching.others([name])


def test_one_owner_at_a_time(pair: tuple[Claims, Claims]) -> None:
    one, other = pair
    assert one.take("a")
    assert one.take("a"), "it has it already"
    assert not other.take("a")
    assert other.take("b")
    assert other.others(["a", "b", "c"]) == {"a"}
    assert one.still_held("a")
    assert not other.still_held("a")
    one.release("a")
    assert not one.still_held("a")
    assert other.others(["a"]) == set()
    assert other.take("a")
    one.release("a")  # of what is no longer its own
    assert other.still_held("a")


def test_nothing_is_left(tmp_path: Path, clock: Clock) -> None:
    with open_claims(tmp_path, clock) as one, open_claims(tmp_path, clock) as other:
        one.take("a")
        other.take("b")
    assert list(tmp_path.iterdir()) == []


def test_an_owner_that_shows_life_keeps_its_claim(pair: tuple[Claims, Claims], clock: Clock) -> None:
    one, other = pair
    assert one.take("a")
    for _ in range(20):
        clock.now += 50
        assert not other.take("a")
        one.beat()
    assert one.still_held("a")


def test_what_has_expired_is_taken_over_once(
    tmp_path: Path, pair: tuple[Claims, Claims], clock: Clock
) -> None:
    one, other = pair
    assert one.take("a")
    with open_claims(tmp_path, clock) as third:
        for _ in range(14):
            assert not (clock.now < EXPIRY and other.take("a"))
            third.others(["a"])
            clock.now += 5
        assert [other.take("a"), third.take("a")] == [True, False]
        one.beat()
        assert not one.still_held("a"), "it wakes, and has lost it"
        assert not one.take("a")
        assert other.still_held("a")
        one.release("a")
        assert other.still_held("a")
        other.release("a")
        assert one.take("a")


def test_an_owner_that_wakes_when_all_is_over_and_removed_may_go_on(
    tmp_path: Path, pair: tuple[Claims, Claims]
) -> None:
    one, other = pair
    assert one.take("a")
    shutil.rmtree(tmp_path)
    assert not one.still_held("a")
    assert other.others(["a"]) == set()
    assert one.take("a")
    assert not other.take("a")


def test_a_rival_that_slept_itself_takes_nothing(pair: tuple[Claims, Claims], clock: Clock) -> None:
    """Where all of a host was suspended, who wakes first has not watched the other."""
    one, other = pair
    assert one.take("a")
    assert other.others(["a"]) == {"a"}
    clock.now += 3600
    assert other.others(["a"]) == {"a"}


def test_a_claim_that_was_never_signed_expires(
    tmp_path: Path, pair: tuple[Claims, Claims], clock: Clock
) -> None:
    _, other = pair
    (tmp_path / "a.1").touch()
    assert not other.take("a")
    expire(clock, other)
    assert other.take("a")
    other.release("a")
    assert not list(tmp_path.glob("a.*"))


def test_an_owner_whose_file_is_gone_expires_and_may_come_back(
    tmp_path: Path, pair: tuple[Claims, Claims], clock: Clock
) -> None:
    one, other = pair
    assert one.take("a")
    [mine] = [path for path in tmp_path.glob("*.owner") if one._owners.own in path.name]
    mine.unlink()
    assert not other.take("a")
    one.beat()
    assert mine.exists()
    expire(clock, other)
    assert other.take("a")


def test_a_claim_left_by_one_who_is_gone_expires_while_others_show_life(
    tmp_path: Path, pair: tuple[Claims, Claims], clock: Clock
) -> None:
    _, other = pair
    (tmp_path / "a.1").write_text("0" * 32)  # its owner has left, and could not remove it
    assert not other.take("a")
    for _ in range(round(EXPIRY / 5) + 2):
        clock.now += 5
        other.beat()
        if other.take("a"):
            break
    assert other.still_held("a")


def test_what_cannot_be_removed_stays_its_owners_until_it_leaves(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_claims(tmp_path, clock) as one:
        assert one.take("a")
        with monkeypatch.context() as patch:
            patch.setattr(
                Path, "unlink", lambda self, **_: (_ for _ in ()).throw(OSError(5, "Input/output error"))
            )
            one.release("a")
        assert one.take("a"), "who released it waits for nobody"
        with monkeypatch.context() as patch:
            patch.setattr(
                Path, "unlink", lambda self, **_: (_ for _ in ()).throw(OSError(5, "Input/output error"))
            )
            one.release("a")
    assert not list(tmp_path.iterdir())


def test_waiting_ends_when_something_is_free(pair: tuple[Claims, Claims], clock: Clock) -> None:
    one, other = pair
    assert one.take("a")
    assert other.wait(["a", "b"]) == {"b"}
    assert other.wait([]) == set()
    assert other.wait(["a"], timeout=5) == set()
    assert 5 <= clock.now < 6
    assert other.wait(["a"]) == {"a"}
    assert EXPIRY <= clock.now < EXPIRY + 10


def test_what_every_owner_is_lost_with_is_left_out_until_all_have_left(tmp_path: Path, clock: Clock) -> None:
    with open_claims(tmp_path, clock) as one, open_claims(tmp_path, clock) as other:
        for n in range(LOSSES):
            assert one.lost(["a", "b"]) == ({"a": n} if n else {})
            assert not other.give_up("a")
            assert not n or not other.take("a", most_lost=n - 1)
            assert other.take("a", most_lost=n)
            assert one.lost(["a"]) == ({"a": n} if n else {}), "it is in hand, not lost"
            other.lose("a")
            assert not other.still_held("a")
        assert one.lost(["a"]) == {"a": LOSSES}
        assert one.give_up("a")
        with open_claims(tmp_path, clock) as late:
            for each in (one, other, late):
                assert each.is_left_out("a")
                assert not each.take("a")
            assert late.wait(["a"]) == {"a"}, "nobody waits for it"
    assert list(tmp_path.iterdir()) == []


def test_what_was_left_out_is_tried_again_when_all_who_knew_are_gone(tmp_path: Path, clock: Clock) -> None:
    gone = open_claims(tmp_path, clock).__enter__()
    for _ in range(LOSSES):
        gone.take("a")
        gone.lose("a")
    assert gone.give_up("a")
    assert gone.lost(["a"]) == {"a": LOSSES}
    with open_claims(tmp_path, clock) as late:
        assert late.lost(["a"]) == {"a": LOSSES}, "whoever left it out may live"
        expire(clock, late)
        for _ in range(14):
            clock.now += 5
            late.beat()
        assert late.lost(["a"]) == {}
        assert late.take("a", most_lost=0)


def test_what_a_led_process_left_out_stays_so_while_none_of_them_lives(tmp_path: Path, clock: Clock) -> None:
    begun: list[tuple[str, int, str]] = []

    def said(*work: Any) -> None:
        begun.append(work)

    with claims.led("share-1", said):
        lost = [open_claims(tmp_path, clock).__enter__() for _ in range(LOSSES + 1)]
        for each in lost[:LOSSES]:
            assert each.take("a")
            each.begin("a", "fold 1")
            each.lose("a")
        assert lost[-1].give_up("a")
        assert begun == [("a", generation, "fold 1") for generation in range(1, LOSSES + 1)]
        for path in tmp_path.glob("*.owner"):
            path.unlink()
        for _ in range(2):  # one more takes the place of the first
            with open_claims(tmp_path, clock) as late:
                assert late.give_up("a")
                assert not late.take("a")
    with open_claims(tmp_path, clock) as again:
        assert again.lost(["a"]) == {}
        assert again.take("a", most_lost=0)
    assert list(tmp_path.iterdir()) == []


def test_an_owner_that_ends_well_begins_the_count_anew(pair: tuple[Claims, Claims]) -> None:
    one, other = pair
    for _ in range(LOSSES - 1):
        one.take("a")
        one.lose("a")
    assert other.take("a")
    other.release("a")
    assert one.lost(["a"]) == {}


@pytest.mark.parametrize("name", ["", "..", "a/b", ".a", "a" * 250])
def test_names_that_no_file_may_have(pair: tuple[Claims, Claims], name: str) -> None:
    with pytest.raises(ValueError, match="cannot be claimed"):
        pair[0].take(name)


def test_the_expiry_is_that_of_the_owner(tmp_path: Path, clock: Clock) -> None:
    with Claims(tmp_path, 600, clock=clock) as slow, open_claims(tmp_path, clock) as other:
        slow.take("a")
        expire(clock, other)
        assert not other.take("a")


def test_the_thread_shows_life(tmp_path: Path) -> None:
    with Claims(tmp_path, 0.6) as one, Claims(tmp_path, 0.6) as other:
        assert one.take("a")
        assert other.wait(["a"], timeout=1.2) == set()


SLEEPER = """
import sys, time
from pathlib import Path
from sercache.claims import LOSSES, Claims
with Claims(Path(sys.argv[1])) as mine:
    mine.take("a")
    print(flush=True)
    time.sleep(600)
"""


@contextmanager
def sleeper(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, folder], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_the_dead_of_this_host_are_known_at_once(tmp_path: Path, clock: Clock) -> None:
    with sleeper(tmp_path) as process, open_claims(tmp_path, clock) as other:
        assert not other.take("a")
        process.send_signal(signal.SIGSTOP)
        assert not other.take("a"), "one that is stopped may wake"
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert other.take("a"), "it is dead, though nobody has asked how it ended"
        [theirs] = [path for path in tmp_path.glob("*.owner") if other._owners.own not in path.name]
        record, beat = theirs.read_bytes().split(b"\n")
        elsewhere = json.loads(record) | {"boot": "another"}
        theirs.write_bytes(json.dumps(elsewhere).encode() + b"\n" + beat)
        (tmp_path / "b.1").write_text(theirs.stem)
        assert not other.take("b"), "what lives on another host cannot be told"
    assert [path.name for path in tmp_path.iterdir() if path not in (theirs, tmp_path / "b.1")] == []


def test_a_process_of_the_same_number_is_another(tmp_path: Path, clock: Clock) -> None:
    with open_claims(tmp_path, clock) as one, open_claims(tmp_path, clock) as other:
        one.take("a")
        path = tmp_path / f"{one._owners.own}.owner"
        record, _, beat = path.read_bytes().partition(b"\n")
        older = json.loads(record) | {"started": 1}
        path.write_bytes(json.dumps(older).encode() + b"\n" + beat)
        assert other.take("a")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "write", "listdir"])
def test_disk_faults_are_one_line(
    tmp_path: Path, pair: tuple[Claims, Claims], monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    expected = DiskSpaceError if number in (errno.ENOSPC, errno.EDQUOT) else FileError
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(expected, match=f"^[^\n]*{tmp_path}[^\n]*$"):
            pair[0].take("a")
        if call != "listdir":
            with pytest.raises(expected), Claims(tmp_path):
                pass
    assert pair[1].take("a"), "nothing is left of what failed"


class Machine(RuleBasedStateMachine):
    """Some processes, of which some are paused for a while: no two ever hold a name, who shows life loses none."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.clock = Clock()
        folder = Path(self.opened.enter_context(tempfile.TemporaryDirectory()))
        self.all = [self.opened.enter_context(open_claims(folder, self.clock)) for _ in range(3)]
        self.paused: set[int] = set()
        self.sure: dict[str, int] = {}
        """Who must hold a name: it took it, and was never paused for long since."""

    @rule(who=st.integers(0, 2), name=st.sampled_from(NAMES))
    def take(self, who: int, name: str) -> None:
        if who in self.paused:
            return
        if self.all[who].take(name):
            assert self.sure.get(name, who) == who
            self.sure[name] = who

    @rule(who=st.integers(0, 2), name=st.sampled_from(NAMES))
    def release(self, who: int, name: str) -> None:
        if who not in self.paused:
            self.all[who].release(name)
            if self.sure.get(name) == who:
                del self.sure[name]

    @rule(who=st.integers(0, 2))
    def pause(self, who: int) -> None:
        self.paused.add(who)
        self.sure = {name: owner for name, owner in self.sure.items() if owner != who}

    @rule(who=st.integers(0, 2))
    def wake(self, who: int) -> None:
        self.paused.discard(who)
        self.all[who].beat()
        self.sure |= {name: who for name in NAMES if self.all[who].still_held(name)}

    @rule(n=st.integers(1, 20))
    def time_passes(self, n: int) -> None:
        for _ in range(n):
            self.clock.now += EXPIRY / 6
            for who in range(3):
                if who not in self.paused:
                    self.all[who].beat()

    @invariant()
    def nobody_shares(self) -> None:
        for name in NAMES:
            holding = [who for who in range(3) if self.all[who].still_held(name)]
            assert len(holding) <= 1
            if name in self.sure:
                assert holding == [self.sure[name]]

    def teardown(self) -> None:
        self.opened.close()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


class Turns:
    """Lets threads go on one step at a time: a step ends before a call that reaches the folder."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._gates: dict[int, tuple[threading.Semaphore, threading.Semaphore]] = {}
        for owner, name in (
            (claims._files, "create"),
            (claims._files, "content"),
            (claims._files.os, "listdir"),
            (Path, "unlink"),
        ):
            patch.setattr(owner, name, self._stopping(getattr(owner, name)))

    def _stopping(self, call: Callable) -> Callable:
        def stop(*arguments: object, **options: object) -> object:
            gates = self._gates.get(threading.get_ident())
            if gates:
                gates[1].release()
                gates[0].acquire()
            return call(*arguments, **options)

        return stop

    def run(self, bodies: list[Callable[[], None]], choose: Callable[[int], int]) -> None:
        """Run ``bodies`` to their ends, each step that of the one that ``choose`` picks of so many."""
        faults: list[BaseException] = []
        alive = []
        for body in bodies:
            gates = threading.Semaphore(0), threading.Semaphore(0)
            ended = threading.Event()

            def work(
                body: Callable[[], None] = body, gates: tuple = gates, ended: threading.Event = ended
            ) -> None:
                gates[0].acquire()
                self._gates[threading.get_ident()] = gates
                try:
                    body()
                except BaseException as fault:
                    faults.append(fault)
                finally:
                    del self._gates[threading.get_ident()]
                    ended.set()
                    gates[1].release()

            threading.Thread(target=work, daemon=True).start()
            alive.append((gates, ended))
        while alive:
            gates, ended = each = alive[choose(len(alive))]
            gates[0].release()
            assert gates[1].acquire(timeout=30)
            if ended.is_set():
                alive.remove(each)
        for fault in faults:
            raise fault


@settings(max_examples=60, deadline=None)
@given(
    picks=st.lists(st.integers(0, 5), min_size=20, max_size=120),
    begun=st.sampled_from(["free", "expired", "expired twice"]),
)
def test_whatever_comes_between_two_steps(picks: list[int], begun: str) -> None:
    """Rivals for one name, one of which gives it back and takes it anew while others are in the middle of taking."""
    clock = Clock()
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        everyone = [opened.enter_context(open_claims(folder, clock)) for _ in range(5)]
        first, second, *rivals = everyone
        if begun != "free":
            assert first.take("a")
            expire(clock, second)
            for each in rivals:
                expire(clock, each)
        if begun == "expired twice":
            assert second.take("a")
            for each in rivals:
                expire(clock, each)

        def compete(mine: Claims, rounds: int) -> None:
            for _ in range(rounds):
                if mine.take("a") and rounds > 1:
                    mine.release("a")

        with pytest.MonkeyPatch.context() as patch:
            turns = Turns(patch)
            bodies = [partial(compete, mine, n) for n, mine in enumerate(rivals, 1)]
            turns.run(bodies, lambda n: picks.pop() % n if picks else 0)
        holding = [each for each in everyone if each.still_held("a")]
        assert holding == [each for each in rivals if each._held], "who was told that it has it, has it"
        assert len(holding) <= 1
        assert holding or rivals[0].take("a")


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_who_looked_long_ago_takes_nothing_from_who_came_since(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Between a look and the attempt the name is taken over, given back, and taken anew."""
    with ExitStack() as opened:
        late, quick, new, *gone = [opened.enter_context(open_claims(tmp_path, clock)) for _ in range(6)]
        for each in gone[:times]:
            for _ in range(14):
                clock.now += 5
                [watching.others(["a"]) for watching in (late, quick, new, *gone)]
            assert each.take("a")
        for _ in range(14):
            clock.now += 5
            [watching.others(["a"]) for watching in (late, quick, new)]
        create, others = (
            claims._files.create,
            [lambda: quick.take("a"), lambda: quick.release("a"), lambda: new.take("a")],
        )

        def at_last(path: Path, content: bytes) -> bool:
            monkeypatch.setattr(claims._files, "create", create)
            for step in others:
                step()
            return create(path, content)

        monkeypatch.setattr(claims._files, "create", at_last)
        assert not late.take("a")
        assert new.still_held("a")
