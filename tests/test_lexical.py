"""Lexical dependence of predictions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fake_store import make_corpus

from sercache.errors import SettingsError
from sercache.evaluation.lexical import lexical, normalised, transcripts
from sercache.record import Prediction


def said(id: str, predicted: int, fold: str = "a", seed: int = 0) -> Prediction:
    return Prediction(id, fold, seed, 0, predicted, (0.5, 0.5))


WORDS = {"u1": "ja", "u2": "ja", "u3": "nein", "u4": "nein nein"}


def test_transcripts_are_compared_by_their_words() -> None:
    assert normalised("  ¡Hola,   AMIGO!  ") == "hola amigo"
    assert normalised("Ärger?") == normalised("A\u0308rger")
    assert normalised("don't_stop …") == "don't stop"
    corpus = make_corpus(["a", "b"], ["x", "y"], ["s", "t"])
    with pytest.raises(SettingsError, match="talk has no transcripts"):
        transcripts(corpus)
    spoken = tuple(
        dataclasses.replace(u, transcript=t) for u, t in zip(corpus.utterances, ("Ja!", "…"), strict=True)
    )
    assert transcripts(dataclasses.replace(corpus, utterances=spoken)) == {"a": "ja"}


def test_words_that_decide_have_the_highest_value() -> None:
    slave = [said("u1", 0), said("u2", 0), said("u3", 1), said("u4", 1)]
    found = lexical(slave, ("x", "y", "z"), WORDS, by="seed")
    assert found.overall.mean == 1
    assert found.classes["z"] is None
    assert (found.n_items, found.n_utterances, found.n_left_out) == (3, 4, 0)
    free = [said("u1", 0), said("u2", 1)]
    assert lexical(free, ("x", "y"), WORDS, by="seed").overall.mean == 0


def test_folds_of_a_seed_are_one_set_and_models_are_sets_of_their_own() -> None:
    both = [said("u1", 0, "a"), said("u3", 1, "b"), said("u1", 0, "a", 1), said("u3", 0, "b", 1)]
    at_home = lexical(both, ("x", "y"), WORDS, by="seed")
    assert (at_home.overall.n, at_home.overall.mean) == (2, 0.5)
    abroad = [
        said(id, k, fold)
        for fold, ks in (("a", (0, 1)), ("b", (0, 0)))
        for id, k in zip(("u1", "u3"), ks, strict=True)
    ]
    found = lexical(abroad, ("x", "y"), WORDS, by="model")
    assert (found.overall.n, found.overall.mean) == (2, 0.5)
    assert found.classes["y"] is not None
    assert found.classes["y"].n == 1


def test_words_can_be_the_items() -> None:
    pairs = [said("u3", 0), said("u4", 1), said("u1", 1)]
    whole = lexical(pairs, ("x", "y"), WORDS, by="seed")
    single = lexical(pairs, ("x", "y"), WORDS, by="seed", unit="word")
    assert (whole.n_items, single.n_items) == (3, 2)
    # nein: class 0 once, class 1 twice; ja: class 1 once. p(0) = 1/4.
    expected = [np.log2((1 / 4) / (3 / 4 * 1 / 4)), (0 + np.log2((1 / 4) / (1 / 4 * 3 / 4))) / 2]
    assert single.overall.mean == pytest.approx(np.mean(expected))


def test_utterances_without_a_transcript_are_left_out() -> None:
    pairs = [said("u1", 0), said("strange", 1)]
    assert lexical(pairs, ("x", "y"), WORDS, by="seed").n_left_out == 1
    with pytest.raises(SettingsError, match="no predicted utterance has a transcript"):
        lexical([said("strange", 0)], ("x", "y"), WORDS, by="seed")
