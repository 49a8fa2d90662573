"""The corpus check-up: every defect planted once and told once, completeness, text and JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import corpus_trees
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sercache import checkup, progress
from sercache.checkup import KINDS, CheckUp, Finding, lines_of
from sercache.commands.console import Terminal
from sercache.commands.doctor import run
from sercache.datasets import Corpus, CorpusInfo, PublishedList, Skipped, Utterance, emodb, ravdess
from sercache.errors import CorpusError, UnknownNameError
from sercache.experiment.doctor import DoctorOptions

RATE = 16_000
LABELS = {"A": "anger", "N": "neutral"}
IDS = [f"{speaker}{label}{take}" for speaker in "abc" for label in "AN" for take in "12"]


def sound(seed: int, seconds: float = 0.3, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.1, round(seconds * rate))


def digest(lines: list[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in sorted(lines)).encode()).hexdigest()


PUBLISHED = PublishedList(
    rows=12,
    task="2class",
    counts={"raw_label": {"A": 6, "N": 6}, "speaker": {"a": 4, "b": 4, "c": 4}},
    sha256_ids=digest(IDS),
    sha256_labels=digest([f"{i}\t{LABELS[i[1]]}" for i in IDS]),
    ids=lambda: IDS,
)
INFO = CorpusInfo(
    title="Small corpus",
    language="en",
    n_speakers=3,
    hours=0.001,
    licence="none",
    access="https://example.org",
    tree="<root>/aA1.wav",
    tasks={"2class": LABELS, "anger": {"A": "anger"}},
    default_task="2class",
    published=(PUBLISHED,),
)


def corpus(root: Path, seeds: Sequence[int] = range(len(IDS))) -> Corpus:
    """Twelve whole recordings of three speakers, as published; equal seeds give equal sound."""
    utterances = []
    for seed, name in zip(seeds, IDS, strict=True):
        path = root / f"{name}.wav"
        soundfile.write(path, sound(seed), RATE)
        utterances.append(Utterance(name, path, name[1], name[0], group=f"g{name[0]}"))
    return Corpus("small", "1", root, INFO, tuple(utterances))


def changed(of: Corpus, utterance_id: str, **fields: object) -> Corpus:
    utterances = (dataclasses.replace(u, **fields) if u.id == utterance_id else u for u in of.utterances)
    return dataclasses.replace(of, utterances=tuple(utterances))


def without(of: Corpus, *ids: str) -> Corpus:
    return dataclasses.replace(of, utterances=tuple(u for u in of.utterances if u.id not in ids))


def told(found: CheckUp) -> list[tuple[str, tuple[str, ...]]]:
    return [(f.kind, f.ids) for f in found.findings]


def of_kind(found: CheckUp, kind: str) -> list[Finding]:
    return [f for f in found.findings if f.kind == kind]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def _truncate_flac(path: Path) -> None:
    soundfile.write(path, sound(7, 3.0), RATE, format="FLAC")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _not_finite(path: Path) -> None:
    wave = sound(1)
    wave[100] = np.nan
    soundfile.write(path, wave, RATE, subtype="FLOAT")


DEFECTS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "missing file": ("unreadable", "problem", lambda p: p.unlink()),
    "folder": ("unreadable", "problem", lambda p: (p.unlink(), p.mkdir())),
    "empty file": ("unreadable", "problem", lambda p: p.write_bytes(b"")),
    "text": ("unreadable", "problem", lambda p: p.write_bytes(b"this is silent, cut short, too short")),
    "header only": ("unreadable", "problem", lambda p: soundfile.write(p, np.zeros(0), RATE)),
    "pointer": ("lfs-pointer", "problem", lambda p: p.write_bytes(corpus_trees.LFS_POINTER)),
    "truncated": ("truncated", "problem", _truncate),
    "short": ("too-short", "problem", lambda p: soundfile.write(p, sound(1, 0.09), RATE)),
    "long": ("too-long", "note", lambda p: soundfile.write(p, sound(1, 30.1), RATE)),
    "rate": ("odd-rate", "note", lambda p: soundfile.write(p, sound(1, 0.3, 44_100), 44_100)),
    "stereo": ("odd-channels", "note", lambda p: soundfile.write(p, np.c_[sound(1), sound(2)], RATE)),
}
DEEP_DEFECTS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "zeros": ("silent", "problem", lambda p: soundfile.write(p, np.zeros(5000), RATE)),
    "dither": ("silent", "problem", lambda p: soundfile.write(p, np.sign(sound(1)) * 4e-5, RATE)),
    "offset": ("silent", "problem", lambda p: soundfile.write(p, np.full(5000, 0.2), RATE)),
    "nan": ("not-finite", "problem", _not_finite),
    "half a flac": ("damaged", "problem", _truncate_flac),
}


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_copy_is_clean(tmp_path: Path, deep: bool) -> None:
    seen: list[int] = []
    found = checkup.check_up(corpus(tmp_path), deep=deep, progress=seen.append)
    assert found.findings == ()
    assert sum(seen) == found.n_files == found.n_utterances == 12
    assert [c.digest for c in found.comparisons] == ["match"]
    assert found.sound.hours == pytest.approx(12 * 0.3 / 3600)
    assert (found.sound.rates, found.sound.channels) == ({RATE: 12}, {1: 12})


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_told_once_with_its_id(tmp_path: Path, defect: str, deep: bool) -> None:
    kind, severity, plant = DEFECTS[defect]
    # The words by which refusals are told apart may stand in the path as well.
    root = tmp_path / "is silent, cut short"
    root.mkdir()
    copy = corpus(root)
    plant(root / "bN1.wav")
    found = checkup.check_up(copy, deep=deep)
    assert told(found) == [(kind, ("bN1",))]
    (finding,) = found.findings
    assert (finding.severity, finding.path) == (severity, "bN1.wav")
    assert str(tmp_path) not in finding.detail


@pytest.mark.parametrize("defect", DEEP_DEFECTS)
def test_a_defect_of_the_samples_needs_a_deep_check_up(tmp_path: Path, defect: str) -> None:
    kind, severity, plant = DEEP_DEFECTS[defect]
    copy = corpus(tmp_path)
    plant(tmp_path / "bN1.wav")
    assert told(checkup.check_up(copy)) == []
    found = checkup.check_up(copy, deep=True)
    assert told(found) == [(kind, ("bN1",))]
    assert found.findings[0].severity == severity


def test_all_defects_at_once_are_each_told_once(tmp_path: Path) -> None:
    copy = corpus(tmp_path)
    chosen = [*list(DEFECTS.items())[4:], *list(DEEP_DEFECTS.items())[:1]]
    expected = []
    for name, (_, (kind, _, plant)) in zip(IDS, chosen, strict=False):
        plant(tmp_path / f"{name}.wav")
        expected.append((kind, (name,)))
    found = checkup.check_up(copy, deep=True)
    assert sorted(told(found)) == sorted(expected)
    assert [f.kind for f in found.findings] == sorted((k for k, _ in expected), key=list(KINDS).index)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("source", "target", "kind", "words"),
    [
        ("aA1", "aA2", "duplicate", "2 ids"),
        ("aA1", "aN2", "leak", "labels A, N"),
        ("aA1", "cA2", "leak", "speakers a, c; groups ga, gc"),
    ],
)
def test_equal_sound(tmp_path: Path, source: str, target: str, kind: str, words: str, deep: bool) -> None:
    copy = corpus(tmp_path)
    (tmp_path / f"{target}.wav").write_bytes((tmp_path / f"{source}.wav").read_bytes())
    found = checkup.check_up(copy, deep=deep)
    assert told(found) == [(kind, (source, target))]
    assert words in found.findings[0].detail


def test_a_file_with_two_defects_has_its_id_in_both(tmp_path: Path) -> None:
    copy = corpus(tmp_path)
    soundfile.write(tmp_path / "bN1.wav", np.zeros((5000, 2)), RATE)
    assert told(checkup.check_up(copy, deep=True)) == [("silent", ("bN1",)), ("odd-channels", ("bN1",))]


def test_unknown_speakers_are_no_leak(tmp_path: Path) -> None:
    copy = changed(corpus(tmp_path), "bA1", speaker="", group="")
    (tmp_path / "bA1.wav").write_bytes((tmp_path / "aA1.wav").read_bytes())
    assert [f.kind for f in checkup.check_up(copy).findings if f.ids == ("aA1", "bA1")] == ["duplicate"]


def test_equal_sound_in_another_format_needs_a_deep_check_up(tmp_path: Path) -> None:
    copy = corpus(tmp_path)
    wave, _ = soundfile.read(tmp_path / "aA1.wav")
    soundfile.write(tmp_path / "bA1.wav", wave, RATE, format="FLAC")
    assert told(checkup.check_up(copy)) == []
    assert told(checkup.check_up(copy, deep=True)) == [("leak", ("aA1", "bA1"))]


def test_equal_ends_are_not_enough(tmp_path: Path) -> None:
    copy = corpus(tmp_path)
    for name, middle in (("aA1", 0.1), ("bA1", 0.2)):
        soundfile.write(tmp_path / f"{name}.wav", np.r_[sound(1), np.full(9, middle), sound(2)], RATE)
    assert told(checkup.check_up(copy)) == []


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=12, max_size=12), st.booleans())
def test_copies_are_those_of_equal_content(
    tmp_path_factory: pytest.TempPathFactory, contents: list[int], deep: bool
) -> None:
    root = tmp_path_factory.mktemp("copies")
    copy = corpus(root, contents)
    expected: dict[int, list[str]] = {}
    for name, content in zip(IDS, contents, strict=True):
        expected.setdefault(content, []).append(name)
    found = {f.ids for f in checkup.check_up(copy, deep=deep).findings}
    assert found == {tuple(ids) for ids in expected.values() if len(ids) > 1}


@pytest.mark.parametrize("deep", [False, True])
def test_stretches_of_one_recording(tmp_path: Path, deep: bool) -> None:
    path = tmp_path / "dialogue.wav"
    soundfile.write(path, sound(0, 4.0), RATE)
    spans = {"whole": (None, None), "same": (0.0, 4.0), "part": (1.0, 2.0), "rounded": (3.5, 4.005)}
    spans |= {"beyond": (3.0, 5.0), "after": (4.0, None), "tiny": (1.0, 1.05)}
    utterances = tuple(Utterance(i, path, "A", "a", start=s, end=e) for i, (s, e) in spans.items())
    found = checkup.check_up(
        Corpus("small", "1", tmp_path, dataclasses.replace(INFO, published=(), n_speakers=1), utterances),
        deep=deep,
    )
    assert found.n_files == 1
    assert told(found) == [
        ("outside", ("after",)),
        ("outside", ("beyond",)),
        ("too-short", ("tiny",)),
        ("duplicate", ("same", "whole")),
        ("unlisted", ()),
    ]


def test_a_file_that_cannot_be_read_again_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad sector behind a good header: equal size makes the ends be read, and that fails."""
    copy = corpus(tmp_path)
    real_open = Path.open

    def broken(self: Path, mode: str = "r", **options: object) -> object:
        if self.name == "bN1.wav":
            raise OSError(5, "Input/output error", str(self))
        return real_open(self, mode, **options)

    monkeypatch.setattr(Path, "open", broken)
    found = checkup.check_up(copy)
    assert told(found) == [("unreadable", ("bN1",))]
    assert "Input/output error" in found.findings[0].detail


def test_missing_extra_and_relabelled_utterances(tmp_path: Path) -> None:
    whole = corpus(tmp_path)
    (missing,) = checkup.check_up(without(whole, "bN1")).findings
    assert missing.kind == "incomplete"
    assert missing.detail.startswith("11 of 12 published utterances of 2class")
    assert "1 missing: bN1" in missing.detail
    soundfile.write(tmp_path / "more.wav", sound(99), RATE)
    extra = Utterance("bN3", tmp_path / "more.wav", "N", "b", "gb")
    (found,) = checkup.check_up(dataclasses.replace(whole, utterances=(*whole.utterances, extra))).findings
    assert "1 not in the published list: bN3" in found.detail
    swapped = changed(changed(whole, "aA1", raw_label="N"), "aN1", raw_label="A")
    (found,) = checkup.check_up(swapped).findings
    assert found.kind == "incomplete"
    assert found.detail.startswith("as many utterances of 2class as published (12), but not the same")
    assert "ids or labels differ" in found.detail


def test_a_missing_class_is_a_problem_until_the_user_means_it(tmp_path: Path) -> None:
    copy = without(corpus(tmp_path), *(i for i in IDS if i[1] == "N"))
    found = checkup.check_up(copy)
    assert [f.kind for f in found.problems] == ["incomplete"]
    assert "no utterance of neutral" in found.problems[0].detail
    meant = checkup.check_up(checkup.part(copy, "anger"))
    assert meant.problems == ()
    assert [(c.rows, c.expected_rows) for c in meant.comparisons] == [(6, 6)]
    short = checkup.check_up(checkup.part(without(copy, "cA2"), "anger"))
    assert [f.kind for f in short.problems] == ["incomplete"]


def test_a_part_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    copy = corpus(tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean anger"):
        checkup.part(copy, "angry")
    with pytest.raises(CorpusError, match="none of 6 utterances has a class of anger"):
        checkup.part(without(copy, *(i for i in IDS if i[1] == "A")), "anger")


def _ravdess(root: Path, kept: str, but: str = "") -> CheckUp:
    for i in ravdess.INFO.published[0].ids():  # type: ignore[misc]
        if i.startswith(kept) and i != but:
            corpus_trees.touch(root / f"{i}.wav")
    return checkup.check_up(ravdess.read(root))


def test_a_part_with_a_published_list_is_complete(tmp_path: Path) -> None:
    """The speech of RAVDESS is what many have; its list says that it is all there."""
    found = _ravdess(tmp_path, "03-01")
    assert not of_kind(found, "incomplete")
    (note,) = of_kind(found, "part")
    assert note.detail == "all 1440 utterances of 8class@speech, of 2452 in the whole corpus"
    assert {c.value: c.published for c in found.counts["label"]} == {
        c.value: c.here for c in found.counts["label"]
    }


def test_a_hole_in_a_part_is_told_of_that_part(tmp_path: Path) -> None:
    lost = "03-01-05-02-01-01-13"
    (finding,) = of_kind(_ravdess(tmp_path, "03-01", but=lost), "incomplete")
    assert finding.detail.startswith("1439 of 1440 published utterances of 8class@speech")
    assert lost in finding.detail


def test_what_a_reader_left_out(tmp_path: Path) -> None:
    whole = dataclasses.replace(corpus(tmp_path), skipped=(Skipped("x.wav", "no label"),))
    assert [(f.kind, f.detail) for f in checkup.check_up(whole).findings] == [("skipped", "x.wav: no label")]
    unlisted = dataclasses.replace(whole, info=dataclasses.replace(INFO, published=()))
    assert [f.kind for f in checkup.check_up(unlisted).problems] == ["left-out"]


def test_label_counts_alone_are_compared_where_no_list_is_published(tmp_path: Path) -> None:
    info = dataclasses.replace(INFO, published=(), expected_counts={"A": 6, "N": 7})
    found = checkup.check_up(dataclasses.replace(corpus(tmp_path), info=info))
    assert [(f.kind, f.detail) for f in found.findings] == [("incomplete", "label: N 6 instead of 7")]
    assert [(c.value, c.here, c.published) for c in found.counts["label"]] == [("A", 6, 6), ("N", 6, 7)]


def test_warnings_of_the_reader_are_told_once(tmp_path: Path) -> None:
    corpus_trees.emodb(tmp_path, letters="WFNT")
    copy = emodb.read(tmp_path)
    assert len(copy.warnings) == 1
    copy = dataclasses.replace(copy, warnings=(*copy.warnings, "the labels are old"))
    found = checkup.check_up(copy)
    assert [f.detail for f in of_kind(found, "reader")] == ["the labels are old"]
    assert len(of_kind(found, "incomplete")) == 1
    meant = checkup.check_up(checkup.part(copy, "4class"))
    assert [f.detail for f in of_kind(meant, "reader")] == ["the labels are old"]


def test_speakers_not_known(tmp_path: Path) -> None:
    found = checkup.check_up(changed(corpus(tmp_path), "aA1", speaker=""))
    assert ("speakers", ("aA1",)) in told(found)
    assert found.known["speaker"] == 11
    assert found.known["sentence"] == 0


def test_the_histogram_counts_every_utterance(tmp_path: Path) -> None:
    copy = corpus(tmp_path)
    for name, seconds in zip(IDS, (0.1, 0.5, 0.999, 1.0, 4, 5, 8, 12, 20, 30, 31, 60), strict=True):
        soundfile.write(tmp_path / f"{name}.wav", sound(0, seconds, 1000), 1000)
    found = checkup.check_up(copy).sound
    assert [(b.start, b.n) for b in found.histogram if b.n] == [
        (0.0, 1), (0.5, 2), (1.0, 1), (4.0, 1), (5.0, 1), (7.5, 1), (10.0, 1), (20.0, 1), (30.0, 3),
    ]  # fmt: skip
    assert (found.shortest, found.longest, found.median) == (0.1, 60, 6.5)


def test_plain_data_keeps_its_keys(tmp_path: Path) -> None:
    copy = corpus(tmp_path)
    (tmp_path / "bN1.wav").unlink()
    found = checkup.check_up(copy)
    plain = json.loads(json.dumps(found.plain()))
    documented = CheckUp.plain.__doc__ or ""
    assert all(f"``{key}``" in documented for key in plain)
    assert set(plain) == {
        "corpus", "release", "root", "title", "licence", "access", "task", "deep", "clean", "n_utterances",
        "n_files", "n_problems", "n_notes", "n_speakers_published", "sound", "comparisons", "reference",
        "counts", "known", "skipped", "findings",
    }  # fmt: skip
    assert plain["clean"] is False
    assert plain["findings"] == [
        {
            "kind": "unreadable",
            "severity": "problem",
            "detail": "there is no such file",
            "ids": ["bN1"],
            "path": "bN1.wav",
        }
    ]
    assert plain["sound"]["rates"] == {"16000": 11}
    assert plain["counts"]["speaker"][0] == {"value": "a", "here": 4, "published": 4, "name": ""}


def test_text_tells_problems_from_notes(tmp_path: Path) -> None:
    copy = corpus(tmp_path)
    DEFECTS["pointer"][2](tmp_path / "aN1.wav")
    DEFECTS["stereo"][2](tmp_path / "bN1.wav")
    lines = list(lines_of(checkup.check_up(copy)))
    problems = next(k for k, line in enumerate(lines) if line.startswith("problems"))
    notes = next(k for k, line in enumerate(lines) if line.startswith("notes"))
    assert problems < next(k for k, line in enumerate(lines) if "aN1.wav" in line) < notes
    assert notes < next(k for k, line in enumerate(lines) if "bN1.wav" in line)
    assert lines[-1] == "verdict   1 problem (lfs-pointer)"
    assert "https://example.org" in "\n".join(lines)


@pytest.mark.parametrize("width", [80, 100])
def test_long_lists_are_cut_with_counts_and_fit_the_terminal(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = [f"speaker-{k:03d}" for k in range(150)]
    utterances = tuple(
        Utterance(
            f"{n}-{'x' * 60}", tmp_path / "deep" / f"{n}.wav", f"label-{n}-{'y' * 90}", n, group=f"g{n}"
        )
        for n in names
    )
    info = dataclasses.replace(
        INFO,
        published=(),
        tasks={"label": {u.raw_label: u.raw_label for u in utterances}},
        default_task="label",
    )
    lines = list(lines_of(checkup.check_up(Corpus("small", "1", tmp_path, info, utterances))))
    # What is one word, an id or a path, is never broken.
    assert [
        line for line in lines if len(line) > width and "x" * 60 not in line and len(line.split()) > 1
    ] == []
    assert len(lines) < 100
    text = " ".join(" ".join(lines).split())
    assert "unreadable (150)" in text
    assert "and 145 more (--json lists all)" in text
    assert "and 130 more" in text
    assert "and 126 more" in text
    assert "none can be read" in text


def test_names_that_no_terminal_should_see(tmp_path: Path) -> None:
    copy = changed(corpus(tmp_path), "aA1", path=tmp_path / "no\x1b[31m\udce9\n.wav")
    found = checkup.check_up(copy)
    text = "\n".join(lines_of(found))
    assert "\\x1b[31m\\udce9\\n.wav" in text
    text.encode()
    json.dumps(found.plain()).encode()


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of the user who runs the tests may reach them; a terminal shows what is told."""
    monkeypatch.setenv("SERCACHE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("SERCACHE_CACHE", str(tmp_path / "cache"))
    with progress.sent_to(Terminal()):
        yield


@pytest.mark.usefixtures("own_settings")
def test_the_command_exits_0_when_clean_and_1_on_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = corpus(tmp_path)
    rows = [f"{u.id},{u.path.name},{u.raw_label},{u.speaker}" for u in copy.utterances]
    (tmp_path / "table.csv").write_text("\n".join(["id,path,label,speaker", *rows]))
    root = tmp_path / "table.csv"
    assert run(DoctorOptions("manifest", root)) == 0
    assert "verdict   clean" in capsys.readouterr().out
    (tmp_path / "aA1.wav").write_bytes(corpus_trees.LFS_POINTER)
    assert run(DoctorOptions("manifest", root), as_json=True) == 1
    plain = json.loads(capsys.readouterr().out)
    assert [f["kind"] for f in plain["findings"] if f["severity"] == "problem"] == ["lfs-pointer"]


@pytest.mark.usefixtures("own_settings")
def test_the_command_takes_a_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = corpus_trees.emodb(tmp_path / "copy", letters="WFNT")
    assert run(DoctorOptions("emodb", root, task="4class", deep=True)) == 1
    out = capsys.readouterr().out
    assert "40 of 339 published utterances of 4class" in out
    assert "every utterance decoded" in out


@pytest.mark.real_data
@pytest.mark.usefixtures("own_settings")
def test_real_emodb_without_three_classes(capsys: pytest.CaptureFixture[str]) -> None:
    """A part that no list is published of: a problem, until the user says that it is meant."""
    folder = os.environ.get("SERCACHE_REAL_DATA")
    if not folder:
        pytest.skip("SERCACHE_REAL_DATA is not set: no real EMO-DB at hand")
    root = Path(folder) / "emodb"
    assert run(DoctorOptions("emodb", root, deep=True), as_json=True) == 1
    plain = json.loads(capsys.readouterr().out)
    assert Counter(f["kind"] for f in plain["findings"]) == {"incomplete": 1}
    assert "no utterance of boredom, disgust, fear" in plain["findings"][0]["detail"]
    assert run(DoctorOptions("emodb", root, task="4class", deep=True)) == 0
    assert "verdict   clean" in capsys.readouterr().out
