"""Work on a real Slurm: array jobs, ``--cluster slurm``, and what becomes of it where workers, jobs or nodes are lost.

`make test-slurm`: two virtual nodes on this host (tests/slurm_cluster.py). Each test ends with a store that is
complete, whole, and equal to the bit to that of one undisturbed process.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import howto
import numpy as np
import pytest
import slurm_cluster
import soundfile
from slurm_cluster import Slurm, until

from sercache import stores

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not slurm_cluster.wanted(), reason="on a real Slurm: make test-slurm"),
    pytest.mark.skipif(slurm_cluster.lacking() is not None, reason=f"no Slurm: {slurm_cluster.lacking()}"),
]
_N = 60
_ENCODER = Path(__file__).with_name("slow_encoder.py")
_OPTIONS = ["cores=1", "memory=1GB", "walltime=00:10:00"]


@dataclass(frozen=True)
class Work:
    """A corpus, and Slurm to extract it on."""

    slurm: Slurm
    folder: Path
    expected: dict[str, np.ndarray]
    """Means by id, as one process computes them."""

    def arguments(self, cache: str, seconds: float = 0.3) -> tuple[list[str], dict[str, str]]:
        """A command, and its environment."""
        here = str(Path(stores.__file__).parents[2])
        environment = {
            **self.slurm.environment,
            "SERCACHE_CONFIG": str(self.folder / "config.toml"),
            "SERCACHE_TEST_SECONDS": str(seconds),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])),
        }
        options = {
            "encoder": _ENCODER,
            "dataset": "manifest:tones",
            "root": self.folder,
            "cache": self.folder / cache,
            "device": "cpu",
            "seal-every": 0.5,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return [sys.executable, "-m", "sercache.cli", "extract", *words], environment

    def start(self, cache: str, *more: str, seconds: float = 0.3) -> subprocess.Popen:
        """The command, begun."""
        words, environment = self.arguments(cache, seconds)
        return subprocess.Popen(
            [*words, *more],
            env=environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def on_slurm(
        self, cache: str, n: int = 2, seconds: float = 0.3, options: list[str] = _OPTIONS
    ) -> subprocess.Popen:
        """The command with ``--cluster slurm:N``, begun."""
        more = [word for option in options for word in ("--cluster-option", option)]
        return self.start(cache, "--cluster", f"slurm:{n}", *more, seconds=seconds)

    def n_stored(self, cache: str) -> int:
        """Utterances that are committed by now."""
        found = (
            [path for path, _ in stores.find(self.folder / cache)] if (self.folder / cache).exists() else []
        )
        return len(stores.open(found[0]).ids()) if found else 0

    def check(self, cache: str) -> None:
        """All is there once, whole and equal."""
        [(path, _)] = stores.find(self.folder / cache)
        store = stores.open(path)
        assert sorted(store.ids()) == sorted(self.expected)
        assert len(store.ids()) == len(set(store.ids()))
        for id, mean in self.expected.items():
            assert np.array_equal(store.pooled(ids=[id])[0], mean)
        assert self.slurm.jobs() == []


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Iterator[Work]:
    folder = tmp_path_factory.mktemp("slurm-work")
    chance = np.random.default_rng(0)
    rows = ["path,label,speaker"]
    for number in range(_N):
        soundfile.write(folder / f"{number}.wav", chance.normal(0, 0.1, 4000 + 40 * number), 16_000)
        rows.append(f"{number}.wav,{'ab'[number % 2]},{number % 5}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    with slurm_cluster.running(tmp_path_factory.mktemp("slurm")) as slurm:
        alone = Work(slurm, folder, {})
        process = alone.start("alone", seconds=0)
        _ended(process)
        [(path, _)] = stores.find(folder / "alone")
        store = stores.open(path)
        yield Work(slurm, folder, {id: store.pooled(ids=[id])[0] for id in store.ids()})


def _ended(process: subprocess.Popen, seconds: float = 180) -> str:
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, said
    return said


def test_an_array_job_divides_the_work(work, tmp_path):
    words, environment = work.arguments("array")
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\nexec " + " ".join(words) + "\n")
    # Not --wait: a job's end is seen sooner in the queue.
    subprocess.run(
        ["sbatch", "--array=0-3", f"--output={tmp_path}/%a.log", script],
        env=environment,
        cwd=work.folder,
        check=True,
    )
    until(lambda: not work.slurm.jobs(), 120)
    work.check("array")
    assert all("done" in (tmp_path / f"{k}.log").read_text() for k in range(4))


_ON_THIS_SLURM = {
    "--encoder wavlm-large --dataset iemocap": f"--encoder {_ENCODER} --dataset manifest:tones --root .",
    "--head superb": "--head linear TRAINED",
    "--head layer-attention": "--head linear TRAINED",
    "TRAINED": f"--encoder {_ENCODER} --dataset manifest:tones --states all --protocol kfold:2 --dev random20",
    "--seeds 25": "--seeds 2",
    "slurm:25": "slurm:2 --cluster-option cores=1 --cluster-option memory=1GB --seeds 2",
    "--gres=gpu:1 --cpus-per-task=8 --mem=32G --time=04:00:00": "--cpus-per-task=1 --mem=1G --time=00:10:00",
    "--array=0-7": "--array=0-3",
    "slurm:8": "slurm:2",
    "queue=gpu": "queue=main",
    "walltime=04:00:00": "walltime=00:10:00",
    "cores=8": "cores=1",
    "memory=32GB": "memory=1GB",
    "directive=--gres=gpu:1": "directive=--comment=gpu",
    "--device cuda": "--device cpu",
}
"""What the pages say of a lab's cluster, corpus and encoder, and what there is here."""


def _lines_of_pages() -> tuple[list[str], str]:
    """The commands that README and page have one type on Slurm, and the script that one of them submits."""
    readme = (howto.PAGES.parents[1] / "README.md").read_text(encoding="utf-8")
    lines = [line.partition("   #")[0] for line in readme.splitlines() if line.startswith("sbatch ")]
    blocks = re.findall(
        r"```sh\n(.*?)```", (howto.PAGES / "cluster.md").read_text(encoding="utf-8"), re.DOTALL
    )
    [script] = [block for block in blocks if block.startswith("#!")]
    others = [
        line
        for block in blocks
        for line in block.replace("\\\n", "").splitlines()
        if re.match(r"sbatch |.* --cluster slurm:", line)
    ]
    return [*others, *lines], script


def test_what_the_pages_have_one_type_works(work):
    place = work.folder / "pages"
    place.mkdir()
    for name in ("manifest.csv", *(f"{k}.wav" for k in range(_N))):
        (place / name).symlink_to(work.folder / name)
    _, environment = work.arguments("pages")
    binaries = place / "bin"
    binaries.mkdir()
    (binaries / "sercache").write_text(f'#!/bin/sh\nexec {sys.executable} -m sercache.cli "$@"\n')
    (binaries / "sercache").chmod(0o755)
    environment |= {
        "PATH": f"{binaries}{os.pathsep}{environment['PATH']}",
        "SERCACHE_CACHE": str(place / "cache"),
        "SERCACHE_RUNS": str(place / "runs"),
        "SERCACHE_TEST_SECONDS": "0.05",
    }

    def here(text: str) -> str:
        for theirs, ours in {**_ON_THIS_SLURM, "/shared/": f"{place}/"}.items():
            text = text.replace(theirs, ours)
        return text

    lines, script = _lines_of_pages()
    assert len(lines) == 4
    (place / "extract.sh").write_text(here(script))
    for line in lines:
        done = subprocess.run(
            here(line), shell=True, env=environment, cwd=place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        until(lambda: not work.slurm.jobs(), 240)
        logs = "".join(path.read_text() for path in place.glob("slurm-*.out"))
        assert "error" not in logs, logs
    work.check("pages/cache")
    made = sorted(path.name for path in (place / "runs").glob("[!.]*"))
    assert made == ["linear-slow-encoder-tones", "superb-25"]
    assert [path for path in place.glob("*/.cluster/**/*") if path.is_file()] == []  # keys and logs are gone


def test_workers_on_slurm_share_the_work(work):
    said = _ended(work.on_slurm("shared"))
    assert "slurm:2, 2 workers" in said
    assert "entries encoded" in said
    work.check("shared")


def test_a_killed_worker_is_replaced(work):
    process = work.on_slurm("killed", seconds=0.5)
    until(lambda: work.n_stored("killed") > 2, 90)
    members = subprocess.run(
        ["pgrep", "-f", "sercache.api._member"], capture_output=True, text=True
    ).stdout.split()
    os.kill(int(members[0]), signal.SIGKILL)
    assert "killed by SIGKILL; another takes its place" in _ended(process)
    work.check("killed")


def test_a_cancelled_job_is_replaced(work):
    process = work.on_slurm("cancelled", seconds=0.5)
    until(lambda: work.n_stored("cancelled") > 2, 90)
    work.slurm.command("scancel", work.slurm.jobs()[0])
    _ended(process)
    work.check("cancelled")


def test_a_job_that_reaches_its_walltime_is_replaced(work):
    options = ["cores=1", "memory=1GB", "walltime=00:01:00"]
    process = work.on_slurm("walltime", n=1, seconds=1.5, options=options)
    _ended(process, 300)
    work.check("walltime")


def test_a_lost_node_costs_no_more_than_what_was_not_sealed(work):
    process = work.on_slurm("node", seconds=0.5)
    until(lambda: work.n_stored("node") > 2, 90)
    work.slurm.lose("n1")
    try:
        _ended(process)
    finally:
        work.slurm.revive("n1")
        until(lambda: work.slurm.command("sinfo", "--noheader", "--format=%t %D") == "idle 2", 60)
    until(lambda: not work.slurm.jobs(), 60)
    work.check("node")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_no_job_behind(work, number):
    cache = f"interrupted-{number}"
    process = work.on_slurm(cache, seconds=0.5)
    until(lambda: work.n_stored(cache) > 2, 90)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    until(lambda: not work.slurm.jobs(), 30)
    assert 0 < work.n_stored(cache) < _N
    _ended(work.on_slurm(cache))
    work.check(cache)


def test_a_killed_command_leaves_what_was_committed_and_no_worker(work):
    process = work.on_slurm("driver", seconds=0.5)
    until(lambda: work.n_stored("driver") > 2, 90)
    process.kill()
    process.communicate()
    until(lambda: not work.slurm.jobs(), 240)
    _ended(work.on_slurm("driver"))
    work.check("driver")
