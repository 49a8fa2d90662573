"""The tests as other processors compute them, one setting after another, and a table of what came of it.

    make test-processors                                 the fast tier in every setting
    python tests/processors.py --numbers avx2 threads    tests of numbers alone, in these settings

Tests of numbers are those of training, heads, views and encoders; others of the suite compute little. Without
``--numbers`` a setting takes the whole fast tier, since commands train and encode too.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SETTINGS: dict[str, dict[str, str]] = {
    "default": {"ATEN_CPU_CAPABILITY": "default"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512"},
    "avx2 libraries": {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "threads": {"OMP_NUM_THREADS": "2"},
    "oldest": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
}
"""By name, what makes torch and its libraries compute as another processor does."""
_NUMERIC = re.compile(r"training|heads|nn|layer_attention|golden|solved|views|evaluation|encoders|extraction")


def lacks(name: str) -> str | None:
    """Why this processor cannot compute in a setting; None where it can."""
    wanted = SETTINGS[name].get("ATEN_CPU_CAPABILITY")
    if wanted in (None, "default"):
        return None
    code = "import torch; print(torch.backends.cpu.get_cpu_capability().lower())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_env(name)
    )
    has = done.stdout.strip()
    return None if has == wanted else f"this processor has no {wanted}, torch computes with {has}"


def run(name: str, files: list[str]) -> tuple[int, str]:
    """Exit status of pytest in a setting, and what it said at the end."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "auto",
        "--dist",
        "loadfile",
        "-m",
        "not slow",
        *files,
    ]
    done = subprocess.run(command, cwd=HERE.parent, env=_env(name), capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing was said"]
    for line in lines:
        if line.startswith(("FAILED", "ERROR", "INTERNALERROR")):
            print(f"{name}: {line}", flush=True)
    return done.returncode, lines[-1].strip("= ")


def _env(name: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **SETTINGS[name]}


def main() -> int:
    """1 where a setting failed."""
    parser = argparse.ArgumentParser(description="The tests as other processors compute them.")
    parser.add_argument(
        "settings", nargs="*", metavar="SETTING", help=f"of {', '.join(SETTINGS)}; default: all"
    )
    parser.add_argument("--numbers", action="store_true", help="only files whose numbers a processor decides")
    given = parser.parse_args()
    unknown = [name for name in given.settings if name not in SETTINGS]
    if unknown:
        parser.error(f"there is no setting {unknown[0]!r}; expected one of {', '.join(map(repr, SETTINGS))}")
    every = sorted(HERE.glob("test_*.py"))
    files = [str(path) for path in every if _NUMERIC.search(path.stem)] if given.numbers else []
    rows, failed = [], False
    for name in given.settings or SETTINGS:
        why = lacks(name)
        status, said = (0, f"skipped: {why}") if why else run(name, files)
        failed |= status != 0
        shown = " ".join(f"{key}={value}" for key, value in SETTINGS[name].items())
        rows.append(f"{name:16}{'FAILED' if status else 'ok':8}{said}   ({shown})")
    print(*rows, sep="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
