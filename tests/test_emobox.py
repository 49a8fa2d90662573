"""EmoBox's protocol: its head and learning rates, folds out of its lists, and its tables beside ours."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import Outcome
from corpus_trees import TREES
from torch.nn import functional as F

from sercache import catalog, datasets
from sercache.datasets import Corpus, CorpusInfo, Utterance
from sercache.errors import ProtocolError, SettingsError, UnknownNameError
from sercache.heads import emobox
from sercache.papers import Gap, TrialScore, emobox2024, scores
from sercache.protocols import make_folds, read_names
from sercache.recipe import Recipe
from sercache.reported import EMOBOX
from sercache.reproduction.paper import ReproduceOptions
from sercache.reproduction.rows import chosen
from sercache.training.plan import learning_rate

INFO = CorpusInfo(
    title="t", language="en", n_speakers=3, hours=1.0, licence="l", access="a", tree="t",
    tasks={"t": {"a": "a", "b": "b"}}, default_task="t",
)  # fmt: skip


def write_fold(folder: Path, number: int, **parts: Iterable[dict[str, object]]) -> None:
    """The lists of a fold as EmoBox has them: a file for each part."""
    fold = folder / f"fold_{number}"
    fold.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (fold / f"{folder.name}_{part}_fold_{number}.jsonl").write_text(text, encoding="utf-8")


def line(key: str, wav: str, dataset: str = "toy", seconds: float = 1.0) -> dict[str, object]:
    return {
        "key": f"{dataset}-{key}",
        "dataset": dataset,
        "wav": f"downloads/{dataset}/{wav}",
        "length": seconds,
    }


def toy(*names: str) -> Corpus:
    """Utterances at these paths, of the two classes in turn, each by the speaker that its folder names."""
    made = [
        Utterance(name.removesuffix(".wav"), Path("/x") / name, "ab"[k % 2], name.partition("/")[0])
        for k, name in enumerate(names)
    ]
    return Corpus("toy", "1", Path("/x"), INFO, tuple(made))


def folds_of(corpus: Corpus, folder: Path, dev: str = "none") -> list[tuple[str, ...]]:
    made = make_folds(corpus, corpus.labels(), f"lists:{folder}", dev=dev)
    return [(fold.name, *fold.train, "|", *fold.test) for fold in made]


def test_frames_are_normalised_as_layer_norm_does_each_recording_alone() -> None:
    x, lengths = torch.randn(3, 1, 7, 5, generator=torch.Generator().manual_seed(0)), (7, 4, 0)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    found = emobox.normalised(torch.where(mask[:, None, :, None], 3 * x + 2, torch.nan), mask)
    for k, n in enumerate(lengths):
        if n:
            theirs = F.layer_norm(3 * x[k, 0, :n] + 2, (n, 5))
            torch.testing.assert_close(found[k, 0, :n], theirs)
        assert not found[k, 0, n:].any()


def test_learning_rates_are_those_that_speechbrain_gives_after_each_epoch() -> None:
    recipe = replace(Recipe(), schedule="triangle", lr=1.0, max_epochs=20)
    rates = [learning_rate(recipe, epoch) for epoch in range(1, 21)]
    # The first epoch is trained before the schedule is asked: 0, 0.1, … 1, 0.9, … are of those after it.
    theirs = [1.0, *(step / 10 if step < 10 else (20 - step) / 10 for step in range(19))]
    assert rates == pytest.approx(theirs)
    assert [learning_rate(replace(recipe, max_epochs=n), n) for n in (1, 2, 3)] == [1.0, 0.0, 1.0]


def test_folds_are_read_by_key_and_else_by_as_much_of_a_path_as_tells(tmp_path: Path) -> None:
    """A name that another folder has too is told by its folder, also in a corpus that lacks the other."""
    folder = tmp_path / "toy"
    rows = [
        line("x1", "s1/01.wav"),
        line("x2", "s1/02.wav"),
        line("x3", "s2/01.wav"),
        line("s2/a (2)", "b/z.wav"),
    ]
    write_fold(folder, 1, train=rows[:2], test=rows[2:])
    write_fold(folder, 10, train=rows[2:], test=rows[:2])
    write_fold(folder, 2, train=rows, test=[line("x5", "s2/03.wav"), line("x6", "s2/04.wav")])
    corpus = toy("s1/01.wav", "s1/02.wav", "s2/01.wav", "s2/a 2.wav", "s2/03.wav", "s2/04.wav")
    assert folds_of(corpus, folder) == [
        ("1", "s1/01", "s1/02", "|", "s2/01", "s2/a 2"),
        ("2", "s1/01", "s1/02", "s2/01", "s2/a 2", "|", "s2/03", "s2/04"),
        ("10", "s2/01", "s2/a 2", "|", "s1/01", "s1/02"),
    ]
    part = toy("s1/01.wav", "s1/02.wav", "s2/03.wav", "s2/04.wav")
    with pytest.raises(
        ProtocolError,
        match=r"fold 1: the test part is empty, .* of the 2 that are listed for it, first: \S*s2/01; .*doctor",
    ):
        folds_of(part, folder)
    write_fold(folder, 1, train=rows[:2], test=[line("x5", "s2/03.wav")])
    write_fold(folder, 10, train=rows[:2], test=[line("x6", "s2/04.wav")])
    # s2/01 is not here: what is called 01 is that of s1, and of it alone.
    assert folds_of(part, folder)[2] == ("10", "s1/01", "s1/02", "|", "s2/04")


def test_a_selection_is_told_apart_by_its_speakers(tmp_path: Path) -> None:
    """Of recordings of one name the one of the speaker that the list names, none where it names no speaker."""
    corpus = toy("ann/u1.wav", "bob/u1.wav", "bob/u2.wav", "ann/u3.wav", "bob/u3.wav")
    rows = [
        {"wav_filename": "audio/u1.wav", "label": "a", "speaker": "Bob"},
        {"wav_filename": "audio/u2.wav", "label": "b", "speaker": "Bob"},
        {"wav_filename": "audio/u3.wav", "label": "b"},
        {"wav_filename": "audio/u4.wav", "label": "b", "speaker": "Bob"},
    ]
    path = tmp_path / "selected.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert read_names(path, corpus.by_id()) == ["bob/u1", "bob/u2"]


def test_long_recordings_lie_in_no_part_and_a_dev_part_is_drawn_or_read(tmp_path: Path) -> None:
    names = [f"s{k % 2}/{k:02}.wav" for k in range(24)]
    rows = [line(f"k{k}", name, seconds=31 if k == 3 else 2) for k, name in enumerate(names)]
    folder, corpus = tmp_path / "toy", toy(*names)
    write_fold(folder, 1, train=rows[:20], test=rows[20:])
    [fold] = make_folds(corpus, corpus.labels(), "lists:toy", dev="random20", lists=tmp_path)
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (15, 4, 4)
    assert "s1/03" not in (*fold.train, *fold.dev, *fold.test)
    assert not fold.speakers_disjoint
    write_fold(folder, 1, valid=rows[16:20], train=rows[:16])
    [fold] = make_folds(corpus, corpus.labels(), "lists:toy", lists=tmp_path)
    assert len(fold.dev) == 4
    with pytest.raises(ProtocolError, match="brings its own dev part"):
        make_folds(corpus, corpus.labels(), "lists:toy", dev="random20", lists=tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: None, "has no lists fold_1"),
        (lambda folder: write_fold(folder, 1, test=[line("x", "s1/01.wav")]), "no list of fold 1 for train"),
        (
            lambda folder: write_fold(folder, 1, train=[line("x", "q/9.wav")], test=[line("y", "q/8.wav")]),
            "names no utterance of toy; an id is like s1/01, a name there like y",
        ),
        (lambda folder: write_fold(folder, 1, train=[{"key": "x"}], test=[]), "line 1: expected an object with key"),
        (lambda folder: write_fold(folder, 1, train=[["x"]], test=[]), "line 1: expected an object with key"),  # type: ignore[list-item]
    ],
)  # fmt: skip
def test_lists_that_cannot_be_used_say_why(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(tmp_path / "toy")
    with pytest.raises(ProtocolError, match=message):
        folds_of(toy("s1/01.wav", "s1/02.wav"), tmp_path / "toy")


def test_cells_are_the_printed_numbers_and_name_folds_that_the_corpora_have() -> None:
    table = emobox2024.TABLES["table4"]
    assert len(table.rows) == sum(len(each.rows) for each in EMOBOX)
    for row in table.rows:
        dataset, _, model = row.name.partition(": ")
        [reported] = [each for each in EMOBOX if each.dataset == dataset]
        printed = [cell.printed.mean / 100 for cell in row.cells.values() if cell.printed]
        assert printed == pytest.approx(reported.rows[model])
        info = catalog.load("sercache.datasets", dataset).INFO
        for score in (score for cell in row.cells.values() for score in scores(cell.ours)):
            kind, _, name = score.trial.setup["protocol"].partition(":")
            assert name in {"folds": info.folds, "fixed": {"official"} if info.official else {}}.get(
                kind, [name]
            )
            task = score.trial.setup["task"] or info.default_task
            assert f"{dataset}:{task}" in emobox2024.UTTERANCES


def test_a_gap_is_between_one_system_judged_in_two_ways() -> None:
    gaps = [cell.ours for row in emobox2024.TABLES["table4"].rows for cell in row.cells.values()]
    found = [each for each in gaps if isinstance(each, Gap)]
    assert found
    for each in found:
        assert each.of.trial.encoder == each.less.trial.encoder
        assert each.of.trial.setup["protocol"] != each.less.trial.setup["protocol"]


def test_every_pair_of_corpora_is_trained_on_one_and_tested_on_the_other() -> None:
    rows = emobox2024.TABLES["table5"].rows
    assert len({row.name for row in rows}) == 10 * 12
    means = {row.name: row.cells["WA"].printed.mean for row in rows if row.cells["WA"].printed}
    # Read off the picture: the corners of the first and last block.
    assert means["meld -> iemocap: wav2vec 2.0 base"] == 29.78
    assert means["ravdess -> savee: wav2vec 2.0 base"] == 21.36
    assert means["savee -> ravdess: Whisper large v3"] == 66.91
    assert means["iemocap -> savee: data2vec 2.0 large"] == 36.39
    for row in rows:
        trained, _, tested = row.name.partition(": ")[0].partition(" -> ")
        for cell in row.cells.values():
            if isinstance(cell.ours, TrialScore):
                assert (cell.ours.trial.dataset, cell.ours.on) == (trained, tested)
                assert cell.unlike, "what they train on is not known, so that there is no verdict"


def names(table: str, **options: object) -> list[str]:
    request = ReproduceOptions("emobox2024", table, **options)  # type: ignore[arg-type]
    return [row.name for row in chosen(emobox2024.TABLES[table], request)]


def test_rows_are_chosen_by_corpus_and_encoder(tmp_path: Path) -> None:
    assert len(names("table4", datasets=["emodb"])) == 10
    assert names("table4", datasets=["emodb"], encoders=["wavlm-large"]) == ["emodb: WavLM large"]
    assert len(names("table4", encoders=["wavlm-large", "hubert-base=x"])) == len(EMOBOX)
    assert names("table5", encoders=["wavlm-large"], datasets=["savee"], rows="savee -> meld") == [
        "savee -> meld: WavLM large"
    ]
    own = names("table4", datasets=["emodb"], encoders=["logmel"])
    assert own[0] == "emodb: logmel"
    assert len(own) == 11
    path = tmp_path / "my-encoder"
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "wavlm"}')
    assert names("table4", datasets=["emodb"], encoders=[str(path)])[0] == "emodb: my-encoder"
    with pytest.raises(UnknownNameError, match="corpus of the table"):
        names("table4", datasets=["demo"])
    with pytest.raises(UnknownNameError, match="did you mean wavlm-large"):
        names("table4", encoders=["wavlm-lange"])
    with pytest.raises(SettingsError, match=r"there is: aesdd: wav2vec 2\.0 base; .* and 308 more"):
        names("table4", rows="nothing")


def test_an_encoder_in_the_place_of_others_has_their_trials_and_no_printed_number() -> None:
    request = ReproduceOptions("emobox2024", "table4", encoders=["demo-wavlm"], datasets=["emodb"])
    row, *theirs = chosen(emobox2024.TABLES["table4"], request)
    assert {score.trial.encoder for cell in row.cells.values() for score in scores(cell.ours)} == {
        "demo-wavlm"
    }
    assert not any(cell.printed for cell in row.cells.values())
    assert not any(cell.ours for other in theirs for cell in other.cells.values()), (
        "theirs stand beside, untrained"
    )
    pepino = catalog.load("sercache.papers", "pepino2021").TABLES["table1"]
    with pytest.raises(UnknownNameError, match="NAME=CHECKPOINT"):
        chosen(pepino, ReproduceOptions("pepino2021", "table1", encoders=["wavlm-large"]))


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Lists of two folds of the EMO-DB of the examples, drawn without regard to its speakers."""
    corpus = datasets.read("emodb", TREES["emodb"](tmp_path / "emodb"))
    rows = [line(u.id, f"wav/{u.path.name}", "emodb") for u in corpus.utterances]
    folder = tmp_path / "lists" / "data" / "emodb"
    write_fold(folder, 1, train=rows[::2], test=rows[1::2])
    write_fold(folder, 2, train=rows[1::2], test=rows[::2])
    return tmp_path / "lists"


QUICK = ("--set", "max-epochs=1", "--encoder", "demo-wavlm")


def test_its_folds_stand_beside_ours_with_what_they_share(
    sercache: Callable[..., Outcome], tmp_path: Path, lists: Path
) -> None:
    call = ("reproduce", "emobox", "--dataset", "emodb", "--root", f"emodb={tmp_path / 'emodb'}", *QUICK)
    code, out, err = sercache(*call, "--dry-run")
    assert code == 0, err
    assert "1 of 2 trials: not known, for the lists of EmoBox: get them by git clone" in out
    code, out, err = sercache(*call, "--root", f"emobox={tmp_path}")  # told before anything is done
    assert code == 2
    assert f"the lists of EmoBox ({tmp_path} has no folder data): get them by git clone" in err
    assert not [*(tmp_path / "runs").rglob("*.csv")]
    code, out, err = sercache(*call, "--root", f"emobox={lists}")
    assert code == 0, err
    words = " ".join(out.split())
    assert "emodb by lists:data/emodb: all 10 speakers of each of 2 test parts are trained on too" in words
    assert "emodb by leave-one-speaker-out: no speaker of any of 10 test parts is trained on" in words
    [path] = (tmp_path / "runs" / "emobox2024").glob("table4.max-epochs=1.csv")
    with path.open() as file:
        rows = {(row["row"], row["column"]): row for row in csv.DictReader(file)}
    ours = {
        column: float(rows["emodb: demo-wavlm", column]["ours"])
        for column in emobox2024.TABLES["table4"].columns
    }
    assert ours["UA, difference"] == pytest.approx(ours["UA"] - ours["UA, speakers apart"], abs=0.02)
    assert rows["emodb: WavLM large", "UA"]["printed"] == "92.58"
    assert not rows["emodb: WavLM large", "UA"]["ours"]
    assert "verdict" in out
    code, out, err = sercache(*call, "--root", f"emobox={lists}", "--dry-run")
    assert "nothing is left to do" in out


@pytest.mark.slow
def test_another_corpus_is_tested_on_the_selection_alone(
    sercache: Callable[..., Outcome], tmp_path: Path
) -> None:
    for name in ("savee", "meld"):
        TREES[name](tmp_path / name)
    meld = datasets.read("meld", tmp_path / "meld")
    chosen_ones = [u for u in meld.utterances if u.path.stem in ("dia0_utt3", "dia0_utt4", "dia0_utt5")]
    path = tmp_path / "lists" / "data" / "track2" / "MELD_selected_balenced.jsonl"
    path.parent.mkdir(parents=True)
    told = [{"wav_filename": f"audio/{u.path.name}", "speaker": u.speaker} for u in chosen_ones]
    path.write_text("\n".join(map(json.dumps, told)))
    roots = [f"--root={name}={tmp_path / folder}" for name, folder in
             (("savee", "savee"), ("meld", "meld"), ("emobox", "lists"))]  # fmt: skip
    call = ("reproduce", "emobox", "table5", "--rows", "savee -> meld: WavLM large", "--set", "max-epochs=1")
    code, out, err = sercache(*call, "--encoder", "wavlm-large=demo-wavlm", *roots)
    assert code == 0, err
    words = " ".join(out.split())
    assert f"{len(chosen_ones)} utterances of meld instead of 240" in words
    assert "no verdict for savee -> meld: WavLM large: ours is of the best epoch on dev" in words
    assert "ours is trained on the four classes of all of the corpus" in words
