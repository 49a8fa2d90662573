"""JSON of listings, completion in shells, the list of commands, and files of one's own to begin with."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import howto
import pytest
from click.shell_completion import ShellComplete
from conftest import Outcome

from sercache.cli import SECTIONS, cli

Run = Callable[..., Outcome]


def test_every_command_stands_under_one_heading() -> None:
    named = [name for names in SECTIONS.values() for name in names]
    assert sorted(named) == sorted(cli.commands)


@pytest.mark.parametrize(
    ("arguments", "holds"),
    [
        (("datasets",), "emodb"),
        (("datasets", "emodb"), "tasks"),
        (("encoders",), "wavlm-large"),
        (("encoders", "wavlm-large"), "source"),
        (("heads",), "superb"),
        (("heads", "superb"), "recipe"),
        (("config",), "settings"),
    ],
)
def test_a_listing_is_one_json_document(arguments: tuple[str, ...], holds: str, sercache: Run) -> None:
    code, out, err = sercache(*arguments, "--json")
    assert code == 0, err
    assert holds in json.loads(out)


@pytest.mark.usefixtures("own_settings")
def test_stores_as_json_stand_alone_on_standard_output(sercache: Run) -> None:
    code, out, err = sercache("info", "--json")
    assert (code, json.loads(out)) == (0, [])
    assert "cache" in err, "what is said beside it goes to standard error"


def test_every_command_speaks_to_programs() -> None:
    without = {
        name for name, command in cli.commands.items() if "as_json" not in {p.name for p in command.params}
    }
    assert without == {"completion", "predict"}  # a script of the shell, and JSON lines by default


def test_results_stand_alone_on_standard_output(cached: Path, recordings: Path, sercache: Run) -> None:
    given = ("--encoder", "logmel", "--dataset", "manifest")
    found = {}
    for name, *options in (
        ("extract", *given, "--root", recordings),
        ("train", "--head", "logistic", *given, "--name", "one"),
        ("train", "--head", "svm", *given, "--name", "two"),
        ("compare", cached / "one", cached / "two"),
        ("report", cached / "one"),
        ("probe", *given),
        ("verify",),
        ("check", "linear"),
        ("reproduce",),
        ("prune", "--leftovers", "--dry-run"),
        ("datasets", "manifest", "--counts", "--root", recordings),
        ("new", "head", "my-head", "--folder", cached),
    ):
        code, out, err = sercache(name, *options, "--json")
        assert code == 0, err
        found[name] = json.loads(out)
    assert found["extract"]["n_entries"] == 24
    assert found["train"]["folder"] == str(cached / "two")
    assert found["report"] == [{**found["report"][0], "folder": str(cached / "one"), "head": "logistic"}]
    assert found["report"][0].keys() == found["train"].keys()
    assert found["probe"]["states"]["logmel"]["ua"]["seeds"]["mean"] > 0.5
    assert [store["is_whole"] for store in found["verify"]] == [True]
    assert [row["loud"] for row in found["datasets"]] == [12, 12]
    assert not any(each["faults"] for each in found["check"]["head"])
    assert {row["paper"] for row in found["reproduce"]} >= {"chen2022", "park2023"}
    assert Path(found["new"]["written"]).is_file()


def test_a_damaged_store_is_told_to_programs(cached: Path, sercache: Run) -> None:
    [shard] = (cached.parent / "cache").rglob("frames/c.*")
    shard.write_bytes(bytes(len(shard.read_bytes())))
    code, out, _ = sercache("verify", "--json")
    assert code == 2
    [store] = json.loads(out)
    assert not store["is_whole"]
    assert store["damage"][0]["reason"]


@pytest.mark.parametrize("kind", ["head", "corpus", "encoder"])
def test_a_new_file_is_the_one_of_its_page_and_keeps_its_contract(
    kind: str, sercache: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = resources.files("sercache.experiment.templates") / f"my_{kind}.py"
    assert howto.files()[f"my_{kind}.py"].partition("\n")[2] == template.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, out, err = sercache("new", kind, "try-it")
    assert code == 0, err
    text = (tmp_path / "try_it.py").read_text(encoding="utf-8")
    assert "my_" not in text.replace("my_head", "") or kind == "head"
    advised = [line[10:] for line in out.splitlines() if line.startswith("next")]
    assert len(advised) >= 2
    for line in (
        advised[:2] if kind != "head" else advised[:1]
    ):  # the rest extracts and trains: docs/howto does
        done = sercache(*shlex.split(line)[1:]) if " extract " not in line else None
        assert done is None or done.code == 0, f"{line}: {done.err}"
    again = sercache("new", kind, "try-it")
    assert again.code == 2
    assert "there already" in again.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("superb", "called superb already"),
        ("My Head", "no name for a file"),
        ("class", "no name"),
        ("../x", "no name"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name: str, words: str, sercache: Run, tmp_path: Path) -> None:
    code, _, err = sercache("new", "head", name, "--folder", tmp_path)
    assert code == 2
    assert words in err
    assert list(tmp_path.iterdir()) == []


def completed(*words: str) -> list[str]:
    *given, begun = words
    found = ShellComplete(cli, {}, "sercache", "_SERCACHE_COMPLETE").get_completions(list(given), begun)
    return [item.value for item in found]


@pytest.mark.usefixtures("own_settings")
def test_names_are_completed() -> None:
    assert completed("tra") == ["train", "transcribe"]
    assert "layer-attention" in completed("train", "--head", "la")
    assert completed("extract", "--dataset", "emod") == ["emodb"]
    assert completed("extract", "--encoder", "wavlm-b") == ["wavlm-base", "wavlm-base-plus"]
    assert completed("heads", "sup") == ["superb"]
    assert "--json" in completed("info", "--j")


def test_runs_and_stores_are_completed(
    own_settings: Path, sercache: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--encoder", "logmel", "--dataset", "manifest", "--pooled-only")
    rows = own_settings / "rows.csv"
    import numpy as np
    import soundfile

    soundfile.write(own_settings / "a.wav", np.sin(np.arange(16_000) / 10) / 2, 16_000)
    rows.write_text("id,path,label,speaker\na,a.wav,x,s\n")
    assert sercache("extract", *given, "--root", rows).code == 0
    [store] = completed("verify", str(own_settings / "cache"))[:1]
    assert Path(store).is_dir()
    assert "logmel" in store
    (own_settings / "runs" / "first").mkdir(parents=True)
    (own_settings / "runs" / "first" / "report.json").write_text("{}")
    begun, run = str(own_settings / "runs" / "f"), str(own_settings / "runs" / "first")
    for words in (("report", begun), ("compare", run, begun), ("evaluate", begun), ("predict", begun)):
        assert completed(*words) == [run], words
    monkeypatch.setenv("HOME", str(own_settings))
    assert completed("report", "~/runs/fi") == [run]
    assert completed("report", "elsewhere/") == ["elsewhere/"], "left to the shell, which knows paths"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_its_script(shell: str, sercache: Run) -> None:
    code, script, _ = sercache("completion", shell)
    assert code == 0
    assert "_SERCACHE_COMPLETE" in script
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script, text=True, check=False).returncode == 0


SHELLS = {
    "bash": ("--norc --noprofile -i", 'eval "$(sercache completion bash)"'),
    "zsh": ("-f -i", 'autoload -U compinit; compinit -u; eval "$(sercache completion zsh)"'),
    "fish": ("--no-config -i", "sercache completion fish | source"),
}
"""How each begins without the files of whoever runs the tests, and the line that its page has one type."""


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_typed_is_completed(shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pexpect = pytest.importorskip("pexpect", reason="there is no pexpect here, which types")
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    program = tmp_path / "bin" / "sercache"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sercache.cli "$@"\n')
    program.chmod(0o755)
    (tmp_path / "runs" / "first-run").mkdir(parents=True)
    (tmp_path / "runs" / "first-run" / "report.json").write_text("{}")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SERCACHE_RUNS", "runs")
    monkeypatch.setenv("SERCACHE_CONFIG", str(tmp_path / "config.toml"))
    for name, value in {"HOME": str(tmp_path), "TERM": "dumb", "PS1": "> "}.items():
        monkeypatch.setenv(name, value)
    options, line = SHELLS[shell]
    typing = pexpect.spawn(
        f"{shell} {options}", encoding="utf-8", timeout=120, cwd=tmp_path, dimensions=(40, 200)
    )
    try:
        typing.sendline(f"{line}; echo re''ady")
        typing.expect("ready\r")
        for begun, whole in (
            ("train --head layer-at", "layer-attention"),
            ("report runs/fi", "runs/first-run"),
        ):
            typing.send(f"sercache {begun}\t")
            typing.expect(whole)
            typing.sendcontrol("u")
            typing.sendline("")
    finally:
        typing.close(force=True)
