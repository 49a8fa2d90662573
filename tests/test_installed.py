"""What is installed: one name, typed, light to import, whole without extras, in nobody's way."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

TOP = Path(__file__).parents[1]
WRITTEN = Path(__file__).parent / "fixtures" / "a1b0434"
HEAVY = ("torch", "transformers", "scipy", "sklearn", "pandas", "matplotlib", "h5py", "zarr")

Done = subprocess.CompletedProcess[str]


def python(*arguments: str, executable: str | Path = sys.executable, **options: object) -> Done:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [str(executable), *arguments], **{"capture_output": True, "text": True, "check": False, **options}
    )


@pytest.mark.parametrize("store", sorted((WRITTEN / "cache" / "manifest").iterdir()), ids=lambda it: it.name)
def test_a_store_is_opened_without_what_computes(store: Path) -> None:
    """The means of either format need numpy alone; torch would cost 5 s and 200 MB."""
    done = python(
        "-c",
        "import sys, sercache\n"
        f"means = sercache.open_store({str(store)!r}).pooled()\n"
        f"print(means.shape, [name for name in {HEAVY} if name in sys.modules])",
    )
    assert done.stdout == "(16, 1, 39) []\n", done.stderr


@pytest.mark.parametrize(
    "command", [["info"], ["datasets"], ["datasets", "emodb"], ["encoders"]], ids=" ".join
)
def test_what_there_is_is_listed_without_what_computes(command: list[str], own_settings: Path) -> None:
    done = python(
        "-c",
        "import sys\n"
        "from sercache import cli\n"
        f"sys.argv = ['sercache', *{command}]\n"
        "cli.main()\n"
        f"sys.exit(str([name for name in {HEAVY} if name in sys.modules]))",
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_names_are_listed_before_they_are_fetched() -> None:
    done = python("-c", "import sercache, sys; print(*dir(sercache)); print('sercache.api' in sys.modules)")
    names, fetched = done.stdout.splitlines()
    assert {"extract", "load_encoder", "open_store", "read_corpus", "table", "train"} <= set(names.split())
    assert fetched == "False"
    assert not {"Any", "TYPE_CHECKING"} & set(names.split())


def test_every_listed_name_is_there() -> None:
    import sercache

    assert [name for name in dir(sercache) if not hasattr(sercache, name)] == []


def test_a_name_that_is_not_there_is_answered_with_the_nearest() -> None:
    done = python("-c", "import sercache; sercache.open_stor")
    assert done.stderr.splitlines()[-1] == (
        "AttributeError: module 'sercache' has no attribute 'open_stor'. Did you mean: 'open_store'?"
    )


# The slow tier: what a build makes, installed as a user has it.


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel, run from a folder that holds other things of the same names."""

    folder: Path
    here: Path

    def run(self, *command: object) -> Done:
        """A command of this environment, without any setting of the user who runs the tests."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        own = {name: str(self.here / name.lower()) for name in ("SERCACHE_CACHE", "SERCACHE_RUNS")}
        first, *rest = map(str, command)
        return python(
            *rest,
            executable=self.folder / "bin" / first,
            cwd=self.here,
            env=kept
            | own
            | {
                "SERCACHE_CONFIG": str(self.here / "config.toml"),
                "XDG_CACHE_HOME": str(self.here / "xdg"),
                "HF_HUB_OFFLINE": "1",
                "OMP_NUM_THREADS": "1",
            },
        )


_MADE = ("build", "dist", "demo-output", "runs")
"""What work with a checkout may leave in it."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist, the wheel of the sources and the wheel of the sdist."""
    folder = tmp_path_factory.mktemp("built")
    sources = folder / "sources"
    sources.mkdir()
    for path in (path for path in TOP.iterdir() if path.name[0] != "." and path.name not in _MADE):
        if path.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, sources / path.name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(path, sources)
    sdist = _build("sdist", sources, folder / "sdist")
    shutil.unpack_archive(sdist, folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return {
        "sdist": sdist,
        "wheel": _build("wheel", sources, folder / "wheel"),
        "wheel of the sdist": _build("wheel", unpacked, folder / "again"),
    }


def _build(kind: str, sources: Path, into: Path) -> Path:
    """What the backend that pyproject.toml names makes of the sources, without a network."""
    call = f"from setuptools import build_meta; build_meta.build_{kind}({str(into)!r})"
    into.mkdir()
    done = python("-c", call, cwd=sources, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    (made,) = into.iterdir()
    return made


def _required(lines: Iterable[str]) -> set[str]:
    """Distributions that requirements name without extras, and what these require, of those installed here."""
    found: set[str] = set()
    left = [(line, "") for line in lines]
    while left:
        line, extra = left.pop()
        wanted = Requirement(line)
        name = wanted.name.lower()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        if name in found:
            continue
        try:
            more = importlib.metadata.requires(name) or ()
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        left += [(each, chosen) for each in more for chosen in ("", *wanted.extras)]
    return found


def _files(distribution: str) -> Iterator[Path]:
    """What a distribution put at the top of the folder of packages."""
    found = importlib.metadata.distribution(distribution)
    tops = {Path(file.parts[0]) for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
    yield from (Path(str(found.locate_file(top))) for top in sorted(tops))


@pytest.fixture(scope="module")
def install(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Installed]:
    """Makes an environment with the wheel, its requirements and further distributions, linked from this one."""

    def make(*extras: str) -> Installed:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, symlinks=True)
        pip = ("-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet", "--no-index")
        done = python(*pip, "--no-deps", str(built["wheel"]))
        assert done.returncode == 0, done.stderr
        (packages,) = folder.glob("lib/python*/site-packages")
        (about,) = packages.glob("sercache-*.dist-info")
        lines = importlib.metadata.Distribution.at(about).requires or ()
        for path in (path for name in {*_required(lines), *extras} for path in _files(name)):
            if not (packages / path.name).exists():
                (packages / path.name).symlink_to(path)
        here = tmp_path_factory.mktemp("here")
        (here / "heads").mkdir()
        for name in ("heads/__init__.py", "heads/linear.py", "cli.py"):
            (here / name).write_text(f"raise RuntimeError('{name} is the user\\'s own')\n")
        return Installed(folder, here)

    return make


@pytest.fixture(scope="module")
def bare(install: Callable[..., Installed]) -> Installed:
    return install()


@pytest.mark.slow
def test_every_way_of_building_holds_one_name_and_the_same_files(built: dict[str, Path]) -> None:
    held = {}
    for kind in ("wheel", "wheel of the sdist"):
        with zipfile.ZipFile(built[kind]) as wheel:
            held[kind] = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        str(path.relative_to(TOP))
        for kind in ("*.py", "templates/*")
        for path in (TOP / "sercache").rglob(kind)
        if "__pycache__" not in path.parts
    }
    expected |= {f"sercache/heads/{path.name}" for path in (TOP / "heads").glob("*.py")} | {
        "sercache/py.typed"
    }
    assert held == dict.fromkeys(held, expected)


@pytest.mark.slow
def test_the_source_distribution_has_what_its_tests_need(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as held:
        names = {name.partition("/")[2] for name in held.getnames()}
    missing = {
        str(path.relative_to(TOP))
        for top in ("tests", "docs", "benchmarks", "sercache")
        for path in (TOP / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and str(path.relative_to(TOP)) not in names
    }
    assert not missing
    assert {"Makefile", "constraints.txt", "CITATION.cff", "SECURITY.md", "CHANGELOG.md"} <= names


@pytest.mark.slow
def test_the_command_works_beside_heads_and_cli_of_the_user(bare: Installed) -> None:
    shown = bare.run("sercache", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Run a frozen speech encoder once" in shown.stdout
    listed = bare.run("sercache", "heads")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "layer-attention" in listed.stdout
    module = bare.run("python", "-m", "sercache.cli", "heads", "linear")
    assert (module.returncode, module.stderr) == (0, "")
    assert "linear" in module.stdout


@pytest.mark.slow
def test_every_module_is_imported_without_extras(bare: Installed) -> None:
    done = bare.run(
        "python",
        "-c",
        "import importlib, pkgutil, sercache\n"
        "found = [each.name for each in pkgutil.walk_packages(sercache.__path__, 'sercache.')]\n"
        "for name in found: importlib.import_module(name)\n"
        "print(len(found), sercache.__file__)",
    )
    assert done.returncode == 0, done.stderr
    count, file = done.stdout.split()
    assert int(count) > 250
    assert Path(file).is_relative_to(bare.folder)


@pytest.fixture(scope="module")
def extracted(bare: Installed) -> tuple[str, ...]:
    """Names the recordings of a manifest and an encoder, whose features the bare environment holds."""
    corpus = ("--encoder", "mfcc", "--dataset", "manifest")
    done = bare.run("sercache", "extract", *corpus, "--root", WRITTEN / "corpus" / "list.csv")
    assert done.returncode == 0, done.stderr
    return (*corpus, "--protocol", "leave-one-speaker-out")


@pytest.mark.slow
@pytest.mark.parametrize("head", ["linear", "logistic"])
def test_the_line_runs_without_extras(bare: Installed, extracted: tuple[str, ...], head: str) -> None:
    done = bare.run("sercache", "train", "--head", head, *extracted, "--seeds", "2", "--name", head)
    assert done.returncode == 0, done.stderr
    assert "pip install 'sercache[report]'" in done.stderr
    run = bare.here / "sercache_runs" / head
    assert (run / "report.json").is_file()
    assert not (run / "plots").exists(), "none were drawn"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("demo", ("extract", "--encoder", "logmel", "--dataset", "demo")),
        ("corpora", ("extract", "--encoder", "mfcc", "--dataset", "audformat", "--root", ".")),
        ("opensmile", ("extract", "--encoder", "egemaps", "--dataset", "manifest", "--root", "list.csv")),
        ("track", ("train", "--head", "linear", "EXTRACTED", "--track")),
        (
            "tune",
            (
                "sweep",
                "--head",
                "linear",
                "EXTRACTED",
                "--grid",
                "lr=1e-3,1e-2",
                "--trials",
                "1",
                "--name",
                "s",
            ),
        ),
    ],
)
def test_an_extra_that_is_not_there_is_named(
    bare: Installed, extracted: tuple[str, ...], extra: str, command: tuple[str, ...]
) -> None:
    shutil.copytree(WRITTEN / "corpus", bare.here, dirs_exist_ok=True)
    (bare.here / "db.yaml").write_text("name: mine\n")
    words = [word for each in command for word in (extracted if each == "EXTRACTED" else (each,))]
    done = bare.run("sercache", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"pip install 'sercache[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_the_demo_runs_with_its_extra(install: Callable[..., Installed]) -> None:
    pytest.importorskip("espeakng_loader", reason="the extra sercache[demo] is not installed")
    installed = install("espeakng-loader")
    done = installed.run("sercache", "extract", "--encoder", "logmel", "--dataset", "demo")
    assert done.returncode == 0, done.stderr
    how = (
        "--protocol",
        "leave-one-speaker-out",
        "--seeds",
        "1",
        "--set",
        "max-epochs=2",
        "--normalise",
        "global",
    )
    done = installed.run(
        "sercache", "train", "--head", "superb", "--encoder", "logmel", "--dataset", "demo", *how
    )
    assert done.returncode == 0, done.stderr
    done = installed.run("sercache", "report")
    assert done.returncode == 0, done.stderr
    assert "superb" in done.stdout
