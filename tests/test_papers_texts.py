"""Trials that read what a recogniser hears: recognised once, encoded beside the corpus' own transcripts, trained on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import text_helpers
from corpus_trees import TREES
from paper_world import Hears, give_voices

from sercache import settings, transcription, transcripts
from sercache.errors import MissingFeaturesError, MissingMaterialError
from sercache.papers import Trial
from sercache.published.trial import TrialPlan, plan
from sercache.record import Report
from sercache.report import runs
from sercache.reproduction.kept import find
from sercache.reproduction.place import Place
from sercache.reproduction.trials import obtain

SETUP = {"protocol": "kfold:2", "dev": "none", "states": "final", "frames": False}
RECIPE = {"max_epochs": 1, "select": "last-epoch", "patience": None}


@pytest.fixture
def place_of(own_settings: Path, monkeypatch: pytest.MonkeyPatch, few_draws: None) -> Callable[..., Place]:
    monkeypatch.setattr("sercache.reproduction.trials.draw", lambda report, folder: None)
    monkeypatch.setattr("sercache.experiment.test_on.draw", lambda report, folder: None)
    roots = {name: str(TREES[name](own_settings / name)) for name in ("emodb", "ravdess")}
    give_voices(own_settings)

    def make(may_extract: bool = True) -> Place:
        known = replace(settings.load(), roots=roots)
        return Place(known, own_settings / "cache", "cpu", own_settings / "runs" / "paper", may_extract)

    return make


@pytest.fixture
def plan_of(own_settings: Path) -> Callable[..., TrialPlan]:
    text_helpers.save("bert", own_settings / "tiny-bert")

    def make(texts: str, *test_on: str) -> TrialPlan:
        setup = {**SETUP, "test_on": test_on}
        trial = Trial(
            "linear", str(own_settings / "tiny-bert"), "emodb", (), setup, RECIPE, transcripts=texts
        )
        made: TrialPlan = plan(trial, seeds=1)
        return made

    return make


def texts_of(report: Report) -> str:
    return str(report.features["spec"].get("transcripts", ""))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_words_are_recognised_once_and_people_s_transcripts_stay_apart(
    plan_of: Callable[..., TrialPlan], place_of: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    recogniser = Hears("ear")
    monkeypatch.setattr(transcription, "load", lambda source, device: recogniser)
    place, heard, human = place_of(), plan_of("ear"), plan_of("")
    people = obtain(human, place)
    assert (texts_of(people), recogniser.n_heard) == ("", 0)

    asr = obtain(heard, place)
    [path] = place.folder.glob("transcripts/*.csv")
    assert texts_of(asr) == transcripts.digest(transcripts.read(path))
    n = recogniser.n_heard
    assert n == len(transcripts.read(path)) >= asr.corpus["n_utterances"]
    assert asr.runs[0].weights_sha256 != people.runs[0].weights_sha256
    assert len(runs.find(place.folder)) == 2

    for plan_, report in ((human, people), (heard, asr)):
        found = find(plan_, place_of())
        assert found is not None
        assert not found.differs
        assert texts_of(found.report) == texts_of(report)
    obtain(heard, place_of())
    assert recogniser.n_heard == n
    assert len(runs.find(place.folder)) == 2

    assert texts_of(asr) in place.recognised, "whose words they are is known"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_corpus_that_is_tested_on_later_is_recognised_too(
    plan_of: Callable[..., TrialPlan], place_of: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    recogniser = Hears("ear", max_seconds=0.45)
    monkeypatch.setattr(transcription, "load", lambda source, device: recogniser)
    first = obtain(plan_of("ear"), place_of())
    with_other = plan_of("ear", "ravdess:4class")
    assert with_other.digest == plan_of("ear").digest
    report = obtain(with_other, place_of())
    assert [run.weights_sha256 for run in report.runs] == [run.weights_sha256 for run in first.runs]
    [there] = report.cross_corpus
    place = place_of()
    files = sorted(place.folder.glob("transcripts/*.csv"))
    assert [path.name.rpartition("-")[2] for path in files] == ["emodb.csv", "ravdess.csv"]
    assert there.features["spec"]["transcripts"] == transcripts.digest(transcripts.read(files[1]))
    # What the recogniser cannot take is known to be left out: it is not asked again.
    n = recogniser.n_heard
    assert list(place.folder.glob("transcripts/*.skipped.json"))
    obtain(with_other, place)
    assert recogniser.n_heard == n


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_without_extraction_nothing_is_recognised_or_encoded(
    plan_of: Callable[..., TrialPlan], place_of: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcription, "load", lambda source, device: Hears("ear"))
    heard = plan_of("ear")
    with pytest.raises(MissingMaterialError, match="lacks what ear recognises in it; leave --no-extract out"):
        obtain(heard, place_of(may_extract=False))
    obtain(heard, place_of())
    shutil.rmtree(place_of().cache)
    with pytest.raises(MissingFeaturesError, match="of what ear recognises in it; leave --no-extract out"):
        obtain(
            plan(replace(heard.trial, recipe={**RECIPE, "max_epochs": 2}), seeds=1),
            place_of(may_extract=False),
        )


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_recogniser_that_hears_nothing_is_told_by_name(
    plan_of: Callable[..., TrialPlan], place_of: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = Hears("ear")
    monkeypatch.setattr(deaf, "recognise", lambda wave, language: "")
    monkeypatch.setattr(transcription, "load", lambda source, device: deaf)
    with pytest.raises(MissingFeaturesError, match="nothing could be encoded of what ear recognised, see"):
        obtain(plan_of("ear"), place_of())
