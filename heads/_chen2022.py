"""Training and set-up of Chen and Zhang 2022 (CTA-RNN), which its seven heads share."""

from __future__ import annotations

from dataclasses import replace

from sercache.recipe import Recipe, Setup

RECIPE = Recipe(
    optimiser="adam",
    lr=1e-3,
    schedule="halve-on-plateau",
    plateau_patience=10,
    batch_size=32,
    bucket=8,
    max_epochs=50,
    select="dev-ua",
)

SETUP = Setup(
    encoder="wenet-gigaspeech",
    dataset="iemocap",
    protocol="leave-one-speaker-out",
    dev="other-speaker",
    states="blocks",
    frames=True,
)
SMALL = {"hidden": 12, "heads": 2, "head_dim": 6, "dropout_rate": 0.1}
OPEN = ("bucket", "max_frames", "select")
UPDATES = 6_900  # at most: eight speakers of ten of 5,531 turns, 50 epochs


def other_corpora(setup: Setup) -> dict[str, Setup]:
    """Set-ups of the paper's second corpus, MSP-IMPROV: 12 speakers."""
    return {"msp-improv": replace(setup, dataset="msp-improv")}
