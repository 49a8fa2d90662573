"""``--cluster``: where workers run, members that share one command, and what becomes of those that are lost."""

from __future__ import annotations

import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sercache import cluster
from sercache.cluster import Call, parse, sharing
from sercache.errors import ClusterError, SettingsError


@pytest.mark.parametrize(
    ("given", "kind", "n_workers"),
    [("local", "local", None), ("local:4", "local", 4), ("slurm:8", "slurm", 8), ("pbs", "pbs", 1)],
)
def test_where_workers_run_is_read(given, kind, n_workers):
    where = parse(given)
    assert (where.kind, where.n_workers) == (kind, n_workers)


@pytest.mark.parametrize("given", ["tcp://10.0.0.1:8786", "tls://node-1.lab:8786"])
def test_the_address_of_a_running_cluster_is_kept(given):
    assert parse(given).address == given


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ("slrum:4", [], "did you mean slurm"),
        ("local:0", [], "no number of workers"),
        ("local:", [], "no number of workers"),
        ("slurm:many", [], "no number of workers"),
        ("tcp://host", [], "no address"),
        ("file:nowhere.json", [], "no such file"),
        ("local:2", ["queue=gpu"], "is for jobs of slurm"),
        ("slurm:2", ["queue"], "KEY=VALUE"),
        ("slurm:2", ["queue=a", "queue=b"], "given twice"),
    ],
)
def test_what_is_no_cluster_is_refused_in_words(given, options, said):
    with pytest.raises(SettingsError, match=said):
        parse(given, options)


def _call(tmp_path: Path, code: str) -> Call:
    return Call((sys.executable, "-c", code), {"word": "given"}, str(tmp_path / "share"))


def _share(call: Call, n_members: int = 2, **more):
    with ThreadPoolExecutor(n_members) as executor:
        return cluster.share(call, executor, n_members, **more)


def test_every_member_is_given_the_same_and_its_own_environment(tmp_path):
    code = f"""
import json, os, pathlib, sys
word = json.loads(sys.stdin.readline())["word"]
pathlib.Path({str(tmp_path)!r}, word + "-" + os.environ["ME"]).touch()
print("that is all")
"""
    done = _share(_call(tmp_path, code), environments=lambda number: {"ME": str(number)})
    assert (done.n_members, done.n_replaced, done.said) == (2, 0, "that is all\n")
    assert sorted(path.name for path in tmp_path.glob("given-*")) == ["given-0", "given-1"]
    assert not (tmp_path / "share").exists()  # logs of what went well are of no use


def test_a_refusal_ends_all_members_with_the_words_of_the_one(tmp_path):
    code = """
import os, sys, time
if os.environ["ME"] == "0":
    time.sleep(60)
print("error: no such corpus", file=sys.stderr)
sys.exit(2)
"""
    with pytest.raises(ClusterError, match=r"worker 1 on .*: no such corpus \(its log: .*1\.log"):
        _share(_call(tmp_path, code), environments=lambda number: {"ME": str(number)})


def test_a_killed_member_is_replaced_and_said_so(tmp_path):
    code = f"""
import os, pathlib, signal
once = pathlib.Path({str(tmp_path / "once")!r})
if not once.exists():
    once.touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    notes: list[str] = []
    assert _share(_call(tmp_path, code), 1, note=notes.append).n_replaced == 1
    assert ["killed by SIGKILL" in note for note in notes] == [True]


def test_work_that_always_kills_its_member_ends_with_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr(sharing, "ALLOWED_LOSSES", 2)
    with pytest.raises(
        ClusterError, match=r"3 workers were lost one after another.*SIGSEGV.*run the same command"
    ):
        _share(_call(tmp_path, "import os; os.kill(os.getpid(), 11)"), 1)


def test_members_may_be_lost_as_often_as_the_work_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(sharing, "ALLOWED_LOSSES", 1)
    code = """
import json, os, pathlib, sys
path = pathlib.Path(json.loads(sys.stdin.readline())["progress"])
n = json.loads(path.read_text())["n"] + 1 if path.exists() else 1
path.write_text(json.dumps({"desc": "encode", "n": n, "total": 4, "unit": "s"}))
os.kill(os.getpid(), 11 if n < 4 else 0)
"""
    assert _share(_call(tmp_path, code), 1).n_replaced == 3


def _begins(n_names: int, n_times: int) -> str:
    """Code of a member that begins one piece of work of some, and is lost with it until all were begun so often."""
    return f"""
import json, os, pathlib, sys
given = json.loads(sys.stdin.readline())
path = pathlib.Path(given["begun"])
n = len(path.read_text().splitlines()) if path.exists() else 0
assert pathlib.Path(given["leader"]).name == path.parent.name
if n < {n_names * n_times}:
    with path.open("a") as file:
        file.write(json.dumps([str(n % {n_names}), 1 + n // {n_names} % 3, "fold " + str(n % {n_names})]) + chr(10))
    os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_members_may_be_lost_as_often_as_there_is_work_to_lose_them_with(tmp_path, monkeypatch):
    monkeypatch.setattr(sharing, "ALLOWED_LOSSES", 1)
    assert _share(_call(tmp_path, _begins(2, 3)), 1).n_replaced == 6


@pytest.mark.parametrize(("name", "most"), [("ALLOWED_LOSSES", 1), ("MOST_LOSSES", 4)])
def test_losses_that_change_nothing_end_with_what_was_begun(tmp_path, monkeypatch, name, most):
    monkeypatch.setattr(sharing, name, most)
    with pytest.raises(ClusterError, match=r"workers were lost one after another.*having begun fold 0"):
        _share(_call(tmp_path, _begins(1, 9) if most == 1 else _begins(9, 1)), 1)


_ON_THE_WAY = """
import json, os, sys
path, ways = json.loads(sys.stdin.readline())["begun"], WAYS
n = len(open(path).readlines()) if os.path.exists(path) else 0
if n < len(ways):
    with open(path, "a") as file:
        file.write(json.dumps(ways[n]) + chr(10))
    os.kill(os.getpid(), 9)
"""


def test_what_ends_each_member_on_its_way_to_any_work_is_named(tmp_path):
    call = _call(tmp_path, _ON_THE_WAY.replace("WAYS", repr([["", 0, "loading encoder mine.py"]] * 9)))
    named = r"^loading encoder mine.py: 3 workers were lost one after another with that, .* killed by SIGKILL"
    with pytest.raises(ClusterError, match=named):
        _share(call, 1)


@pytest.mark.slow
def test_members_that_are_lost_here_and_there_on_their_way_are_replaced(tmp_path):
    ways = [["", 0, "a"], ["", 0, "a"], ["", 0, "b"], ["", 0, "a"], ["", 0, ""], ["", 0, "a"], ["", 0, "a"]]
    ways += [["fold", 1, "fold 1"], ["", 0, "a"], ["", 0, "a"]]
    assert _share(_call(tmp_path, _ON_THE_WAY.replace("WAYS", repr(ways))), 1).n_replaced == len(ways)


def test_what_an_engine_starts_anew_by_itself_is_told(tmp_path):
    class Silent(ThreadPoolExecutor):
        """Has its first work done twice, as Dask does when a worker is lost with it."""

        def submit(self, call, *arguments):
            def twice():
                call(*arguments)
                return call(*arguments)

            return super().submit(twice)

    notes: list[str] = []
    with Silent(1) as executor:
        done = cluster.share(_call(tmp_path, ""), executor, 1, note=notes.append)
    assert done.n_replaced == 1
    assert ["worker 0 was lost with all that ran it; started anew on" in note for note in notes] == [True]


def test_an_interruption_stops_members_and_lets_them_commit(tmp_path):
    code = f"""
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path({str(tmp_path / "committed")!r}).touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
pathlib.Path({str(tmp_path / "begun")!r}).touch()
time.sleep(60)
"""

    def watch(folder: Path) -> None:
        if (tmp_path / "begun").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _share(_call(tmp_path, code), 1, watch=watch)
    assert (tmp_path / "committed").exists()
    assert not (tmp_path / "share").exists()


_OPTIONS = ["queue=gpu", "cores=4", "memory=16GB", "directive=--gres=gpu:1"]
_EXPECTED = {
    "slurm": "#SBATCH: -J sercache; -p gpu; --cpus-per-task=4; -t 02:00:00; --gres=gpu:1",
    "pbs": "#PBS: -N sercache; -q gpu; -l select=1:ncpus=4:mem=15GB; -l walltime=02:00:00; --gres=gpu:1",
    "sge": "#$: -N sercache; -q gpu; -l h_rt=02:00:00; --gres=gpu:1",
    "lsf": "#BSUB: -J sercache; -q gpu; -n 4; -W 02:00:00; --gres=gpu:1",
}


@pytest.mark.parametrize("kind", _EXPECTED)
def test_the_script_of_a_job_says_what_was_asked_for(kind, tmp_path):
    pytest.importorskip("dask_jobqueue")
    script = cluster.job_script(parse(f"{kind}:4", [*_OPTIONS, "walltime=02:00:00"]), tmp_path)
    lines = script.splitlines()
    sign, _, expected = _EXPECTED[kind].partition(": ")
    assert [line for line in expected.split("; ") if f"{sign} {line}" not in lines] == []
    words = shlex.split(lines[-1] or lines[-2])
    assert words[:3] == [sys.executable, "-m", "distributed.cli.dask_worker"]
    # One worker with one thread, whatever its cores; it leaves in time to commit what it has.
    assert words[len(words) - words[::-1].index("--nthreads")] == "1"
    assert words[words.index("--lifetime") + 1] == "6840s"
    assert words[words.index("--death-timeout") + 1] == "120"


def test_an_interruption_is_ours_to_handle_whatever_is_imported(tmp_path):
    code = """
import signal
from sercache import cluster
before = signal.getsignal(signal.SIGINT)
cluster.job_script(cluster.parse("slurm:1"), __import__("pathlib").Path("."))
assert signal.getsignal(signal.SIGINT) is before
"""
    pytest.importorskip("dask_jobqueue")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_the_description_of_a_condor_job_says_what_was_asked_for(tmp_path):
    pytest.importorskip("dask_jobqueue")
    where = parse("htcondor:4", ["cores=4", "memory=16GB", "directive=request_gpus=1"])
    script = cluster.job_script(where, tmp_path)
    for line in ("MY.DaskWorkerCores = 4", "MY.DaskWorkerMemory = 16000000000", "request_gpus = 1"):
        assert line in script


def test_an_option_that_the_kind_of_job_lacks_is_refused(tmp_path):
    pytest.importorskip("dask_jobqueue")
    where = parse("slurm:2", ["qeue=gpu"])
    with pytest.raises(SettingsError, match="qeue"), cluster.started(where, tmp_path):
        pass


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("sercache.cluster.engine._START_SECONDS", 1)
    with (
        pytest.raises(ClusterError, match="no Dask scheduler answers"),
        cluster.started(parse("tcp://127.0.0.1:1"), tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("script", "is_refused"),
    [
        ("ask()", True),
        ("if True:\n    ask()", True),
        ("def main():\n    ask()\n\nmain()", True),
        ("def main():\n    ask()\n\nif __name__ == '__main__':\n    main()", False),
        ("if '__main__' != __name__:\n    pass\nelse:\n    ask()", False),
    ],
)
def test_a_script_that_workers_cannot_import_is_refused_in_words(tmp_path, script, is_refused):
    path = tmp_path / "script.py"
    path.write_text(f"from sercache.cluster.script import check_guarded as ask\n{script}\n")
    ended = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert ("if __name__ ==" in ended.stderr) == is_refused
    assert (ended.returncode == 1) == is_refused


@pytest.mark.slow
def test_workers_on_this_host_run_a_command_together(tmp_path):
    pytest.importorskip("distributed")
    code = "import os, pathlib; pathlib.Path(FOLDER, f'worker-{os.getpid()}').touch()"
    call = _call(tmp_path, code.replace("FOLDER", repr(str(tmp_path))))
    with cluster.started(parse("local:2"), tmp_path, cores=4) as engine:
        done = cluster.share(call, engine.executor, engine.n_workers, environments=engine.environments)
    assert done.n_members == 2
    assert len(list(tmp_path.glob("worker-*"))) == 2
