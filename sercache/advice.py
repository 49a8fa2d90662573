"""What messages advise: commands, written here alone so that tests can see each of them and run it; nearest names."""

from __future__ import annotations

import shlex
from difflib import get_close_matches


def command(name: str, /, *arguments: object, **options: object) -> str:
    """``sercache NAME ARGUMENTS --option value``, quoted for a shell.

    ``True`` is a flag, None and ``False`` leave an option out, a list repeats it; ``for_`` is written ``--for``. Words
    in capitals (``FOLDER``) stand for what only the reader knows.
    """
    words = ["sercache", name, *map(str, arguments)]
    for option, value in options.items():
        flag = "--" + option.strip("_").replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            for each in value if isinstance(value, list | tuple) else [value]:
                words += [flag, str(each)]
    return shlex.join(words)


def unknown(kind: str, got: str, on_offer: list[str] | tuple[str, ...]) -> str:
    """One line for a name that does not exist: what was got, the nearest, all there are."""
    near = get_close_matches(got, on_offer, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"unknown {kind} {got!r}{hint} (there is: {', '.join(on_offer) or 'none'})"
