"""Catalogue, clip rules, state selections, recipe overrides."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sercache import catalog, clips, states
from sercache.chosen import ChosenSeeds, folds_named, read_seeds
from sercache.errors import RecipeError, SettingsError, UnknownNameError
from sercache.recipe import Recipe, override

WAVLM = ("conv", "projection", "input", *map(str, range(1, 25)), "final")


def test_catalog_lists_public_modules_only() -> None:
    assert "demo" in catalog.names("sercache.datasets")
    assert not [name for name in catalog.names("sercache.datasets") if name.startswith(("-", "_"))]


def test_catalog_suggests_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean iemocap"):
        catalog.load("sercache.datasets", "iemocop")


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("blocks", tuple(map(str, range(1, 25)))),
        ("projection+blocks", ("projection", *map(str, range(1, 25)))),
        ("1-3,final", ("1", "2", "3", "final")),
        ("final,6", ("6", "final")),
        ("last", ("24",)),
        ("all", WAVLM),
    ],
)
def test_selections_of_a_transformer(selection: str, expected: tuple[str, ...]) -> None:
    assert states.select(WAVLM, selection) == expected


def test_final_is_the_last_block_without_a_closing_norm() -> None:
    assert states.select(("input", "1", "2"), "final") == ("2",)


@pytest.mark.parametrize("selection", ["blocks", "all", "final", "last", "input+blocks", "projection+blocks"])
def test_encoders_without_blocks_have_their_own_state(selection: str) -> None:
    assert states.select(("logmel",), selection) == ("logmel",)


@pytest.mark.parametrize("selection", ["25", "20-30", "5-2", "blcks", "", "1,,2"])
def test_states_that_are_not_on_offer(selection: str) -> None:
    with pytest.raises(UnknownNameError):
        states.select(WAVLM, selection)


def test_sizes_do_not_mix_in_a_store() -> None:
    dims = {"conv": 512, "1": 768, "2": 768}
    assert states.same_dim(("conv", "1", "2"), dims, "all") == ("1", "2")
    with pytest.raises(SettingsError, match="conv: 512"):
        states.same_dim(("conv", "1"), dims, "conv+1")


@given(
    n_samples=st.integers(1, 2_000_000),
    seconds=st.integers(1, 40),
    rate=st.sampled_from([8000, 16000, 44100]),
    kind=st.sampled_from(["trim", "split"]),
)
def test_clips_cover_the_recording_in_order(n_samples: int, seconds: int, rate: int, kind: str) -> None:
    rule = clips.parse(f"{kind}:{seconds}")
    pieces = clips.cut(n_samples, rate, rule, 400)
    assert pieces[0][0] == 0
    for (_, stop), (start, _) in pairwise(pieces):
        assert stop == start
    assert all(0 < stop - start <= seconds * rate for start, stop in pieces)
    if kind == "trim":
        assert pieces == [(0, min(n_samples, seconds * rate))]
    else:
        assert n_samples - pieces[-1][1] < max(400, rate // 10)


def test_clip_ids_lead_back_to_their_utterance() -> None:
    rule = clips.parse("split:5s")
    ids = clips.entry_ids("a#b", 2, rule)
    assert ids == ["a#b#0", "a#b#1"]
    assert {clips.utterance_id(entry, rule) for entry in ids} == {"a#b"}
    assert clips.utterance_id("a#b", clips.parse("none")) == "a#b"


@pytest.mark.parametrize(
    ("text", "written"),
    [("none", "none"), (" repeat:3 ", "repeat:3"), ("trim:15+repeat:3s", "repeat:3+trim:15"),
     ("whole", "whole"), ("none+whole", "whole"), ("split:30 + whole", "split:30+whole")],
)  # fmt: skip
def test_clip_rules_have_one_spelling(text: str, written: str) -> None:
    assert str(clips.parse(text)) == written
    assert clips.parse(written) == clips.parse(text)


@given(n_samples=st.integers(1, 300_000), rate=st.sampled_from([8000, 16000, 44100]))
def test_short_recordings_are_repeated_whole_and_never_cut(n_samples: int, rate: int) -> None:
    rule = clips.parse("repeat:3+trim:15")
    n = clips.copies(n_samples, rate, rule)
    assert n == (1 if n_samples >= 3 * rate else math.ceil(3 * rate / n_samples))
    assert clips.copies(n_samples, rate, clips.parse("trim:15")) == 1
    if n > 1:
        assert 3 * rate <= n * n_samples < 6 * rate
        assert clips.cut(n_samples, rate, rule, 400) == [(0, n_samples)]


def test_a_repeated_recording_must_not_be_cut() -> None:
    with pytest.raises(SettingsError, match="can last 6 s; cut at that or more"):
        clips.parse("repeat:3+split:5")


@pytest.mark.parametrize(
    "text", ["repeat", "repeat:0", "none+trim:3", "trim:3+split:3", "repeat:1+repeat:1", "+"]
)
def test_repetitions_that_cannot_be_read(text: str) -> None:
    with pytest.raises(SettingsError, match="repeat:<seconds>"):
        clips.parse(text)


@pytest.mark.parametrize(
    "text", ["split", "split:", "split:0", "split:-1", "trim:x", "none:3", "cut:5", "split:inf"]
)
def test_clip_rules_that_cannot_be_read(text: str) -> None:
    with pytest.raises(SettingsError, match="trim:<seconds>"):
        clips.parse(text)


def test_recipe_override_reads_the_field_types() -> None:
    changed = override(
        Recipe(), ["lr=1e-4", "patience=3", "clip-value=1", "loss=focal", "mixed-precision=true"]
    )
    assert changed == Recipe(lr=1e-4, patience=3, clip_value=1.0, loss="focal", mixed_precision=True)
    assert override(changed, ["patience=none"]).patience is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lrr=1", "did you mean lr"),
        ("lr", "name=value"),
        ("lr=fast", "takes float"),
        ("loss=focl", "did you mean focal"),
        ("batch_size=0", "above 0"),
        ("batch_size=1.5", "takes int"),
        ("lr=inf", "lr must be a finite number"),
        ("clip_norm=1e400", "clip_norm must be a finite number"),
    ],
)
def test_recipe_settings_that_do_not_fit(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        override(Recipe(), [setting])


@pytest.mark.parametrize(
    ("asked", "run", "part"),
    [
        (None, None, None),
        (5, 5, None),
        ((0, 2), (0, 2), None),
        ("5", 5, None),
        ("0-4", (0, 1, 2, 3, 4), None),
        ("0,2,7", (0, 2, 7), None),
        ("3-3", (3,), None),
        ("3,", (3,), None),
        ("0-1,4/25", 25, (0, 1, 4)),
        ("3/5", 5, (3,)),
    ],
)
def test_seeds_as_they_are_written(asked: Any, run: Any, part: Any) -> None:
    assert read_seeds(asked) == ChosenSeeds(run, part)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "4-2", "1,1", "0-4/0", "a", "0-99999999", "/5", "1//2", "5/", ",", "²"]
)
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(SettingsError, match="seeds"):
        read_seeds(text)


@given(st.sets(st.integers(0, 30), min_size=1))
def test_seeds_written_one_by_one_are_those(seeds: set[int]) -> None:
    written = ",".join(map(str, sorted(seeds))) + ","
    assert read_seeds(written).run == tuple(sorted(seeds))


SPEAKERS = ("03", "08", "09", "10", "11")


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("08", SPEAKERS, ("08",)),
        ("11,03", SPEAKERS, ("03", "11")),
        ("08-10", SPEAKERS, ("08", "09", "10")),
        ("1-3", SPEAKERS, ("03", "08", "09")),
        ("2", SPEAKERS, ("08",)),
        ("10", SPEAKERS, ("10",)),
        ("a-b,c", ("a-b", "a", "c", "b"), ("a-b", "c")),
        ("a-c", ("a-b", "a", "b", "c"), ("a", "b", "c")),
        ("one, two", ("one, two", "one"), ("one, two",)),
    ],
)
def test_folds_by_name_and_by_place(text: str, names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert folds_named(text, names) == expected


@pytest.mark.parametrize("text", ["12", "0", "3-1", "08-", "", ",", "1-9"])
def test_folds_that_are_none(text: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown fold"):
        folds_named(text, SPEAKERS)
