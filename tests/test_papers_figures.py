"""What the papers' figures show: every panel, line and bar is of the trained configuration that it names.

Each trial stands for a number of its own here, and nothing is trained: what is drawn must be the numbers of the
configurations that are written out below, so that a panel of another one is found.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sercache import record
from sercache.experiment.vectors import LabelledVectors
from sercache.papers import TrialScore, Vectors
from sercache.published.trial import TrialPlan, plan
from sercache.reproduction.paper import ReproduceOptions
from sercache.reproduction.reproduce import run

Shown = dict[str, Any]
"""What a figure was drawn from, by the name that stands beside it there."""


def about(made: TrialPlan) -> tuple[object, ...]:
    """What tells the trained configurations of the figures apart, as fields of set-up, options and recipe."""
    setup, options = made.setup, made.trial.options
    before = made.start and made.start.trial.options.get("blocks")
    return (
        made.trial.head, setup.encoder, setup.dataset, setup.states, setup.target, setup.beside,
        options.get("blocks"), options.get("configuration"), options.get("arcface", True),
        made.recipe.second_weight, made.recipe.loss, setup.finetune_from,
        tuple(also.dataset for also in made.trial.also_train), before, made.trial.transcripts,
    )  # fmt: skip


def number(of: object) -> float:
    """A number between .4 and .9 that stands for a configuration."""
    return 0.4 + zlib.crc32(repr(of).encode()) % 50_000 / 100_000


@pytest.fixture
def drawn(own_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Shown]:
    """Reproduces a figure of made up results; gives what was drawn, by name."""
    shown: Shown = {}

    def value(score: TrialScore, report: TrialPlan, words: object) -> record.Score:
        return record.Score(number((*about(report), score.metric, score.on, score.of)), None, 1)

    def labelled(wanted: Vectors, made: TrialPlan, place: object) -> LabelledVectors:
        key = (*about(made), wanted.by, wanted.part, wanted.on, wanted.clip)
        return LabelledVectors(np.full((24, 2), number(key)) + np.eye(24, 2), ("a", "b") * 12)

    def save(figure: Any, stem: Path) -> list[Path]:
        for axes in figure.axes:
            handles, labels = axes.get_legend_handles_labels()
            for each, label in zip(
                handles, [f"{axes.get_title()} {label}".strip() for label in labels], strict=True
            ):
                ticks = [tick.get_text() for tick in axes.get_xticklabels()]
                if hasattr(each, "patches"):
                    shown[label] = dict(zip(ticks, [bar.get_height() for bar in each.patches], strict=True))
                elif hasattr(each, "lines"):
                    x, y = each.lines[0].get_data()
                    shown[label] = dict(zip([ticks[int(k)] for k in x], y, strict=True))
        return []

    room = "sercache.reproduction"
    monkeypatch.setattr(f"{room}.ours.obtain", lambda made, place: made)
    monkeypatch.setattr(f"{room}.ours.cells.value", value)
    monkeypatch.setattr(f"{room}.ours.vectors.labelled", labelled)
    monkeypatch.setattr(f"{room}.reproduce.differs", lambda *asked: ())
    monkeypatch.setattr(f"{room}.ours.check_at_hand", lambda *asked: None)
    monkeypatch.setattr(f"{room}.show.run_notes", lambda reports: [])
    monkeypatch.setattr(f"{room}.show._differing", lambda table, found: ({}, []))
    monkeypatch.setattr(f"{room}.show.plots.save", save)

    def panels(found: Any, *more: Any) -> None:
        shown.update({name: what for name, what, *_ in found if not isinstance(found, str)})

    monkeypatch.setattr(f"{room}.show.maps.vector_map", lambda found, title: panels(found))
    monkeypatch.setattr(f"{room}.show.comparison_plots.scatter", lambda title, found, x, y: panels(found))

    def reproduce(paper: str, figure: str) -> Shown:
        shown.clear()
        run(ReproduceOptions(paper, figure))
        assert shown
        return dict(shown)

    return reproduce


def park(
    head: str, blocks: int | None = 4, configuration: str | None = None, **other: Any
) -> tuple[object, ...]:
    """A network of Park et al. as ``about`` tells it."""
    joint = configuration is not None
    beside = ("wav2vec2-base:final:pooled",) if joint else ()
    dataset = "voxceleb1" if head == "speaker-id" else "iemocap"
    below = "conv,conv" if configuration == "all-fine-tuned" else "conv"
    loss = other.get("loss", "arcface")
    return (
        head, "wav2vec2-base", dataset, "final", None, beside, blocks, configuration, loss == "arcface",
        other.get("beta", 0.0), loss, below, (), 4 if joint else None, "",
    )  # fmt: skip


EMOTION, FROZEN = park("attention-blocks"), park("speaker-specific", 4, "all-frozen")
ARCFACE = {beta: park("speaker-specific", 4, "arcface-fine-tuned", beta=beta) for beta in (0.5, 1.0, 1.5)}
EVERYTHING = {beta: park("speaker-specific", 4, "all-fine-tuned", beta=beta) for beta in (0.5, 1.0, 1.5)}


@pytest.mark.parametrize(
    ("figure", "panels"),
    [
        (
            "figure8",
            {
                "(a) without speaker-specific representation": EMOTION,
                "(b) with speaker-specific representation": FROZEN,
            },
        ),
        ("figure9", {"(a) Arcface Fine-tuned": ARCFACE[1.0], "(b) All Fine-tuned": EVERYTHING[1.0]}),
    ],
)
def test_park_maps_are_of_the_networks_that_they_name(
    drawn: Callable[[str, str], Shown], figure: str, panels: dict[str, tuple[object, ...]]
) -> None:
    shown = drawn("park2023", figure)
    expected = {
        f"{name}, {by}, {part}": number((*made, by, part, None, None))
        for name, made in panels.items()
        for by in ("predicted class", "speaker")
        for part in ("train", "test")
    }
    assert {name: vectors[-1, -1] for name, vectors in shown.items()} == pytest.approx(expected)


def test_park_maps_of_speakers_are_of_the_loss_and_length_that_they_name(
    drawn: Callable[[str, str], Shown],
) -> None:
    for figure, panels in (
        ("figure5", {"Cross-entropy": ("cross-entropy", 3), "Arcface": ("arcface", 3)}),
        ("figure6", {f"{k} s": ("arcface", k) for k in (1, 2, 3, 4)}),
    ):
        found = {name: vectors[-1, -1] for name, vectors in drawn("park2023", figure).items()}
        assert found == pytest.approx({
            f"{name}, speakers": number(
                (*park("speaker-id", None, loss=loss), "speaker", "all", "iemocap:4class", f"repeat:{k}+trim:15")
            )
            for name, (loss, k) in panels.items()
        })  # fmt: skip


def test_park_bars_are_of_the_configurations_that_they_name(drawn: Callable[[str, str], Shown]) -> None:
    shown = drawn("park2023", "figure7")
    named = {"All Frozen, beta 0": FROZEN}
    named |= {f"Arcface Fine-tuned, beta {beta}": made for beta, made in ARCFACE.items()}
    named |= {f"All Fine-tuned, beta {beta}": made for beta, made in EVERYTHING.items()}
    for column in ("WA", "UA"):
        wanted = {name: 100 * number((*made, column.lower(), None, None)) for name, made in named.items()}
        assert shown[column] == pytest.approx(wanted)


def shares(head: str, encoder: str, states: str, target: str) -> tuple[object, ...]:
    """A regressor of Mohapatra et al. as ``about`` tells it."""
    return (
        head,
        encoder,
        "hume-prosody",
        states,
        target,
        (),
        None,
        None,
        True,
        0.0,
        "mse",
        None,
        (),
        None,
        "",
    )


EMOTIONS = ("anger", "boredom", "calmness", "concentration", "determination", "excitement", "interest", "sadness",
            "tiredness")  # fmt: skip


def test_mohapatra_points_are_of_the_emotion_that_they_name(drawn: Callable[[str, str], Shown]) -> None:
    shown = drawn("mohapatra2023", "figure2")
    wanted = {each: shares("cnn-lstm-attention", "hubert-large", "final", each) for each in EMOTIONS}
    assert {name: about(made) for name, made in shown.items()} == wanted


def test_mohapatra_bars_are_means_of_the_features_and_architectures_that_they_name(
    drawn: Callable[[str, str], Shown],
) -> None:
    shown = drawn("mohapatra2023", "figure3")
    encoders = {
        "wav2vec2.0 Base": ("wav2vec2-base", "final"), "wav2vec2.0 Large": ("wav2vec2-large-lv60", "final"),
        "HuBERT Base": ("hubert-base", "final"), "HuBERT Large": ("hubert-large", "final"),
        "MFCC Features": ("logmel", "all"),
    }  # fmt: skip
    for column, head in (("arch. 1", "cnn-lstm"), ("arch. 2", "cnn-lstm-attention")):
        assert shown[column] == pytest.approx({
            name: np.mean([number((*shares(head, *read, each), "rho", None, None)) for each in EMOTIONS])
            for name, read in encoders.items()
        })  # fmt: skip


def test_pepino_lines_are_of_the_corpus_and_checkpoint_that_they_name(
    drawn: Callable[[str, str], Shown],
) -> None:
    shown = drawn("pepino2021", "figure2")
    states = ("projection", *map(str, range(1, 13)))
    for corpus in ("IEMOCAP", "RAVDESS"):
        for kind, encoder in (("PT", "wav2vec2-base"), ("FT", "wav2vec2-base-960h")):
            made = ("weighted-dense", encoder, corpus.lower(), "projection+blocks", None, (), None, None, True, 0.0,
                    "cross-entropy", None, (), None, "")  # fmt: skip
            wanted = {
                "0" if of == "projection" else of: number((*made, "layer-weight", None, of)) for of in states
            }
            assert shown[f"{corpus} {kind}"] == pytest.approx(wanted)


def test_ioannides_lines_are_of_the_training_set_that_they_name(drawn: Callable[[str, str], Shown]) -> None:
    shown = drawn("ioannides2023", "figure2")
    for name, also in (("v1 (IEMOCAP)", ()), ("v2 (IEMOCAP + ESD)", ("esd",))):
        made = ("layer-attention", "wavlm-large", "iemocap", "blocks", None, (), None, None, True, 0.0, "focal", None,
                also, None, "")  # fmt: skip
        wanted = {of: number((*made, "layer-weight", "emodb", of)) for of in map(str, range(1, 25))}
        assert shown[name] == pytest.approx(wanted), "the share of layers 1 to 12 is no layer"


def test_chen_lines_are_of_the_recogniser_and_corpora_that_they_name(
    drawn: Callable[[str, str], Shown],
) -> None:
    """Blocks and words of a half are of one recogniser; A+T has a line in each half."""
    shown = drawn("chen2022", "figure2")
    settings = {
        "IEM": ("iemocap", None), "MSP": ("msp-improv", None), "MSP2IEM": ("msp-improv", "iemocap"),
        "IEM2MSP": ("iemocap", "msp-improv"),
    }  # fmt: skip
    text = ("bert-large-uncased:final:frames",)
    for half, encoder in (("Librispeech", "wenet-librispeech"), ("Gigaspeech", "wenet-gigaspeech")):
        for setting, (corpus, on) in settings.items():
            blocks = {str(k): ("rnn", encoder, corpus, str(k), None, ()) for k in (2, 4, 6, 8, 10, 12)}
            blocks["0"] = ("rnn", "kaldi-fbank", corpus, "all", None, ())
            both = ("pair-rnn", "kaldi-fbank", corpus, "all", None, text)
            rest = (None, None, True, 0.0, "cross-entropy", None, (), None)
            score = ("ua", on, None)
            wanted = {block: 100 * number((*made, *rest, "", *score)) for block, made in blocks.items()}
            assert shown[f"{half} E(i), {setting}"] == pytest.approx(wanted)
            level = 100 * number((*both, *rest, encoder, *score))
            assert shown[f"{half} A+T, {setting}"] == pytest.approx({"0": level, "12": level})


def test_what_stands_for_configurations_differs_where_they_do() -> None:
    from sercache.papers import park2023

    made = [
        plan(cell.ours.trial)
        for figure in ("figure8", "figure9")
        for row in park2023.TABLES[figure].rows
        for cell in row.cells.values()
        if isinstance(cell.ours, Vectors)
    ]
    assert len({number(about(each)) for each in made}) == len({each.digest for each in made}) == 4
