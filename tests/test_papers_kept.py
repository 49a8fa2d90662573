"""Which finished trials of `sercache reproduce` are taken: those that are what the trial would give now."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from corpus_trees import TREES
from paper_world import give_voices

from sercache import settings
from sercache.heads import linear
from sercache.papers import Trial
from sercache.published.trial import TrialPlan, plan
from sercache.record import Report
from sercache.report import runs
from sercache.reproduction.kept import find, is_done
from sercache.reproduction.place import Place
from sercache.reproduction.trials import obtain

TRIAL = Trial(
    "linear",
    "logmel",
    "emodb",
    setup={
        "protocol": "kfold:2",
        "dev": "none",
        "states": "all",
        "frames": False,
        "test_on": ("aesdd:4class",),
    },
    recipe={"max_epochs": 1, "select": "last-epoch", "patience": None},
)


@pytest.fixture
def plan_of(own_settings: Path, few_draws: None, monkeypatch: pytest.MonkeyPatch) -> TrialPlan:
    monkeypatch.setattr("sercache.reproduction.trials.draw", lambda report, folder: None)
    monkeypatch.setattr("sercache.experiment.test_on.draw", lambda report, folder: None)
    return plan(TRIAL, seeds=1)


@pytest.fixture
def place_of(own_settings: Path, plan_of: TrialPlan) -> Callable[[], Place]:
    """A fresh place, as each call of the command has one, with the corpora below it."""
    roots = {name: str(TREES[name](own_settings / name)) for name in ("emodb", "aesdd")}
    give_voices(own_settings)

    def make(*at_hand: str) -> Place:
        own = {name: root for name, root in roots.items() if name in (at_hand or roots)}
        known = replace(settings.load(), roots=own)
        return Place(known, own_settings / "cache", "cpu", own_settings / "runs" / "paper", True)

    return make


def finished(place: Place) -> list[str]:
    return sorted(folder.name for folder in runs.find(place.folder))


def weights(report: Report) -> list[str]:
    return [run.weights_sha256 for run in report.runs]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_finished_trial_is_taken_while_it_is_the_same_experiment(
    plan_of: TrialPlan, place_of: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of()
    first = obtain(plan_of, place)
    name = plan_of.name
    assert finished(place) == [name]
    record = (place.folder / name / "report.json").read_bytes()
    again = place_of()
    assert weights(obtain(plan_of, again)) == weights(first)
    assert finished(again) == [name]
    assert [each.dataset for each in obtain(plan_of, again).cross_corpus] == ["aesdd"]
    assert is_done(plan_of, again)

    # Another version of the head is another experiment: it runs again, and what is there stays.
    with monkeypatch.context() as patch:
        patch.setattr(linear, "VERSION", 2, raising=False)
        assert not is_done(plan_of, place_of())
        with pytest.warns(
            UserWarning, match=f"{name} is another experiment and stays.*head's file none instead of 2"
        ):
            obtain(plan_of, place_of())
        assert finished(place) == [name, f"{name}-2"]
        assert find(plan_of, place_of()).folder.name == f"{name}-2"  # type: ignore[union-attr]
    assert find(plan_of, place_of()).folder.name == name, "by the version that is in force"  # type: ignore[union-attr]
    assert (place.folder / name / "report.json").read_bytes() == record


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_corpus_that_is_complete_now_is_another(plan_of: TrialPlan, place_of: Callable[[], Place]) -> None:
    place = place_of()
    wavs = sorted(Path(place.known.roots["emodb"]).glob("wav/0*W*.wav"))
    aside = wavs[0].read_bytes()
    wavs[0].unlink()
    part = obtain(plan_of, place)
    wavs[0].write_bytes(aside)
    with pytest.warns(UserWarning, match="stays, the trial runs again: .*have no features"):
        whole = obtain(plan_of, place_of())
    assert whole.corpus["n_utterances"] == part.corpus["n_utterances"] + 1
    assert len(finished(place)) == 2
    wavs[0].unlink()  # and the other way round
    found = find(plan_of, place_of())
    assert found is not None
    assert not found.differs
    assert found.report.corpus["n_utterances"] == part.corpus["n_utterances"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_not_at_hand_is_compared_by_code_and_settings_alone(
    plan_of: TrialPlan, place_of: Callable[..., Place], monkeypatch: pytest.MonkeyPatch, own_settings: Path
) -> None:
    first = obtain(plan_of, place_of())
    (own_settings / "cache").rename(own_settings / "away")
    with pytest.warns(UserWarning, match=f"{plan_of.name} was compared by code and settings alone: Berlin"):
        assert weights(obtain(plan_of, place_of("aesdd"))) == weights(first)
    monkeypatch.setattr(linear, "VERSION", 2, raising=False)
    with (
        pytest.raises(Exception, match=r"config roots\.emodb"),
        pytest.warns(UserWarning, match="another experiment"),
    ):
        obtain(plan_of, place_of("aesdd"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_trial_of_before_experiments_is_not_taken(
    plan_of: TrialPlan, place_of: Callable[[], Place]
) -> None:
    place = place_of()
    obtain(plan_of, place)
    path = place.folder / plan_of.name / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "experiment": None}))
    assert not is_done(plan_of, place_of())
    with pytest.warns(UserWarning, match="it was made before runs recorded all that decides their numbers"):
        obtain(plan_of, place_of())
    assert finished(place) == [plan_of.name, f"{plan_of.name}-2"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_kept_heads_are_tested_again_where_the_other_corpus_has_changed(
    plan_of: TrialPlan, place_of: Callable[[], Place]
) -> None:
    place = place_of()
    wavs = sorted(Path(place.known.roots["aesdd"]).rglob("anger/a*.wav"))
    aside = wavs[0].read_bytes()
    wavs[0].unlink()
    part = obtain(plan_of, place)
    wavs[0].write_bytes(aside)
    whole = obtain(plan_of, place_of())
    assert weights(whole) == weights(part), "nothing is trained again"
    n = [report.cross_corpus[0].corpus["n_utterances"] for report in (part, whole)]
    assert [len(report.cross_corpus) for report in (part, whole)] == [1, 1]
    assert n[1] == n[0] + 1
    # What it said of the part is not overwritten by what it says of another one.
    folder = place.folder / plan_of.name
    wavs[1].unlink()
    obtain(plan_of, place_of())
    there = ("former-on-aesdd-4class", "on-aesdd-4class")
    assert [runs.load(folder / name).cross_corpus[0].corpus["n_utterances"] for name in there] == [n[1], n[0]]
