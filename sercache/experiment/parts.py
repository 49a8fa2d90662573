"""Which part of an extraction a process does: what ``--shard`` says, or its place in a Slurm array."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from sercache.errors import SettingsError
from sercache.extraction import PlanPart

WHOLE = PlanPart(1, 1)


def part_of(shard: str | None, environment: Mapping[str, str] = os.environ) -> tuple[PlanPart, str]:
    """The part to do, and where it was named; empty: nowhere. Raises SettingsError for a text that is not K/N.

    A task of a Slurm array begins with its part and then does what is left: the tasks of an array need not be the
    same command, and each of ten encoders wants its whole store.
    """
    if shard is not None:
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", shard)
        number, count = map(int, match.groups()) if match else (0, 0)
        if not 1 <= number <= count:
            raise SettingsError(
                f"--shard {shard} is no part of the work: expected K/N with K from 1 to N, such as 2/8"
            )
        return PlanPart(number, count), "flag"
    names = ("ID", "COUNT", "MIN", "STEP")
    values = [environment.get(f"SLURM_ARRAY_TASK_{name}", "1" if name == "STEP" else "") for name in names]
    if not all(re.fullmatch(r"\d{1,9}", value) for value in values):
        return WHOLE, ""
    task, count, first, step = map(int, values)
    place, rest = divmod(task - first, max(1, step))
    if rest or not 0 <= place < count or count == 1:  # tasks such as 1,5,7: which comes where is not told
        return WHOLE, ""
    return PlanPart(place + 1, count, alone=False), "SLURM_ARRAY_TASK_ID"
