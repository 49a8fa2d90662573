"""Each call that reaches the disk in a whole command fails once: one line, what was there stays, the same again ends
with the numbers of an undisturbed command."""

from __future__ import annotations

import errno
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
import soundfile
from corpus_trees import TREES
from encoder_helpers import save, tiny_model
from failing_disk import Step, failing
from paper_world import give_voices
from store_helpers import without_sync

from sercache import stores

FAULTS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT, errno.EROFS)
QUICK = ["--protocol", "kfold:3", "--dev", "next", "--set", "max-epochs=2"]
ROME = ["--encoder", "logmel", "--dataset", "rome"]


class Job(NamedTuple):
    """A command, and what of it is compared."""

    command: list[str]
    results: tuple[str, ...]
    """Patterns of files below the folder whose bytes are the same after every way."""
    said: str = ""
    """Start of lines of its output that are the same too."""
    once: str = ""
    """What the command leaves whole or not at all, and does not make anew."""


JOBS = {
    "extract": Job(
        ["extract", "--encoder", "mfcc", "--dataset", "manifest:rome", "--root", "rome/list.csv", "--device", "cpu"], ()
    ),
    "train": Job(["train", "--head", "linear", *ROME, *QUICK, "--name", "new"], ("runs/new/predictions.csv",)),
    "evaluate": Job(
        ["evaluate", "runs/base", "--dataset", "milan"], ("runs/base/on-milan/predictions.csv",)
    ),
    "predict": Job(["predict", "runs/base", "milan/0.wav", "milan/1.wav", "--out", "p.jsonl"], ("p.jsonl",)),
    "sweep": Job(
        ["sweep", "--head", "linear", *ROME, *QUICK, "--grid", "lr=1e-2,1e-3", "--name", "lr"],
        ("runs/lr/*/predictions.csv",),
    ),
    "probe": Job(["probe", *ROME, "--protocol", "kfold:3", "--states", "all"], ("runs/probe-*/*.csv",)),
    "report": Job(["report"], (), "base"),
    "verify": Job(["verify"], (), "whole"),
    "info": Job(["info"], (), "rome"),
}  # fmt: skip
TUNED_JOBS = {
    "export": Job(
        ["export", "runs/tuned", "--out", "exported", "--encoder", "tiny", "--fold", "1"], ("exported/*",),
        once="exported",
    ),
    "map": Job(
        ["map", "runs/tuned", "--dataset", "rome", "--encoder", "tiny", "--fold", "1"], ("runs/tuned/map-*.csv",)
    ),
    "reproduce": Job(
        ["reproduce", "pepino2021", "table1", "--rows", "None: Spectrogram", "--root", "ravdess=ravdess",
         "--only-available", "--seeds", "1", "--set", "max-epochs=1"],
        ("runs/pepino2021/*.csv", "runs/pepino2021/*/predictions.csv"),
    ),
}  # fmt: skip
"""Commands on what takes longer to make."""


_REMEDIES = "(run|give|free|choose|see|restore|mend|remove|point|sercache|the lines above say)"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def call(command: list[str]) -> Ended:
    """The command line in this process."""
    from sercache import cli

    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["sercache", *command]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    return Ended(code, out.getvalue(), err.getvalue())


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """Everything lies in ``folder``, which is the current one; nothing is drawn, and claims expire in a moment."""
    from sercache import metrics
    from sercache.claims import _claims
    from sercache.report import maps, page, plots

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "CONFIG": "config.toml",
            "CACHE": "cache",
            "RUNS": "runs",
            "DEVICE": "cpu",
        }.items():
            patch.setenv(f"SERCACHE_{name}", value)
        patch.setattr(
            _claims, "EXPIRY_SECONDS", 0.5
        )  # whose claim could not be removed is waited for so long
        patch.setattr(plots, "draw", lambda report, folder: [])
        patch.setattr(page, "write", lambda report, path, **options: path)
        patch.setattr(maps, "tsne", lambda vectors: vectors[:, :2])
        patch.setattr(metrics, "bootstrap", _few(metrics.bootstrap))
        patch.chdir(folder)
        yield


def _few(bootstrap: Callable) -> Callable:
    return lambda *arguments, **options: bootstrap(*arguments, **{**options, "n_draws": 20})


def make_world(folder: Path) -> None:
    """Two corpora of eight recordings, extracted, and a run on the first."""
    for seed, name in enumerate(("rome", "milan")):
        (folder / name).mkdir()
        rows = ["id,path,label,speaker"]
        for k in range(8):
            wave = np.random.default_rng((seed, k)).normal(0, 0.3 if k % 2 else 0.03, 2400 + 100 * k)
            soundfile.write(folder / name / f"{k}.wav", wave, 16000)
            rows.append(f"{name}{k},{k}.wav,{'loud' if k % 2 else 'soft'},{name}{k // 2}")
        (folder / name / "list.csv").write_text("\n".join(rows) + "\n")
        extract = ["extract", "--encoder", "logmel", "--dataset", f"manifest:{name}"]
        assert call([*extract, "--root", f"{name}/list.csv"]).code == 0
    done = call(["train", "--head", "linear", *ROME, *QUICK, "--name", "base"])
    assert done.code == 0, done.err


def make_more(folder: Path) -> None:
    """A run that trained a tiny encoder's blocks, and a small copy of RAVDESS."""
    save(tiny_model("wav2vec2-base"), folder / "tiny")
    where = ["--encoder", "tiny", "--dataset", "rome"]
    done = call(["extract", *where, "--states", "conv"])
    assert done.code == 0, done.err
    head = ["--head", "attention-blocks", "--option", "blocks=1", "--states", "3", "--clip", "none"]
    done = call(
        ["train", *head, *where, *QUICK, "--set", "max-epochs=1", "--set", "lr=1e-3", "--name", "tuned"]
    )
    assert done.code == 0, done.err
    ravdess = TREES["ravdess"](folder / "ravdess")
    for actor in range(3, 21):  # of the training part two are enough
        shutil.rmtree(ravdess / f"Actor_{actor:02}")
    give_voices(ravdess)
    done = call(TUNED_JOBS["reproduce"].command)
    assert done.code == 0, done.err
    shutil.rmtree(folder / "runs/pepino2021")  # what extract does on such a disk is tried by itself


class Scene:
    """What a command finds, the same for each try."""

    def __init__(self, made: Path, folder: Path, name: str) -> None:
        self.made, self.folder, self.job = made, folder, {**JOBS, **TUNED_JOBS}[name]
        self.reset()
        with at_home(folder), failing(folder) as disk:
            done = call(self.job.command)
        assert done.code == 0, done.err
        self.steps: list[Step] = disk.steps
        self.expected = self.results(done)

    def reset(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.made, self.folder)

    def results(self, done: Ended) -> dict[str, object]:
        """What is compared: files, lines, and what stores hold."""
        found: dict[str, object] = {}
        for pattern in self.job.results:  # a second probe lies beside the first; leftovers are hidden
            paths = [path for path in self.folder.glob(pattern) if "/." not in str(path)]
            found[pattern] = {path.read_bytes() for path in paths}
            assert found[pattern]
        if self.job.said:
            found["said"] = [line for line in done.out.splitlines() if line.startswith(self.job.said)]
        for path, spec in stores.find(self.folder / "cache"):
            store = stores.open(path)
            ids = sorted(store.ids())
            found[f"{spec.corpus} {spec.encoder}"] = (ids, store.pooled(ids).tobytes())
        return found

    def earlier(self) -> dict[str, bytes]:
        """What was there before the command, and is no lock or note of it."""
        return {
            str(path.relative_to(self.made)): (self.folder / path.relative_to(self.made)).read_bytes()
            for path in sorted((self.made / "runs").rglob("*"))
            if path.is_file() and not re.search(r"/on-|map-", str(path))
        }

    def check(self, fails_at: int, number: int) -> str:
        """Let one call fail; see what is said, that nothing is lost, and that the same again ends as undisturbed."""
        self.reset()
        before = self.earlier()
        with at_home(self.folder):
            with failing(self.folder, fails_at, number):
                done = call(self.job.command)
            where = f"{self.steps[fails_at]} {errno.errorcode[number]}: {done}"
            assert done.code in (0, 1, 2), where
            if done.code:
                said = [line for line in done.err.splitlines() if line.startswith("error: ")]
                assert len(said) == 1, where
                assert done.err.endswith(f"{said[0]}\n"), where
                assert re.search(rf"[;,:] (\w+ )?{_REMEDIES}\b", said[0]), where
            assert self.earlier() == before, where
            for advised in re.findall(r"run (sercache verify [^;()\n]+)$", done.err, re.M):
                assert call(shlex.split(advised)[1:]).code == 0, where
            again = (
                done if self.job.once and (self.folder / self.job.once).exists() else call(self.job.command)
            )
            assert again.code == 0 or again is done, (where, again)
            assert self.results(again) == self.expected, where
            for folder, _ in stores.find(self.folder / "cache"):
                assert stores.verify(folder) == [], where
        return done.err


def kinds(steps: list[Step]) -> list[int]:
    """The last of all steps that are the same but for numbers and names made at random."""
    last: dict[tuple[str, str], int] = {}
    for k, step in enumerate(steps):
        last[step.kind, re.sub(r"\.[0-9a-f]{8}\.|[0-9a-f]{16,32}|\d+", "0", step.file)] = k
    return list(last.values())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    with at_home(folder), without_sync():
        make_world(folder)
    return folder


@pytest.fixture(scope="module")
def tuned(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "world"
    shutil.copytree(made, folder)
    with at_home(folder), without_sync():
        make_more(folder)
    return folder


def a_few(steps: list[Step]) -> list[int]:
    """The last call of each sort, when much is done and something is open."""
    return list({step.kind: k for k, step in enumerate(steps)}.values())


@pytest.mark.parametrize(
    "name", ["extract", "predict", "verify", pytest.param("train", marks=pytest.mark.slow)]
)
def test_each_sort_of_call_fails_once(made: Path, tmp_path: Path, name: str) -> None:
    with without_sync():
        scene = Scene(made, tmp_path / "home", name)
        for n, k in enumerate(a_few(scene.steps)):
            scene.check(k, FAULTS[n % len(FAULTS)])
    sorts = {step.kind for step in scene.steps}
    assert {"open", "read"} <= sorts
    assert name == "verify" or {"write", "short write", "close", "fsync", "rename"} <= sorts


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_every_call_fails_once(made: Path, tmp_path: Path, name: str) -> None:
    """Every call that differs from the others by more than a number, each for the next of the faults."""
    with without_sync():
        scene = Scene(made, tmp_path / "home", name)
        for n, k in enumerate(kinds(scene.steps)):
            scene.check(k, FAULTS[n % len(FAULTS)])


@pytest.mark.slow
@pytest.mark.parametrize("name", TUNED_JOBS)
def test_every_call_of_commands_on_trained_encoders_fails_once(
    tuned: Path, tmp_path: Path, name: str
) -> None:
    with without_sync():
        scene = Scene(tuned, tmp_path / "home", name)
        for n, k in enumerate(kinds(scene.steps)):
            scene.check(k, FAULTS[n % len(FAULTS)])
    assert name != "export" or "tensors" in {step.kind for step in scene.steps}


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
@pytest.mark.parametrize("file", ["report.json", "predictions.csv", "heard.csv", "history.jsonl"])
def test_a_run_that_cannot_be_read_is_not_called_damaged(
    made: Path, tmp_path: Path, file: str, number: int
) -> None:
    """It was, with the advice to remove it."""
    scene = Scene(made, tmp_path / "home", "report")
    at = next(k for k, step in enumerate(scene.steps) if step == Step("read", f"runs/base/{file}"))
    said = scene.check(at, number)
    assert "damaged" not in said
    assert "remove" not in said
    assert f"runs/base cannot be read: {os.strerror(number)} (runs/base/{file})" in said


# --- streams ---


def shell(made: Path, line: str) -> subprocess.CompletedProcess[str]:
    """A line for bash, in which $S is the command line."""
    environment = {
        **os.environ, "S": f"{sys.executable} -m sercache.cli", "SERCACHE_CACHE": "cache", "SERCACHE_RUNS": "runs",
        "SERCACHE_CONFIG": "config.toml",
    }  # fmt: skip
    call = ["bash", "-c", line]
    return subprocess.run(call, cwd=made, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$S info >/dev/full", 2, "error: No space left on device; what was done is kept"),
        ("$S info >&-", 0, ""),
        ("$S predict runs/base - <&-", 2, "error: standard input ended without"),
        ("$S info nowhere 2>&-", 2, ""),
        ("$S heads | head -1 | grep -c name", 0, ""),
    ],
)
def test_streams_that_lead_nowhere(made: Path, line: str, code: int, said: str) -> None:
    done = shell(made, line)
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done
    told = [each for each in done.stderr.splitlines() if not each.startswith(("run  ", "heads  "))]
    assert len(told) == bool(said), done
    assert "".join(told).startswith(said), done


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    shutil.copytree(made, folder)
    with at_home(folder):
        yield folder


def test_a_file_to_write_may_be_a_link_or_a_pipe_which_stay(home: Path) -> None:
    """They were replaced by a file: by root, a device too."""
    predict = ["predict", "runs/base", "milan/0.wav", "--out"]
    assert call([*predict, "plain"]).code == 0
    whole = (home / "plain").read_bytes()
    (home / "there").write_text("older")
    (home / "link").symlink_to("there")
    assert call([*predict, "link"]).code == 0
    assert (home / "link").is_symlink()
    assert (home / "there").read_bytes() == whole
    (home / "dangling").symlink_to("made")
    assert call([*predict, "dangling"]).code == 0
    assert (home / "dangling").is_symlink()
    assert (home / "made").read_bytes() == whole
    os.mkfifo(home / "pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE) as reader:
        assert call([*predict, "pipe"]).code == 0
        assert reader.communicate()[0] == whole
    assert (home / "pipe").is_fifo()
    (home / "loop").symlink_to("loop")
    for wrong in ("loop", "rome", "there/below", "n" * 250):
        done = call([*predict, wrong])
        assert done.code == 2, wrong
        told = done.err.splitlines()  # alone: before anything is read or predicted
        assert len(told) == 1, told
        assert re.fullmatch(
            rf"error: .*{wrong} cannot be written: .*; choose another file with --out", told[0]
        )
    assert (home / "loop").is_symlink()


def test_settings_are_written_through_a_link(home: Path) -> None:
    (home / "dotfiles").mkdir()
    (home / "dotfiles/sercache.toml").write_text('cache = "elsewhere"\n')
    (home / "config.toml").unlink(missing_ok=True)
    (home / "config.toml").symlink_to("dotfiles/sercache.toml")
    assert call(["config", "runs=there"]).code == 0
    assert (home / "config.toml").is_symlink()
    assert "there" in (home / "dotfiles/sercache.toml").read_text()


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_configuration_that_is_no_file_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A pipe was waited for without end, the others passed over without a word."""
    path = home / kind
    {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir, "link": lambda: path.symlink_to("nothing")}[
        kind
    ]()
    monkeypatch.setenv("SERCACHE_CONFIG", kind)
    done = call(["info"])
    assert done.code == 2
    assert re.fullmatch(rf"error: the configuration file {kind} is .*SERCACHE_CONFIG\n", done.err)


def test_no_configuration_may_be_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERCACHE_CONFIG", os.devnull)
    assert call(["info"]).code == 0
    assert "none, for SERCACHE_CONFIG is /dev/null" in call(["config"]).out
    done = call(["config", "runs=there"])
    assert (done.code, "SERCACHE_CONFIG is /dev/null" in done.err) == (2, True)


def test_a_current_folder_that_is_gone_is_named(home: Path) -> None:
    """torch ended the process."""
    gone = home / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    done = call(["info"])
    assert (done.code, done.err) == (
        2,
        "error: the current folder does not exist any more; change to another (cd)\n",
    )
    os.chdir(home)


def test_a_cache_that_is_a_file_is_named(home: Path) -> None:
    (home / "file").write_text("")
    done = call(["info", "--cache", "file"])
    assert done.code == 2
    assert done.err == "error: file is no folder that stores could lie in; choose another --cache\n"


def test_lists_say_how_many_more_there_are() -> None:
    from sercache.units import listed

    assert listed([]) == ""
    assert listed("abc") == "a, b, c"
    assert listed("abcd") == "a, b, c and 1 more"
    assert listed(iter("abcde"), 2, "; ") == "a; b and 3 more"


def test_names_that_differ_by_case_alone_stay_apart_on_any_disk(home: Path) -> None:
    """Stores by their digests; results of one command on two such corpora would be one file on some disks."""
    extract = ["extract", "--encoder", "logmel", "--dataset", "manifest:Milan", "--root", "milan/list.csv"]
    assert call(extract).code == 0
    folders = [str(folder).casefold() for folder, _ in stores.find(home / "cache")]
    assert len(set(folders)) == 3
    train = ["train", "--head", "linear", *ROME, *QUICK, "--name", "both", "--test-on"]
    done = call([*train, "milan,Milan"])
    assert done.code == 2
    assert (
        "error: milan and Milan would be one file where a disk does not tell upper from lower case"
        in done.err
    )
    assert not (home / "runs/both").exists()
    assert call([*train, "milan"]).code == 0
