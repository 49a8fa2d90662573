"""`sercache sweep`, and a `sercache train` that is killed and called again."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome
from make_report import make_report

from sercache import catalog
from sercache.datasets import Corpus, emodb
from sercache.errors import LeftOutError, ProtocolError, SettingsError
from sercache.experiment import sweep, sweep_point
from sercache.experiment.grid import folder_name, points, read_grid
from sercache.experiment.setup import TrainOptions
from sercache.experiment.starting import InitialWeights
from sercache.experiment.sweep_options import SweepOptions, check_points
from sercache.protocols import Fold
from sercache.record import LOOK, Report, StartRecord
from sercache.report import runs as run_folders
from sercache.training import many, pace

Sercache = Callable[..., Outcome]


SWEEP = ["sweep", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--seeds", 1]
SWEEP += ["--dev", "next", "--set", "max-epochs=4", "--name", "s"]


@pytest.mark.slow
def test_a_sweep_selects_on_dev_and_goes_on(sercache: Sercache, cached: Path) -> None:
    grid = ["--grid", "lr=0.1,0.000001"]
    code, out, err = sercache(*SWEEP, *grid)
    assert code == 0, err
    assert "selected  lr=0.1" in out
    with (cached / "s" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["lr"] for row in rows] == ["0.1", "0.000001"]
    assert float(rows[0]["dev"]) > float(rows[1]["dev"])
    report = run_folders.load(cached / "s" / "lr-0.1")
    kept = [run.history[run.best_epoch - 1]["dev_ua"] for run in report.runs]
    assert float(rows[0]["dev"]) == pytest.approx(np.mean(kept))
    # The test part is looked at for the selected point only, with the heads that dev judged.
    assert out.count("\nrun  ") == 1
    assert "4 of 4 trainings were finished before" in out
    assert len(report.predictions) == 24
    assert (cached / "s" / "lr-0.1" / "weights").is_dir()
    other = run_folders.load(cached / "s" / "lr-0.000001")
    assert (other.predictions, other.summary, other.confusion) == ((), {}, ((0, 0), (0, 0)))
    assert {len(run.scores) for run in other.runs} == {0}
    assert any("not tested" in note for note in other.notes)
    assert sercache("report", cached / "s" / "lr-0.000001").code == 0
    assert [path.name for path in (cached / "s").glob("*.partial")] == [".lr-0.000001.partial"]
    made = {path: path.stat().st_mtime_ns for path in (cached / "s").glob("*/report.json")}
    code, out, err = sercache(*SWEEP, "--grid", "lr=0.1,0.000001,0.01")
    assert code == 0, err
    assert out.count("done before") == 2
    assert all(path.stat().st_mtime_ns == when for path, when in made.items())
    assert (cached / "s" / "lr-0.01" / "epochs.csv").is_file()
    code, _, err = sercache(*SWEEP, *grid, "--set", "batch-size=4")
    assert code == 2
    assert "sweep with other settings" in err


@pytest.mark.slow
def test_points_of_the_sweep_are_drawn(sercache: Sercache, cached: Path) -> None:
    code, out, err = sercache(
        *SWEEP, "--grid", "lr=0.1,0.01,0.001", "--grid", "batch-size=4,8", "--trials", 2
    )
    assert code == 0, err
    assert out.count("point  ") == 2


def test_a_point_that_ends_each_process_is_left_out_and_named(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = sweep_point._trained

    def lost(wanted: TrainOptions, place: Path, *, test: bool) -> Report:
        if place.name == "lr-0.1":
            raise LeftOutError("left out: fold 2 (seed 0)")
        return trained(wanted, place, test=test)

    monkeypatch.setattr(sweep_point, "_trained", lost)
    code, _, err = sercache(*SWEEP, "--grid", "lr=0.1,0.01")
    assert code == 2
    assert "note: left out: fold 2 (seed 0)" in err
    assert err.splitlines()[-1].startswith("error: left out: lr-0.1, since every process")
    assert [path.parent.name for path in (cached / "s").glob("*/report.json")] == ["lr-0.01"]
    assert not (cached / "s" / ".claims").exists()


@pytest.mark.parametrize("more", [["--seeds", 2], ["--grid", "batch-size=4,8"], ["--on", "dev-loss"]])
def test_two_sweeps_of_one_name_are_one_sweep(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch, more: list[object]
) -> None:
    def meanwhile(*_: object) -> Report:
        monkeypatch.setattr(sweep, "done_of", lambda *_: pytest.fail("it is refused before"))
        other = sercache(*SWEEP, "--grid", "lr=0.1,0.01", *more)
        assert other.code == 2
        assert f"is being swept by another command now ({str(more[0])[2:]} " in other.err
        raise SettingsError("that is all")

    monkeypatch.setattr(sweep, "done_of", meanwhile)
    assert "that is all" in sercache(*SWEEP, "--grid", "lr=0.1,0.01").err


def test_a_sweep_needs_dev(sercache: Sercache, cached: Path) -> None:
    last = ["--set", "select=last-epoch", "--set", "patience=none", "--dev", "none"]
    code, _, err = sercache(*SWEEP, *last, "--grid", "lr=0.1,0.01")
    assert code == 2
    assert "a sweep selects on dev-ua" in err


def test_grids() -> None:
    grid = read_grid(["lr=1e-3, 1e-4", "states=1-3;final", "hidden=64"])
    assert grid == {"lr": ["1e-3", "1e-4"], "states": ["1-3", "final"], "hidden": ["64"]}
    assert len(points(grid)) == 4
    awkward = points({"lr": ["1e-3"], "states": ["6", "1-3", "a/b", "a b"]})
    assert [folder_name(point) for point in awkward] == [
        "lr-1e-3__states-6", "lr-1e-3__states-1-3", "lr-1e-3__states-a_b.4b34af", "lr-1e-3__states-a_b.3e421b",
    ]  # fmt: skip
    for wrong in (["lr"], ["lr="], ["lr=1,1"], ["lr=1", "lr=2"]):
        with pytest.raises(SettingsError, match="expected NAME=VALUE"):
            read_grid(wrong)


def test_names_that_nothing_knows(sercache: Sercache, cached: Path) -> None:
    code, _, err = sercache(*SWEEP, "--grid", "depth=1,2")
    assert code == 2
    assert "depth" in err
    assert not (cached / "s").exists()


@pytest.mark.parametrize(
    ("grid", "same"),
    [
        ("lr=1e-3,0.001", "1e-3 and 0.001"),
        ("weight-decay=0;0.5;5e-1", "0.5 and 5e-1"),
        ("states=all;1+2;2,1", "1+2 and 2,1"),
        (
            "augmented=none;noise:snr=20,10;noise:white:snr=10,2e1",
            "noise:snr=20,10 and noise:white:snr=10,2e1",
        ),
    ],
)
def test_a_value_in_other_words_is_no_point_of_its_own(
    sercache: Sercache, cached: Path, grid: str, same: str
) -> None:
    code, _, err = sercache(*SWEEP, "--grid", grid, "--grid", "batch-size=4,8")
    assert code == 2
    assert f"two values of the grid are the same, {same}; leave one of them out" in err
    assert not (cached / "s").exists()


@pytest.mark.parametrize(
    ("option", "grid"),
    [
        (["--augmented", "none"], "augmented=gain:0;gain:1"),
        (["--finetune-from", "none"], "finetune-from=conv"),
        (["--states", "all"], "states=all"),
        (["--normalise", "none"], "normalise=none,global"),
        (["--set", "max-epochs=4"], "max-epochs=5"),
        (["--head", "mlp", "--option", "hidden=4"], "hidden=8"),
    ],
)
def test_an_option_and_the_grid_do_not_say_the_same_thing(
    sercache: Sercache, cached: Path, option: list[str], grid: str
) -> None:
    code, _, err = sercache(*SWEEP, *option, "--grid", grid)
    assert code == 2
    name = grid.partition("=")[0]
    flag = option[-2]
    assert f"{name} is given by --grid and by {flag}, and a point has one value of it; leave one" in err
    assert not (cached / "s").exists()


@pytest.mark.parametrize(
    ("head", "shared", "grid"),
    [
        ("mlp", "patience=none", "select=last-epoch,dev-ua"),
        ("linear", "loss=ccc", "select=dev-ccc,dev-rho"),
        ("layer-attention", "loss=cross-entropy", "label-smoothing=0.1,0.2"),
        ("attention-blocks", "lora-rank=4", "lora-alpha=8,16"),
    ],
)
def test_the_grid_is_read_beside_what_every_point_has(head: str, shared: str, grid: str) -> None:
    module = catalog.load("sercache.heads", head)
    check_points(module, SweepOptions(head, [grid], "s", settings=[shared]), points(read_grid([grid])))


def test_a_sweep_goes_on_where_its_store_is_written_otherwise(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [store] = (cached.parent / "cache").glob("*/*")
    assert sercache(*SWEEP, "--grid", "lr=0.1", "--store", store).code == 0
    monkeypatch.chdir(store.parent)
    code, out, err = sercache(*SWEEP, "--grid", "lr=0.1", "--store", store.name)
    assert code == 0, err
    assert "done before" in out


@pytest.mark.slow
def test_a_sweep_takes_what_a_training_reads(sercache: Sercache, cached: Path) -> None:
    """Options of ``train``, for every point; what continues the sweep names them all."""
    [store] = (cached.parent / "cache").glob("*/*")
    call = ["sweep", "--head", "mlp", "--dev", "next", "--seeds", 1, "--set", "max-epochs=1", "--name", "s"]
    call += ["--store", store, "--clip", "none", "--states", "all", "--pooled", "--normalise", "speaker"]
    call += ["--option", "hidden=4", "--augmented", "none"]
    grid = ["--grid", "lr=0.1"]
    foretold = sercache(*call, *grid, "--dry-run")
    assert foretold.code == 0, foretold.err
    code, out, err = sercache(*call, *grid)
    assert code == 0, err
    report = run_folders.load(cached / "s" / "lr-0.1")
    assert (report.options["hidden"], report.setup["normalise"], report.setup["frames"]) == (
        4,
        "speaker",
        False,
    )
    code, out, err = sercache(*call, *grid)
    assert code == 0, err
    assert "done before" in out
    others = [["--frames"], ["--option", "hidden=5"], ["--clip", "trim:1"]]
    for other in others:
        code, _, err = sercache(*call, *other, *grid)
        assert code == 2, other
        assert "is a sweep with other settings" in err


def test_what_no_encoder_has_is_advised_by_an_option_that_there_is(sercache: Sercache, cached: Path) -> None:
    """Of the state to train from, not of those to read; and of those to read by one that a sweep has."""
    for verb in (["train", *SWEEP[1:]], [*SWEEP, "--grid", "lr=0.1"]):
        code, _, err = sercache(*verb, "--finetune-from", "6")
        assert code == 2
        assert "--states" not in err
        assert "leave it frozen with --finetune-from none" in err
        assert sercache(*verb, "--finetune-from", "none", "--dry-run").code == 0
        code, _, err = sercache(*verb, "--states", "6")
        assert "choose with --states, for example --states blocks" in err
        assert sercache(*verb, "--states", "blocks", "--dry-run").code == 0
        code, _, err = sercache(*verb, "--finetune-from", "6,7")
        assert code == 2
        assert (
            "finetune-from names one state, as there is one input, or - for a frozen encoder; got '6,7'"
            in err
        )
        code, _, err = sercache(*verb, "--beside", "logmel")
        assert code == 2
        assert "linear reads 1 input and has 2: leave --beside out" in err


def test_a_mistake_in_the_first_call_leaves_no_sweep(sercache: Sercache, cached: Path) -> None:
    grid = ["--grid", "lr=0.1"]
    wrong = sercache(*SWEEP, *grid, "--encoder", "mfcc")
    assert wrong.code == 2
    assert "mfcc" in wrong.err
    right = sercache(*SWEEP, *grid)
    assert right.code == 0, right.err
    assert len(run_folders.load(cached / "s" / "lr-0.1").predictions) == 24
    path = cached / "s" / "lr-0.1" / "report.json"
    record = json.loads(path.read_text())
    record["folds"][0]["n_train"] += 1
    path.write_text(json.dumps(record))
    mixed = sercache(*SWEEP, "--grid", "lr=0.01,0.1")
    assert mixed.code == 2
    assert "trained on other utterances or folds" in mixed.err


def test_a_solved_head_has_nothing_to_select_by(sercache: Sercache, cached: Path) -> None:
    code, _, err = sercache(*SWEEP, "--head", "logistic", "--grid", "c=0.1,1")
    assert code == 2
    assert "logistic is solved" in err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--name", "a/b"], "--name 'a/b' is no name of a folder"),
        (["--name", "a\nb"], "is no name of a folder"),
        (["--name", ".."], "does not begin with a dot"),
        (["--runs", "{file}/x"], "runs cannot be written to"),
        (["--runs", "{link}"], "runs cannot be written to"),
        (["--runs", "{circle}"], "runs cannot be written to"),
        (["--store", "{store}", "--encoder", "mfcc"], "was made by logmel, asked for --encoder mfcc"),
    ],
)
def test_what_cannot_be_written_is_told_before_training(
    sercache: Sercache, cached: Path, tmp_path: Path, more: list[str], message: str
) -> None:
    (tmp_path / "file").touch()
    [spec] = tmp_path.glob("**/spec.json")
    for name, target in (("link", "nowhere"), ("circle", "circle")):
        (tmp_path / name).symlink_to(target)
    places = {name: tmp_path / name for name in ("file", "link", "circle")} | {"store": spec.parent.parent}
    train = ["train", "--head", "linear", "--dataset", "manifest", "--dev", "next"]
    encoder = [] if "--encoder" in more else ["--encoder", "logmel"]
    code, _, err = sercache(*train, *encoder, *(text.format(**places) for text in more))
    assert code == 2
    assert message in err
    assert not cached.exists()


def test_a_run_that_was_done_meanwhile_costs_nothing(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercache.experiment import together, train

    write = train.finish

    def late(report: object, weights: object, folder: Path) -> None:
        assert folder == cached / "r-2"
        write(report, weights, folder)  # type: ignore[arg-type]

    assemble = together.assemble

    def slow(*arguments: object) -> object:
        found = assemble(*arguments)  # type: ignore[arg-type]
        (cached / "r").mkdir(parents=True)
        return found

    monkeypatch.setattr(train, "finish", late)
    monkeypatch.setattr(together, "assemble", slow)
    done = sercache(
        "train", "--head", "logistic", "--encoder", "logmel", "--dataset", "manifest", "--name", "r"
    )
    assert done.code == 0, done.err
    assert (cached / "r-2" / "report.json").is_file()


def corpus_called(name: str) -> Corpus:
    """A corpus of which nothing but the name counts."""
    return Corpus(name, "", Path(), emodb.INFO, ())


def test_what_initial_weights_have_seen_is_remembered() -> None:
    oldest = make_report(corpus={"name": "esd"}, also_trained=({"name": "mesd"},))
    first = InitialWeights({"": Path("runs/first")}, {"": oldest}, corpus_called("emodb")).recorded()
    assert list(map(str, first)) == ["initial weights from first (superb on esd)"]
    second = InitialWeights(
        {"emotion": Path("second")}, {"emotion": make_report(started_from=first)}, corpus_called("emodb")
    )
    [record] = second.recorded()
    assert str(record) == "initial weights of emotion from second (superb on emodb)"
    assert record.corpora == ("emodb", "esd", "mesd")


def test_initial_weights_that_may_know_the_test_part_are_refused() -> None:
    fold = Fold("speaker 1", ("a",), ("b",), ("c",), speakers_disjoint=True)
    for corpus, started, message in (
        ("emodb", (), "held out other utterances of emodb in fold speaker 1"),
        ("esd", (StartRecord("", "oldest", "superb", ("esd",)),), "has seen esd beside emodb"),
    ):
        earlier = InitialWeights(
            {"": Path("first")}, {"": make_report(started_from=started)}, corpus_called(corpus)
        )
        with pytest.raises(ProtocolError, match=message):
            earlier(fold, 0)


def test_training_goes_on_after_it_was_cut_off(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = ["train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--seeds", 2]
    train += ["--set", "max-epochs=3", "--serial"]
    apart = cached.parent / "apart"  # else the second training takes what the first has trained
    assert sercache(*train, "--name", "whole", "--runs", apart).code == 0
    from sercache.evaluation import partial

    write, n_left = partial.Partial.write, 3

    def cut_off(self: partial.Partial, key: str, done: object) -> None:
        nonlocal n_left
        write(self, key, done)
        n_left -= 1
        if not n_left:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(partial.Partial, "write", cut_off)
        assert sercache(*train, "--name", "cut").code == 130
    assert len(list((cached / "cut.partial").glob("*.safetensors"))) == 3
    assert (cached / "cut.partial" / "epochs.csv").read_text().splitlines()
    assert not (cached / "cut").exists()
    code, out, err = sercache(*train, "--name", "cut")
    assert code == 0, err
    assert "3 of 8 trainings were finished before" in out
    assert not (cached / "cut.partial").exists()
    records = [json.loads((run / "report.json").read_text()) for run in (apart / "whole", cached / "cut")]
    for record in records:
        for name in ("timing", "environment"):
            record.pop(name, None)
    assert records[0] == records[1]
    tables = [(run / "epochs.csv").read_text() for run in (apart / "whole", cached / "cut")]
    assert tables[0] == tables[1]
    assert len(tables[0].splitlines()) > 8


def test_a_sweep_that_was_begun_under_the_former_names_goes_on_there(
    cached: Path, sercache: Sercache
) -> None:
    (cached / "s").mkdir(parents=True)
    assert sercache(*SWEEP, "--grid", "lr=0.1").code == 0
    (cached / "s" / "lr-0.1").rename(cached / "s" / "lr=0.1")
    code, _, err = sercache(*SWEEP, "--grid", "lr=0.1")
    assert code == 0, err
    assert [path.name for path in (cached / "s").iterdir() if path.is_dir()] == ["lr=0.1"]


def test_a_sweep_takes_the_seeds_that_are_done(sercache: Sercache, cached: Path) -> None:
    few = [*SWEEP, "--seeds", 2, "--set", "max-epochs=2", "--grid", "lr=1e-2,1e-3", "--name", "s", "--serial"]
    more = [3 if part == 2 else part for part in few]
    assert sercache(*few).code == 0
    before = {place.parent.name: json.loads(place.read_text()) for place in cached.glob("s/*/report.json")}
    code, out, err = sercache(*more)
    assert code == 0, err
    assert out.count("8 of 12 trainings were finished before") == 2
    after = {place.parent.name: json.loads(place.read_text()) for place in cached.glob("s/*/report.json")}
    for name, record in after.items():
        digests = {(run["fold"], run["seed"]): run["weights_sha256"] for run in record["runs"]}
        assert all(digests[run["fold"], run["seed"]] == run["weights_sha256"] for run in before[name]["runs"])
    code, out, err = sercache(*few, "--name", "t")
    assert code == 0, err
    assert out.count("8 of 8 trainings were finished before") == 3, "of another sweep too; one is tested"


@pytest.mark.slow
def test_a_sweep_of_fewer_seeds_loses_no_head(sercache: Sercache, cached: Path) -> None:
    """Of the selected point too, whose heads lie in its run folder and nowhere else."""
    more = [*SWEEP, "--seeds", 3, "--set", "max-epochs=2", "--grid", "lr=1e-2", "--serial"]
    fewer = [2 if part == 3 else part for part in more]
    run = cached / "s" / "lr-1e-2"
    assert sercache(*more).code == 0
    before = weights_of(run)
    assert sercache(*fewer).code == 0
    assert run_folders.load(run).seeds == (0, 1)
    waiting = sorted(
        path.name.rpartition("-")[0] for path in (cached / "s" / ".lr-1e-2.partial").glob("fold-*")
    )
    assert waiting == [f"fold-{fold}-seed-2" for fold in sorted({fold for fold, _ in before})]
    code, out, err = sercache(*more)
    assert code == 0, err
    assert "12 of 12 trainings were finished before" in out
    assert weights_of(run) == before


def weights_of(run: Path) -> dict[tuple[str, int], str]:
    """Digest of the weights of each training."""
    return {(each.fold, each.seed): each.weights_sha256 for each in run_folders.load(run).runs}


def test_a_point_of_before_experiments_is_moved_aside_not_replaced(sercache: Sercache, cached: Path) -> None:
    call = [*SWEEP, "--set", "max-epochs=1", "--grid", "lr=1e-2"]
    assert sercache(*call).code == 0
    run = cached / "s" / "lr-1e-2"
    record = json.loads((run / "report.json").read_text())
    record["experiment"] = None
    (run / "report.json").write_text(json.dumps(record))
    code, _, err = sercache(*call, "--seeds", 2)
    assert code == 0, err
    assert "lr-1e-2 is another experiment, is called lr-1e-2-2 now" in err
    assert "it was made before runs recorded all that decides their numbers" in err
    assert run_folders.load(cached / "s" / "lr-1e-2-2").seeds == (0,)
    assert (cached / "s" / "lr-1e-2-2" / "weights").is_dir()


def test_a_point_of_another_version_is_trained_again(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercache.heads import linear

    call = [*SWEEP, "--set", "max-epochs=1", "--grid", "lr=1e-2"]
    assert sercache(*call).code == 0
    run = cached / "s" / "lr-1e-2"
    before = (run / "report.json").read_bytes()
    code, out, err = sercache(*call)
    assert code == 0, err
    assert "done before" in out
    assert (run / "report.json").read_bytes() == before
    monkeypatch.setattr(linear, "VERSION", 2, raising=False)
    code, out, err = sercache(*call)
    assert code == 0, err
    assert (
        "lr-1e-2-2 now, and the point is trained again: version of the head's file none instead of 2" in err
    )
    assert (cached / "s" / "lr-1e-2-2" / "report.json").read_bytes() == before
    experiment = run_folders.load(run).experiment
    assert experiment is not None
    assert experiment.head_version == "2"


@pytest.mark.slow
def test_a_sweep_is_foretold_looked_at_and_kept_within_a_time(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = [*SWEEP[:-1], "t", "--grid", "lr=0.1,0.01"]
    monkeypatch.setattr(pace, "measured", lambda work, n: pace.Pace(1.0, float(np.mean(work.sizes)), 0.0))
    monkeypatch.setattr(many, "cores", lambda: 1)
    code, out, err = sercache(*call, "--dry-run", "--json")
    assert code == 0, err
    [told] = json.loads(out)["forecast"]
    assert told["n"] == 2
    assert not (cached / "t").exists()
    of_one = told["total"]["seconds"] / told["total"]["n_trainings"]
    n = told["total"]["n_trainings"] // 2
    code, out, err = sercache(*call, "--budget", f"{int(2.5 * of_one)}s")
    assert code == 0, err
    assert f"2 of the {n} trainings that are left" in out
    assert f"part done 2 of {n} trainings" in " ".join(out.split())
    code, out, err = sercache(*call, "--budget", f"{int((n - 1) * of_one)}s")
    assert code == 0, err
    assert "1 of 2 points" in out
    assert "left out  lr-0.01" in out
    assert "selected  lr=0.1" in out
    [rest] = [line.split(maxsplit=2)[2] for line in out.splitlines() if line.startswith("the rest")]
    code, out, err = sercache(*shlex.split(rest)[1:])
    assert code == 0, err
    assert "lr-0.1, done before" in out
    assert len(list(csv.DictReader((cached / "t" / "sweep.csv").read_text().splitlines()))) == 2
    code, out, err = sercache(*call, "--dry-run")
    assert "nothing is left to train" in out
    code, out, err = sercache(*call, "--budget", "0s")
    assert code == 0, "all is done"
    code, out, err = sercache(*call, "--look")
    assert "a look takes the first seed alone" in err
    look = [each for each in call if each not in ("--seeds", 1)]
    code, out, err = sercache(*look, "--look")
    assert "is a sweep with other settings (look True instead of none)" in err
    look[look.index("t")] = "look"
    code, out, err = sercache(*look, "--look")
    assert code == 0, err
    assert "A LOOK, NO RESULT: " in out
    rows = list(csv.DictReader((cached / "look" / "sweep.csv").read_text().splitlines()))
    assert {row["mark"] for row in rows} == {LOOK}
    code, out, err = sercache(
        "report", cached / "look" / "lr-0.1", cached / "t" / "lr-0.1", "--format", "csv"
    )
    assert [row["mark"] for row in csv.DictReader(out.splitlines())] == [LOOK, ""]


def test_what_fails_before_any_work_leaves_nothing(sercache: Sercache, cached: Path) -> None:
    """No folder of runs where there was none, and nothing new in one that holds a run."""
    where = ["--encoder", "logmel", "--dataset", "manifest"]
    lacking = ["--encoder", "mfcc", "--dataset", "manifest"]
    head = ["--head", "linear", "--seeds", 1]
    calls: list[list[object]] = [
        ["train", *head, *lacking],
        ["train", *head, *where, "--augmented", "gain:1"],
        ["train", *head, *where, "--augmented", "gain:1", "--name", "n", "--folds", "1"],
        ["train", *head, *where, "--protocol", "leave-one-session-out"],
        ["train", *head, *where, "--option", "depth=1"],
        ["train", *head, *where, "--set", "max-epochs=1", "--folds", "nobody"],
        ["train", *head, *where, "--test-on", "emodb"],
        ["train", *head, *lacking, "--dry-run"],
        ["train", *head, *where, "--set", "max-epochs=1", "--budget", "0.0001s"],
        ["sweep", *head, *lacking, "--name", "s", "--grid", "lr=0.1"],
        ["sweep", *head, *where, "--name", "s", "--grid", "lr=0.1", "--protocol", "leave-one-session-out"],
        ["sweep", *head, *where, "--name", "s", "--grid", "lr=0.1", "--dev", "none"],
        ["sweep", *head, *lacking, "--name", "s", "--grid", "lr=0.1", "--budget", "1h"],
        ["probe", *lacking],
        ["probe", *where, "--protocol", "leave-one-session-out"],
        ["reproduce", "pepino2021", "table1", "--rows", "48", "--only-available"],
        ["reproduce", "pepino2021", "table1", "--rows", "nothing"],
    ]
    for call in calls:
        code, _, err = sercache(*call)
        left = sorted(str(path.relative_to(cached)) for path in cached.rglob("*"))
        assert (code, left, cached.exists()) == (2, [], False), (call, err[-600:], code, left)
    assert sercache("train", *head, *where, "--set", "max-epochs=1", "--name", "r").code == 0
    before = sorted(cached.rglob("*"))
    for call in [
        ["evaluate", cached / "r", "--dataset", "emodb"],
        ["evaluate", cached / "r", "--dataset", "manifest"],
        calls[0],
    ]:
        code, _, err = sercache(*call)
        assert (code, sorted(cached.rglob("*"))) == (2, before), (call, err[-600:])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--on", "dev-rho"], "loss=cross-entropy gives no dev-rho to select on; give --on dev-ua or dev-wa"),
        (["--budget", "0s"], "more than --budget 0s"),
        (
            ["--option", "hidden=0"],
            "this head cannot be built: its weight hidden.weight has no element with hidden=0",
        ),
        (
            ["--option", "hidden=-1"],
            "this head cannot be built: Trying to create tensor with negative dimension",
        ),
        (["--states", "1-99999999999"], "choose with --states"),
        (["--runs", ""], "what follows --runs is empty; give it a value, or leave it out"),
        (["--task="], "--task is empty"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_leaves_nothing(
    sercache: Sercache, cached: Path, more: list[str], said: str
) -> None:
    head = ["--head", "mlp"] if "--option" in more else []
    code, _, err = sercache(*SWEEP, *head, "--grid", "lr=0.1", *more)
    assert code == 2, err
    assert said in err
    assert "Traceback" not in err
    assert not (cached / "s").exists()
