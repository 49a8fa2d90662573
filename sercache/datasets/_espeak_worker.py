"""Program that speaks sentences with the espeak-ng library; run in a process of its own.

espeak-ng is GPL-3 and optional, so the library never loads it: ``sercache.datasets.demo`` starts this
file, which imports nothing of sercache, and talks to it by standard input and files. What espeak-ng says
depends on what the process said before: one process speaks everything, in one order, from one seed.

Input: one JSON list of jobs {voice, rate, pitch, range, volume, text, file}. Each file gets signed
16-bit mono samples. Output: one JSON object {sample_rate, version}.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

SYNCHRONOUS, UTF8, END_PAUSE = 2, 1, 0x1000
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
SEED = 1

Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main() -> None:
    """Reads the jobs, speaks them, reports the sample rate (Hz) and the version."""
    import espeakng_loader

    jobs = json.load(sys.stdin)
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    # espeak-ng cuts paths at 160 bytes: a relative one is always short enough.
    os.chdir(Path(espeakng_loader.get_data_path()).parent)
    sample_rate = library.espeak_Initialize(SYNCHRONOUS, 0, b".", 0)
    if sample_rate <= 0:
        raise SystemExit("espeak-ng could not be started: its data were not found")
    library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))
    chunks: list[bytes] = []

    def keep(samples: ctypes.Array[ctypes.c_short], n_samples: int, _: int) -> int:
        if samples and n_samples > 0:
            chunks.append(ctypes.string_at(samples, 2 * n_samples))
        return 0

    callback = Callback(keep)
    library.espeak_SetSynthCallback(callback)
    for job in jobs:
        chunks.clear()
        speak(library, job)
        Path(job["file"]).write_bytes(b"".join(chunks))
    library.espeak_Info.restype = ctypes.c_char_p
    version = library.espeak_Info(None).decode()
    json.dump({"sample_rate": sample_rate, "version": version}, sys.stdout)


def speak(library: ctypes.CDLL, job: dict[str, str]) -> None:
    """Speaks one sentence; the samples go to the callback."""
    if library.espeak_SetVoiceByName(job["voice"].encode()) != 0:
        raise SystemExit(f"espeak-ng has no voice {job['voice']}")
    for parameter, name in ((RATE, "rate"), (VOLUME, "volume"), (PITCH, "pitch"), (RANGE, "range")):
        library.espeak_SetParameter(parameter, int(job[name]), 0)
    text = job["text"].encode() + b"\0"
    library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 0, 0, UTF8 | END_PAUSE, None, None)
    library.espeak_Synchronize()


if __name__ == "__main__":
    main()
