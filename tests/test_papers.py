"""The papers' tables as data: printed numbers checked against each other, trials against heads and corpora."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from corpus_trees import TREES

from sercache import catalog, encoders, settings
from sercache.errors import UnknownNameError
from sercache.experiment.corpora import read_corpus
from sercache.papers import (
    Built,
    Cell,
    Change,
    ErrorRate,
    Latency,
    Members,
    PaperRow,
    PaperTable,
    RecipeField,
    TrialScore,
    scores,
    trials,
)
from sercache.protocols import DEVS, PROTOCOLS, brings_dev
from sercache.published.trial import TrialPlan, plan
from sercache.recipe import Setup, inputs
from sercache.report import ReportTable
from sercache.reproduction.paper import ReproduceOptions, find_paper
from sercache.reproduction.reproduce import run as reproduce

PAPERS = catalog.names("sercache.papers")
ALL = [(paper, key) for paper in PAPERS for key in catalog.load("sercache.papers", paper).TABLES]


def table_of(paper: str, key: str) -> PaperTable:
    found: PaperTable = catalog.load("sercache.papers", paper).TABLES[key]
    return found


def plans_of(table: PaperTable) -> Iterator[TrialPlan]:
    for trial in trials(table):
        made: TrialPlan | None = plan(trial)
        for each in (made, made.start, made.speaker) if made else ():
            if each is not None:
                yield each


def row(paper: str, key: str, name: str) -> PaperRow:
    return next(row for row in table_of(paper, key).rows if row.name == name)


def printed(row: PaperRow, *columns: str) -> list[float]:
    return [cell.printed.mean for c in columns or row.cells if (cell := row.cells[c]).printed]


def test_every_paper_and_table_is_there() -> None:
    tables = {paper: list(catalog.load("sercache.papers", paper).TABLES) for paper in PAPERS}
    assert tables == {
        "chen2022": ["table1", "table2", "table3", "figure2"],
        "emobox2024": ["table4", "table5"],
        "ioannides2023": ["table1", "table2", "table3", "table4", "figure2"],
        "mohapatra2023": ["table1", "table2", "figure2", "figure3"],
        "park2023": [
            "table1",
            "table2",
            "table3",
            "table4",
            "table5",
            "table6",
            "table7",
            "figure4",
            "figure7",
            "figure5",
            "figure6",
            "figure8",
            "figure9",
        ],
        "pepino2021": ["table1", "table2", "issa", "figure2"],
    }


@pytest.mark.parametrize(("paper", "key"), ALL)
def test_tables_are_well_formed(paper: str, key: str) -> None:
    table = table_of(paper, key)
    names = [row.name for row in table.rows]
    assert len(set(names)) == len(names)
    for row in table.rows:
        assert row.cells
        assert set(row.cells) <= set(table.columns)
    used = {column for row in table.rows for column in row.cells}
    assert used == set(table.columns)
    for cell in (cell for row in table.rows for cell in row.cells.values()):
        number = None if isinstance(cell.ours, Change | Members | Built | RecipeField) else cell.printed
        if number is not None and table.unit == "%":
            assert 5 < number.mean < 100, "a share was typed where per cent are printed"
        if number is not None and table.unit == "":
            assert -0.1 < number.mean < 4


def check_options(made: TrialPlan) -> None:
    """The head takes its options; built once for each, without memory."""
    key = repr((made.trial.head, made.trial.options))
    if key in BUILT:
        return
    layers = 1 if getattr(made.module, "ONE_STATE", False) else 13
    n = len(inputs(made.setup))
    with torch.device("meta"):
        made.module.Head(*((layers, 40) if n == 1 else ((layers,) * n, (40,) * n)), 4, **made.trial.options)
    BUILT.add(key)


BUILT: set[str] = set()


@pytest.mark.parametrize(("paper", "key"), ALL)
def test_trials_can_be_run_as_they_are_written(paper: str, key: str) -> None:
    known = set(encoders.short_names()) | {"wenet-librispeech", "wenet-gigaspeech", "bert-large-uncased"}
    for each in plans_of(table_of(paper, key)):
        setup = each.setup
        info = catalog.load("sercache.datasets", setup.dataset).INFO
        task = (setup.task or info.default_task).split("@")[0]
        assert task in {*info.tasks, *info.setups, "shares", "avd", "speaker"}
        kind = setup.protocol.partition(":")[0]
        assert kind == "all" or any(name.partition(":")[0] == kind for name in PROTOCOLS)
        assert setup.dev.partition(":")[0] in DEVS
        assert {one.encoder for one in inputs(setup)} <= known
        assert len(inputs(setup)) == getattr(each.module, "INPUTS", 1)
        for other in setup.test_on:
            dataset, _, their_task = other.partition(":")
            assert their_task in catalog.load("sercache.datasets", dataset).INFO.tasks
        if each.recipe.needs_dev:
            assert setup.dev != "none" or brings_dev(setup.protocol)
        check_options(each)


@pytest.mark.parametrize(("paper", "key"), ALL)
def test_scores_name_what_their_trial_gives(paper: str, key: str) -> None:
    for row in table_of(paper, key).rows:
        for cell in row.cells.values():
            for score in scores(cell.ours):
                made = plan(score.trial)
                setup, numeric = made.setup, made.recipe.loss in ("mse", "ccc")
                assert (score.metric in ("rho", "ccc")) == numeric
                if score.on:
                    assert score.on in {other.partition(":")[0] for other in setup.test_on}
                else:
                    assert setup.protocol != "all", "a model of everything has no test part of its own"
                assert (score.of is None) == (score.metric not in ("recall", "layer-weight", "ppmi")) or (
                    score.metric == "ppmi"
                )


def test_equal_trials_are_run_once_and_different_ones_apart() -> None:
    def digests(paper: str, key: str, *names: str) -> list[str]:
        return [
            plan(score.trial).digest
            for name in names
            for cell in row(paper, key, name).cells.values()
            for score in scores(cell.ours)
        ]

    assert digests("pepino2021", "table1", "Wav2vec2-PT: All layers") == digests(
        "pepino2021", "table2", "Dense - Speaker"
    )
    assert set(digests("ioannides2023", "table3", "IEMOCAP (Small English)")) == set(
        digests("ioannides2023", "table4", "IEMOCAP -> EMO-DB", "IEMOCAP -> MESD")
    )
    assert (
        digests("park2023", "table3", "Proposed, 4 blocks")[0]
        != digests("park2023", "table3", "Proposed, 3 blocks")[0]
    )
    all_of_table1 = {made.digest for made in plans_of(table_of("pepino2021", "table1"))}
    assert len(all_of_table1) == len(list(plans_of(table_of("pepino2021", "table1"))))


def test_what_a_user_changes_is_another_trial() -> None:
    trial = next(trials(table_of("pepino2021", "table1")))
    paper = plan(trial)
    changed = plan(trial, changes=["max-epochs=1"], seeds=2)
    assert (changed.recipe.max_epochs, changed.setup.seeds) == (1, paper.setup.seeds[:2])
    assert changed.digest != paper.digest
    swapped = plan(trial, encoders={paper.setup.encoder: "here"})
    assert (swapped.setup.encoder, swapped.digest != paper.digest) == ("here", True)


def test_a_paper_is_found_by_the_beginning_of_its_name() -> None:
    assert find_paper("ioannides")[0] == "ioannides2023"
    with pytest.raises(UnknownNameError, match="pepino2021"):
        find_paper("pepino2022")


# Printed numbers: sums, means and ratios that must hold among them.


def test_ioannides_accuracies_follow_from_the_recalls_but_for_the_misprints() -> None:
    sizes = {"EMO-DB": (71, 127, 62, 79), "AESDD": (119, 121, 122), "MESD": (144, 143, 144, 143)}
    misprinted = {"IEMOCAP -> EMO-DB": 0.6962, "IEMOCAP + ESD -> MESD": 0.6585}
    for each in table_of("ioannides2023", "table4").rows:
        n = np.array(sizes[each.name.rpartition("-> ")[2]])
        *recalls, accuracy = printed(each)
        right = np.array(recalls) * n
        assert np.abs(right - right.round()).max() < 0.03, "a recall is a whole number of utterances"
        made = round(float(right.sum() / n.sum()), 4)
        assert made == pytest.approx(misprinted.get(each.name, accuracy), abs=1e-4)
        assert (made != pytest.approx(accuracy, abs=1e-4)) == (each.name in misprinted)


def test_ioannides_ppmi_is_the_mean_of_its_columns_but_for_the_misprint() -> None:
    gaps = []
    for each in table_of("ioannides2023", "table3").rows:
        *by_class, overall = printed(each)
        gaps.append(overall - float(np.mean(by_class)))
    assert gaps == pytest.approx([1.2812 - 1.1617, 0, 0], abs=1e-4)


def test_pepino_tables_agree_with_each_other() -> None:
    one, two = (
        row("pepino2021", "table1", "Wav2vec2-PT: All layers"),
        row("pepino2021", "table2", "Dense - Speaker"),
    )
    assert [c.printed for c in one.cells.values()] == [c.printed for c in two.cells.values()]
    for each in table_of("pepino2021", "figure2").rows:
        assert sum(printed(each)) == pytest.approx(1, abs=5e-4)
        assert len(each.cells) == 13


def test_mohapatra_means_are_those_that_the_paper_speaks_of() -> None:
    table = table_of("mohapatra2023", "table1")
    means = [each.cells["mean"].printed for each in table.rows]
    assert [round(m.mean, 4) for m in means if m] == [
        0.4176, 0.4259, 0.2498, 0.2470, 0.4941, 0.5021, 0.5170, 0.5217, 0.2900, 0.2451, 0.4997,
    ]  # fmt: skip
    emotions = table.columns[:-1]
    for features, best in (("HuBERT Large", 0.523), ("HuBERT Base", 0.502), ("MFCC Features", 0.299)):
        both = [printed(row("mohapatra2023", "table1", f"{features}, arch. {k}"), *emotions) for k in "12"]
        assert round(float(np.mean(np.maximum(*both))), 3) == best, "the printed average is best-of-two"


def test_mohapatra_changes_are_those_of_the_averages() -> None:
    """The paper's headline, 4.6 %, follows from the printed average and the printed baseline."""
    for each in table_of("mohapatra2023", "table2").rows:
        change = each.cells["change (%)"]
        assert isinstance(change.ours, Change)
        assert change.ours.of == each.cells["best of two"].ours
        [average] = printed(each, "best of two")
        assert 100 * (average / change.ours.baseline - 1) == pytest.approx(printed(each, "change (%)")[0])
    assert printed(row("mohapatra2023", "table2", "HuBERT (Large)"), "change (%)") == [4.6]


def test_sizes_and_settings_are_told_as_they_are_and_nothing_is_trained(own_settings: Path) -> None:
    ours = {each["row"]: each for each in csv_of(reproduce(ReproduceOptions("ioannides2023", "table1")))}
    assert [ours["parameters"][f"{size} ours"] for size in ("Large", "Base")] == ["4332541.0", "2396549.0"]
    assert [ours["parameters"][f"{size} equal"] for size in ("Large", "Base")] == ["no", "no"]
    others = [each for name, each in ours.items() if name != "parameters"]
    assert len(others) == 8
    assert all(each["Large equal"] == each["Base equal"] == "yes" for each in others)
    settings = reproduce(ReproduceOptions("park2023", "table1"))
    assert [each["equal"] for each in csv_of(settings)] == ["yes"] * 15
    changed = reproduce(ReproduceOptions("park2023", "table1", settings=["lr=3e-5"]))
    assert [each["equal"] for each in csv_of(changed) if each["column"] == "learning rate"] == [
        "yes",
        "yes",
        "no",
    ]
    assert "3e-05" in settings.text


@pytest.mark.filterwarnings("ignore:148 of 10039")
def test_iemocap_is_counted_by_session_speaker_and_class(
    own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = TREES["iemocap"](own_settings / "iemocap")
    monkeypatch.setenv("SERCACHE_ROOT_IEMOCAP", str(root))
    made = csv_of(reproduce(ReproduceOptions("park2023", "figure4")))
    ours = {(each["row"], each["column"]): float(each["ours"]) for each in made}
    corpus = read_corpus("iemocap", None, settings.load(), own_settings)[0]
    labels, known = corpus.labels("4class"), corpus.by_id()
    for (name, column), n in ours.items():
        wanted = {"angry": "anger", "happy": "happiness", "sad": "sadness"}.get(column, column)
        speaker = "" if name == "all" else f"Ses0{name[8]}{name[-1]}"
        of = [label for id, label in labels.items() if known[id].speaker.startswith(speaker)]
        assert n == (len(of) if column == "all" else of.count(wanted)), (name, column)
    assert len(set(ours.values())) > 3
    assert (own_settings / "runs" / "park2023" / "figure4.png").exists()


def csv_of(table: ReportTable) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.render("csv"))))


def test_park_tables_agree_with_each_other() -> None:
    best = {(71.05, 72.15): ("table3", "Proposed, 4 blocks")}
    for numbers, (key, name) in best.items():
        assert tuple(printed(row("park2023", key, name))) == numbers
    for network, metric, k, expected in (
        ("emotion, Arcface", "UA", "4", 72.15), ("speaker-specific, Arcface", "UA", "4", 72.97),
        ("speaker-specific, Arcface", "WA", "4", 72.14), ("emotion, Arcface", "WA", "1", 70.03),
    ):  # fmt: skip
        assert printed(row("park2023", "table6", f"{network}, {metric}"), k) == [expected]
    assert printed(row("park2023", "table5", "pre-trained and fine-tuned under-sampled")) == [72.14, 72.79]
    times = {each.name: printed(each) for each in table_of("park2023", "table7").rows}
    both = np.add(times["ID network"], times["emotion network, 4 blocks"])
    assert np.allclose(times["speaker-specific, 4 blocks"], both, atol=0.1), "both networks run"


def test_chen_figure_shows_the_points_of_the_table() -> None:
    for setting in ("IEM", "MSP", "MSP2IEM", "IEM2MSP"):
        curve = row("chen2022", "figure2", f"Gigaspeech E(i), {setting}")
        for block in ("2", "6", "12"):
            cell = row("chen2022", "table2", f"E({block})").cells[setting]
            assert curve.cells[block] == cell


def test_other_sources_than_trials_are_complete() -> None:
    rates = [c.ours for each in table_of("chen2022", "table1").rows for c in each.cells.values()]
    assert all(isinstance(each, ErrorRate) for each in rates)
    times = [c.ours for each in table_of("park2023", "table7").rows for c in each.cells.values()]
    assert all(isinstance(each, Latency) for each in times)
    assert isinstance(
        next(iter(row("pepino2021", "issa", "RAVDESS: Dense, all layers").cells.values())).ours, TrialScore
    )


def test_the_set_ups_are_the_papers() -> None:
    def setup(paper: str, key: str, name: str, column: str) -> Setup:
        cell: Cell = row(paper, key, name).cells[column]
        return plan(scores(cell.ours)[0].trial).setup

    ravdess = setup("pepino2021", "table1", "None: eGeMAPS", "RAVDESS")
    assert dataclasses.asdict(ravdess) == {
        **dataclasses.asdict(ravdess), "protocol": "fixed:pepino", "task": "7class", "normalise": "speaker",
        "max_frames": 250, "encoder": "egemaps-20ms", "seeds": (123, 1234, 2345, 3456, 4567),
    }  # fmt: skip
    iemocap = setup("pepino2021", "table1", "None: Spectrogram", "IEMOCAP")
    assert (iemocap.max_frames, iemocap.clip, iemocap.dev) == (400, "trim:15", "last")
    park = setup("park2023", "table3", "Proposed, 1 block", "WA")
    assert (park.finetune_from, park.clip, park.seeds) == ("conv", "repeat:3+trim:15", (1000,))
    chen = setup("chen2022", "table3", "CTA-RNN", "MSP2IEM")
    assert (chen.dataset, chen.protocol, chen.dev, chen.test_on) == (
        "msp-improv", "leave-one-speaker-out", "other-speaker", ("iemocap:4class",)
    )  # fmt: skip
    shares = setup("mohapatra2023", "table1", "MFCC Features, arch. 2", "boredom")
    assert (shares.encoder, shares.max_frames, shares.target, shares.seeds) == (
        "logmel",
        797,
        "boredom",
        (66,),
    )
