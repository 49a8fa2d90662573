"""One file of a corpus looked at: what its header says, and what its samples say where they are decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sercache import audio
from sercache.audio import AudioInfo, Remark
from sercache.checkup._records import Finding
from sercache.datasets import Utterance
from sercache.errors import AudioError

SHORT = 0.1
"""Seconds below which an utterance is called too short: four frames of a 50 Hz encoder."""
LONG = 30.0
"""Seconds above which an utterance is called too long: what Whisper takes, and far above one turn."""


@dataclass(frozen=True, slots=True)
class AudibleUtterance:
    """An utterance whose sound is there."""

    utterance: Utterance
    seconds: float
    digest: str = ""
    """Of its samples, where they were decoded and are not silent."""


@dataclass(frozen=True, slots=True)
class Examined:
    """One file and the utterances in it."""

    path: Path
    ids: tuple[str, ...]
    """Of all utterances that lie in it, whatever became of them."""
    info: AudioInfo | None
    """None: the header cannot be read."""
    stretches: tuple[AudibleUtterance, ...] = ()
    findings: tuple[Finding, ...] = ()


def shown(path: Path, root: Path) -> str:
    """A path as reports show it: relative to the root where it lies below it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def examine(utterances: Sequence[Utterance], root: Path, deep: bool) -> Examined:
    """What is to be said of the file that ``utterances`` lie in."""
    path = utterances[0].path
    ids = tuple(u.id for u in utterances)
    try:
        info = audio.probe(path)
    except AudioError as fault:
        return Examined(path, ids, None, (), (_refused(fault, path, ids, root),))
    stretches: list[AudibleUtterance] = []
    findings = [_remarked(remark, path, ids, root) for remark in info.remarks]
    for utterance in utterances:
        stretch, found = _examine_stretch(utterance, info, root, deep)
        stretches += [stretch] if stretch else []
        findings += found
    return Examined(path, ids, info, tuple(stretches), tuple(findings))


def _examine_stretch(
    utterance: Utterance, info: AudioInfo, root: Path, deep: bool
) -> tuple[AudibleUtterance | None, list[Finding]]:
    where, ids = shown(utterance.path, root), (utterance.id,)
    try:
        first, last, cut = audio.span(
            utterance.path, info.rate, info.n_samples, utterance.start, utterance.end
        )
    except AudioError as fault:
        return None, [_refused(fault, utterance.path, ids, root)]
    seconds = (last - first) / info.rate
    findings = [_remarked(cut, utterance.path, ids, root)] if cut else []
    if seconds < SHORT:
        findings.append(Finding("too-short", f"{seconds:.3f} s", ids, where))
    if seconds > LONG:
        findings.append(Finding("too-long", f"{seconds:.1f} s", ids, where))
    if not deep:
        return AudibleUtterance(utterance, seconds), findings
    remarks: list[Remark] = []
    try:
        wave = audio.read(utterance.path, info.rate, utterance.start, utterance.end, remarks.append)
    except AudioError as fault:
        return None, [*findings, _refused(fault, utterance.path, ids, root)]
    new = [remark for remark in remarks if remark not in (*info.remarks, cut)]
    findings += [_remarked(remark, utterance.path, ids, root) for remark in new]
    is_quiet = any(remark.kind == "quiet" for remark in new)
    return AudibleUtterance(utterance, seconds, "" if is_quiet else audio.digest(wave)), findings


def _remarked(remark: Remark, path: Path, ids: tuple[str, ...], root: Path) -> Finding:
    """A remark of sercache.audio as a finding; hardly any sound is silence here."""
    kind = "silent" if remark.kind == "quiet" else remark.kind
    return Finding(kind, remark.text, ids, shown(path, root))


def _refused(fault: AudioError, path: Path, ids: tuple[str, ...], root: Path) -> Finding:
    """A refusal of sercache.audio as a finding. The path is cut off first: it may hold any words."""
    reason = str(fault).removeprefix(f"{path}: ")
    return Finding(fault.kind, reason, ids, shown(path, root))


def odd_ones(examined: Sequence[Examined], root: Path) -> list[Finding]:
    """Files whose sample rate or number of channels is not that of most."""
    whole = [(file, file.info) for file in examined if file.info is not None]
    findings: list[Finding] = []
    for kind, field, unit in (("odd-rate", "rate", "Hz"), ("odd-channels", "channels", "channels")):
        found = Counter(getattr(info, field) for _, info in whole)
        if len(found) < 2:
            continue
        # Of equally frequent values the smaller one is taken for the usual one, whatever the order of files.
        usual, n = min(found.items(), key=lambda item: (-item[1], item[0]))
        for file, info in whole:
            value = getattr(info, field)
            if value != usual:
                detail = f"{value} {unit}, {n} of {len(whole)} files have {usual}"
                findings.append(Finding(kind, detail, file.ids, shown(file.path, root)))
    return findings
