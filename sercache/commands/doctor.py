"""`sercache doctor`: a check-up of a copy of a corpus, as text or as JSON."""

from __future__ import annotations

from sercache.checkup import lines_of
from sercache.commands.console import print_json
from sercache.experiment.doctor import DoctorOptions, check
from sercache.progress import say


def run(request: DoctorOptions, *, as_json: bool = False) -> int:
    """Check the copy and print what was found; the exit code: 1 where there are problems, else 0."""
    found = check(request)
    if as_json:
        print_json(found.plain())
    else:
        for line in lines_of(found):
            say(line)
    return 1 if found.problems else 0
