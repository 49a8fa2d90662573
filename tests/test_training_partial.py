"""An evaluation that is cut off goes on from the trainings that were done, with the same numbers."""

from __future__ import annotations

import csv
import inspect
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluations import evaluated, told
from fake_store import make_talk
from safetensors.torch import save_file
from torch import nn

from sercache.evaluation import How, Progress
from sercache.evaluation.partial import keep_trainings, settle
from sercache.heads import linear, mlp
from sercache.recipe import Recipe, Setup
from sercache.record import Report
from sercache.report.epochs import LiveEpochs, remove_live, write_epochs
from sercache.report.runs import save

pytestmark = pytest.mark.usefixtures("few_draws")

SETUP = Setup(
    encoder="tiny",
    dataset="talk",
    protocol="leave-one-speaker-out",
    states="all",
    frames=False,
    dev="next",
    seeds=(0, 3),
)
RECIPE = Recipe(lr=1e-2, batch_size=8, max_epochs=4, select="dev-ua", patience=2)
N_TRAININGS = 10


def run(
    how: How | None = None, head: type[nn.Module] = mlp.Head, recipe: Recipe = RECIPE, **more: Any
) -> Report:
    corpus, store = make_talk()
    return evaluated(head, corpus, store, SETUP, recipe, how=how, **{"head_name": "mlp", **more}).report


def save_run(folder: Path, seeds: tuple[int, ...] = (0,)) -> None:
    """A finished run, of the first seed."""
    corpus, store = make_talk()
    done = evaluated(mlp.Head, corpus, store, SETUP, RECIPE, head_name="mlp", seeds=seeds)
    save(done.report, folder, weights=done.weights)


def numbers(report: Report) -> dict[str, Any]:
    """All that decides whether two reports are equal."""
    record = report.to_json()
    return {name: value for name, value in record.items() if name not in ("timing", "environment")}


@pytest.fixture(scope="module")
def finished(few_draws: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """What the trainings give, and the folder that keeps each of them."""
    folder = tmp_path_factory.mktemp("finished")
    return run(How("serial", partial=folder)), folder


@pytest.fixture
def kept(finished: tuple[Report, Path], tmp_path: Path) -> Path:
    """A copy of the folder."""
    return Path(shutil.copytree(finished[1], tmp_path / "kept"))


@pytest.fixture
def whole(finished: tuple[Report, Path]) -> Report:
    """What an evaluation gives that nothing cuts off."""
    return finished[0]


@pytest.mark.slow
def test_every_way_gives_the_same_report(whole: Report) -> None:
    expected = numbers(whole)
    assert numbers(run()) == expected
    assert numbers(run(How("processes"))) == expected


def test_goes_on_where_it_was_cut_off(whole: Report, tmp_path: Path) -> None:
    done = 4

    class Stop(Exception):
        pass

    def stop(at: Progress) -> None:
        if at.run > done:
            raise Stop

    partial = tmp_path / "run.partial"
    with pytest.raises(Stop):
        run(How("serial", partial=partial), progress=stop)
    assert len(list(partial.glob("*.safetensors"))) == 4
    received: list[Progress] = []
    with told("training") as said:
        again = run(How("serial", partial=partial), progress=received.append)
    assert numbers(again) == numbers(whole)
    assert {at.run for at in received} == set(range(5, N_TRAININGS + 1))
    assert said[0] == "4 of 10 trainings were finished before"
    assert settle(partial, again) == 0
    assert not partial.exists()


def test_a_finished_one_trains_nothing(whole: Report, kept: Path) -> None:
    received: list[Progress] = []
    again = run(How(partial=kept), progress=received.append)
    assert not received
    assert json.dumps(numbers(again)) == json.dumps(numbers(whole))


@pytest.mark.parametrize("change", ["recipe", "head", "option", "shared order", "version"])
def test_other_settings_are_not_taken_for_ours(
    kept: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[Progress] = []
    how = How("serial", partial=kept)
    other: dict[str, Any] = {}
    if change == "recipe":
        other = {"recipe": replace(RECIPE, lr=1e-3)}
    elif change == "head":
        other = {"head": linear.Head, "head_name": "linear"}
    elif change == "option":  # one that shows in no initial weight
        other = {"head_options": {"dropout_rate": 0.5}}
    elif change == "version":
        monkeypatch.setattr(mlp, "VERSION", 2, raising=False)
    else:
        how = replace(how, share_order=True)
    with told("training") as said:
        run(how, progress=received.append, **other)
    assert len({at.run for at in received}) == N_TRAININGS
    assert said[0].startswith("10 trainings in"), said


def test_options_at_their_defaults_are_those_that_are_not_given(kept: Path) -> None:
    received: list[Progress] = []
    default = inspect.signature(mlp.Head).parameters["dropout_rate"].default
    report = run(How(partial=kept), head_options={"dropout_rate": default}, progress=received.append)
    assert not received
    assert report.options == run(How(partial=kept)).options
    assert report.options["dropout_rate"] == default


def test_a_docstring_decides_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source text is no part of what names a training: another sercache with the same versions goes on."""
    head = type("Head", (mlp.Head,), {"__doc__": "Other words.", "__module__": mlp.__name__})
    received: list[Progress] = []
    run(How(partial=kept), head=head, progress=received.append)
    assert not received


@pytest.mark.parametrize("change", ["label", "audio", "left out"])
def test_changed_items_are_trained_again(kept: Path, change: str) -> None:
    """In the folds that train on them; the fold that tests the utterance keeps its trainings."""
    corpus, store = make_talk()
    first, *others = corpus.utterances
    if change == "label":
        changed = replace(
            first, raw_label=next(u.raw_label for u in others if u.raw_label != first.raw_label)
        )
        corpus = replace(corpus, utterances=(changed, *others))
    elif change == "left out":
        corpus = replace(corpus, utterances=tuple(others))
    else:
        entries = {**store.entries(), first.id: replace(store.entries()[first.id], audio_digest="other")}
        store.entries = lambda: entries  # type: ignore[method-assign]
    received: list[Progress] = []
    how = How(partial=kept)
    evaluated(mlp.Head, corpus, store, SETUP, RECIPE, head_name="mlp", how=how, progress=received.append)
    assert {at.fold for at in received} == {f"s{k}" for k in range(1, 5)}


def test_five_seeds_contain_two(kept: Path, tmp_path: Path) -> None:
    received: list[Progress] = []
    fewer = run(How(partial=kept), seeds=(3,), progress=received.append)
    assert not received
    whole = run(How(partial=kept), progress=received.append)
    assert [r for r in whole.runs if r.seed == 3] == list(fewer.runs)
    more = run(How(partial=kept), seeds=(0, 3, 7), progress=received.append)
    assert {at.seed for at in received} == {7}
    assert settle(kept, fewer) == 10, "what the run does not hold stays: seeds 0 and 7"
    assert settle(kept, more) == 0
    assert not kept.exists()


def test_trainings_of_other_settings_stay_for_a_run_that_asks_for_them(whole: Report, kept: Path) -> None:
    other = run(How("serial", partial=kept), recipe=replace(RECIPE, lr=1e-3), seeds=(0,))
    assert settle(kept, other) == N_TRAININGS, "those of the first recipe"
    received: list[Progress] = []
    assert numbers(run(How(partial=kept), progress=received.append)) == numbers(whole)
    assert not received


def test_a_run_that_is_replaced_by_one_of_fewer_seeds_loses_none(whole: Report, tmp_path: Path) -> None:
    folder, partial = tmp_path / "run", tmp_path / ".run.partial"
    save_run(folder, SETUP.seeds)
    assert keep_trainings(folder, partial)
    save(run(seeds=(3,)), folder, overwrite=True)
    received: list[Progress] = []
    again = run(How(partial=partial, runs=tmp_path), progress=received.append)
    assert not received
    assert numbers(again) == numbers(whole)


def test_nothing_is_kept_of_a_run_that_does_not_say_what_decided_its_numbers(tmp_path: Path) -> None:
    old = Path(__file__).parent / "fixtures" / "a1b0434" / "runs" / "superb"
    assert not keep_trainings(old, tmp_path / ".superb.partial")
    assert not (tmp_path / ".superb.partial").exists()


def test_finished_runs_are_taken_from(whole: Report, tmp_path: Path) -> None:
    runs_folder = tmp_path / "runs"
    save_run(runs_folder / "paper" / "first")
    received: list[Progress] = []
    how = How("serial", partial=tmp_path / "second.partial", runs=runs_folder)
    with told("training") as said:
        again = run(how, progress=received.append)
    assert {at.seed for at in received} == {3}
    assert said[0] == "5 of 10 trainings were finished before"
    assert numbers(again) == numbers(whole)


@pytest.mark.parametrize("fault", ["no weights", "cut off", "of another shape", "no report"])
def test_a_finished_run_that_cannot_be_taken_from_is_trained_again(
    whole: Report, tmp_path: Path, fault: str
) -> None:
    folder = tmp_path / "first"
    save_run(folder)
    for path in (folder / "weights").iterdir():
        if fault == "no weights":
            path.unlink()
        elif fault == "cut off":
            path.write_bytes(path.read_bytes()[:50])
        elif fault == "of another shape":
            save_file({"x": torch.zeros(1)}, path)
    if fault == "no report":
        (folder / "report.json").write_text("{")
    received: list[Progress] = []
    again = run(How(partial=tmp_path / "second.partial", runs=tmp_path), progress=received.append)
    assert len({at.run for at in received}) == N_TRAININGS
    assert numbers(again) == numbers(whole)


def test_what_an_earlier_version_left_is_named_and_goes(kept: Path, tmp_path: Path) -> None:
    """Its files had the name of a digest of source text, and no experiment in them."""
    folder = tmp_path / "old.partial"
    folder.mkdir()
    for path in kept.glob("fold-*"):
        record = {"fit": json.dumps({"history": []})}
        name = path.name.rpartition("-")[0] + "-0123456789abcdef.safetensors"
        save_file({"x": torch.zeros(1)}, folder / name, metadata=record)
    received: list[Progress] = []
    with told("training") as said:
        report = run(How("serial", partial=folder), progress=received.append)
    assert said[0].startswith("10 trainings in")
    assert "they are not taken" in said[0]
    assert len({at.run for at in received}) == N_TRAININGS
    assert settle(folder, report) == 0
    assert not folder.exists()


def test_a_damaged_file_is_trained_again(whole: Report, kept: Path) -> None:
    path = sorted(kept.glob("*.safetensors"))[3]
    path.write_bytes(path.read_bytes()[:100])
    received: list[Progress] = []
    assert numbers(run(How(partial=kept), progress=received.append)) == numbers(whole)
    assert len({at.run for at in received}) == 1


def test_seeds_that_share_their_batches(whole: Report) -> None:
    report = run(How(share_order=True))
    assert any("share the order" in line for line in report.deviations)
    own, shared = whole, report
    assert own.runs[0].history == shared.runs[0].history
    assert own.runs[1].history != shared.runs[1].history


def test_progress_counts_down_to_nothing() -> None:
    received: list[Progress] = []
    run(progress=received.append)
    assert received[0].left == N_TRAININGS * RECIPE.max_epochs - 1
    assert received[-1].left <= RECIPE.max_epochs


def test_epochs_lie_on_the_disk_while_others_are_trained(tmp_path: Path) -> None:
    folder = tmp_path / "run.partial"
    received: list[int] = []

    def look(at: Progress) -> None:
        rows = list(csv.DictReader((folder / "epochs.csv").read_text().splitlines()))
        received.append(len(rows))
        assert (rows[-1]["fold"], int(rows[-1]["seed"])) == (at.fold, at.seed)
        assert float(rows[-1]["train_loss"]) == at.epoch.train_loss

    with LiveEpochs(folder) as log:
        assert not folder.exists()

        def note(at: Progress) -> None:
            log.add(at.fold, at.seed, asdict(at.epoch))
            look(at)

        run(progress=note)
    assert received == list(range(1, len(received) + 1))
    remove_live(folder)
    assert not list(folder.iterdir())


def test_epochs_as_a_table(whole: Report, tmp_path: Path) -> None:
    report = whole
    with write_epochs(report, tmp_path).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(each.history) for each in report.runs)
    assert float(rows[0]["train_loss"]) == report.runs[0].history[0]["train_loss"]
