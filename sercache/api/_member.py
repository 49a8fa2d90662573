"""One worker's part of a verb, started with ``--cluster``: ``python -m sercache.api._member``.

The first line of standard input is {"verb": …, "options": {…}, "more": {…}}, options in the words of the Python
face; its end is that of the worker, after which work stops as after SIGTERM. Standard output takes JSON lines:
{"line"|"used"|"note": …} as the work reports them, and {"result": …} last.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from sercache import machine, signals
from sercache.claims import led
from sercache.errors import AudioError, LeftOutError, SercacheError
from sercache.text import one_line

_KILL_SECONDS = 60.0
"""For work to stop by itself once the worker is gone."""
_PROGRESS_SECONDS = 1.0
"""Between two writings of how far this worker is."""


class _Reports:
    """Writes what is reported as JSON lines, and how far the work is into a file."""

    def __init__(self, progress: Path) -> None:
        self._progress = progress

    def line(self, text: str) -> None:
        """A line of what came out."""
        _write(line=text)

    def used(self, label: str, value: object) -> None:
        """A value that is used."""
        _write(used=[label, str(value)])

    def note(self, text: str) -> None:
        """Something that deserves a look."""
        _write(note=text)

    def bar(self, iterable: Iterable | None, options: dict[str, Any]) -> Any:
        """A bar that draws itself into the file."""
        return _bar(self._progress, iterable, options)


def _write(**record: Any) -> None:
    print(json.dumps(record), flush=True)


def _bar(path: Path, iterable: Iterable | None, options: dict[str, Any]) -> Any:
    from tqdm import tqdm

    class Written(tqdm):
        """What a bar shows, for the process that leads."""

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            """Replace the file in one step."""
            said = {"desc": self.desc, "n": self.n, "total": self.total, "unit": self.unit}
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(said))
            temporary.replace(path)

        def clear(self, nolock: bool = False) -> None:
            """Nothing is on a screen."""

    kept = {key: options[key] for key in ("desc", "total", "unit", "initial") if key in options}
    return Written(iterable, **kept, mininterval=_PROGRESS_SECONDS, file=sys.stderr)


def _begun(path: Path, name: str, generation: int, words: str) -> None:
    """Note work that is begun, in a line of a file: this process may be gone with it right after."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps([name, generation, words]) + "\n")


def _first_line() -> bytes:
    """Of standard input, not a byte beyond it: the thread that waits for the end reads the rest."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def _end_with_input() -> None:
    """Ask this process to stop once its standard input ends."""
    while os.read(0, 1 << 16):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_KILL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


_VERBS = {
    "extract": ("sercache.experiment.extract", "ExtractOptions"),
    "train": ("sercache.experiment.train", "TrainOptions"),
    "sweep": ("sercache.experiment.sweep", "SweepOptions"),
    "probe": ("sercache.experiment.probe", "ProbeOptions"),
    "reproduce": ("sercache.reproduction.reproduce", "ReproduceOptions"),
}
"""Modules of the verbs, and what their ``run`` takes."""


def _run(call: Mapping[str, Any]) -> dict[str, Any]:
    """What a verb gives, as far as another process can find it: the folder of a store or of a run."""
    from sercache.api._arguments import told
    from sercache.experiment import filled

    module, record = _VERBS[call["verb"]]
    work = import_module(module)
    request = filled(getattr(work, record), call["verb"], call["options"])
    with (
        told(_Reports(Path(call["progress"])), request, call["options"]),
        led(call["leader"], partial(_begun, Path(call["begun"]))),
    ):
        found = work.run(request, **call["more"])
    folder = found if isinstance(found, Path) else getattr(found, "folder", None)
    return {} if folder is None else {"folder": str(Path(folder).absolute())}


def main() -> int:
    """Exit code: 0, 2 or 1 with one line on standard error, or 128 and a signal's number."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    machine.limit_threads(os.environ)
    with signals.handled():
        try:
            call = json.loads(_first_line())
            threading.Thread(target=_end_with_input, daemon=True).start()
            _write(result=_run(call))
        except (AudioError, LeftOutError) as fault:  # all else is done
            _write(result={"complaint": str(fault), "kind": getattr(fault, "kind", None)})
        except SercacheError as fault:
            print(f"error: {one_line(fault)}", file=sys.stderr)
            return fault.exit_code
        except KeyboardInterrupt as fault:
            words, code = signals.how(fault)
            print(words, file=sys.stderr)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
