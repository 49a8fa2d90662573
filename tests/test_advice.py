"""Commands that messages advise, run as they are advised: afterwards what failed goes through."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Outcome
from corpus_trees import TREES
from encoder_helpers import save, tiny_model, tiny_whisper
from test_line import give_voices

from sercache import advice, cli, stores, trained_on

Sercache = Callable[..., Outcome]
QUICK = [
    "--protocol",
    "kfold:2",
    "--dev",
    "none",
    "--seeds",
    1,
    "--set",
    "max-epochs=1",
    "--set",
    "select=last-epoch",
]
QUICK += ["--set", "patience=none", "--set", "schedule=constant"]
TOP = Path(__file__).parents[1]

RUN: set[str] = set()
"""Functions whose advice was run by a test of this file."""


@pytest.fixture
def follow(sercache: Sercache, advised: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Runs a call, then the last command that it advised, with ``instead`` of words that only the reader knows.

    Where the call failed it must go through then, unless the advice only shows something (not ``mends``).
    """
    command, given = advice.command, list[tuple[str, str]]()

    def noted(name: str, /, *arguments: object, **options: object) -> str:
        code = sys._getframe(1).f_code
        text = command(name, *arguments, **options)
        given.append((text, f"{Path(code.co_filename).relative_to(TOP)}:{code.co_name}"))
        return text

    monkeypatch.setattr(advice, "command", noted)

    def run(
        *call: object, instead: dict[str, object] | None = None, fails: bool = True, mends: bool = True
    ) -> Outcome:
        given.clear()
        first = sercache(*call)
        assert (first.code != 0) == fails, first.err
        shown = [(text, site) for text, site in given if text in first.err + first.out]
        assert shown, f"nothing is advised: {first.err}"
        text, site = shown[-1]
        for word, value in (instead or {}).items():
            assert word in text
            text = text.replace(word, shlex.quote(str(value)))
        done = sercache(*shlex.split(text)[1:])
        assert done.code == 0, f"{text}: {done.err}"
        RUN.add(site)
        if fails and mends:
            again = sercache(*call)
            assert again.code == 0, f"after {text}: {again.err}"
        return done

    return run


def in_hub(name: str, kind: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put a tiny checkpoint into a hub cache of one's own; gives its revision."""
    commit, folder = "0" * 40, home / f"models--{name.replace('/', '--')}"
    save(tiny_model(kind), folder / "snapshots" / commit)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return commit


@pytest.mark.parametrize("encoder", ["short name", "local folder", "hub id"])
@pytest.mark.parametrize("dataset", ["manifest", "manifest:my corpus"])
def test_what_is_not_in_the_cache_is_extracted(
    encoder: str,
    dataset: str,
    follow: Callable,
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "logmel"
    if encoder == "local folder":
        name = str(save(tiny_model("wav2vec2-base"), tmp_path / "my folder" / "tiny"))
    elif encoder == "hub id":
        name = "some/model"
        in_hub(name, "wav2vec2-base", tmp_path / "hub", monkeypatch)
    train = ["train", "--head", "linear", "--encoder", name, "--dataset", dataset, "--root", manifest, *QUICK]
    follow(*train)


def test_a_corpus_of_a_reader_is_given_its_root_then_its_features(
    follow: Callable, sercache: Sercache, tmp_path: Path
) -> None:
    root = TREES["emodb"](tmp_path / "emodb")
    give_voices(root)
    call = ["extract", "--encoder", "logmel", "--dataset", "emodb"]
    follow(*call, instead={"FOLDER": root})
    assert sercache("config", "roots.emodb=").code == 0
    other = tmp_path / "other cache"
    train = ["train", "--head", "linear", "--encoder", "logmel", "--dataset", "emodb", "--root", root, *QUICK]
    follow(*train, "--cache", other, "--clip", "trim:1")


def test_states_that_an_encoder_lacks_are_chosen(
    follow: Callable, sercache: Sercache, advised: list[str], manifest: Path, tmp_path: Path
) -> None:
    folder = tiny_whisper(tmp_path / "whisper")
    where = ["--encoder", folder, "--dataset", "manifest", "--root", manifest]
    code, _, err = sercache("train", "--head", "weighted-dense", *where, *QUICK)
    assert code == 2
    assert "choose with --states, for example --states blocks" in err
    code, _, err = sercache("extract", *where, "--for", "weighted-dense")
    assert code == 2
    assert "--states blocks" in advised[-1]
    assert sercache(*shlex.split(advised[-1])[1:]).code == 0
    RUN.add("sercache/commands/extract.py:_again")
    train = ["train", "--head", "weighted-dense", "--states", "blocks", *where, *QUICK]
    code, _, err = sercache(*train)
    assert code == 0, err


def test_features_of_other_heads_are_made_in_the_same_way(
    follow: Callable, sercache: Sercache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = in_hub("microsoft/wavlm-large", "wavlm-large", tmp_path / "hub", monkeypatch)
    root = TREES["iemocap"](tmp_path / "iemocap")
    give_voices(root)
    cache, task = tmp_path / "other cache", "6class"
    where = ["--dataset", "iemocap", "--root", root, "--encoder", "wavlm-large", "--revision", revision]
    how = ["--task", task, "--cache", cache, "--dtype", "float32", "--format", "hdf5"]
    follow("extract", *where, *how, "--clip", "trim:1", fails=False)
    found = {spec.clip: (spec, stores.open(path).ids()) for path, spec in stores.find(cache)}
    spec, ids = found["split:5"]
    assert (spec.dtype, spec.identity["revision"]) == ("float32", revision)
    assert len(ids) == len(found["trim:1"][1]), "the same utterances, each shorter than a piece"


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
@pytest.mark.parametrize("kind", [[], ["--pooled-only", "--precision", "bfloat16"]])
def test_utterances_that_are_missing_are_added_to_the_same_store(
    format: str, kind: list[str], follow: Callable, sercache: Sercache, manifest: Path, tmp_path: Path
) -> None:
    folder = save(tiny_model("hubert-base"), tmp_path / "tiny")
    where = [
        "--encoder",
        folder,
        "--dataset",
        "manifest",
        "--root",
        manifest,
        "--cache",
        tmp_path / "elsewhere",
    ]
    assert sercache("extract", *where, "--format", format, "--limit", 9, *kind).code == 0
    [(store, _)] = stores.find(tmp_path / "elsewhere")
    follow("train", "--head", "linear", *where, "--store", store, "--states", "all", *QUICK)
    assert [(store, 24)] == [
        (path, len(stores.open(path).ids())) for path, _ in stores.find(tmp_path / "elsewhere")
    ]


def test_an_extraction_that_was_cut_off_is_finished(
    follow: Callable, sercache: Sercache, manifest: Path, own_settings: Path
) -> None:
    from sercache.extraction import notes

    where = ["--encoder", "logmel", "--dataset", "manifest", "--root", manifest]
    assert sercache("extract", *where, "--clip", "split:5").code == 0
    store = only_store(own_settings)
    notes.mark_begun(store)
    follow("train", "--head", "linear", *where, "--clip", "split:5", "--states", "all", *QUICK)


def test_a_store_says_how_it_is_continued(
    follow: Callable, sercache: Sercache, cached: Path, own_settings: Path
) -> None:
    """Rooms below the commands know no command: they send the reader to `sercache info`."""
    from sercache.errors import MissingFeaturesError, SettingsError
    from sercache.views import open_view

    folder = only_store(own_settings)
    store = stores.open(folder)
    asked = [
        lambda: store.read("nobody"),
        lambda: open_view(store, {"nobody": 0}, states="all", frames=False),
    ]
    for ask in asked:
        with pytest.raises((MissingFeaturesError, SettingsError), match="`sercache info"):
            ask()
    follow("info", folder, fails=False)
    RUN.update({"sercache/stores/reader.py:_missing", "sercache/views/view.py:_how_made"})


def test_python_is_told_the_same(
    follow: Callable, extracted: list[object], sercache: Sercache, own_settings: Path
) -> None:
    import sercache as python
    from sercache.errors import MissingFeaturesError
    from sercache.extraction import notes

    assert sercache("extract", *extracted, "--clip", "split:5").code == 0
    cut = next(folder for folder, spec in stores.find(own_settings / "cache") if spec.clip != "none")
    notes.mark_begun(cut)
    corpus = python.read_corpus("manifest", str(extracted[-1]))
    with pytest.raises(
        MissingFeaturesError, match=r"run: sercache extract --encoder logmel .* --clip split:5"
    ):
        python.train(
            "linear", stores.open(cut), corpus, states="all", protocol="kfold:2", dev="none", device="cpu"
        )
    RUN.add("sercache/evaluation/parts.py:_open_input")
    follow("info", cut, fails=False)


@pytest.fixture
def extracted(sercache: Sercache, manifest: Path, own_settings: Path) -> list[object]:
    """A store of one's own corpus in the cache, and how it is named."""
    where = ["--encoder", "logmel", "--dataset", "manifest", "--root", manifest]
    assert sercache("extract", *where).code == 0
    return where


def only_store(own_settings: Path) -> Path:
    [(folder, _)] = stores.find(own_settings / "cache")
    return folder


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for position in range(0, len(content) // 2, 97):
        content[position] ^= 255
    path.write_bytes(content)


def test_damage_is_repaired(follow: Callable, extracted: list[object], own_settings: Path) -> None:
    folder = only_store(own_settings)
    shards = [
        max((folder / array).glob("c.*"), key=lambda path: path.stat().st_size)
        for array in ("frames", "pooled_mean")
    ]
    damage(shards[0])
    follow("verify", folder)
    damage(shards[1])
    follow("train", "--head", "linear", *extracted, "--states", "all", *QUICK)


def test_runs_that_are_not_there_are_made(follow: Callable, tmp_path: Path) -> None:
    from sercache.errors import SettingsError
    from sercache.report import tables

    follow("report", mends=False)
    follow("report", tmp_path, mends=False)
    with pytest.raises(SettingsError, match="`sercache train --help`"):
        tables.table([])
    RUN.add("sercache/report/side_by_side.py:_entries")  # what it advises was run above


def test_a_run_of_other_folds_is_trained_on_the_same(
    follow: Callable, sercache: Sercache, extracted: list[object], own_settings: Path
) -> None:
    made = own_settings / "runs"
    for k in (2, 3):
        train = ["train", "--head", "logistic", *extracted, "--states", "all", "--protocol", f"kfold:{k}"]
        assert sercache(*train, "--option", "c=0.5", "--name", f"folds-{k}").code == 0
    follow("compare", made / "folds-2", made / "folds-3", mends=False)
    [again] = {path.name for path in made.iterdir()} - {"folds-2", "folds-3"}
    done = sercache("compare", made / "folds-2", made / again, "--json")
    assert done.code == 0, done.err
    assert '"difference": 0.0' in done.out
    follow("compare", made / "folds-2", mends=False)
    follow("report", made / "folds-2", "--by", "corpus", mends=False)
    RUN.add("sercache/report/pairs.py:best_column")  # `compare --help`


def test_caches_are_listed_where_one_lacks_what_a_run_read(
    follow: Callable, sercache: Sercache, extracted: list[object], own_settings: Path, tmp_path: Path
) -> None:
    train = ["train", "--head", "logistic", *extracted, "--states", "all", "--protocol", "kfold:2"]
    assert sercache(*train, "--option", "c=0.5", "--name", "run").code == 0
    run = own_settings / "runs" / "run"
    follow("robustness", run, "--augment", "gain:0", "--cache", tmp_path / "other", mends=False)


def test_a_folder_that_is_no_store_is_looked_for(follow: Callable, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    follow("info", tmp_path / "nothing", mends=False)


def test_a_name_that_is_taken_is_looked_up(follow: Callable, manifest: Path) -> None:
    call = ["extract", "--encoder", "logmel", "--dataset", "manifest:emodb", "--root", manifest]
    follow(*call, mends=False)


def test_a_file_that_is_not_there_is_looked_up(follow: Callable) -> None:
    follow("train", "--head", "./nothing.py", mends=False)


def test_a_variable_that_two_names_share_is_settled(
    follow: Callable, sercache: Sercache, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(manifest.parent, tmp_path / "second")
    second = tmp_path / "second" / manifest.name
    for name, table in (("Rome", manifest), ("rome", second)):
        call = ["extract", "--encoder", "logmel", "--dataset", f"manifest:{name}", "--root", table]
        assert sercache(*call).code == 0
    monkeypatch.setenv("SERCACHE_ROOT_ROME", str(manifest))
    train = [
        "train",
        "--head",
        "linear",
        "--encoder",
        "logmel",
        "--dataset",
        "rome",
        "--states",
        "all",
        *QUICK,
    ]
    follow(*train, instead={"FOLDER": second}, mends=False)


def test_a_damaged_record_of_an_encoder_is_written_again(
    follow: Callable, extracted: list[object], own_settings: Path
) -> None:
    note = stores.notes_folder(only_store(own_settings)) / trained_on.FILE
    note.write_text("{}")
    follow("train", "--head", "linear", *extracted, "--states", "all", *QUICK, mends=False)


def test_words_in_capitals_stand_for_what_the_reader_knows(follow: Callable) -> None:
    follow("datasets", fails=False, instead={"NAME": "emodb"})
    follow("encoders", fails=False, instead={"NAME": "logmel"})
    follow("heads", fails=False, instead={"NAME": "superb"})
    follow("reproduce", fails=False, instead={"PAPER": "ioannides2023", "TABLE": "table3"})


def test_a_corpus_of_a_table_is_pointed_to(follow: Callable, tmp_path: Path) -> None:
    call = ["reproduce", "mohapatra2023", "table1"]
    follow(*call, fails=False, instead={"FOLDER": TREES["hume-prosody"](tmp_path / "hume")})


def test_the_lists_of_a_paper_are_pointed_to(follow: Callable, tmp_path: Path) -> None:
    call = ["reproduce", "emobox", "--dataset", "emns", "--encoder", "demo-wavlm"]
    call += ["--root", f"emns={TREES['emns'](tmp_path / 'emns')}"]
    follow(*call, fails=False, instead={"FOLDER": tmp_path})


def test_a_run_is_tested_before_its_words_are_looked_at(
    follow: Callable, sercache: Sercache, recordings: Path, tmp_path: Path
) -> None:
    lists = []
    for name in ("here", "there"):
        lines = recordings.read_text().splitlines()
        folder = tmp_path / name
        folder.mkdir()
        for k, row in enumerate(lines[1:]):
            wave = np.random.default_rng([k, name == "here"]).normal(0, 0.1 * (1 + k % 2), 4000)
            soundfile.write(folder / row.split(",")[1], wave, 16000)
        rows = [f"{lines[0]},transcript", *(f"{row},word {k % 3}" for k, row in enumerate(lines[1:]))]
        lists.append(folder / "list.csv")
        lists[-1].write_text("\n".join(rows) + "\n")
        call = ["extract", "--encoder", "logmel", "--dataset", f"manifest:{name}", "--root", lists[-1]]
        assert sercache(*call).code == 0
    train = [
        "train",
        "--head",
        "linear",
        "--encoder",
        "logmel",
        "--dataset",
        "here",
        "--states",
        "all",
        *QUICK,
    ]
    assert sercache(*train, "--name", "run").code == 0
    follow("lexical", tmp_path / "runs" / "run", "--on", "there")


@pytest.mark.slow
def test_the_first_store_is_made(follow: Callable) -> None:
    pytest.importorskip("espeakng_loader", reason="the extra sercache[demo] is not installed")
    follow("info", fails=False)


def advising() -> set[str]:
    """Functions that advise a command, as ``file:function``."""
    found = set()
    for path in [TOP / "cli.py", *(TOP / "sercache").rglob("*.py"), *(TOP / "heads").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "advice.command(" in text else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found |= {f"{path.relative_to(TOP)}:{node.name}" for each in ast.walk(node) if _advises(each)}
    return found


def _advises(node: ast.AST) -> bool:
    call = node.func if isinstance(node, ast.Call) else None
    return isinstance(call, ast.Attribute) and ast.unparse(call) == "advice.command"


def test_every_advice_is_run() -> None:
    """Keep this test the last of the file: the ones before it note what they ran."""
    if len(RUN) < 15:
        pytest.skip("looks at what the other tests of this file ran")
    elsewhere = {
        "sercache/commands/inspect.py:_show",  # in the slow tier, below
        "sercache/experiment/origin.py:read_origin",  # a damaged note is repaired in test_store_damage.py
        "sercache/stores/__init__.py:read_note",
        "sercache/experiment/together.py:command_of",  # in test_training_shared.py
        "sercache/given.py:check",  # in test_given.py
        "sercache/experiment/new.py:next_steps",  # in test_terminal.py; the same as docs/howto has one type
        "sercache/experiment/extract_words.py:damaged_sources",  # of another store: in test_features_reused.py
        "sercache/extraction/splits.py:_read",  # the same, of a note that says how a batch was cut
        "sercache/experiment/verify.py:_check_same",  # in test_other_devices.py
        "sercache/protocols/_fold.py:check_there",  # of a copy that lacks a part: in test_protocols.py
        "sercache/experiment/verify.py:_print",  # of a repair that was stopped: in test_stopped.py
        "sercache/experiment/corpora.py:_unknown",  # `info` beside a store that is damaged: test_store_listing.py
        "sercache/reproduction/foretold.py:fitting",  # of a budget, in test_papers_run.py
        "sercache/experiment/verify.py:_encoder",  # both are run in test_store_listing.py
        "sercache/experiment/origin.py:extract_again",
        "sercache/published/head.py:of_variant",  # in test_cli.py, of every head
        "sercache/experiment/upkeep.py:copy_first",  # in test_objects.py and docs/howto/objects.md
        "sercache/experiment/merge.py:_check_spec",  # in test_upkeep.py
        "sercache/experiment/prune.py:_check",  # the same
        "sercache/stores/held.py:__init__",  # in test_store_copying.py
        "sercache/stores/__init__.py:read_corpus",  # in test_corpus_table.py
        *(
            f"sercache/experiment/push.py:{name}" for name in ("run", "_licences", "_parcel")
        ),  # in test_hub.py
        *(f"sercache/experiment/card.py:{name}" for name in ("of_store", "of_run")),
        "sercache/experiment/pull.py:_settle_store",
    }
    assert advising() - RUN - elsewhere == set()


def test_no_message_writes_a_command_by_itself() -> None:
    """Commands in messages come from ``advice.command``, where tests see them."""
    names = "|".join(cli.cli.commands)
    pattern = re.compile(rf"\bsercache ({names})\b(?! in Python)")
    written = re.compile(rf"\bsercache[\s\"'fr]*({names})\b")  # also over two lines
    found = []
    for path in [*(TOP / "sercache").rglob("*.py"), *(TOP / "heads").rglob("*.py")]:
        if "options" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        if not written.search(text):
            continue
        tree = ast.parse(text)
        documented = (ast.Module, ast.FunctionDef, ast.ClassDef)
        texts = {
            id(n.body[0].value)
            for n in ast.walk(tree)
            if isinstance(n, documented) and n.body and isinstance(n.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts
            if is_text and pattern.search(node.value):
                found.append(f"{path.relative_to(TOP)}:{node.lineno}: {node.value}")
    assert found == []
