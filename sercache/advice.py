"""The commands that messages advise: written here alone, so that tests can see each of them and run it."""

from __future__ import annotations

import shlex


def command(name: str, *arguments: object, **options: object) -> str:
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
