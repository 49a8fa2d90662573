"""The wheel with the oldest or newest versions that pyproject.toml allows: bare, with each extra alone, and all tests.

    make test-oldest                                  what it needs at its oldest, then the fast tier
    make test-newest TORCH=2.13.0                     another version of torch than the oldest or newest allowed
    python tests/versions.py oldest --only bare tune  environments of these alone, without the fast tier

Each environment is made anew by uv, which can choose the lowest version that fits; nothing is taken from
constraints.txt. It prints a row for each as it ends, and fails where one did.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).parents[1]
CORPUS = TOP / "tests" / "fixtures" / "a1b0434" / "corpus"
EXTRAS = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
NOT_FEATURES = ("dev", "docs")
"""Extras for those who work on sercache."""

_TABLE = ("--dataset", "manifest", "--root", str(CORPUS / "list.csv"))
_FOLDS = ("--encoder", "mfcc", *_TABLE, "--protocol", "leave-one-speaker-out")
_TRAIN = ("train", "--head", "linear", *_FOLDS, "--seeds", "1")
LINE = (
    ("extract", "--encoder", "mfcc", *_TABLE),
    (*_TRAIN, "--name", "one"),
    ("report", "runs/one"),
    ("verify",),
    ("info",),
)
"""What every environment does: from recordings to a table."""
_ANALYSIS = """
import pathlib, sercache, xarray
print(sercache.Result.load("runs/one").to_dataframe())
(store,) = pathlib.Path("cache").glob("*/*")
print(xarray.open_zarr(store))
"""
_OBJECTS = """
import pathlib, sys
sys.path.insert(0, sys.argv[2])
import sercache, static_files
store = pathlib.Path(sys.argv[1])
with static_files.static_server(store.parent) as server:
    there = sercache.open_store(f"{server.address}/{store.name}")
    assert (there.pooled() == sercache.open_store(store).pooled()).all()
"""
_AUDFORMAT = """
import csv, pathlib, shutil, sys, audformat, pandas
source, out = map(pathlib.Path, sys.argv[1:])
rows = list(csv.DictReader((source / "list.csv").open()))
db = audformat.Database("mine")
db.schemes["emotion"] = audformat.Scheme(labels=sorted({row["label"] for row in rows}))
db.schemes["speaker"] = audformat.Scheme(labels=sorted({row["speaker"] for row in rows}))
table = db["files"] = audformat.Table(audformat.filewise_index([row["path"] for row in rows]))
for name, column in (("emotion", "label"), ("speaker", "speaker")):
    table[name] = audformat.Column(scheme_id=name)
    table[name].set([row[column] for row in rows])
db.save(str(out))
for row in rows:
    (out / row["path"]).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / row["path"], out / row["path"])
"""
_WORDS = "from sercache import transcription as t; print(t.error_rates({'a': 'one two'}, {'a': 'one too'}))"
USES: dict[str, tuple[tuple[str, ...], ...]] = {
    "report": (("-c", "import pathlib; assert [*pathlib.Path('runs/one/plots').iterdir()]"),),
    "demo": (("extract", "--encoder", "logmel", "--dataset", "demo"),),
    "opensmile": (("extract", "--encoder", "egemaps", *_TABLE),),
    "corpora": (
        ("-c", _AUDFORMAT, str(CORPUS), "db"),
        ("extract", *["--encoder", "mfcc", "--dataset", "audformat", "--root", "db"]),
    ),
    "asr": (("-c", _WORDS),),
    "vad": (("extract", "--encoder", "logmel", "--clip", "vad", *_TABLE),),
    "tune": (
        (
            "sweep",
            "--head",
            "linear",
            *_FOLDS,
            *["--grid", "lr=1e-3,1e-2", "--trials", "2", "--name", "swept"],
        ),
    ),
    "track": ((*_TRAIN, "--track", "--name", "tracked"),),
    "parquet": (("export", "STORE", "--to", "parquet", "--out", "parquet"),),
    "analysis": (("-c", _ANALYSIS),),
    "objects": (("-c", _OBJECTS, "STORE", str(TOP / "benchmarks")),),
    "cluster": ((*_TRAIN, "--cluster", "local:1", "--name", "shared"),),
}
"""By extra, what it is for."""


def run(words: Sequence[str | Path], where: Path, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SERCACHE", "PYTHONPATH"))
    }
    own = {
        "SERCACHE_CACHE": str(where / "cache"),
        "SERCACHE_RUNS": str(where / "runs"),
        "SERCACHE_CONFIG": str(where / "config.toml"),
        "XDG_CACHE_HOME": str(where / "xdg"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [str(word) for word in words],
        cwd=where,
        env=kept | own | more,
        capture_output=True,
        text=True,
        check=False,
    )


def make(folder: Path, what: Sequence[str], options: argparse.Namespace) -> str | None:
    """Install ``what`` into a new environment; what failed, in words."""
    uv, python = os.environ.get("UV", Path(sys.executable).with_name("uv")), folder / "env" / "bin" / "python"
    (folder / "override.txt").write_text(
        f"torch=={options.torch}\n" if options.torch else "", encoding="utf-8"
    )
    lowest_or_highest = "lowest-direct" if options.versions == "oldest" else "highest"
    how = ("--resolution", lowest_or_highest, "--override", folder / "override.txt")
    for words in (
        (uv, "venv", "--quiet", "--python", sys.executable, folder / "env"),
        (uv, "pip", "install", "--quiet", "--python", python, *how, *what),
    ):
        # What was fetched serves the next environment; files are linked, since torch alone has a gigabyte of them.
        done = run(words, folder, UV_CACHE_DIR=str(options.downloads), UV_LINK_MODE="symlink")
        if done.returncode:
            return f"uv {words[1]}: {done.stderr.strip()[-2000:]}"
    return None


def uses(folder: Path, extra: str | None) -> str | None:
    """The line, then what the extra is for; what failed, in words."""
    for words in (*LINE, *USES.get(extra or "", ())):
        program = folder / "env" / "bin" / ("python" if words[0] == "-c" else "sercache")
        found = [next((folder / "cache").glob("*/*")) if word == "STORE" else word for word in words]
        done = run([program, *found], folder)
        if done.returncode:
            return f"{' '.join(words)}: {done.stderr.strip()[-2000:]}"
    return None


def fast_tier(folder: Path, options: argparse.Namespace) -> str | None:
    failed = make(folder, ("--editable", f"{TOP}[dev]"), options)
    if failed:
        return failed
    how = ("-q", "-n", "auto", "--dist", "loadfile", "-p", "no:cacheprovider", "-m", "not slow and not cuda")
    done = run([folder / "env" / "bin" / "python", "-m", "pytest", *how], TOP)
    print("\n".join(done.stdout.strip().splitlines()[-60:]))
    return "tests failed" if done.returncode else None


def built(into: Path) -> Path:
    """The wheel, of a copy: building leaves files among the sources."""
    ignore = shutil.ignore_patterns(".*", "build", "dist", "demo-output", "runs", "__pycache__", "tests")
    shutil.copytree(TOP, into / "sources", symlinks=True, ignore=ignore)
    words = ("-m", "pip", "wheel", "-q", "--no-deps", "-w", into / "dist", into / "sources")
    subprocess.run([sys.executable, *map(str, words)], check=True)
    (wheel,) = (into / "dist").glob("*.whl")
    return wheel


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("versions", choices=("oldest", "newest"))
    parser.add_argument("--torch", help="this version, such as one whose wheel is at hand")
    names = ["bare", *(name for name in EXTRAS if name not in NOT_FEATURES), "tests"]
    parser.add_argument("--only", nargs="+", choices=names, help="these alone (otherwise all)")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory(prefix="sercache-versions-") as made:
        options.downloads = Path(os.environ.get("UV_CACHE_DIR", Path(made) / "downloads"))
        wheel = built(Path(made))
        for name in options.only or names:
            folder = Path(made) / name
            folder.mkdir()
            if name == "tests":
                wrong = fast_tier(folder, options)
            else:
                extra = None if name == "bare" else name
                what = str(wheel) + (f"[{extra}]" if extra else "")
                wrong = make(folder, (what,), options) or uses(folder, extra)
            print(f"{options.versions} {name}: {'ok' if wrong is None else 'FAILED: ' + wrong}", flush=True)
            failed |= wrong is not None
            shutil.rmtree(folder)
    sys.exit(failed)


if __name__ == "__main__":
    main()
