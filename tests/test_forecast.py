"""What trainings take is told before the first of them, from a few updates that are measured once."""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluations import evaluated, told
from fake_store import make_talk
from golden import Both

from sercache.claims import Claims, led
from sercache.errors import SettingsError
from sercache.evaluation import Data, Forecast, How, Method, evaluate, forecast, looking_ahead, prepare
from sercache.evaluation.forecast import Fits, within
from sercache.experiment import foretold
from sercache.experiment import pace as speed
from sercache.experiment.together import is_run_of
from sercache.extraction import Extraction
from sercache.heads import linear
from sercache.published import LOOK_EPOCHS, glanced
from sercache.recipe import Recipe, Setup
from sercache.record import LOOK, Score
from sercache.report import ReportTable, html, page, tables
from sercache.report import runs as run_folders
from sercache.training import Choice, Member, Work, pace, state
from sercache.training.pace import Pace, measured, pace_of
from sercache.views import Shape, drawn, drawn_like

SETUP = Setup("tiny", "talk", "leave-one-speaker-out", "all", False, dev="next", seeds=(0, 3))
RECIPE = Recipe(batch_size=8, max_epochs=6, select="dev-ua", patience=2)


def work_of(
    n_items: int = 40, *, choice: Choice | None = None, recipe: Recipe = RECIPE, **view: object
) -> Work:
    shape = Shape(2, 3, bool(view.get("frames")), "float32")
    lengths = np.arange(n_items) % 7 + 3
    train = drawn([shape], [lengths], np.arange(n_items) % 4)
    head = linear.Head(2, 3, 4)
    return Work(Member(head, train, drawn_like(train, np.arange(12)), 0), recipe, "cpu", choice or Choice())


def test_seconds_go_by_updates_epochs_and_what_is_judged() -> None:
    work = work_of()  # 40 means are 5 updates of 8, 12 are judged
    assert work.seconds(Pace(1.0, 8.0, 0.5, 0.25, 3.0), n_tested=10) == pytest.approx(
        3.0 + 6 * (5 * 1.0 + 12 * 0.5) + 10 * 0.25
    )
    frames = work_of(frames=True)
    padded, judged = sum(frames.sizes), int(frames.member.dev.n_frames.sum())  # type: ignore[union-attr]
    assert padded > int(frames.member.train.n_frames.sum())
    assert frames.seconds(Pace(1.0, 100.0, 0.5), 0) == pytest.approx(6 * (padded / 100 + judged * 0.5))


@pytest.mark.parametrize(
    ("of_update", "n_trainings", "most"),
    [(1e-3, 1, 1), (1e-3, 10_000, 200), (1.0, 10, 4), (100.0, 1, 3), (900.0, 1, 3)],
)
def test_a_measurement_takes_seconds_or_a_hundredth(
    monkeypatch: pytest.MonkeyPatch, of_update: float, n_trainings: int, most: int
) -> None:
    made: list[int] = []

    def epochs(work: Work, chosen: Sequence[int], n: int) -> pace._Seen:
        made.append(len(chosen) * n)
        return pace._Seen([of_update * len(chosen)] * n, len(chosen), *[0.0] * 5)

    monkeypatch.setattr(pace, "_epochs", epochs)
    work = work_of(512)
    found = measured(work, n_trainings)
    total = of_update * len(work.groups) * RECIPE.max_epochs * n_trainings
    assert found.update == pytest.approx(of_update)
    assert of_update * sum(made) <= max(pace.LIMIT, pace.SHARE * total, of_update) + 1e-9
    assert sum(made) <= most
    assert found.is_rough == (total < pace.QUICK)


def test_what_is_measured_is_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, work = tmp_path / "paces.json", work_of()
    monkeypatch.setattr(pace, "measured", lambda work, n: Pace(2.0, 8.0, 0.5))
    assert pace_of(work, 5, kept) == Pace(2.0, 8.0, 0.5)
    monkeypatch.setattr(pace, "measured", lambda work, n: Pace(7.0, 8.0, 0.5))
    assert pace_of(work, 5, kept) == Pace(2.0, 8.0, 0.5)
    for other in (
        work_of(recipe=dataclasses.replace(RECIPE, batch_size=4)),
        work_of(choice=Choice(n_workers=2)),
        work_of(frames=True),
    ):
        assert pace_of(other, 5, kept) == Pace(7.0, 8.0, 0.5)
    longer = work_of(
        recipe=dataclasses.replace(RECIPE, max_epochs=60, lr=1.0)
    )  # the same updates, more of them
    assert pace_of(longer, 5, kept) == Pace(2.0, 8.0, 0.5)
    kept.write_text("damaged")
    assert pace_of(work, 5, kept) == Pace(7.0, 8.0, 0.5)
    assert all(each["update"] == 7.0 for each in json.loads(kept.read_text()).values())
    kept.write_text(json.dumps({work.key: {"update": "x", "frames": 1, "judged": 0}}))
    assert pace_of(work, 5, kept) == Pace(7.0, 8.0, 0.5)
    assert pace_of(work, 5, tmp_path / "nowhere" / "paces.json") == Pace(7.0, 8.0, 0.5)


def test_measuring_leaves_head_and_random_numbers_alone() -> None:
    recipe = dataclasses.replace(RECIPE, second_weight=0.0)
    work = work_of(recipe=recipe, frames=True)
    before, drawn_before = copy.deepcopy(work.member.head.state_dict()), torch.get_rng_state()
    found = measured(work, 1)
    assert found.update > 0
    assert found.judged >= 0
    assert torch.equal(torch.get_rng_state(), drawn_before)
    for name, value in work.member.head.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_head_that_cannot_be_tried_has_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(work: Work, n: int) -> Pace:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(pace, "measured", fails)
    assert pace_of(work_of(), 1) is None


def test_random_features_have_the_shapes_of_the_real_ones() -> None:
    view = drawn(
        [Shape(2, 3, True), Shape(1, 5, False)],
        [np.array([4, 2, 9]), np.ones(3, np.int64)],
        np.array([0, 1, 0]),
    )
    like = drawn_like(view, np.array([2, 0]))
    (frames, means), (mask, _) = like.batch(np.array([0, 1]))
    assert (tuple(frames.shape), tuple(means.shape)) == ((2, 2, 9, 3), (2, 1, 1, 5))
    assert mask.sum(1).tolist() == [9, 4]
    assert like.labels.tolist() == [0, 0]


def test_a_second_target_is_measured_with_its_items(monkeypatch: pytest.MonkeyPatch) -> None:
    work, second, begun = (
        work_of(recipe=dataclasses.replace(RECIPE, second_weight=0.5)),
        np.arange(40) % 3 - 1,
        [],
    )

    def begin(member: Member, *how: object) -> object:
        begun.append(member)
        return state.begin(member, *how)  # type: ignore[arg-type]

    monkeypatch.setattr(pace, "begin", begin)
    member = dataclasses.replace(work.member, head=Both(2, 3, 4), second=second)
    pace._epochs(dataclasses.replace(work, member=member), [1], 1)
    items = np.concatenate(work.groups[1])
    assert begun[0].second.tolist() == second[items].tolist()


def test_only_what_is_left_is_foretold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, store = make_talk()
    monkeypatch.setattr(pace, "measured", lambda work, n: Pace(1.0, 8.0, 0.0))
    how = How("serial", partial=tmp_path / "run.partial")
    with told("forecast") as said:
        evaluated(linear.Head, corpus, store, SETUP, RECIPE, how=how, head_name="linear")
    n_updates = _updates_of(said)
    assert len(said) == 1
    assert said[0].startswith(f"10 trainings, at most {n_updates} updates: at most {n_updates // 60} min ")
    assert "by this process" in said[0]
    with told("forecast") as said:
        evaluated(linear.Head, corpus, store, SETUP, RECIPE, how=how, head_name="linear", seeds=(0, 3, 4))
    assert said[0].startswith("5 trainings, ")
    method = Method("linear", linear.Head, dataclasses.replace(SETUP, seeds=(0, 3, 4, 5)), RECIPE)
    ready = prepare(method, Data(corpus, (store,)), how)
    left, which = forecast(ready, how)
    assert {seed for _, seed in which} == {5}
    assert left.n_trainings == 5
    assert left.seconds == left.n_updates


def _updates_of(said: Sequence[str]) -> int:
    return int(said[0].split("at most ")[1].split(" updates")[0].replace(",", ""))


def test_forecasts_add_up_and_say_what_they_are() -> None:
    one = Forecast(10, 6_900, 7_500.0, 1_200_000_000, may_stop=True)
    assert str(one) == (
        "10 trainings, at most 6,900 updates: at most 2 h 05 min by this process (those that stop early take less); "
        "1.2 GB of disk"
    )
    assert (
        str(Forecast(1, 5, 400.0, 10))
        == "1 training, 5 updates: about 6 min 40 s by this process; 10 B of disk"
    )
    assert "less than a minute" in str(Forecast(1, 5, 2.0, 10, is_rough=True))
    unknown = one + Forecast(1, 0, math.nan)
    assert unknown.n_trainings == 11
    assert "time not known" in str(unknown)


def test_a_look_is_no_result_anywhere(tmp_path: Path, undrawn: None) -> None:
    corpus, store = make_talk()
    recipe, setup = glanced(RECIPE), dataclasses.replace(SETUP, seeds=(0,))
    data, how = Data(corpus, (store,)), How("serial", partial=tmp_path / "run.partial")
    look = evaluate(Method("linear", linear.Head, setup, recipe, look=True), data, how=how)
    report = look.report
    assert report.recipe["max_epochs"] == LOOK_EPOCHS
    run_folders.save(report, tmp_path / "run", weights=look.weights)
    again = run_folders.load(tmp_path / "run")
    assert again.look
    assert json.loads((tmp_path / "run" / "report.json").read_text())["look"] is True
    for text in (
        tables.table([again]),
        tables.table([again], format="markdown"),
        page.page(again),
        again.to_json(),
    ):
        assert LOOK in str(text) or "coarse look" in str(text)
    assert again.title.startswith(LOOK)
    with told("training") as said:  # the very same settings, asked for as a result, take nothing of it
        method = Method("linear", linear.Head, setup, recipe)
        result = evaluate(method, data, how=dataclasses.replace(how, runs=tmp_path))
    assert not any("finished before" in line for line in said)
    assert not is_run_of(prepare(method, data, how), tmp_path / "run")
    assert "look" not in result.report.to_json()
    assert result.report.summary == report.summary, (
        "its numbers are those of such a short training all the same"
    )


@pytest.mark.parametrize(("given", "n"), [("25s", 2), ("1h", 20)])
def test_what_fits_into_a_time_is_done_seed_by_seed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str, n: int
) -> None:
    corpus, store = make_talk()
    ready = prepare(Method("linear", linear.Head, SETUP, RECIPE), Data(corpus, (store,)), How())
    n_all = len(ready.jobs)
    of_one = Forecast(n_all, 60, 10.0 * n_all)
    monkeypatch.setattr(foretold, "forecast", lambda ready, how, part: (of_one, sorted(part)))
    with told("budget") as said:
        part = foretold.fitting(given, How(), None)(ready)
    assert len(part) == min(n, n_all)
    if n < n_all:
        assert {seed for _, seed in part} == {0}, "all folds of a seed before the next one"
        assert said[0].startswith(f"{given}: 2 of the {n_all} trainings that are left; left out: seed 0 (")
    with pytest.raises(SettingsError, match=r"one training takes about 10 s, which is more than --budget 9s"):
        foretold.fitting("9s", How(), None)(ready)
    monkeypatch.setattr(
        foretold, "forecast", lambda ready, how, part: (Forecast(1, 0, math.nan), sorted(part))
    )
    with pytest.raises(SettingsError, match="nobody knows"):
        foretold.fitting("9s", How(), None)(ready)


def test_a_sum_over_many_is_foretold_from_those_that_were_looked_at_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foretold, "LIMIT", -1.0)
    one = foretold.LeftToTrain(Forecast(2, 10, 300.0, 1000), (), (0,))
    with Claims(tmp_path) as claims, told("forecast") as said:
        foretold.tell([lambda: one] * 4, "point", claims)
    assert said == ["4 points: 8 trainings, 40 updates: about 20 min 00 s by this process; 4.0 kB of disk"]

    def refused() -> foretold.LeftToTrain:
        raise SettingsError("no such state")

    with Claims(tmp_path) as claims, told("forecast") as said:
        foretold.tell([refused], "point", claims)
    assert not said


def test_of_processes_at_work_one_looks_ahead(tmp_path: Path) -> None:
    """Unless something leads them, which tells how far they are."""
    one = [lambda: foretold.LeftToTrain(Forecast(2, 10, 300.0, 1000), (), (0,))]
    with Claims(tmp_path) as ours, Claims(tmp_path) as theirs:
        with told("forecast") as said, looking_ahead(theirs):
            foretold.tell(one, "point", ours)
        assert said == ["another process of this command makes it now"]
        with told("forecast") as said, led("a leader", lambda *_: None):
            foretold.tell(one, "point", ours)
        assert not said
        with told("forecast") as said:
            foretold.tell(one, "point", ours)
        assert [each.partition(":")[0] for each in said] == ["1 point"]


def test_within_a_time_seeds_go_first_then_what_takes_most() -> None:
    shared = {"store": 100.0}

    def costs(n_seeds: int) -> dict[str, dict[object, float]]:
        return {
            name: {name: n_seeds * each, **shared} for name, each in (("a", 30.0), ("b", 10.0), ("c", 20.0))
        }

    assert within(400, 5, costs) == Fits(5, ("a", "b", "c"), 400.0, 150.0), "what is shared is done once"
    assert within(399, 5, costs) == Fits(4, ("a", "b", "c"), 340.0, 140.0)
    assert within(159, 5, costs) == Fits(1, ("b", "c"), 130.0, 110.0)
    assert within(109, 5, costs) == Fits(1, (), 0.0, 110.0)
    assert math.isnan(within(109, 5, lambda n: {}).least)


def test_a_seed_takes_its_share_of_what_is_left() -> None:
    left = [("1", 0), ("1", 1), ("2", 1), ("3", 1)]
    ahead = foretold.LeftToTrain(Forecast(4, 40, 80.0), left, (0, 1, 2))
    assert [ahead.of(seeds) for seeds in ((0,), (0, 1), (0, 1, 2), (2,))] == [20.0, 80.0, 80.0, 0.0]


def test_the_mark_of_a_look_is_in_every_file_of_a_table(tmp_path: Path) -> None:
    table = ReportTable(f"{LOOK}: a table", ("row", "ours"), (("a", Score(0.5, 0.1, 2)), ("b", None)))
    for path in table.write(tmp_path / "table"):
        assert LOOK in path.read_text()
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [(row["row"], row["mark"]) for row in rows] == [("a", LOOK), ("b", LOOK)]
    assert LOOK in html(table)
    assert "mark" not in ReportTable("a table", ("row",), (("a",),)).render("csv")


def test_how_fast_an_encoder_was_is_kept(tmp_path: Path) -> None:
    _, store = make_talk()
    done = Extraction(3, audio_seconds=60.0, seconds=20.0, n_copied=0, skipped=(), load=None)  # type: ignore[arg-type]
    speed.keep_speed(tmp_path, store.spec, "cpu", dataclasses.replace(done, seconds=0.1))
    assert speed.kept_speed(tmp_path, store.spec, "cpu") is None, "too short to tell"
    speed.keep_speed(tmp_path, store.spec, "cpu", done)
    assert speed.kept_speed(tmp_path, store.spec, "cpu") == 3.0
    other = dataclasses.replace(store.spec, corpus="another", release="2")
    assert speed.kept_speed(tmp_path, other, "cpu") == 3.0, "it is the machine's, whatever the corpus"
    assert speed.kept_speed(tmp_path, dataclasses.replace(store.spec, states=("1",)), "cpu") is None
