"""How many of our functions stand between a command and what it is for."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from many_helpers import forks
from torch import Tensor

import sercache
from sercache.training import many

OURS = Path(sercache.__file__).parent
MOST = 9
"""Functions of ours from that of the command, which counts, down to the head, which does not."""


def functions_of_ours() -> list[str]:
    """Our functions on the stack of whoever calls, the command's first."""
    stack = [frame for frame in traceback.extract_stack() if Path(frame.filename).is_relative_to(OURS)]
    names = [f"{Path(frame.filename).stem}.{frame.name}" for frame in stack]
    return names[names.index("training.train") :]


@pytest.mark.parametrize("n_cores", [1, pytest.param(2, marks=forks)])
def test_few_functions_lie_between_the_command_and_the_head(
    sercache: Callable, cached: Path, tmp_path: Path, n_cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercache.heads import linear

    noted = tmp_path / "noted.jsonl"  # also from processes that train
    forward = linear.Head.forward

    def noting(self: linear.Head, x: Tensor, mask: Tensor) -> Tensor:
        with noted.open("a") as file:
            file.write(json.dumps([os.getpid(), functions_of_ours()]) + "\n")
        return forward(self, x, mask)

    monkeypatch.setattr(linear.Head, "forward", noting)
    monkeypatch.setattr(many, "WORTH", 0)
    monkeypatch.setattr(many, "cores", lambda: n_cores)
    done = sercache(
        "train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--dev", "next",
        "--set", "max-epochs=1", "--seeds", 1,
    )  # fmt: skip
    assert done.code == 0, done.err
    calls = [json.loads(line) for line in noted.read_text().splitlines()]
    assert len({pid for pid, _ in calls}) == (1 if n_cores == 1 else 1 + n_cores)
    assert any("train_alone" in name for _, path in calls for name in path)
    calls = [
        each for each in calls if "pace.measured" not in each[1]
    ]  # updates of a forecast are no training
    for pid, path in calls:
        # Where an epoch ends, a process of its own has the two that forked it above as well.
        if pid == os.getpid() or "state.record" not in path:
            assert len(path) <= MOST, " > ".join(path)
