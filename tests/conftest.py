"""Fixtures that several test files share."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import io
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import kin
import numpy as np
import pytest
import soundfile

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # a machine with a card may have no more than the tests of cards need
    settings = None  # type: ignore[assignment, misc]

# Before any test loads torch. Waiting as the command line does (docs/decisions/0005). One thread, since models of tests
# are so small that a second costs more than it gives; who asks for two gets two in every file (tests/processors.py).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What a shell starts in the background (`make test &` in a script) ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A run of the tests judges a change by the examples that judged the one before; `make explore` draws others.
if settings is not None:
    # That examples are drawn slowly says that the machine is busy, not that a test is wrong.
    busy = [HealthCheck.too_slow]
    settings.register_profile("fixed", derandomize=True, max_examples=50, suppress_health_check=busy)
    settings.register_profile("explore", suppress_health_check=busy)
    settings.load_profile("fixed")

STRICT = (
    "error",
    "default::DeprecationWarning",
    "default::PendingDeprecationWarning",
    "default::FutureWarning",
    "ignore::DeprecationWarning:audformat.*",  # its use of pandas, none of ours
    "default:::(pytest_|xdist|execnet|coverage)",  # what other plugins of pytest say of themselves
)
"""What becomes of warnings while a test runs; a later line goes before an earlier one."""


COLLECTED = pytest.StashKey[dict[str, set[str]]]()
"""Test -> ids of its parameters, of the tests that ``kin.SLOW`` names, as they were collected."""


@pytest.hookimpl(tryfirst=True)  # before markers are asked for
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    of_cards = [item for item in items if item.get_closest_marker("cuda") is not None]
    if of_cards:
        import on_card

        for item in [] if on_card.DEVICE else of_cards:
            item.add_marker(pytest.mark.skip(reason=on_card.NO_CARD))
    collected = config.stash[COLLECTED] = dict[str, set[str]]()
    for item in items:  # in front, since pytest lets the last marker win: that of a test or its file
        item.add_marker(pytest.mark.filterwarnings(*STRICT), append=False)
        test, id = kin.split(item.nodeid)
        if test in kin.SLOW:
            collected.setdefault(test, set()).add(id)
            if id in kin.SLOW[test]:
                item.add_marker(pytest.mark.slow)


def pytest_collection() -> None:
    """Thousands of tests are made and all are kept: a sixth of the time would go to searches for garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What is there before the first test stays, so that no search for garbage goes through it again."""
    gc.freeze()
    gc.set_threshold(
        10_000, 20, 20
    )  # what modules hold that are loaded later is gone through a few times, not ninety
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After the tests of a card, the families that were shown to give there what the CPU gives."""
    told = [pair for report in terminalreporter.getreports("passed") for pair in report.user_properties]
    if told:
        import on_card

        for line in on_card.lines_to_enter(told):
            terminalreporter.line(f"to enter in sercache/encoders/_devices.py: {line}")


class Outcome(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def unsynced() -> Iterator[None]:
    """Nothing waits for the disk in this process: no test cuts the power, and the order is tested by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(
            soundfile.SoundFile, "flush", lambda file: None
        )  # which is fsync; closing writes what there is
        yield


@pytest.fixture(scope="session", autouse=True)
def demo_drawn_once() -> Iterator[None]:
    """The weights of the demo's encoder are drawn once in a process, and each test has a copy of its own."""
    from sercache.encoders import demo

    draw = demo._model
    drawn = functools.cache(lambda: draw(None))

    def model(revision: str | None) -> Any:
        return copy.deepcopy(drawn()) if revision is None else draw(revision)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_model", model)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_pictures() -> Iterator[None]:
    """No training leaves plots and a page, which take nine tenths of a small one's time."""
    from sercache.experiment import outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcome, "plots", SimpleNamespace(draw=lambda report, folder: []))
        patch.setattr(outcome, "page", SimpleNamespace(write=lambda report, path, **options: path))
        yield


@pytest.fixture(autouse=True)
def drawn_where_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots and pages of runs are made where a test is marked ``draws``."""
    if request.node.get_closest_marker("draws") is not None:
        from sercache.experiment import outcome
        from sercache.report import page, plots

        monkeypatch.setattr(outcome, "plots", plots)
        monkeypatch.setattr(outcome, "page", page)


@pytest.fixture(autouse=True)
def advised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that messages advise in a test; each must be one that the command line takes."""
    from sercache import advice

    command, given = advice.command, list[str]()

    def checked(name: str, /, *arguments: object, **options: object) -> str:
        text = command(name, *arguments, **options)
        kind = tuple(re.sub(r"/.*", "/", word) for word in shlex.split(text))  # whatever folder a test is in
        if kind not in _CHECKED:
            _check_command(text)
            _CHECKED.add(kind)
        given.append(text)
        return text

    monkeypatch.setattr(advice, "command", checked)
    monkeypatch.delenv("COLUMNS", raising=False)  # else listings are wrapped for the tests' own terminal
    return given


_CHECKED = set[tuple[str, ...]]()
"""Advised commands that the command line took, folders and files aside: some are written whenever a store is opened."""


def _check_command(text: str) -> None:
    """Raise click's UsageError for a command that does not exist, or options that it does not have."""
    import click

    from sercache import cli

    program, name, *arguments = shlex.split(text)
    assert program == "sercache", text
    with contextlib.suppress(click.exceptions.Exit), contextlib.redirect_stdout(io.StringIO()):  # --help
        cli.cli.commands[name].make_context(name, arguments)


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No setting, cache or hub of the user who runs the tests may reach them; gives the folder in use."""
    monkeypatch.setenv("SERCACHE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("SERCACHE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SERCACHE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SERCACHE_OBJECTS", str(tmp_path / "objects"))
    monkeypatch.setenv("SERCACHE_DEVICE", "cpu")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def in_float64() -> Iterator[None]:
    """Heads and features that a test makes are float64: rounding is then far below any mistake."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def few_draws() -> Iterator[None]:
    """Intervals from a few draws, for tests that look at other numbers of a report."""
    from sercache import metrics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "bootstrap", functools.partial(metrics.bootstrap, n_draws=40))
        yield


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages have no pictures, which take all but a hundredth of their time, for tests that look at their words."""
    from sercache.report import page

    monkeypatch.setattr(page, "figures", lambda report: {})


@pytest.fixture
def sercache(
    own_settings: Path,
    few_draws: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Callable[..., Outcome]:
    """Runs the command line in this process; plots and pages of runs are made where a test is marked ``draws``."""
    from sercache import cli
    from sercache.report import page, plots
    from sercache.training import pace

    # What a training takes is measured by training; tests of that ask for it themselves.
    monkeypatch.setattr(pace, "measured", lambda work, n_trainings: pace.Pace(1e-3, 1e-6, 1.0, is_rough=True))
    if request.node.get_closest_marker("draws") is None:  # they take nine tenths of a small training's time
        monkeypatch.setattr(plots, "draw", lambda report, folder: [])
        monkeypatch.setattr(page, "write", lambda report, path, **options: path)

    def run(*arguments: object) -> Outcome:
        before = sys.argv
        sys.argv = ["sercache", *map(str, arguments)]
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = before
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """List of twenty-four recordings of four speakers and two classes that loudness tells apart."""
    folder = tmp_path_factory.mktemp("recordings")
    rows = ["id,path,label,speaker"]
    for k in range(24):
        chance = np.random.default_rng(k)
        label = "loud" if k % 2 else "soft"
        wave = chance.normal(0, 0.3 if k % 2 else 0.03, int(16000 * chance.uniform(0.2, 0.4)))
        soundfile.write(folder / f"{k}.wav", wave, 16000)
        rows.append(f"u{k},{k}.wav,{label},s{k // 2 % 4}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


@pytest.fixture
def manifest(recordings: Path, tmp_path: Path) -> Path:
    """A copy of the recordings that a test may change."""
    return Path(shutil.copytree(recordings.parent, tmp_path / "corpus")) / "list.csv"


@pytest.fixture(scope="session")
def loudness_cache(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the recordings as log-mel features, as `sercache extract` makes it."""
    from sercache.experiment.extract import ExtractOptions, run

    cache = tmp_path_factory.mktemp("loudness")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERCACHE_CONFIG", str(cache / "config.toml"))
        run(ExtractOptions(encoder="logmel", dataset="manifest", root=recordings, cache=cache, device="cpu"))
    return cache


@pytest.fixture
def cached(loudness_cache: Path, own_settings: Path) -> Path:
    """The cache of the recordings as a test's own; gives the folder that its runs go to."""
    shutil.copytree(loudness_cache, own_settings / "cache")
    return own_settings / "runs"
