"""No verdict against a printed number where anything that the paper fixed differs, but the difference in words."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from make_report import make_report

from sercache import catalog, settings
from sercache.evaluation.published import Difference, differences, fewer_updates
from sercache.experiment.outcome import compared, printed, shown
from sercache.experiment.served import served
from sercache.head import declared
from sercache.heads import layer_attention, linear, superb
from sercache.papers import Trial, TrialScore
from sercache.published.compare import other_corpus, other_system, printed_beside
from sercache.published.head import published_of
from sercache.published.trial import TrialPlan, plan
from sercache.recipe import Setup, inputs
from sercache.record import CrossCorpus, Report, Run, Score, StartRecord
from sercache.report.comparison import Compared, ComparedRow, comparison
from sercache.report.render import Reference
from sercache.reproduction import differs
from sercache.reproduction.kept import Kept
from sercache.reproduction.paper import ReproduceOptions
from sercache.reproduction.paper import TableProgress as Results
from sercache.reproduction.place import Place

WAVLM = {
    "encoder": "wavlm-large",
    "identity": {"source": "microsoft/wavlm-large"},
    "encoder_states": ["projection", *map(str, range(1, 25)), "final"],
}


def exact(**changes: Any) -> Report:
    """A report that is the paper's cell: layer-attention v1 on IEMOCAP."""
    meant = plan(Trial("layer-attention", "wavlm-large", "iemocap"))
    values: dict[str, Any] = {
        "head": "layer-attention",
        "options": {"final_relu": False, "exact_shortcut": True},
        "recipe": asdict(meant.recipe),
        "setup": {**asdict(meant.setup), "task": "4class", "fold_seed": 0},
        "deviations": (),
        "corpus": {**make_report().corpus, "name": "iemocap", "task": "4class", "n_utterances": 5531},
        "features": {"spec": WAVLM, "states": [str(k + 1) for k in range(24)], "dim": 1024, "digest": "ab"},
        "seeds": meant.setup.seeds,
    }
    return make_report(**{**values, **changes})


def with_setup(**changes: Any) -> Report:
    return exact(setup={**exact().setup, **changes})


def test_the_paper_s_own_system_has_a_verdict() -> None:
    [number] = printed_beside(exact())
    assert (number.mean, number.std, number.differs) == (0.7376, 0.019, ())
    assert "no verdict" not in shown([exact()])
    assert "is of this system" in shown([exact()])


CHANGES: dict[str, tuple[Report, str]] = {
    "clip": (with_setup(clip="none"), "clip none instead of split:5"),
    "frames": (with_setup(frames=True), "frames yes instead of no"),
    "normalise": (with_setup(normalise="global"), "normalise global instead of none"),
    "protocol": (with_setup(protocol="kfold:5"), "protocol kfold:5 instead of leave-one-session-out"),
    "dev": (with_setup(dev="last"), "dev last instead of none"),
    "seeds": (with_setup(seeds=[0, 1]), "seeds 0, 1 instead of 0, 1, 2, 3, 4"),
    "max frames": (with_setup(max_frames=100), "max frames 100 instead of none"),
    "fold seed": (with_setup(fold_seed=3), "folds drawn with seed 3 instead of 0"),
    "states": (
        exact(
            setup={**exact().setup, "states": "1-12"},
            features={**exact().features, "states": [str(k + 1) for k in range(12)]},
        ),
        "states 1-12 instead of blocks",
    ),
    "task": (
        exact(
            setup={**exact().setup, "task": "6class"},
            corpus={**exact().corpus, "task": "6class", "n_utterances": 7000},
        ),
        "task 6class instead of 4class",
    ),
    "lr": (exact(recipe={**exact().recipe, "lr": 1e-3}), "lr 0.001 instead of 0.0001"),
    "max epochs": (exact(recipe={**exact().recipe, "max_epochs": 1}), "max epochs 1 instead of 35"),
    "corpus": (
        exact(corpus={**exact().corpus, "n_utterances": 5530}),
        "5530 utterances of iemocap instead of 5531",
    ),
    "weights": (
        exact(features={**exact().features, "spec": {**WAVLM, "identity": {"source": "local: wavlm-large"}}}),
        "weights of local: wavlm-large instead of microsoft/wavlm-large",
    ),
    "random weights": (
        with_setup(encoder="wavlm-large (random weights)"),
        "encoder wavlm-large (random weights) instead of wavlm-large",
    ),
    "precision": (
        exact(
            features={
                **exact().features,
                "spec": {**WAVLM, "identity": {**WAVLM["identity"], "precision": "bfloat16"}},
            }
        ),
        "encoded in bfloat16 instead of float32",
    ),
    "type": (
        exact(features={**exact().features, "spec": {**WAVLM, "dtype": "int8"}, "kind": "frames"}),
        "sequences kept as int8",
    ),
    "initial weights": (
        exact(started_from=(StartRecord("", "first", "layer-attention", ("esd",)),)),
        "initial weights from first (layer-attention on esd)",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_system_has_none_but_its_difference(name: str) -> None:
    report, words = CHANGES[name]
    [number] = printed_beside(report)
    assert words in [each.text for each in number.differs]
    table = shown([report])
    assert "no verdict: " in table
    assert words in table
    assert "0.7376" in table, "the printed number stands beside ours"
    assert words in str(compared(report).printed)
    several = shown([report, exact()])
    assert "no verdict: " in several


@pytest.mark.parametrize(
    "report",
    [
        with_setup(states="1-24"),
        with_setup(seeds=[0, 1, 2, 3, 4, 5, 6]),
        exact(options={"final_relu": True, "exact_shortcut": True}),
        exact(recipe={**exact().recipe, "accumulate": 1}),
        exact(options={}),
    ],
    ids=["same states", "more seeds", "open option", "open recipe field", "report without defaults"],
)
def test_what_is_the_same_or_left_open_keeps_the_verdict(report: Report) -> None:
    [number] = printed_beside(report)
    assert number.differs == ()


def test_an_open_field_is_marked() -> None:
    published = published_of(layer_attention, layer_attention.SETUP)
    assert published is not None
    [found] = differences(published, layer_attention.SETUP, {}, {"final_relu": True})
    assert found.is_open
    assert str(found) == "head option final_relu=yes instead of no (open in the paper)"


def test_fields_that_are_open_are_fields() -> None:
    for name in catalog.names("sercache.heads"):
        module = catalog.load("sercache.heads", name)
        published = published_of(module, module.SETUP)
        if published is not None:
            known = {**asdict(published.setup), **asdict(published.recipe), **published.options}
            assert set(published.open) <= set(known), name


def test_only_the_paper_that_trained_so_mixes_precisions() -> None:
    mixed = [
        name
        for name in catalog.names("sercache.heads")
        if getattr(getattr(catalog.load("sercache.heads", name), "RECIPE", None), "mixed_precision", False)
    ]
    assert mixed == ["layer-attention"]


def test_the_row_that_comes_closest_stands_beside() -> None:
    report = exact(also_trained=({"name": "esd"},))
    [number] = printed_beside(report)
    assert (number.mean, number.differs) == (0.7432, ()), "v2 adds Mandarin"


def test_other_heads_encoders_and_corpora_have_no_printed_number() -> None:
    spec = {**WAVLM, "encoder": "whisper-tiny"}
    assert not printed(exact(features={**exact().features, "spec": spec}))
    assert not printed(exact(head="mlp"))
    assert not printed(make_report())


def test_speech_alone_is_not_the_paper_s_ravdess() -> None:
    module = catalog.load("sercache.papers", "pepino2021")
    cell = module.TABLES["table1"].rows[0].cells["RAVDESS"]
    assert isinstance(cell.ours, TrialScore)
    meant = plan(cell.ours.trial)
    about = {**make_report().corpus, "name": "ravdess", "task": "7class", "n_utterances": 1440}
    report = make_report(
        head="weighted-dense", setup=asdict(meant.setup), recipe=asdict(meant.recipe), corpus=about,
        features={"spec": {"encoder": "egemaps-20ms"}, "states": ["lld"]},
    )  # fmt: skip
    found = other_system(meant, report, module.UTTERANCES)
    assert [each.text for each in found] == ["1440 utterances of ravdess instead of 2452"]
    whole = replace(report, corpus={**about, "n_utterances": 2452})
    assert not other_system(meant, whole, module.UTTERANCES)


CHEN = catalog.load("sercache.papers", "chen2022")
BLOCK = {"encoder": "wenet-gigaspeech", "identity": {"source": "local: mine"}, "clip": "none"}
BERT = {
    "encoder": "bert-large-uncased",
    "identity": {"source": "google-bert/bert-large-uncased", "modality": "text"},
    "clip": "none",
}
BANK = {"encoder": "kaldi-fbank", "identity": {"source": "kaldi-fbank"}, "clip": "none"}


def pair(name: str, second: dict[str, Any], **changes: Any) -> tuple[TrialPlan, Report]:
    """A row of two inputs as the paper had it, and a report of it with these features of the second input."""
    score = next(row for row in CHEN.TABLES["table2"].rows if row.name == name).cells["IEM"].ours
    assert isinstance(score, TrialScore)
    meant = plan(score.trial)
    beside = [{"spec": second, "states": ["final"]}]
    features = {"spec": BLOCK, "states": ["6"], "beside": beside}
    about = {**make_report().corpus, "name": "iemocap", "task": "4class", "n_utterances": 5531}
    values = {"head": "pair-rnn", "options": {}, "setup": asdict(meant.setup), "recipe": asdict(meant.recipe),
              "corpus": about, "features": features}  # fmt: skip
    return meant, make_report(**{**values, **changes})


def texts(meant: TrialPlan, report: Report) -> list[str]:
    return [each.text for each in other_system(meant, report, CHEN.UTTERANCES)]


def test_the_second_input_may_be_what_differs() -> None:
    assert not texts(*pair("A+E(6)", BANK))
    coarse = {**BANK, "identity": {**BANK["identity"], "precision": "bfloat16"}}  # type: ignore[dict-item]
    assert texts(*pair("A+E(6)", coarse)) == ["encoded in bfloat16 instead of float32 (input 2)"]
    drawn = {**BERT, "identity": {**BERT["identity"], "source": "random weights"}}  # type: ignore[dict-item]
    assert texts(*pair("T+E(6)", drawn))[0] == (
        "weights of random weights instead of google-bert/bert-large-uncased (input 2)"
    )
    local = {**BERT, "identity": {**BERT["identity"], "source": "local: bert"}}  # type: ignore[dict-item]
    assert "weights of local: bert instead of google-bert/bert-large-uncased (input 2)" in texts(
        *pair("T+E(6)", local)
    )


def test_transcripts_of_people_are_not_those_of_a_recogniser() -> None:
    assert texts(*pair("T+E(6)", BERT)) == [
        "transcripts of the corpus instead of what wenet-gigaspeech recognised (input 2)"
    ]
    given = {**BERT, "transcripts": "0123456789abcdef"}
    assert texts(*pair("T+E(6)", given)) == [
        "transcripts of a file (01234567), of which it is not known that wenet-gigaspeech recognised them (input 2)"
    ]
    known = other_system(*pair("T+E(6)", given), {}, frozenset({"0123456789abcdef"}))
    assert "transcripts" not in [each.field for each in known], "what was recognised here is known"
    _, report = pair("T+E(6)", BERT)
    beside = printed_beside(report)
    assert beside
    assert all("transcripts" in [each.field for each in number.differs] for number in beside)


def test_a_corpus_that_is_tested_on_may_be_what_differs() -> None:
    meant, report = pair("T+E(6)", BERT)
    there = CrossCorpus(
        dataset="msp-improv", task="4class", classes=(), normalisation="none", summary={}, predictions=(), confusion=(),
        corpus={**report.corpus, "name": "msp-improv", "n_utterances": 7798}, features=report.features,
    )  # fmt: skip

    def differ(**changes: Any) -> list[str]:
        other = replace(report, cross_corpus=(replace(there, **changes),))
        return [each.text for each in other_corpus(meant, other, "msp-improv", CHEN.UTTERANCES)]

    people = "transcripts of the corpus instead of what wenet-gigaspeech recognised (input 2) of msp-improv"
    assert differ() == [people]
    assert "7000 utterances of msp-improv instead of 7798" in differ(
        corpus={**there.corpus, "n_utterances": 7000}
    )
    cut = {**report.features, "spec": {**BLOCK, "clip": "trim:15"}}
    assert "clip trim:15 instead of none on msp-improv" in differ(features=cut)
    coarse = {**BLOCK, "identity": {"source": "local: mine", "precision": "float16"}}
    assert "encoded in float16 instead of float32 of msp-improv" in differ(
        features={**report.features, "spec": coarse}
    )
    unknown = {**there.corpus, "warnings": ["5 of 6 sessions"]}
    other = replace(report, cross_corpus=(replace(there, corpus=unknown),))
    assert "msp-improv: 5 of 6 sessions" in [e.text for e in other_corpus(meant, other, "msp-improv", {})]


def test_a_corpus_that_is_added_may_be_what_differs() -> None:
    cell = catalog.load("sercache.papers", "ioannides2023").TABLES["table2"].rows[-1].cells["ACC"]
    assert isinstance(cell.ours, TrialScore)
    meant = plan(cell.ours.trial)
    part = {"name": "esd", "task": "4class", "n_utterances": 90, "warnings": ["90 of 17500"]}
    found = other_system(meant, exact(also_trained=(part,)), {})
    assert [each.text for each in found] == ["esd: 90 of 17500"]
    other = other_system(meant, exact(also_trained=({**part, "task": "5class", "warnings": []},)), {})
    assert [each.text for each in other] == ["task 5class of esd instead of 4class"]


def place_of(folder: Path) -> Place:
    return Place(settings.load(), folder, "cpu", folder, may_extract=False)


def test_times_of_another_machine_have_no_verdict(own_settings: Path) -> None:
    cell = catalog.load("sercache.papers", "park2023").TABLES["table7"].rows[0].cells["3 s"]
    [found] = differs.differs(cell, ReproduceOptions(), place_of(own_settings), Results(), {})
    assert found.text == "measured on this machine (cpu) instead of NVIDIA RTX 3090"


def test_a_trial_that_comes_before_may_be_what_differs(
    own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = catalog.load("sercache.papers", "park2023").TABLES["table4"].rows[-1].cells["WA"]
    assert isinstance(cell.ours, TrialScore)
    meant = plan(cell.ours.trial)
    assert meant.speaker is not None
    about = {**make_report().corpus, "name": "voxceleb1", "task": meant.speaker.setup.task or "speaker"}
    part = {**about, "n_utterances": 90, "warnings": ["90 of 153516"]}
    report = make_report(
        head="speaker-id", options={}, setup=asdict(meant.speaker.setup), recipe=asdict(meant.speaker.recipe),
        corpus=part, features={"spec": {"encoder": "wav2vec2-base"}, "states": ["conv"]},
    )  # fmt: skip
    monkeypatch.setattr(differs, "find", lambda *_: Kept(own_settings, report))
    found = [each.text for each in differs._before(meant, meant, place_of(own_settings), {})]
    assert "speaker-id that comes before: voxceleb1: 90 of 153516" in found


def test_a_warning_of_the_corpus_tells_another_part_where_the_paper_gives_no_count() -> None:
    meant = plan(Trial("layer-attention", "wavlm-large", "iemocap"))
    report = exact(corpus={**exact().corpus, "warnings": ["4 of 5 sessions"]})
    assert [each.text for each in other_system(meant, report, {})] == ["iemocap: 4 of 5 sessions"]


def test_a_paper_s_table_has_no_verdict_where_a_trial_is_another_system() -> None:
    cell = Compared(
        Reference(57.0, 2.4), Score(54.9, 2.2, 5), (Difference("corpus", "1440 instead of 2452"),)
    )
    same = Compared(Reference(57.0, 2.4), Score(54.9, 2.2, 5))
    table = comparison("Table 1", ("UA",), [ComparedRow("a", {"UA": cell}), ComparedRow("b", {"UA": same})])
    lines = table.text.splitlines()
    assert any("no verdict: corpus" in line for line in lines)
    assert any("yes (printed std)" in line for line in lines)
    assert any("no verdict for a: 1440 instead of 2452" in line for line in lines)


def test_heads_without_a_paper_differ_from_nothing() -> None:
    assert published_of(linear, linear.SETUP) is None


def test_a_budget_in_epochs_does_not_carry_over() -> None:
    published = published_of(superb, superb.SETUP)
    assert published is not None
    history = tuple({"train_loss": 1.0} for _ in range(270))
    runs = [Run("1", 0, {}, 1, False, 2430, history)]
    there = replace(superb.SETUP, dataset="emodb")
    assert [each.text for each in fewer_updates(published, there, runs)] == [
        "updates: 2,430 of the published about 30,000"
    ]
    assert not fewer_updates(published, superb.SETUP, runs)
    assert not fewer_updates(published, there, [replace(runs[0], n_updates=29_000)])


def spec_of(setup: Setup, **changes: Any) -> Any:
    from sercache.stores.spec import FeatureSpec

    names = ("projection", *map(str, range(1, 25)), "final")
    values = {
        "encoder": setup.encoder, "identity": {}, "sample_rate": 16000, "hop": 320, "corpus": setup.dataset,
        "release": "", "states": names, "dim": 1024, "frames": True, "clip": setup.clip, "encoder_states": names,
    }  # fmt: skip
    return FeatureSpec(**{**values, **changes})


def test_a_store_tells_which_heads_it_serves_as_published() -> None:
    from fake_store import make_corpus

    corpus = make_corpus(["a"], ["x"], ["s"], name="iemocap")
    [own] = inputs(layer_attention.SETUP)
    whole = served(spec_of(own, clip="none"), corpus)
    assert "layer-attention" in whole.others
    assert "layer-attention" not in whole.heads
    assert "linear" in whole.heads, "it has no paper, and reads what is there"
    right = served(spec_of(own), corpus)
    assert "layer-attention" in right.heads
    assert "layer-attention" not in right.others


def test_heads_name_the_tables_that_print_results_of_them() -> None:
    """Every cell of a head by itself is in one of them, or a cell of the same trial is."""
    found: dict[str, list[tuple[str, Trial]]] = {}
    for paper in catalog.names("sercache.papers"):
        for name, table in catalog.load("sercache.papers", paper).TABLES.items():
            for cell in (cell for row in table.rows for cell in row.cells.values() if cell.printed):
                score = cell.ours
                alone = isinstance(score, TrialScore) and score.on is None and score.of is None
                if alone and score.trial.start is None and score.trial.speaker is None:
                    found.setdefault(score.trial.head, []).append((f"{paper} {name}", score.trial))
    assert found
    for head, cells in found.items():
        named = declared(catalog.load("sercache.heads", head)).printed
        of_named = [plan(trial).digest for table, trial in cells if table in named]
        assert {table for table, _ in cells} >= set(named), f"{head} names a table that has nothing of it"
        assert {plan(trial).digest for _, trial in cells} <= set(of_named), head


def test_no_other_table_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    load = catalog.load

    def noted(package: str, name: str, *more: str) -> Any:
        asked.extend([name] if package == "sercache.papers" else [])
        return load(package, name, *more)

    monkeypatch.setattr(catalog, "load", noted)
    assert printed_beside(exact())
    assert asked == ["ioannides2023"]
    assert not printed_beside(make_report(head="linear"))
    assert not printed_beside(make_report(head="my_head.py"))
    assert asked == ["ioannides2023"]
