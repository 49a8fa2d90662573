"""Several processes that train the same: each training is done once, whoever dies, and all end with one result."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import re
import shlex
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import linux  # noqa: F401 - skipped elsewhere
import pytest
from conftest import Outcome
from evaluations import evaluated, told
from fake_store import make_talk
from many_helpers import forks
from test_training_partial import N_TRAININGS, RECIPE, SETUP, numbers, run
from torch import nn

from sercache.claims import LOSSES
from sercache.errors import LeftOutError
from sercache.evaluation import (
    Data,
    Evaluated,
    How,
    Method,
    Progress,
    forecast,
    partial,
    prepare,
    shared,
    trainings,
)
from sercache.experiment import probe, together
from sercache.heads import logistic, mlp
from sercache.record import Job, Report
from sercache.report import runs as run_folders
from sercache.training import Fit, Member, processes

Sercache = Callable[..., Outcome]

pytestmark = [pytest.mark.usefixtures("few_draws"), forks]


@pytest.fixture(scope="module")
def whole(few_draws: None) -> Report:
    """What one process gives."""
    return run(How("serial"))


def started(work: Callable[[], object]) -> int:
    """A forked process that does some work, and ends with 0 where it comes to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def code_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def asked_for() -> tuple[Method, Data]:
    """What ``run`` evaluates."""
    corpus, store = make_talk()
    return Method("mlp", mlp.Head, SETUP, RECIPE), Data(corpus, (store,))


def noted(folder: Path, **more: object) -> Callable[[], None]:
    """An evaluation that notes every training that it makes, and its report."""

    def work() -> None:
        seen: Counter[tuple[str, int]] = Counter()

        def note(at: Progress) -> None:
            seen[at.fold, at.seed] += 1

        report = run(How("serial", partial=folder), progress=note, **more)  # type: ignore[arg-type]
        record = {"trained": sorted(seen), "numbers": numbers(report)}
        (folder.parent / f"{os.getpid()}.json").write_text(json.dumps(record))

    return work


def test_two_processes_share_the_trainings_and_get_the_numbers_of_one(
    whole: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the disk has no locks."""

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    folder = tmp_path / "run.partial"
    children = [started(noted(folder)) for _ in range(2)]
    assert [code_of(child) for child in children] == [0, 0]
    told_by = [json.loads((tmp_path / f"{child}.json").read_text()) for child in children]
    trained = Counter(tuple(each) for record in told_by for each in record["trained"])
    assert len(trained) == N_TRAININGS
    assert set(trained.values()) == {1}, "each is trained once"
    expected = json.loads(json.dumps(numbers(whole)))
    assert all(record["numbers"] == expected for record in told_by)
    assert not (folder / "claims").exists()


@pytest.mark.parametrize("way", ["killed", pytest.param("stopped for a while", marks=pytest.mark.slow)])
def test_what_a_process_leaves_is_done_by_another(
    whole: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("sercache.claims._claims.EXPIRY_SECONDS", 1.0)
    folder = tmp_path / "run.partial"

    def slow(at: Progress) -> None:
        if at.run == 2:
            (tmp_path / "second").touch()
            time.sleep(60 if way == "killed" else 0.2)

    def dies() -> None:
        report = run(How("serial", partial=folder), progress=slow)
        (tmp_path / "woken.json").write_text(json.dumps(numbers(report)))

    child = started(dies)
    while not (tmp_path / "second").exists():
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL if way == "killed" else signal.SIGSTOP)
    with told("training") as said:
        report = run(How("serial", partial=folder))
    assert numbers(report) == numbers(whole)
    assert said[0] == "1 of 10 trainings were finished before"
    assert len(list(folder.glob("fold-*"))) == N_TRAININGS
    if way == "killed":
        assert code_of(child) == -signal.SIGKILL
        return
    os.kill(child, signal.SIGCONT)
    assert code_of(child) == 0
    assert (tmp_path / "woken.json").read_text() == json.dumps(numbers(whole))
    assert not (folder / "claims").exists()


@pytest.mark.filterwarnings("ignore:training")
def test_a_training_that_ends_each_process_is_left_out_and_named(whole: Report, tmp_path: Path) -> None:
    folder, parent = tmp_path / "run.partial", os.getpid()
    deadly = whole.runs[3]

    def dies(at: Progress) -> None:
        if (at.fold, at.seed) == (deadly.fold, deadly.seed):
            assert os.getpid() != parent, "it is left out"
            os.kill(os.getpid(), signal.SIGKILL)

    how = How("serial", partial=folder)
    codes = [code_of(started(lambda: run(how, progress=dies))) for _ in range(LOSSES)]
    assert codes == [-signal.SIGKILL] * LOSSES
    named = rf"left out: fold {re.escape(deadly.fold)} \(seed {deadly.seed}\), since every process"
    with pytest.raises(LeftOutError, match=named):
        run(how, progress=dies)
    assert len(list(folder.glob("fold-*"))) == N_TRAININGS - 1, "all else is done"
    assert numbers(run(how)) == numbers(whole), "it is tried again"


def test_a_head_that_ends_each_process_that_builds_it_is_left_out_and_named(
    whole: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, parent = tmp_path / "run.partial", os.getpid()

    def dies(*_: Any, **options: Any) -> nn.Module:
        assert os.getpid() != parent, "it is left out"
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    how = How("serial", partial=folder)
    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["sercache.evaluation.prepare"], "build", dies)
        assert code_of(started(lambda: run(how))) == -signal.SIGKILL
        with pytest.raises(LeftOutError):  # who only looks ahead loses no second process with it
            prepare(*asked_for(), how, is_ahead=True)
        codes = [code_of(started(lambda: run(how))) for _ in range(LOSSES - 1)]
        assert codes == [-signal.SIGKILL] * (LOSSES - 1)
        with pytest.raises(
            LeftOutError, match="left out: head mlp, since every process that built it was lost"
        ):
            run(how)
    assert not folder.exists()
    assert numbers(run(how)) == numbers(whole), "it is tried again"


def test_a_head_that_ends_its_process_when_many_are_built_is_left_out_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their memory, say."""
    folder, parent = tmp_path / "run.partial", os.getpid()

    def dies(*_: Any, **options: Any) -> nn.Module:
        assert os.getpid() != parent, "it is left out"
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    monkeypatch.setattr(trainings, "build", dies)
    how = How("serial", partial=folder)
    assert [code_of(started(lambda: run(how))) for _ in range(LOSSES)] == [-signal.SIGKILL] * LOSSES
    with pytest.raises(LeftOutError, match="left out: head mlp"):
        run(how)
    assert not folder.exists()


def test_a_head_that_ends_its_process_when_it_is_looked_at_ahead_is_not_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = How("serial", partial=tmp_path / "run.partial")
    ready = prepare(*asked_for(), how)

    def dies(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(trainings, "of_alike", dies)
        assert code_of(started(lambda: forecast(ready, how))) == -signal.SIGKILL
    with pytest.raises(LeftOutError, match="measured"):  # however often it is built meanwhile
        forecast(prepare(*asked_for(), how), how)


def test_a_head_that_ends_its_process_when_it_is_measured_counts_against_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(trainings, "of_alike", dies)
    folder = tmp_path / "run.partial"
    assert code_of(started(lambda: run(How("serial", partial=folder)))) == -signal.SIGKILL
    claimed = [path.stem for path in (folder / "claims").glob("*.1")]
    assert len([name for name in claimed if "-" not in name]) == 1, "beside that of the process itself"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:training", "ignore:a training process")
def test_a_process_of_ours_that_is_lost_costs_what_it_had_in_hand(
    whole: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = whole.runs[3]
    begin = processes.begin

    def dies(member: Member, *more: Any) -> Any:
        if multiprocessing.parent_process() and member.seed == deadly.seed:
            os.kill(os.getpid(), signal.SIGKILL)
        return begin(member, *more)

    monkeypatch.setattr(processes, "begin", dies)
    folder = tmp_path / "run.partial"
    # What is left at last is trained by this process itself, which has all the memory.
    assert numbers(run(How("processes", partial=folder))) == numbers(whole)


def test_of_two_that_start_at_one_instant_neither_removes_what_the_other_tells(tmp_path: Path) -> None:
    folder, begun = tmp_path / "run.partial", list[Path]()
    ready = prepare(*asked_for(), How(partial=folder))

    def begin(place: Path) -> None:
        assert (folder / "claims" / "door.1").exists(), "no other can come, and begin to tell, meanwhile"
        begun.append(place)

    with shared.at_work(folder, ready, first=begin), shared.at_work(folder, ready, first=begin):
        assert begun == [folder]
    with shared.at_work(folder, ready, first=begin):
        assert begun == [folder, folder]


def test_a_stack_leaves_some_to_those_who_come_with_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "4")
    begun: list[int] = []
    take = shared._Share.take

    def counting(self: shared._Share, place: int) -> bool:
        begun.append(self.most)
        return take(self, place)

    monkeypatch.setattr(shared._Share, "take", counting)
    run(How("stacked", partial=tmp_path / "run.partial"))
    assert begun[0] == 3, "of ten, four ways"
    assert len(list((tmp_path / "run.partial").glob("fold-*"))) == N_TRAININGS


def test_solved_heads_are_shared_too(tmp_path: Path) -> None:
    corpus, store = make_talk()
    how = How(partial=tmp_path / "run.partial")
    setup = replace(SETUP, dev="none", seeds=(0,))
    first = evaluated(logistic.Head, corpus, store, setup, logistic.RECIPE, head_name="logistic", how=how)
    with told("training") as said:
        again = evaluated(logistic.Head, corpus, store, setup, logistic.RECIPE, head_name="logistic", how=how)
    alone = evaluated(logistic.Head, corpus, store, setup, logistic.RECIPE, head_name="logistic")
    assert said == ["5 of 5 trainings were finished before"]
    assert numbers(first.report) == numbers(again.report) == numbers(alone.report)


TRAIN = ["train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--protocol", "kfold:3"]
TRAIN += ["--dev", "random20", "--set", "max-epochs=2", "--serial", "--name", "r"]


def test_parts_fill_one_run(sercache: Sercache, cached: Path) -> None:
    code, out, err = sercache(*TRAIN, "--seeds", "0-0/2", "--folds", "1-2")
    assert code == 0, err
    assert "2 of 6 trainings are done; missing: fold 1 (seed 1), fold 2 (seed 1), fold 3 (seeds 0, 1)" in out
    [command] = [line.partition("sercache ")[2] for line in out.splitlines() if line.startswith("to finish")]
    assert not (cached / "r").exists()
    code, out, err = sercache("report", cached / "r")
    assert code == 0, err
    assert "2 of 6 trainings are done" in out
    assert command in out
    code, out, err = sercache(*TRAIN, "--seeds", "1/2")
    assert "missing: fold 3 (seed 0)" in out
    code, out, err = sercache(*shlex.split(command))
    assert code == 0, err
    assert "5 of 6 trainings were finished before" in out
    report = run_folders.load(cached / "r")
    assert [(each.fold, each.seed) for each in report.runs] == [(f, s) for f in "123" for s in (0, 1)]
    assert [path.name for path in cached.iterdir()] == ["r"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seeds", "3/2"], "seed 3 is none of this run, which has 0, 1"),
        (["--seeds", "0-"], "expected how many"),
        (["--seeds", "0"], "from 1 to"),
        (["--folds", "4"], "unknown fold '4'"),
        (["--folds", ","], "unknown fold"),
    ],
)
def test_parts_that_are_none(sercache: Sercache, cached: Path, more: list[str], message: str) -> None:
    code, _, err = sercache(*TRAIN, *more)
    assert code == 2
    assert message in err
    assert not cached.exists() or not list(cached.iterdir())


def test_another_command_under_the_name_of_a_run_that_is_trained_is_refused(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[Outcome] = []
    write = partial.Partial.write

    def meanwhile(self: partial.Partial, job: Job, done: Fit) -> None:
        write(self, job, done)
        if not refused:
            refused.append(Outcome(0, "", ""))
            refused[0] = sercache(*TRAIN, "--seeds", 1, "--set", "lr=0.5")

    monkeypatch.setattr(partial.Partial, "write", meanwhile)
    assert sercache(*TRAIN, "--seeds", 1).code == 0
    [other] = refused
    assert other.code == 2
    assert "r is being trained by another command" in other.err
    assert "lr 0.5 instead of" in other.err
    assert [path.name for path in cached.iterdir()] == ["r"]


def test_a_run_that_another_process_wrote_meanwhile_is_the_result(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that were given the same make one run, and print one table."""
    outcomes: list[Outcome] = []
    fill = together.fill

    def meanwhile(*arguments: Any) -> None:
        if not outcomes:
            outcomes.append(Outcome(0, "", ""))
            outcomes[0] = sercache(*TRAIN, "--seeds", 1)
        fill(*arguments)

    monkeypatch.setattr(together, "fill", meanwhile)
    late = sercache(*TRAIN, "--seeds", 1)
    assert (outcomes[0].code, late.code) == (0, 0), outcomes[0].err + late.err
    assert [path.name for path in cached.iterdir()] == ["r"]
    tables = [each.out[each.out.index("\n\n") :] for each in (outcomes[0], late)]
    assert tables[0] == tables[1]


def test_a_task_of_an_array_that_starts_when_all_is_done_makes_no_second_run(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for array, expected in (("7", ["r"]), ("7", ["r"]), ("8", ["r", "r-2"])):
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", array)
        done = sercache(*TRAIN, "--seeds", 1)
        assert done.code == 0, done.err
        assert sorted(path.name for path in cached.iterdir()) == expected


PROBE = ["probe", "--encoder", "logmel", "--dataset", "manifest", "--protocol", "kfold:3"]


def test_two_probes_share_their_fits_and_write_one_table(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[Outcome] = []
    fitted: list[int] = []
    evaluate, solve = probe.evaluate, trainings.solve

    def counting(head: nn.Module, train: Any, seed: int) -> Fit:
        fitted.append(seed)
        return solve(head, train, seed)

    def meanwhile(*arguments: Any, **named: Any) -> Evaluated:
        if not outcomes:
            outcomes.append(Outcome(0, "", ""))
            outcomes[0] = sercache(*PROBE)
        return evaluate(*arguments, **named)

    monkeypatch.setattr(trainings, "solve", counting)
    monkeypatch.setattr(probe, "evaluate", meanwhile)
    late = sercache(*PROBE)
    assert (outcomes[0].code, late.code) == (0, 0), outcomes[0].err + late.err
    [folder] = cached.iterdir()
    assert (folder / "probe.md").is_file()
    n_states = len(json.loads((folder / "probe.json").read_text()))
    assert len(fitted) == 3 * n_states
    tables = [each.out[each.out.index("Probe of") :] for each in (outcomes[0], late)]
    assert tables[0] == tables[1]


def test_a_state_that_ends_each_process_is_left_out_and_named(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate, fitted = probe.evaluate, []

    def lost(method: Method, *more: Any, **options: Any) -> Evaluated:
        fitted.append(method.setup.states)
        if len(fitted) == 1:
            raise LeftOutError("left out: fold 2 (seed 0)")
        return evaluate(method, *more, **options)

    monkeypatch.setattr(probe, "evaluate", lost)
    code, _, err = sercache("probe", "--encoder", "logmel", "--dataset", "manifest")
    assert code == 2
    assert err.splitlines()[-1].startswith(f"error: left out: state {fitted[0]}, since every process")


def test_a_probe_that_was_cut_off_goes_on(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    solve, fitted = trainings.solve, list[int]()

    def cut_off(head: nn.Module, train: Any, seed: int) -> Fit:
        fitted.append(seed)
        if len(fitted) == 3:
            raise KeyboardInterrupt
        return solve(head, train, seed)

    monkeypatch.setattr(trainings, "solve", cut_off)
    assert sercache(*PROBE).code == 130
    assert [path.suffix for path in cached.iterdir()] == [".partial"]
    done = sercache(*PROBE)
    assert done.code == 0, done.err
    [folder] = cached.iterdir()
    assert len(fitted) == 1 + 3 * len(json.loads((folder / "probe.json").read_text()))
