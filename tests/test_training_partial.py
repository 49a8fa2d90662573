"""An evaluation that is cut off goes on from the trainings that were done, with the same numbers."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_store import make_talk
from torch import nn

from heads import linear, mlp
from sercache.evaluation import How, Progress, evaluate
from sercache.evaluation.partial import code_digest, remove
from sercache.recipe import Recipe, Setup
from sercache.report.epochs import LiveEpochs, remove_live, write_epochs, write_tensorboard
from sercache.report.record import Report

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
RECIPE = Recipe(lr=1e-2, batch_size=8, max_epochs=6, select="dev-ua", patience=2)
N_TRAININGS = 10


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(
    how: How | None = None, head: type[nn.Module] = mlp.Head, recipe: Recipe = RECIPE, **more: Any
) -> Report:
    corpus, store = make_talk()
    return evaluate(
        head, corpus, store, setup=SETUP, recipe=recipe, head_name="mlp", how=how, device="cpu", **more
    )


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


def test_every_way_gives_the_same_report(whole: Report) -> None:
    expected = numbers(whole)
    assert numbers(run()) == expected
    assert numbers(run(How("processes"))) == expected


def test_goes_on_where_it_was_cut_off(whole: Report, tmp_path: Path) -> None:
    done = 4

    class Stop(Exception):
        pass

    def keep(fold: str, seed: int, head: nn.Module) -> None:
        nonlocal done
        done -= 1
        if not done:
            raise Stop

    partial = tmp_path / "run.partial"
    with pytest.raises(Stop):
        run(How("serial", partial=partial), keep=keep)
    assert len(list(partial.glob("*.safetensors"))) == 4
    heard: list[Progress] = []
    said: list[str] = []
    again = run(How("serial", partial=partial, say=said.append), progress=heard.append)
    assert numbers(again) == numbers(whole)
    assert {at.run for at in heard} == set(range(5, N_TRAININGS + 1))
    assert said[0] == "4 of 10 trainings were finished before"
    remove(partial)
    assert not partial.exists()


def test_a_finished_one_trains_nothing(whole: Report, kept: Path) -> None:
    heard: list[Progress] = []
    again = run(How(partial=kept), progress=heard.append)
    assert not heard
    assert json.dumps(numbers(again)) == json.dumps(numbers(whole))


@pytest.mark.parametrize("change", ["recipe", "head", "option", "seeds share"])
def test_other_settings_are_not_taken_for_ours(kept: Path, change: str) -> None:
    heard: list[Progress] = []
    if change == "recipe":
        run(How(partial=kept), recipe=replace(RECIPE, lr=1e-3), progress=heard.append)
    elif change == "head":
        run(How(partial=kept), head=linear.Head, progress=heard.append)
    elif change == "option":  # one that shows in no initial weight
        run(How(partial=kept), head_options={"dropout_rate": 0.5}, progress=heard.append)
    else:
        run(How(share_order=True, partial=kept), progress=heard.append)
    n_fresh = len({at.run for at in heard})
    assert n_fresh == (5 if change == "seeds share" else 10)  # the first seed's order is its own


def test_trainings_of_other_code_are_not_taken_for_ours(
    whole: Report, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sercache.evaluation.partial._code", lambda: "of another version")
    heard: list[Progress] = []
    assert numbers(run(How(partial=kept), progress=heard.append)) == numbers(whole)
    assert len({at.run for at in heard}) == N_TRAININGS
    assert len(list(kept.iterdir())) == 2 * N_TRAININGS
    remove(kept)
    assert not kept.exists(), "what other code left behind goes with it"


def test_code_is_told_apart(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    names = ("__init__.py", "loop.py", "inner/step.py")
    for name in names:
        (package / name).write_text("same = 1\n")
    (package / "notes.txt").touch()

    def found() -> str:
        return code_digest([package / "__init__.py", package / "loop.py"])

    before = found()
    (package / "notes.txt").write_text("no code")
    assert found() == before
    for name in names:
        (package / name).write_text("same = 2\n")
        assert found() != before
        (package / name).write_text("same = 1\n")
    (package / "loop.py").rename(package / "run.py")
    (package / "loop.py").write_text("")
    assert found() != before


def test_a_damaged_file_is_trained_again(whole: Report, kept: Path) -> None:
    path = sorted(kept.glob("*.safetensors"))[3]
    path.write_bytes(path.read_bytes()[:100])
    heard: list[Progress] = []
    assert numbers(run(How(partial=kept), progress=heard.append)) == numbers(whole)
    assert len({at.run for at in heard}) == 1


def test_seeds_that_share_their_batches(whole: Report) -> None:
    report = run(How(share_order=True))
    assert any("share the order" in line for line in report.deviations)
    own, shared = whole, report
    assert own.runs[0].history == shared.runs[0].history
    assert own.runs[1].history != shared.runs[1].history


def test_progress_counts_down_to_nothing() -> None:
    heard: list[Progress] = []
    run(progress=heard.append)
    assert heard[0].left == N_TRAININGS * RECIPE.max_epochs - 1
    assert heard[-1].left <= RECIPE.max_epochs


def test_epochs_lie_on_the_disk_while_others_are_trained(tmp_path: Path) -> None:
    folder = tmp_path / "run.partial"
    heard: list[int] = []

    def look(at: Progress) -> None:
        rows = list(csv.DictReader((folder / "epochs.csv").read_text().splitlines()))
        heard.append(len(rows))
        assert (rows[-1]["fold"], int(rows[-1]["seed"])) == (at.fold, at.seed)
        assert float(rows[-1]["train_loss"]) == at.epoch.train_loss

    with LiveEpochs(folder, events=True) as log:
        assert not folder.exists()

        def hear(at: Progress) -> None:
            log.add(at.fold, at.seed, asdict(at.epoch))
            look(at)

        run(progress=hear)
    assert heard == list(range(1, len(heard) + 1))
    assert len(list(folder.glob("tensorboard/*/events.*"))) == N_TRAININGS
    remove_live(folder)
    assert not list(folder.iterdir())


def test_epochs_as_a_table_and_as_events(whole: Report, tmp_path: Path) -> None:
    report = whole
    with write_epochs(report, tmp_path).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(each.history) for each in report.runs)
    assert float(rows[0]["train_loss"]) == report.runs[0].history[0]["train_loss"]
    place = write_tensorboard(report, tmp_path)
    assert len(list(place.glob("*/events.*"))) == N_TRAININGS
