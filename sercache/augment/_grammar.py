"""How augmentations are written, and the record of one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import product

from sercache.errors import SettingsError

FORMS = (
    "noise:snr=10, noise:white|pink|babble|FOLDER:snr=10 (dB), reverb:rt60=0.5:drr=0 (s, dB), reverb:FOLDER, "
    "speed:0.9, codec:mulaw|alaw|gsm|opus|mp3|vorbis:level=0.5, telephone, gain:-6 (dB), clipping:6 (dB)"
)
_GENERATED = ("white", "pink", "babble")
CODECS = ("mulaw", "alaw", "gsm", "opus", "mp3", "vorbis")
WITH_LEVEL = ("opus", "mp3", "vorbis")
"""Codecs whose encoder takes how much it is to leave out."""
_ONE_VALUE = ("speed", "gain", "clipping")
_BOUNDS = {
    "noise": {"snr": (-60.0, 100.0, "dB")},
    "reverb": {"rt60": (0.05, 10.0, "seconds"), "drr": (-40.0, 40.0, "dB")},
    "speed": {"factor": (0.25, 4.0, "times")},
    "codec": {"level": (0.0, 1.0, "what is left out")},
    "telephone": {},
    "gain": {"db": (-100.0, 100.0, "dB")},
    "clipping": {"db": (0.0, 60.0, "dB")},
}
"""Values that a kind of step takes: least, most, unit."""
_KINDS = (*_BOUNDS, "seed", "variant")
_BETWEEN = re.compile(rf"\+(?=(?:{'|'.join(_KINDS)})(?::|\+|$))")
_REST = re.compile(r"(?P<what>.*?)(?P<named>(?:(?:^|:)[a-z0-9]+=[^:=]*)*)")
_MOST = 2**31
"""Seeds and variants are smaller."""


@dataclass(frozen=True)
class Step:
    """One thing that is done to a recording."""

    kind: str
    what: str = ""
    """Of noise and codecs which; a folder of recordings; empty where there is no choice."""
    values: tuple[tuple[str, float], ...] = ()
    """By name, sorted."""

    def __getitem__(self, name: str) -> float:
        return dict(self.values)[name]

    @property
    def folder(self) -> str | None:
        """The folder of recordings that it takes; None: it takes none."""
        named = self.kind == "noise" and self.what not in _GENERATED
        return self.what if named or (self.kind == "reverb" and self.what) else None

    def __str__(self) -> str:
        if self.kind in _ONE_VALUE:
            return f"{self.kind}:{_shown(self.values[0][1])}"
        values = "".join(f":{name}={_shown(value)}" for name, value in self.values)
        return f"{self.kind}{':' * bool(self.what)}{self.what}{values}"


def _shown(value: float) -> str:
    """The number in full, as what another number does is another augmentation."""
    short = f"{value + 0:g}"  # -0 is 0
    return short if float(short) == value else repr(value)


@dataclass(frozen=True)
class Augmentation:
    """Steps in their order, with what their draws follow from."""

    steps: tuple[Step, ...]
    seed: int = 0
    variant: int = 0
    """Which of any number of draws."""

    def __str__(self) -> str:
        numbers = [f"{name}:{value}" for name, value in self._numbers if value]
        return "+".join([*map(str, self.steps), *numbers])

    @property
    def _numbers(self) -> tuple[tuple[str, int], ...]:
        return ("seed", self.seed), ("variant", self.variant)

    def of_variant(self, number: int) -> Augmentation:
        """The same with other draws."""
        return replace(self, variant=number)

    @property
    def draws(self) -> bool:
        """Whether variants differ."""
        return any(each.kind in ("noise", "reverb") for each in self.steps)


def parse(text: str) -> Augmentation:
    """The augmentation that ``text`` writes. Raises SettingsError for anything that is none, and for several."""
    found = conditions(text)
    if len(found) > 1:
        raise SettingsError(f"{text!r} writes {len(found)} augmentations, first {found[0]}; give one")
    return found[0]


def conditions(text: str) -> list[Augmentation]:
    """All that ``text`` writes: ``noise:snr=20,10,0`` is three. Raises SettingsError."""
    steps: list[list[Step]] = []
    numbers: dict[str, int] = {}
    for part in _BETWEEN.split(text.strip()):
        kind, _, rest = part.strip().partition(":")
        if kind in ("seed", "variant"):
            is_number = rest.isascii() and rest.isdecimal() and int(rest) < _MOST
            if not is_number or kind in numbers:
                raise _wrong(text, f"{kind} is one whole number from 0, smaller than {_MOST}")
            numbers[kind] = int(rest)
        elif kind in _BOUNDS:
            steps.append(_several(text, kind, rest))
        else:
            raise _wrong(text, f"{kind!r} is nothing that can be done")
    if not steps:
        raise _wrong(text, "nothing is done to the recordings")
    return [Augmentation(each, **numbers) for each in product(*steps)]


def _several(text: str, kind: str, rest: str) -> list[Step]:
    """A step, once for each combination of what is given by commas."""
    found = _REST.fullmatch(rest)
    assert found is not None  # it takes any text
    what, pairs = found["what"], [each.split("=") for each in found["named"].split(":") if each]
    bounds = _BOUNDS[kind]
    if kind in _ONE_VALUE:
        what, pairs = "", [*([[*bounds, what]] if what else []), *pairs]
    named = dict(pairs)
    strange = next((name for name in named if name not in bounds), None)
    if strange is not None or len(named) < len(pairs):
        raise _wrong(text, f"{kind} takes {', '.join(bounds) or 'nothing more'}, each once")
    choices = what.split(",") if kind == "codec" or all(w in _GENERATED for w in what.split(",")) else [what]
    lists = [[(name, value) for value in _values(text, kind, name, given)] for name, given in named.items()]
    return [_step(text, kind, each, dict(values)) for each in choices for values in product(*lists)]


def _values(text: str, kind: str, name: str, given: str) -> list[float]:
    least, most, unit = _BOUNDS[kind][name]
    try:
        found = [float(each) for each in given.split(",")]
    except ValueError:
        found = []
    if not found or not all(least <= value <= most for value in found):
        raise _wrong(text, f"{name} is a number from {least:g} to {most:g} ({unit})")
    return found


def _step(text: str, kind: str, what: str, values: dict[str, float]) -> Step:
    """The step, with what is usual where nothing is said. Raises SettingsError."""
    needed = {"noise": "snr", **{each: next(iter(_BOUNDS[each])) for each in _ONE_VALUE}}.get(kind)
    if needed is not None and needed not in values:
        raise _wrong(text, f"{kind} needs {needed}")
    if kind == "noise":
        what = what or "white"
    elif kind == "reverb":
        if bool(what) == ("rt60" in values) or (what and values):
            raise _wrong(text, "reverb takes rt60, or a folder of impulse responses")
        values = values if what else {"drr": 0.0, **values}
    elif kind == "codec":
        if what not in CODECS or (values and what not in WITH_LEVEL):
            raise _wrong(text, f"a codec is {', '.join(CODECS)}, and {', '.join(WITH_LEVEL)} have a level")
    elif what:
        raise _wrong(text, f"{kind} takes no {what!r}")
    return Step(kind, what, tuple(sorted(values.items())))


def _wrong(text: str, why: str) -> SettingsError:
    return SettingsError(f"augmentation {text!r}: {why}; expected {FORMS}, joined by +")
