"""Golden line: what every command and every head leave on disk, so that what lies between may be rebuilt.

``golden_line.json`` holds, by case, the files that a command writes: their names; of JSON and CSV every field and
column with its type and value; of weights their names, types and shapes. ``test_golden_line.py`` gives the commands
again. What may differ between two runs, machines or releases of a library is named in OPEN; how a thing is said in
TEXT. ``golden.py`` holds what trainings come to in float64, much closer.

    make golden         writes the file anew, and says what changed in it

The recordings are made of whole numbers, and the demo encoder's weights are the same everywhere: so are digests of
audio, utterances, experiments and trainings. Other numbers may differ by TOLERANCE, which is derived from how
trainings in float32 round. Where that much decided a class, the class and the scores that count it are left open.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import re
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import soundfile
import torch
from click.testing import CliRunner
from encoder_helpers import save, tiny_model, tiny_whisper
from tolerances import rounding

from sercache import catalog, cli

FILE = Path(__file__).with_name("golden_line.json")
UPDATES = 24
"""Most updates that a training makes here."""
TOLERANCE = rounding(torch.float32, terms=100 * UPDATES)
"""Of a number of size 1: a mean over up to a hundred items, of weights that each update left a rounding apart."""
ANY = "?"
"""Stands for what is not compared, a value or all that a field holds."""
OPEN = (
    "timing", "environment", "weights_sha256", "crc32c", "seconds",
    "dev_wa", "dev_ua", "dev_rho", "x", "y", "silhouette",
)  # fmt: skip
"""Fields and columns that hold what a machine or a moment decides: whether they are there is compared."""
TEXT = (
    "notes", "deviations", "normalisation", "selection", "layer_weights_are", "warnings", "printed", "not_counted",
)  # fmt: skip
"""Fields that are words for people."""
COUNTED, RANKED = ("scores", "summary", "confusion", "wa", "ua", "macro_f1"), ("rho",)
"""Fields that count classes, and that go by ranks: open where TOLERANCE decides one."""
_DIGEST = re.compile(r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{16}\b")
_SHA256 = re.compile(r"\b([0-9a-f]{16})[0-9a-f]{48}\b")
_SOLVED = ("logistic", "svm")


@dataclass(frozen=True)
class Case:
    """Commands, and the folders and files whose content they decide."""

    commands: Sequence[str]
    """With the places of the world in braces."""
    leaves: Sequence[str]
    """What is looked at, below the world; a folder with all that lies in it."""
    needs: Sequence[str] = ()
    """Cases that come first."""
    slow: bool = True
    own_weights: bool = False
    """A checkpoint or corpus that was drawn in floats: digests that contain it are those of a machine."""
    drawn: bool = False
    """Whether pictures are made, which take most of a small training's time."""
    tolerance: float = TOLERANCE


_TRAIN = "train --encoder demo-wavlm --dataset here --protocol leave-one-session-out --clip none "
_FOLDS = "--dev random20 "
_SGD = "--set optimiser=sgd --set batch-size=8"
"""Adam divides by the size of a gradient, and makes of one that is only rounding a full step (see ``tolerances``)."""
_QUICK = f"--seeds 1 --set max-epochs=2 --set lr=0.02 {_SGD} "
_DEV = _FOLDS + _QUICK + "--set select=dev-loss "
_RECURRENT = "--option hidden=6 --option heads=2 --option head-dim=4 "
_CONVOLUTION = "--option width=16 --option hidden=32 --option max-frames=12 "
_HEADS: dict[str, str] = {
    "attention-blocks": "--states 2 --finetune-from none --set balance=none",
    "cnn-lstm": f"--states 3 --task avd {_CONVOLUTION}",
    "cnn-lstm-attention": f"--states 3 --task avd {_CONVOLUTION}",
    "emobox": "--states 2",
    "egemaps-fusion": "--states blocks --beside logmel:all:frames --option hidden=8",
    "pair-rnn": f"--states 2 --beside logmel:all:frames {_RECURRENT}",
    "speaker-id": "--states 2 --finetune-from none",
    "speaker-specific": "--states 2 --finetune-from none --beside demo-wavlm:3:pooled --set balance=none",
    "rnn": f"--states 2 {_RECURRENT}",
    **dict.fromkeys(("wf-rnn", "ef-rnn", "lf-rnn", "cta-rnn"), f"--states blocks {_RECURRENT}"),
    "cta": "--states blocks --option heads=2 --option head-dim=4",
    "weighted-lstm": "--states blocks --option hidden=8",
    "weighted-dense": "--states blocks --option hidden=8",
}
"""Options of heads whose published ones would not fit here or only cost time."""


def cases() -> dict[str, Case]:
    """Every case by its name; a head that is new gets one by itself."""
    found = dict([*_extractions(), *_trainings(), *_others()])
    for name in catalog.names("sercache.heads"):
        options = _HEADS.get(name, "--states blocks")
        recipe = _FOLDS + "--seeds 1 " if name in _SOLVED else _DEV
        found[f"head {name}"] = Case(
            [f"{_TRAIN} --head {name} {recipe} {options} --name head-{name}"],
            [f"runs/head-{name}"],
            ["extract", "extract logmel"],
        )
    return found


def _extractions() -> Iterator[tuple[str, Case]]:
    here, tiny = "--dataset manifest:here --root {here}/list.csv", "extract --encoder {tiny}"
    demo = "extract --encoder demo-wavlm --dataset manifest:"
    means = f"extract --encoder mfcc {here} --pooled-only --format hdf5 --clip split:0.25"
    yield "extract", Case([demo + "here --root {here}/list.csv"], ["cache/here/demo-wavlm-*"], slow=False)
    yield "extract there", Case([demo + "there --root {there}"], ["cache/there/demo-wavlm-*"], slow=False)
    yield (
        "extract logmel",
        Case([f"extract --encoder logmel {here} --dtype float32"], ["cache/here/logmel-*"]),
    )
    yield "extract means", Case([means], ["cache/here/mfcc-*"])
    yield "extract tiny", Case([f"{tiny} {here} --states 1"], ["cache/here/tiny-*"], own_weights=True)
    demo = "extract --encoder mfcc --dataset demo --root {world}/demo --limit 4"
    yield "extract demo", Case([demo], ["cache/demo/*"], own_weights=True)


def _trainings() -> Iterator[tuple[str, Case]]:
    def case(name: str, options: str, *needs: str, **more: Any) -> Case:
        return Case([f"{options} --name {name}"], [f"runs/{name}"], needs or ["extract"], **more)

    blocks = f"{_TRAIN} --head linear --states blocks {_FOLDS}"
    linear = f"{blocks} --set max-epochs=3 --set lr=0.05 {_SGD}"
    numbers = f"{blocks} {_QUICK} --set select=dev-loss --task avd"
    split = "train --encoder mfcc --dataset here --head mlp --clip split:0.25 --states all"
    tuned = "train --encoder {tiny} --dataset here --head superb --states 2 --finetune-from 1 --set lr=0.001"
    last = "--set select=last-epoch --set patience=none"
    yield "train", case("linear", f"{linear} --seeds 2", slow=False)
    scope = "--protocol speaker-kfold:3 --dev next --normalise speaker --seeds 1"
    yield "train, by speaker", case("speakers", f"{linear} {scope}")
    yield "train --duplicates", case("apart", f"{linear} --duplicates apart --share-order --seeds 2 --serial")
    both = ("extract", "extract there")
    yield "train --test-on", case("tested", f"{linear} --test-on there --seeds 1", *both)
    everything = f"{linear} --protocol all --dev none {last} --test-on there --seeds 1"
    yield "train --protocol all", case("all", everything, *both)
    pieces = f"{split} --protocol leave-one-session-out {_DEV}"
    yield "train, pieces", case("pieces", pieces, "extract means")
    yield "train, numbers", case("numbers", f"{numbers} --set loss=mse")
    yield "train --target", case("valence", f"{numbers} --target valence --set loss=ccc")
    start = "--start-from {runs}/linear --seeds 1 --set lr=0.002"
    yield "train --start-from", case("started", f"{linear} {start}", "train", own_weights=True)
    tuned += f" --protocol leave-one-session-out {_FOLDS} {_SGD} --seeds 1 --set max-epochs=1 --set select=dev-loss"
    yield "train --finetune-from", case("tuned", tuned, "extract tiny", own_weights=True)


def _others() -> Iterator[tuple[str, Case]]:
    """Commands that read what others left."""
    loso = "--encoder demo-wavlm --dataset here --protocol leave-one-session-out"
    there = Case(
        ["evaluate {runs}/linear --dataset there"], ["runs/linear/on-there"], ["train", "extract there"]
    )
    yield "evaluate", replace(there, slow=False)
    grid = (
        f"--seeds 1 {_SGD} --grid lr=0.02,0.05 --grid hidden=4 --set max-epochs=2 --on dev-loss --name grid"
    )
    sweep = Case([f"sweep --head mlp {loso} {_FOLDS} {grid}"], ["runs/grid"], ["extract"])
    yield "sweep", replace(sweep, slow=False)
    probe = Case([f"probe {loso} --states blocks"], ["runs/probe*"], ["extract"], drawn=True)
    yield "probe", replace(probe, tolerance=1.5 / 30)  # counts utterances, of which a tie may go either way
    yield "lexical", Case(["lexical {runs}/linear"], ["runs/linear/lexical*"], ["train"])
    yield "report", Case(["report {runs}/linear --format csv"], ["out.csv"], ["train"])
    export = "export {runs}/tuned --fold g0 --encoder {tiny} --out {world}/exported"
    yield "export", Case([export], ["exported"], ["train --finetune-from"], own_weights=True)
    run, needed = "runs/head-attention-blocks", ["head attention-blocks"]
    drawn = f"map {{world}}/{run} --dataset here --by label --fold g0"
    yield "map", Case([drawn], [f"{run}/map*"], needed, drawn=True)
    hear = "transcribe --model {whisper} --dataset here --out {world}/heard.csv --limit 3"
    yield "transcribe", Case([hear], ["heard.csv"], ["extract"], own_weights=True)
    rows = "--rows 48 --only-available --root ravdess={ravdess} --seeds 1 --set max-epochs=1"
    leaves = ["runs/pepino2021/*.*", "runs/pepino2021/*/report.json"]
    reproduce = Case([f"reproduce pepino2021 table1 {rows}"], leaves, own_weights=True)
    yield "reproduce", replace(reproduce, drawn=True)


class World:
    """A folder with corpora, checkpoints, cache and runs, in which cases are computed once each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[str, Any] = {}
        make_corpus(folder / "here", 30, 6, 0)
        make_corpus(folder / "there", 9, 3, 100)

    def digest(self, name: str) -> Any:
        """What the commands of a case leave, those that it needs given first."""
        if name not in self.found:
            case = cases()[name]
            for other in case.needs:
                self.digest(other)
            for command in case.commands:
                self._give(command, case)
            self.found[name] = self._look(case)
        return self.found[name]

    def _give(self, command: str, case: Case) -> None:
        places = {name: self.folder / name for name in ("here", "there", "runs")} | {"world": self.folder}
        places |= {
            name: self._made(name) for name in ("tiny", "whisper", "ravdess") if f"{{{name}}}" in command
        }
        arguments = [part.format(**places) for part in shlex.split(command)]
        with contextlib.nullcontext() if case.drawn else _undrawn():
            done = CliRunner().invoke(cli.cli, arguments, env=self._variables())
        if done.exit_code:
            raise AssertionError(f"sercache {shlex.join(arguments)}: {done.output}") from done.exception
        if arguments[0] == "report":
            (self.folder / "out.csv").write_text(done.stdout)

    def _variables(self) -> dict[str, str]:
        own = {"CONFIG": "config.toml", "CACHE": "cache", "RUNS": "runs"}
        return {f"SERCACHE_{name}": str(self.folder / place) for name, place in own.items()} | {
            "SERCACHE_DEVICE": "cpu",
            "HF_HUB_OFFLINE": "1",
        }

    def _made(self, name: str) -> Path:
        """A checkpoint or corpus that only some cases need, made when the first does."""
        place = self.folder / name
        if place.exists():
            return place
        if name == "tiny":
            return save(tiny_model("wavlm-base"), place)
        if name == "ravdess":
            return _ravdess(place)
        import text_helpers

        tiny_whisper(place)
        text_helpers.tokenizer().save_pretrained(place)
        return place

    def _look(self, case: Case) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for pattern in case.leaves:
            for top in sorted(self.folder.glob(pattern)):
                files = sorted(path for path in top.rglob("*") if path.is_file()) if top.is_dir() else [top]
                for path in files:
                    if path.name != "lock":
                        found[path.relative_to(self.folder).as_posix()] = self._content(path)
        assert found, f"nothing at {case.leaves}"
        if case.own_weights:
            found = _without_digests(found)
        return _undecided(found)

    def _content(self, path: Path) -> Any:
        """What is compared of a file; None for one that counts by its name alone."""
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            shapes = {k: f"{v.dtype} {[*v.shape]}" for k, v in sorted(load_file(path).items())}
            return {k: v.replace("torch.float32 ", "").replace(" ", "") for k, v in shapes.items()}
        in_store = "/cache/" in path.as_posix()
        if path.suffix not in (".json", ".jsonl", ".csv") or (in_store and path.name != "spec.json"):
            return None
        text = path.read_text(encoding="utf-8").replace(str(self.folder), "@")
        if path.suffix == ".json":
            return _frozen(json.loads(text))
        if path.suffix == ".jsonl":
            return _columns([json.loads(line) for line in text.splitlines()])
        table = csv.DictReader(io.StringIO(text))
        if path.name == "epochs.csv":  # the values are those of history.jsonl
            return list(table.fieldnames or ())
        if (
            path.name == "predictions-dev.csv"
        ):  # that these give the dev scores is seen in test_probabilities.py
            return dict.fromkeys(table.fieldnames or (), ANY)
        return _columns([{k: _cell(v) for k, v in row.items()} for row in table])


def make_corpus(folder: Path, n: int, n_speakers: int, first: int) -> None:
    """A table and ``n`` recordings of sawteeth and noise, of whole numbers all through."""
    folder.mkdir(parents=True)
    words = ("yes", "no", "well", "maybe")
    rows = ["id,path,label,speaker,group,transcript,arousal,valence,dominance,scale"]
    for k in range(n):
        kind, speaker = k % 3, k // 3 % n_speakers
        chance = np.random.default_rng(first + k)
        samples, period = np.arange(chance.integers(3200, 6400)), (20, 50, 120)[kind] + 5 * speaker
        wave = samples % period * (9000 // period) * (kind + 1) // 2 + chance.integers(
            -600, 600, len(samples)
        )
        soundfile.write(folder / f"{k:02d}.wav", wave.astype(np.int16), 16_000, subtype="PCM_16")
        said = f"{words[k % 4]} {words[kind]}"
        numbers = f"{1 + k % 5},{5 - k * 3 % 5},{1 + k * 7 % 5},1..5"
        label = ("anger", "happiness", "sadness")[kind]
        rows.append(f"u{first + k},{k:02d}.wav,{label},s{first + speaker},g{speaker % 2},{said},{numbers}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")


def _ravdess(place: Path) -> Path:
    from corpus_trees import TREES
    from paper_world import give_voices

    root = TREES["ravdess"](place)
    give_voices(place)
    return root


def _undrawn() -> contextlib.ExitStack:
    """Leaves out the pictures and the page of a run."""
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch("sercache.report.plots.draw", return_value=[]))
    stack.enter_context(mock.patch("sercache.report.page.write", lambda report, path, **options: path))
    return stack


def _frozen(value: Any) -> Any:
    """As the file holds it: floats of four digits, as TOLERANCE leaves no more, what is open left out."""
    if isinstance(value, Mapping):
        return {k: ANY if k in OPEN + TEXT else _frozen(each) for k, each in value.items()}
    if isinstance(value, list):
        return [_frozen(each) for each in value]
    if isinstance(value, str):
        return _SHA256.sub(r"\1", value)
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A table by column; of one that is open its name alone."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {k: ANY if k in OPEN + TEXT else [_frozen(row.get(k)) for row in rows] for k in names}


def _cell(text: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _without_digests(value: Any, name: str = "") -> Any:
    """Digests of what torch drew are left open, and those that name a folder are cut off."""
    if isinstance(value, Mapping):
        return {_DIGEST.sub(ANY, k): _without_digests(each, k) for k, each in value.items()}
    if isinstance(value, list):
        kept = [_without_digests(each, name) for each in value]
        return ANY if kept and all(each == ANY for each in kept) else kept
    return _DIGEST.sub(ANY, value) if isinstance(value, str) and not name.endswith("_sha256") else value


def _undecided(found: dict[str, Any]) -> dict[str, Any]:
    """Classes that TOLERANCE decides are left open, and with them all that counts them."""
    close_classes = close_ranks = False
    for path, table in found.items():
        if not Path(path).name.startswith("predictions") or ANY in table.values():
            continue
        chances = np.array([v for k, v in table.items() if k.startswith("p:")], float)
        said = [np.array(v, float) for k, v in table.items() if k.startswith("predicted:")]
        if len(chances):
            best = np.sort(chances, axis=0)
            close = best[-1] - best[-2] <= 2 * TOLERANCE
            table["predicted"] = [ANY if c else v for c, v in zip(close, table["predicted"], strict=True)]
            close_classes |= bool(close.any())
        if any((np.diff(np.sort(values)) <= 2 * TOLERANCE).any() for values in said):
            close_ranks = True
    if close_classes:
        found = _opened(found, COUNTED)
    return _opened(found, RANKED) if close_ranks else found


def _opened(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        return {k: ANY if k.partition(":")[0] in names else _opened(v, names) for k, v in value.items()}
    return [_opened(each, names) for each in value] if isinstance(value, list) else value


def differences(found: Any, expected: Any, tolerance: float, where: str = "") -> Iterator[str]:
    """Where two digests differ, a line each."""
    if ANY in (found, expected):
        return
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(found.keys() | expected.keys()):
            place = f"{where} > {name}" if where else name
            if name not in found or name not in expected:
                yield f"{place} is {'new' if name in found else 'gone'}"
            else:
                yield from differences(found[name], expected[name], tolerance, place)
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        for k, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
            yield from differences(ours, theirs, tolerance, f"{where}[{k}]")
    elif isinstance(expected, float) and isinstance(found, float):
        if not math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance):
            yield f"{where} is {found}, expected {expected} within {tolerance:.1g}"
    elif type(found) is not type(expected) or found != expected:
        yield f"{where} is {found!r}, expected {expected!r}"


def read() -> dict[str, Any]:
    """The digest of every case."""
    if not FILE.exists():
        return {}
    record = json.loads(FILE.read_text())
    return {name: _unpacked(each, record["shared"]) for name, each in record["cases"].items()}


def write() -> int:
    """Write the file anew and say what changed in it; digits within the tolerance stay as they were."""
    before, after = read(), {}
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for name, case in cases().items():
            after[name] = json.loads(json.dumps(world.digest(name)))
            changes = (
                list(differences(after[name], before[name], case.tolerance)) if name in before else ["new"]
            )
            if not changes:
                after[name] = before[name]
            print(*(f"{name}: {each}" for each in changes[:20]), sep="\n", end="\n" if changes else "")
    shared: dict[str, int] = {}
    packed = _packed(after, _repeated(after), shared)
    lines = [f"{json.dumps(name)}: {_short(each)}" for name, each in packed.items()]
    FILE.write_text(
        '{"shared": [\n' + ",\n".join(shared) + '\n], "cases": {\n' + ",\n".join(lines) + "\n}}\n"
    )
    print(f"{FILE.name}: {len(after)} cases, {FILE.stat().st_size / 1e3:.0f} kB")
    return 0


def _repeated(value: Any) -> set[str]:
    """As JSON, the mappings and lists that stand in several places."""
    seen: Counter[str] = Counter()

    def visit(each: Any) -> None:
        if isinstance(each, dict | list):
            text = json.dumps(each)
            seen[text] += len(text) > 30
            if seen[text] < 2:
                for inner in each.values() if isinstance(each, dict) else each:
                    visit(inner)

    visit(value)
    return {text for text, n in seen.items() if n > 1}


def _packed(value: Any, repeated: set[str], shared: dict[str, int]) -> Any:
    """The value with ``{"=": k}`` for what stands in several places, which is the k-th of ``shared`` as JSON."""
    if not isinstance(value, dict | list):
        return value
    if isinstance(value, dict):
        packed: Any = {k: _packed(each, repeated, shared) for k, each in value.items()}
    else:
        packed = [_packed(each, repeated, shared) for each in value]
    if json.dumps(value) not in repeated:
        return packed
    return {"=": shared.setdefault(_short(packed), len(shared))}


def _short(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _unpacked(value: Any, shared: Sequence[Any]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"="}:
            return _unpacked(shared[value["="]], shared)
        return {k: _unpacked(each, shared) for k, each in value.items()}
    return [_unpacked(each, shared) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(write())
