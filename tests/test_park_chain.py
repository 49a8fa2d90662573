"""Park et al.'s three networks one after another, command by command, on small trees of their corpora."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome
from corpus_trees import TREES
from paper_world import give_voices, make_short
from safetensors.torch import load_file

from sercache.record import Report
from sercache.report import runs as run_folders

Sercache = Callable[..., Outcome]
STILL = ("--set", "max-epochs=1", "--set", "lr=1e-30")
"""Training that moves nothing: what comes out is what went in."""


@pytest.mark.slow
def test_speakers_then_emotions_then_both_in_all_configurations(sercache: Sercache, tmp_path: Path) -> None:
    roots = {name: TREES[name](tmp_path / name) for name in ("voxceleb1", "iemocap")}
    give_voices(tmp_path)
    short, trained = make_short(tmp_path / "short"), tmp_path / "trained"
    runs = tmp_path / "runs"

    def call(*parts: object) -> str:
        code, out, err = sercache(*parts)
        assert code == 0, err
        return out

    def extract(encoder: Path, dataset: str, states: str) -> None:
        head = "speaker-id" if dataset == "voxceleb1" else "speaker-specific"
        where = ("--encoder", encoder, "--dataset", dataset, "--root", roots[dataset])
        call("extract", *where, "--for", head, "--states", states, "--dtype", "float32")

    def joint(name: str, configuration: str, beside: Path, boundary: str, *more: str) -> Report:
        start = [f"--start-from={part}={runs / part}" for part in ("emotion", "speaker")]
        call(
            "train", "--head", "speaker-specific", "--encoder", short, "--beside", f"{beside}:final:frames",
            "--option", "blocks=2", "--option", "second_input=frames", "--option", f"configuration={configuration}",
            "--finetune-from", boundary, *start, *STILL, *more, "--name", name,
        )  # fmt: skip
        return run_folders.load(runs / name)

    # The speaker network on VoxCeleb1, which becomes an encoder, and the emotion network on IEMOCAP.
    extract(short, "voxceleb1", "conv")
    train = ("train", "--encoder", short, "--set", "max-epochs=1", "--set", "lr=1e-3")
    call(*train, "--head", "speaker-id", "--name", "speaker")
    call("export", runs / "speaker", "--out", trained, "--encoder", short)
    extract(short, "iemocap", "conv")
    call(*train, "--head", "attention-blocks", "--option", "blocks=2", "--name", "emotion")
    emotion = run_folders.load(runs / "emotion")
    assert emotion.setup["dev"] == "balanced20"
    # Frozen, its vectors are cached; the boundary of its own training is cached for what trains it on.
    for states in ("final", "conv"):
        extract(trained, "iemocap", states)
    frozen = joint("frozen", "all-frozen", trained, "conv")
    tuned = joint("tuned", "arcface-fine-tuned", trained, "conv", "--set", "second-weight=0.5")
    both = joint("both", "all-fine-tuned", trained, "conv,conv", "--set", "second-weight=1.5")
    # The untrained encoder with the speaker run's blocks as initial weights is the trained one.
    again = joint("again", "all-fine-tuned", short, "conv,conv", "--set", "second-weight=1.5")
    for report in (frozen, tuned, both, again):
        for part in ("emotion", "speaker"):
            assert any(f"initial weights of {part} from {part}" in line for line in report.deviations)
        assert ("input 2" in " ".join(report.deviations)) == (report in (both, again))
        np.testing.assert_allclose(said(report), said(frozen), rtol=1e-3, atol=1e-4)
    one = tuned.runs[0]
    speaker = load_file(run_folders.weights_path(runs / "speaker", "official", 1000))
    weights = load_file(run_folders.weights_path(runs / "again", one.fold, one.seed))
    blocks = {name for name in speaker if name.startswith("tail.")}
    assert blocks
    for name in blocks:
        np.testing.assert_allclose(weights[name.replace("tail.", "tail2.", 1)], speaker[name], atol=1e-12)
    np.testing.assert_array_equal(weights["head.speaker.mix.weight"], speaker["head.attend.mix.weight"])


def said(report: Report) -> np.ndarray:
    """Probability of every class (U, C) for all tested utterances."""
    return np.array([each.probabilities for each in sorted(report.predictions, key=lambda p: (p.fold, p.id))])
