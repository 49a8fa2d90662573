"""Fixtures that several test files share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

# As the command line does, before any test loads torch (docs/decisions/0005).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


class Outcome(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No setting, cache or hub of the user who runs the tests may reach them; gives the folder in use."""
    monkeypatch.setenv("SERCACHE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("SERCACHE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SERCACHE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SERCACHE_DEVICE", "cpu")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def sercache(own_settings: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line in this process."""
    import cli

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
