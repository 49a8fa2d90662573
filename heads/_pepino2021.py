"""Training and set-up of Pepino, Riera and Ferrer 2021, which its three heads share."""

from __future__ import annotations

from dataclasses import replace

from sercache.recipe import Recipe, Setup

RECIPE = Recipe(
    optimiser="adam",
    lr=1e-4,
    clip_value=1.0,
    batch_size=32,
    max_epochs=100,
    select="dev-loss",
    patience=4,
)

SETUP = Setup(
    encoder="wav2vec2-base",
    dataset="iemocap",
    protocol="leave-one-session-out",
    dev="last",
    states="projection+blocks",
    frames=True,
    clip="trim:15",
    normalise="speaker",
    max_frames=400,
    seeds=(123, 1234, 2345, 3456, 4567),
)
UPDATES = 10_300  # at most: three sessions of five of 5,473 turns, 100 epochs


def other_corpora(setup: Setup) -> dict[str, Setup]:
    """Set-ups of the paper's second corpus, RAVDESS: speech and song, calm merged into neutral.

    Actors 1-20 / 21-22 / 23-24.
    """
    ravdess = replace(
        setup,
        dataset="ravdess",
        protocol="fixed:pepino",
        dev="none",
        task="7class",
        clip="none",
        max_frames=250,
    )
    return {"ravdess": ravdess}
