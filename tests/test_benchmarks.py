"""The benchmark of a card runs where there is none: everything once, in tiny sizes, and says so without a card."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TOP = Path(__file__).parents[1]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(TOP / "benchmarks" / "gpu.py"), *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=TOP,
    )


def rows(text: str) -> list[list[str]]:
    """Cells of a Markdown table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.slow
def test_the_script_for_a_card_runs_in_tiny_sizes_without_one(tmp_path: Path) -> None:
    done = run("--rehearse", "--minutes", "60", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "these figures mean nothing" in done.stdout
    got = rows(done.stdout)
    assert {row[0] for row in got} >= {
        "0.0 h from the command line, means, start-up included",
        "cta-rnn, published size",
    }
    assert sum(row[0].startswith("float32 against the CPU: ") for row in got) >= 15
    assert all("to enter" not in line for line in done.stdout.splitlines()), (
        "a rehearsal shows nothing of a card"
    )
    assert [row for row in got if row[1].startswith(("failed", "not measured"))] == []
    assert list(tmp_path.iterdir()) == [], "what was written is removed"


@pytest.mark.slow
def test_the_script_for_a_million_runs_in_tiny_sizes(
    tmp_path: Path, own_settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(TOP / "benchmarks")
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    scale = importlib.import_module("scale")
    costs = scale.measure(tmp_path, 200)
    assert list(costs) == ["plan", "extract", "extract again", "info", "verify", "train"]
    assert all(cost.seconds > 0 and cost.cpu > 0 and cost.peak > 10 for cost in costs.values())
    (tmp_path / "frames").mkdir()
    monkeypatch.setattr("streaming.DIM", 8)
    scale.stream(tmp_path / "frames", 1e6, repeats=1)
    assert "streamed" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_a_machine_without_a_card_is_told_so() -> None:
    done = run()
    assert done.returncode == 1
    assert done.stderr.startswith("no CUDA card here")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_no_row_keeps_the_others_from_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TOP / "benchmarks")
    import time

    import gpu

    def broken() -> str:
        raise RuntimeError("one\ntwo")

    assert gpu.measured(lambda: "3 x", 60) == "3 x"
    assert gpu.measured(broken, 60) == "failed: RuntimeError: one"
    assert gpu.measured(lambda: str(time.sleep(60)), 1.2) == "not measured: no answer in 1 s"
    assert gpu.measured(broken, 0) == "not measured: out of time"
