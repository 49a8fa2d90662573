"""The command line: help, mistakes, exit codes. Whole runs are in test_line.py."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from sercache import cli
from sercache.layout import columns

Sercache = Callable[..., tuple[int, str, str]]


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom sercache import cli\n"
        "try: cli.cli.main(['train', '--help'], prog_name='sercache')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'zarr', 'h5py', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: sercache train" in done.stdout


def test_progress_in_a_log_is_whole_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sercache import progress
    from sercache.commands import console

    terminal = console.Terminal()
    with terminal.bar(None, {"total": 3, "desc": "quick"}) as shown:
        shown.update(3)
    assert capsys.readouterr().err == ""  # nothing is left before what comes next
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    form = "{desc}: {percentage:3.0f}% |{bar}| {n:.3f}/{total:.3f} h [{elapsed}<{remaining}{postfix}]"
    for options in ({"total": 3}, {}, {"total": 3, "bar_format": form}, {"total": 3, "unit": "B"}):
        with terminal.bar(None, {"desc": "work", "miniters": 1, **options}) as shown:
            for _ in range(3):
                shown.update()
        err = capsys.readouterr().err
        assert err.isprintable() or set(filter(lambda c: not c.isprintable(), err)) == {"\n"}
        assert err.startswith("work: ")
        assert err.endswith("\n")
        assert not set("#█|") & set(err)
    for listener in (terminal, progress.Shown()):  # of the command, and in Python
        for _ in listener.bar(range(3), {"desc": "each", "miniters": 1}):
            pass
        assert "each:  67% 2/3 [" in capsys.readouterr().err


def test_heads_have_one_import_name() -> None:
    top = str(Path(__file__).parents[1])
    importlib.import_module("sercache.heads.linear")
    done = subprocess.run(
        [sys.executable, "-c", "import heads.linear"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": top},
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == (
        "ImportError: the heads are imported as sercache.heads, got heads; write: import sercache.heads"
    )


@pytest.mark.parametrize("name", sorted(cli.cli.commands))
def test_every_command_shows_an_example(name: str) -> None:
    command = cli.cli.commands[name]
    text = command.get_help(click.Context(command, info_name=name))
    assert "Example" in text
    assert f"sercache {name}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["extarct"], "did you mean extract"),
        (["train", "--head", "layer-atention"], "did you mean layer-attention"),
        (["datasets", "iemocp"], "did you mean iemocap"),
        (["encoders", "wavlm-lrge"], "did you mean wavlm-large"),
        (["heads", "suberb"], "did you mean superb"),
        (["extract", "--encoder", "logmel", "--dataset", "emdb", "--root", "."], "did you mean emodb"),
        (["extract", "--encoder", "logmel", "--dataset", "emodb"], "where is emodb? give --root"),
        (["extract", "--encoder", "logmel"], "Missing option '--dataset'"),
        (["extract", "--encoder", "logmel", "--dataset", "emodb", "--dtype", "int3"], "'int3' is not one of"),
        (["config", "cashe=/x"], "did you mean cache"),
        (["config", "cache"], "key=value"),
        (["info", "nowhere"], "nowhere"),
        (["verify", "nowhere"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["reproduce", "ionnides", "table2"], "did you mean ioannides"),
        (["reproduce", "ioannides", "table9"], "there is: table1, table2"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments: list[str], message: str, sercache: Sercache) -> None:
    code, _, err = sercache(*arguments)
    assert code == 2, err
    assert message in err
    assert "Traceback" not in err


def test_a_name_with_line_breaks_stays_one_line(tmp_path: Path, sercache: Sercache) -> None:
    folder = tmp_path / "two\nlines\x1b[31m"
    folder.mkdir()
    (folder / "table.csv").write_text("path,label\n")
    request = (
        "extract",
        "--encoder",
        "logmel",
        "--dataset",
        "manifest:x",
        "--root",
        str(folder / "table.csv"),
    )
    code, _, err = sercache(*request)
    assert code == 2
    assert err.strip().count("\n") == 0, err
    assert "two\\nlines\\x1b[31m" in err


def test_config_is_written_and_told(tmp_path: Path, sercache: Sercache) -> None:
    code, out, _ = sercache("config", "device=cpu", f"roots.iemocap={tmp_path}")
    assert code == 0
    assert "SERCACHE_CACHE" in out  # the environment stands above the file, and says so
    code, out, _ = sercache("config")
    assert f"roots.iemocap  {tmp_path}" in out.replace("   ", "  ")


@pytest.mark.parametrize(
    ("name", "words", "may"),
    [
        ("emodb", "CC0-1.0: clips may be copied", True),
        ("iemocap", "LicenseRef-IEMOCAP: clips may not be copied", False),
        ("manifest", "no licence identifier: whether clips may be copied is not known", None),
    ],
)
def test_a_corpus_says_whether_its_clips_may_be_copied(
    sercache: Sercache, name: str, words: str, may: bool | None
) -> None:
    assert words in " ".join(sercache("datasets", name).out.split())
    assert json.loads(sercache("datasets", name, "--json").out)["clips_may_be_copied"] is may


def _all_of(kind: str) -> list[str]:
    from sercache import catalog, encoders

    return sorted(encoders.short_names()) if kind == "encoders" else catalog.names(f"sercache.{kind}")


@pytest.mark.parametrize("kind", ["datasets", "encoders", "heads"])
def test_lists_name_everything(kind: str, sercache: Sercache) -> None:
    code, out, _ = sercache(kind)
    assert code == 0
    assert not [name for name in _all_of(kind) if name not in out]


@pytest.mark.parametrize("kind", ["datasets", "encoders", "heads"])
def test_each_is_shown_by_its_name(kind: str, sercache: Sercache) -> None:
    """For encoders among the slow: each is a model that has to be laid out."""
    for name in _all_of(kind):
        code, shown, _ = sercache(kind, name)
        assert code == 0
        assert name in shown


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "iemocap",
            [
                "task      4class (default): anger, happiness, neutral, sadness",
                "task      avd: arousal, valence, dominance from 0 to 1; published from 1 to 5",
                "subset    <task>@improvised: improvised scenes",
                "setup     4class-2943: 4class@improvised, 2943 utterances",
                "protocol  leave-one-session-out (default)",
                "note      The texts of scripted scenes are shared by all sessions.",
            ],
        ),
        (
            "ravdess",
            [
                "subset    <task>@speech: spoken recordings (1440)",
                "protocol  folds:emobox (default): 6 folds, 4 test speakers each",
                "protocol  fixed:pepino: train 20 speakers, dev 2 speakers, test 2 speakers",
            ],
        ),
        ("msp-podcast", ["Test1; fixed:test2 tests on Test2"]),
        ("voxceleb1", ["id10012 and 1239 more"]),
    ],
)
def test_a_corpus_is_shown_with_all_that_can_be_asked_of_it(
    name: str, lines: list[str], sercache: Sercache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    _, out, _ = sercache("datasets", name)
    for line in lines:
        assert " ".join(line.split()) in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 110


def test_all_corpora_are_listed_with_what_one_asks_first(sercache: Sercache) -> None:
    _, out, _ = sercache("datasets")
    (line,) = [line for line in out.splitlines() if line.startswith("iemocap ")]
    assert re.split(r"  +", line)[:5] == ["iemocap", "en", "10", "12.4", "4"]
    assert line.endswith("https://sail.usc.edu/iemocap/")


def test_an_empty_cache_says_how_to_begin(sercache: Sercache) -> None:
    code, out, _ = sercache("info")
    assert code == 0
    assert "sercache extract" in out


@pytest.mark.parametrize(
    ("arguments", "width"),
    [
        (["datasets"], 80),
        (["datasets"], 120),
        (["encoders"], 80),
        (["heads"], 80),
        (["reproduce"], 80),
        (["info"], 80),
        (["datasets"], 60),
        (["encoders"], 60),
        (["heads"], 60),
        (["reproduce"], 60),
    ],
)
def test_listings_fit_the_terminal(
    arguments: list[str], width: int, sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = sercache(*arguments)
    assert code == 0
    # Paths are not broken: they stand on lines of their own.
    too_long = [line for line in out.splitlines() if len(line) > width and "/" not in line]
    assert too_long == []


@pytest.mark.parametrize("head", ["layer-attention", "egemaps-fusion", "logistic", "superb"])
def test_a_head_is_shown_whole(head: str, sercache: Sercache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = sercache("heads", head)
    assert max(map(len, out.splitlines())) <= 80
    settings = out.partition("Where the paper's text")[0]
    rows = dict(line.strip().split(maxsplit=1) for line in settings.splitlines() if re.match("  [a-z]", line))
    assert rows["finetune_from"] == "none"
    options = {"layer-attention": "final_relu", "egemaps-fusion": "variant", "logistic": "c"}
    if head in options:
        assert rows[options[head]]
    assert ("--set" in out) == (head != "logistic")  # a solved head has no recipe


def test_every_option_of_a_head_has_a_meaning(sercache: Sercache, monkeypatch: pytest.MonkeyPatch) -> None:
    from sercache import catalog, published

    for name in catalog.names("sercache.heads"):
        for option, about in published.described_options(catalog.load("sercache.heads", name)).items():
            assert about.takes, f"{name}: {option}"
            assert about.meaning, f"{name}: {option}: say in OPTIONS what it means"
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = sercache("heads", "speaker-specific")
    assert "\n  configuration  all-frozen" in out, "an indented name is not broken after its indent"


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("wavlm-large", 316.6),
        ("hubert-xlarge", 964),
        ("distilhubert", 23.5),
        ("data2vec-audio-base", 93.8),
        ("w2v-bert-2.0", 580),
        ("parakeet-ctc-1.1b", 1062.5),
        ("whisper-large-v2", 636.8),
        ("xlm-roberta-base", 278),
    ],
)
def test_an_encoder_has_the_size_that_its_authors_print(name: str, millions: float) -> None:
    """Theirs count what we do not run: quantisers, pooling, the mask."""
    from sercache import encoders

    card = encoders.card(name)
    assert card.n_parameters == pytest.approx(1e6 * millions, rel=0.01)
    assert card.n_bytes == 4 * card.n_parameters


def test_an_encoder_is_shown_with_what_one_asks_first(
    sercache: Sercache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercache import catalog, encoders

    for family, module in encoders.families().items():
        if encoders.is_checkpoints(module) and not catalog.digest_of(module.__name__):
            for short in module.SHORT_NAMES:
                assert module.PUBLISHED[short].trained_on, f"{family}: {short}"
                assert module.PUBLISHED[short].licence, f"{family}: {short}"
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = sercache("encoders", "wavlm-large")
    assert code == 0, err
    assert "315.5 million parameters, 1.3 GB" in out
    assert "GigaSpeech 10,000 h" in out
    assert max(map(len, out.splitlines())) <= 80
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(
        '{"model_type": "whisper", "d_model": 48, "encoder_attention_heads": 4}'
    )
    card = encoders.card(str(tmp_path / "mine"))
    assert (card.name, card.n_blocks, card.dim) == ("mine", 4, 48)
    (tmp_path / "mine" / "config.json").write_text('{"model_type": "whisper", "d_model": 50}')
    code, _, err = sercache("encoders", str(tmp_path / "mine"))
    assert (code, err.count("\n")) == (2, 1)
    assert "describes no model" in err


def test_rows_go_whole_into_a_pipe() -> None:
    rows = [("name", "text"), ("a", "words " * 60)]
    assert len(columns(rows)) == 2


def test_summaries_of_commands_are_not_cut() -> None:
    text = cli.cli.get_help(click.Context(cli.cli, info_name="sercache"))
    assert "…" not in text
    assert "..." not in text.partition("Commands:")[2]


def test_no_sentence_of_a_help_is_cut() -> None:
    for name, command in cli.cli.commands.items():
        context = click.Context(
            command, info_name=f"sercache {name}", terminal_width=80, max_content_width=80
        )
        text = command.get_help(context)
        shown = "".join(text.split())
        told = [command.help, *(each.help for each in command.params if isinstance(each, click.Option))]
        for sentence in filter(None, told):
            assert "".join(sentence.replace("\b", "").split()) in shown, f"{name}: {sentence}"
        prose = text.partition("Example")[0] + text.partition("Options:")[2]
        assert max(map(len, prose.splitlines())) <= 80, name


def test_config_names_every_key() -> None:
    from sercache import settings

    text = cli.cli.commands["config"].get_help(click.Context(cli.cli, info_name="config"))
    for key in (*settings.KEYS, *(f"{section}." for section in settings.SECTIONS)):
        assert key in text


def test_a_value_may_end_in_an_equals_sign_and_an_empty_one_names_its_option(
    sercache: Sercache, tmp_path: Path
) -> None:
    (tmp_path / "a=").mkdir()
    assert sercache("info", f"--cache={tmp_path}/a=").code == 0
    assert "--cache is empty" in sercache("info", "--cache=").err
    assert "what follows --json is empty" in sercache("info", "--json", "").err
