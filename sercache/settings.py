"""Where roots, cache, runs and device come from: flags, then ``SERCACHE_*`` variables, then a TOML file."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sercache import files, objects, text
from sercache.advice import unknown
from sercache.errors import SettingsError, TextError

KEYS = {
    "cache": "folder that holds the feature stores",
    "runs": "folder that training runs are written to",
    "device": "cpu, cuda, cuda:1, mps or auto",
}

ROOT_PREFIX = "SERCACHE_ROOT_"
"""Begins the variables that name folders of corpora."""

SECTIONS = {"roots": "dataset", "encoders": "name"}
"""Tables of the file, and what their keys are."""


@dataclass(frozen=True)
class Setting:
    """A value and where it came from, so that what was used can be printed."""

    value: str
    source: str

    def __str__(self) -> str:
        return f"{self.value}  ({self.source})"


@dataclass(frozen=True)
class Settings:
    """What the environment and the configuration file say; ``value`` resolves one setting."""

    file: Path | None
    """Configuration file; None: nobody named one and there is no home."""
    table: Mapping[str, str] = field(default_factory=dict)
    roots: Mapping[str, str] = field(default_factory=dict)
    """Folder of each corpus."""
    encoders: Mapping[str, str] = field(default_factory=dict)
    """Folder of each checkpoint that has a name of the user's, or a paper's, own."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def value(self, key: str, flag: str | os.PathLike[str] | None = None) -> Setting:
        """The setting ``key``: the flag if given, else environment, file, default; folders without ``~``.

        Raises SettingsError for a folder in a home that is not there.
        """
        found = self._first(flag, f"SERCACHE_{key.upper()}", self.table.get(key))
        if found is None:
            return Setting(_default(key), "default")
        if key == "device":
            return found
        if objects.is_address(found.value) and key != "cache":
            raise SettingsError(
                f"{key} is {found.value} ({found.source}), and only feature stores lie in object stores: name a folder"
            )
        return Setting(str(expanded(found.value)), found.source)

    def root(self, dataset: str, flag: str | os.PathLike[str] | None = None) -> Setting | None:
        """The folder of a corpus, or None where nobody named one."""
        found = self._first(flag, root_variable(dataset), self.roots.get(dataset))
        return None if found is None else Setting(str(expanded(found.value)), found.source)

    def roots_in_environment(self) -> list[str]:
        """Corpora whose folder an environment variable names, in lower case and with hyphens."""
        found = [key[len(ROOT_PREFIX) :] for key in self.environment if key.startswith(ROOT_PREFIX)]
        return [name.lower().replace("_", "-") for name in found if name]

    def _first(
        self, flag: str | os.PathLike[str] | None, variable: str, in_file: str | None
    ) -> Setting | None:
        if flag is not None:
            return Setting(os.fspath(flag), "flag")
        if variable and self.environment.get(variable):
            return Setting(self.environment[variable], variable)
        if in_file is not None:
            return Setting(in_file, str(self.file))
        return None


def root_variable(dataset: str) -> str:
    """The environment variable that names a corpus' folder: ``SERCACHE_ROOT_IEMOCAP``.

    Empty for a name in other letters than those of ASCII, which variables cannot hold everywhere.
    """
    return ROOT_PREFIX + re.sub(r"[^A-Z0-9]+", "_", dataset.upper()) if dataset.isascii() else ""


def expanded(path: str | os.PathLike[str]) -> Path:
    """``path`` with the home folder in the place of ``~``; of an address (``s3://…``) the folder that stands for it.

    Raises SettingsError where there is no such home, and for addresses that mean nothing.
    """
    if objects.is_address(path):
        return objects.folder_of(path)
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SettingsError(
            f"{os.fspath(path)} begins with the home folder of a user, and there is none; write the path in full"
        ) from None


def _home() -> Path | None:
    """The user's home folder; None where HOME is not set and the user has no account, as in containers."""
    try:
        return Path.home()
    except (RuntimeError, KeyError):
        return None


def config_path(environment: Mapping[str, str] | None = None) -> Path | None:
    """The configuration file: ``$SERCACHE_CONFIG`` or ``sercache/config.toml`` in the user's config folder.

    None where neither is there, and for ``SERCACHE_CONFIG=/dev/null``, as of other programs.
    """
    env = os.environ if environment is None else environment
    if env.get("SERCACHE_CONFIG"):
        path = expanded(env["SERCACHE_CONFIG"])
        return None if str(path) == os.devnull else path
    if env.get("XDG_CONFIG_HOME"):
        return Path(env["XDG_CONFIG_HOME"]) / "sercache" / "config.toml"
    home = _home()
    return None if home is None else home / ".config" / "sercache" / "config.toml"


def why_no_file(environment: Mapping[str, str]) -> str:
    """What keeps this user from having a configuration file, where ``config_path`` is None."""
    if environment.get("SERCACHE_CONFIG"):
        return f"SERCACHE_CONFIG is {os.devnull}"
    return "HOME is not set and this user has no account"


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings of this user. Raises SettingsError for a file that is not the expected TOML."""
    env = dict(os.environ if environment is None else environment)
    path = config_path(env)
    if path is None or not os.path.lexists(path):
        return Settings(path, environment=env)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise SettingsError(f"the configuration file {path} is no file; name another with SERCACHE_CONFIG")
    if not path.exists():
        raise SettingsError(
            f"the configuration file {path} is a link that leads nowhere; mend it, or name another with SERCACHE_CONFIG"
        )
    try:
        content = tomllib.loads(text.read(path).removeprefix("\ufeff"))
    except (TextError, tomllib.TOMLDecodeError, RecursionError) as fault:
        raise SettingsError(
            f"cannot read the configuration file {path}: {fault}; mend or delete it"
        ) from None
    sections = {name: content.pop(name, {}) for name in SECTIONS}
    for key in content:
        if key not in KEYS:
            raise SettingsError(f"{path}: {unknown('setting', key, [*KEYS, *SECTIONS])}")
    tables = [content, *sections.values()]
    if not all(isinstance(t, dict) and all(isinstance(v, str) for v in t.values()) for t in tables):
        raise SettingsError(
            f"{path}: every setting is a string, and {' and '.join(f'[{name}]' for name in SECTIONS)} are tables "
            "of them"
        )
    return Settings(path, content, **sections, environment=env)


def change(settings: Settings, changes: Mapping[str, str]) -> Settings:
    """Settings with ``changes`` written to the file; keys as in KEYS, ``roots.<dataset>``, ``encoders.<name>``.

    An empty value removes the setting. Raises SettingsError for an unknown key, or a name that is no text.
    """
    table = dict(settings.table)
    sections = {name: dict(getattr(settings, name)) for name in SECTIONS}
    for key, value in changes.items():
        # A name may hold dots itself: whisper-tiny.en.
        section, _, inside = key.partition(".")
        if section in SECTIONS and inside:
            target, name = sections[section], inside
        elif key in KEYS:
            target, name = table, key
        else:
            raise SettingsError(
                unknown("setting", key, [*KEYS, *(f"{s}.<{n}>" for s, n in SECTIONS.items())])
            )
        if value and key == "cache" and objects.is_address(value):
            objects.folder_of(value)  # a scheme that means nothing is told now
        elif value and key != "device":
            value = str(expanded(value).absolute())
        _check_text(f"{key}={value}")
        if value:
            target[name] = value
        else:
            target.pop(name, None)
    changed = Settings(settings.file, table, **sections, environment=settings.environment)
    _write(changed)
    return changed


def _check_text(setting: str) -> None:
    """Raise SettingsError for names on disk whose bytes are no text: TOML has no way to write them."""
    try:
        setting.encode()
    except UnicodeEncodeError:
        raise SettingsError(
            f"{text.one_line(setting)} cannot be written to a configuration file: its bytes are not UTF-8; make a "
            "link to it whose name is"
        ) from None


def _write(settings: Settings) -> None:
    if settings.file is None:
        raise SettingsError(
            f"where does the configuration lie? {why_no_file(settings.environment)}: set SERCACHE_CONFIG to a file"
        )
    lines = [f"{key} = {_quoted(value)}" for key, value in sorted(settings.table.items())]
    for section in SECTIONS:
        if paths := getattr(settings, section):
            lines += ["", f"[{section}]"]
            lines += [f"{_quoted(name)} = {_quoted(path)}" for name, path in sorted(paths.items())]
    files.write_output(settings.file, "\n".join(lines) + "\n", "name another file with SERCACHE_CONFIG")


def _quoted(text: str) -> str:
    """As a basic string of TOML, which JSON's is: but for what JSON writes as two halves, and for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _default(key: str) -> str:
    if key == "cache":
        base, home = os.environ.get("XDG_CACHE_HOME"), _home()
        if base or home:
            return str((Path(base) if base else Path(home or "") / ".cache") / "sercache")
        raise SettingsError(
            "where do the feature stores lie? HOME is not set and this user has no account: give --cache FOLDER or set "
            "SERCACHE_CACHE"
        )
    return {"runs": "runs", "device": "auto"}[key]


def resolve_device(name: str) -> str:
    """A torch device name; ``auto`` picks CUDA, then MPS, then the CPU.

    Cards are counted among those that ``CUDA_VISIBLE_DEVICES`` leaves, and may be named by the UUID, or its beginning,
    that ``nvidia-smi -L`` lists. Raises SettingsError for a device that this machine does not have.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if name.startswith(_UUIDS):
        return _card_of(name)
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise SettingsError(f"a device is auto, cpu, cuda, cuda:<n>, GPU-<uuid> or mps, got {name!r}")
    if kind == "cpu":
        return kind  # there is one: its number means nothing, and torch takes cpu:0 for another device
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise SettingsError(f"device {name} is not here: {_cards_seen()}; try cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise SettingsError("device mps is not here; try cpu")
    return name


_UUIDS = ("GPU-", "MIG-")


def _card_of(uuid: str) -> str:
    """``cuda:<n>`` of the card whose UUID begins so. Raises SettingsError where none or several do."""
    import torch

    seen = [str(torch.cuda.get_device_properties(k).uuid) for k in range(torch.cuda.device_count())]
    wanted = uuid.partition("-")[2].lower()
    fitting = [k for k, each in enumerate(seen) if each.lower().removeprefix("gpu-").startswith(wanted)]
    if len(fitting) != 1 or not wanted:
        how = "is not here" if not fitting else "is the beginning of several"
        raise SettingsError(f"device {uuid} {how}: {_cards_seen(seen)}; nvidia-smi -L lists the cards")
    return f"cuda:{fitting[0]}"


def _cards_seen(uuids: Sequence[str] = ()) -> str:
    """How many cards there are for this process, and what hides others."""
    import torch

    n = torch.cuda.device_count()
    named = f" ({', '.join(uuids)})" if uuids else ""
    hides = os.environ.get("CUDA_VISIBLE_DEVICES")
    left = "" if hides is None else f", with CUDA_VISIBLE_DEVICES={hides!r}"
    return f"{n} CUDA device{'' if n == 1 else 's'}{named}{left}"
