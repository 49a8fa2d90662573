"""Processes of one `sercache train` killed at random moments: nothing is lost, and the run ends as if nothing was.

SERCACHE_KILLS sets how often (default 25).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from many_helpers import forks

N_KILLS = int(os.environ.get("SERCACHE_KILLS", "25"))
TRAIN = ["train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--protocol", "kfold:4"]
TRAIN += ["--dev", "random20", "--seeds", "3", "--set", "max-epochs=8", "--serial", "--name", "r"]


def record(run: Path) -> dict[str, Any]:
    """All of a report that does not tell when and where it was made."""
    found: dict[str, Any] = json.loads((run / "report.json").read_text())
    return {name: value for name, value in found.items() if name not in ("timing", "environment")}


@pytest.mark.slow
@forks
def test_processes_that_are_killed_at_any_moment(sercache: Callable, cached: Path, tmp_path: Path) -> None:
    whole, done = tmp_path / "whole", tmp_path / "done"
    done.mkdir()
    assert sercache(*TRAIN, "--runs", whole).code == 0
    script = Path(__file__).with_name("kill_train.py")
    settings = [str(each) for each in (7, N_KILLS, 4, 1.5, cached, done)]
    ended = subprocess.run(
        [sys.executable, str(script), *settings, json.dumps(TRAIN)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == {"kills": N_KILLS, "strange": []}, ended.stderr
    finished = [path for path in done.iterdir() if (path / "report.json").is_file()]
    assert finished
    assert all(record(path) == record(whole / "r") for path in finished)
    weights = {path.name: path.read_bytes() for path in (whole / "r" / "weights").iterdir()}
    for run in finished:
        assert {path.name: path.read_bytes() for path in (run / "weights").iterdir()} == weights
