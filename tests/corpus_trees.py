"""Small trees in the real layout of each corpus: real file names and label text, generated audio.

``TREES[name](root)`` builds one below ``root`` and returns the folder to read. Traps that real copies
hold (hidden files, nested copies, odd encodings) are part of the trees.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import soundfile

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@cache
def _noise(n_samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 0.05, n_samples)


def write_wav(path: Path, seconds: float = 0.3, rate: int = 16_000) -> Path:
    """A tone with noise whose pitch depends on the file name, 16-bit mono."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(seconds * rate)) / rate
    pitch = 100 + zlib.crc32(path.name.encode()) % 300
    wave = 0.3 * np.sin(2 * np.pi * pitch * times) + _noise(len(times))
    soundfile.write(path, wave, rate, subtype="PCM_16", format="WAV")
    return path


def write_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def touch(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def emodb(root: Path, letters: str = "WLEAFTN") -> Path:
    """Classic layout: all ten speakers, one sentence each, some in upper case, with left-overs."""
    for speaker, letter in product(("03", "08", "09", "10", "11", "12", "13", "14", "15", "16"), letters):
        suffix = ".WAV" if speaker == "16" else ".wav"
        write_wav(root / "wav" / f"{speaker}a01{letter}{'b' if letter == 'T' else 'a'}{suffix}")
    touch(root / "wav" / "._03a01Wa.wav", APPLE_DOUBLE)
    touch(root / "__MACOSX" / "wav" / "03a02Wa.wav", APPLE_DOUBLE)
    touch(root / ".DS_Store")
    write_text(root / "erkennung.txt", "Satz\terkannt\xa0natürlich\n03a01Wa.wav\t95,00\n", "latin-1")
    write_text(root / "lablaut" / "03a01Wxx.lablaut", "signal 0\n")
    return root


def ravdess(root: Path, speech: bool = True, song: bool = True, actors: int = 24) -> Path:
    """Speech and song merged in ``Actor_NN`` folders, and the nested second copy of the Kaggle download."""
    channels = ["01"] * speech + ["02"] * song
    for channel, actor, emotion in product(channels, range(1, actors + 1), range(1, 9)):
        if channel == "02" and (emotion > 6 or actor == 18):
            continue
        name = f"03-{channel}-{emotion:02d}-01-01-01-{actor:02d}.wav"
        write_wav(root / f"Actor_{actor:02d}" / name, rate=48_000)
        if actor <= 2:
            write_wav(root / "audio_speech_actors_01-24" / f"Actor_{actor:02d}" / name, rate=48_000)
    touch(root / "Actor_01" / "._03-01-01-01-01-01-01.wav", APPLE_DOUBLE)
    return root


IEMOCAP_DIALOGUES = {
    "impro01": ("neu", "hap", "exc", "sad", "ang", "fru", "xxx"),
    "script01_1": ("neu", "hap", "exc", "sad", "ang", "sur", "oth"),
}
_RATER_WORDS = {
    "neu": "Neutral", "hap": "Happiness", "exc": "Excited", "sad": "Sadness", "ang": "Anger",
    "fru": "Frustration", "sur": "Surprise", "oth": "Other", "xxx": "Neutral",
}  # fmt: skip


def iemocap_dialogues(session: int) -> dict[str, tuple[str, ...]]:
    """Dialogue names of a session and the labels of its turns, odd names included."""
    found = {f"Ses{session:02d}F_{name}": codes for name, codes in IEMOCAP_DIALOGUES.items()}
    if session == 3:
        found["Ses03M_impro05a"] = ("neu", "hap")
    if session == 5:
        found["Ses05M_script01_1b"] = ("sad", "ang")
    return found


def iemocap_block(turn: str, code: str, start: float = 6.2901) -> str:
    """One block of a label file, spaced as in the release."""
    word = _RATER_WORDS[code]
    third = "Anger; Sadness;" if code == "xxx" else f"{word};"
    return (
        f"[{start:.4f} - {start + 1.5:.4f}]\t{turn}\t{code}\t[2.5000, 3.5000, 1.5000]\n"
        f"C-E2:\t{word};\t()\nC-E3:\t{word};\t()\nC-E4:\t{third}\t()\nC-F1:\tNeutral; Anger;\t()\n"
        "A-E3:\tval 3; act 2; dom  2;\t()\nA-E4:\tval 2; act 3; \t()\nA-F1:\tval 3; act 2; dom  1;\t()\n\n"
    )


def iemocap(root: Path) -> Path:
    """The release below ``IEMOCAP_full_release``, two dialogues per session, both talkers in each."""
    release = root / "IEMOCAP_full_release"
    write_text(release / "README.txt", "IEMOCAP\n")
    for session in range(1, 6):
        folder = release / f"Session{session}"
        for dialogue, codes in iemocap_dialogues(session).items():
            _iemocap_dialogue(folder, dialogue, codes)
        evaluation = folder / "dialog" / "EmoEvaluation"
        odd = f"Ses{session:02d}F_impro01"
        touch(evaluation / f"._{odd}.txt", APPLE_DOUBLE)
        # Sub-folders hold files that look like label files and must not be read.
        write_text(evaluation / "Categorical" / f"{odd}_e2_cat.txt", f"{odd}_F000 :Anger; ()\n")
        write_text(evaluation / "Self-evaluation" / f"{odd}_f.txt", iemocap_block(f"{odd}_F900", "ang"))
    return release


def _iemocap_dialogue(folder: Path, dialogue: str, codes: tuple[str, ...]) -> None:
    labels = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    transcript = ""
    for talker, (n, code) in product("FM", enumerate(codes)):
        turn = f"{dialogue}_{talker}{n:03d}"
        labels += iemocap_block(turn, code)
        transcript += f"{turn} [006.2901-008.2357]: Excuse me, number {n}. [LAUGHTER]\n"
        write_wav(folder / "sentences" / "wav" / dialogue / f"{turn}.wav")
        words = "" if n == 0 else "\t 25\t 60\t-1200\tEXCUSE(2)\n"
        write_text(
            folder / "sentences" / "ForcedAlignment" / dialogue / f"{turn}.wdseg",
            f"\t SFrm\tEFrm\t   SegAScr Word\n\t 0\t 24\t-500\t<s>\n{words}\t 61\t 80\t-10\t</s>\n"
            "Total score:\t-1710\n",
        )
    transcript += f"{dialogue}_MXX0 [010.0000-011.0000]: Who?\nM: free line\n"
    write_text(folder / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", labels)
    write_text(
        folder / "dialog" / "transcriptions" / f"{dialogue}.txt",
        transcript.replace("Excuse", "Excusé"),
        "latin-1",
    )


def manifest(root: Path) -> Path:
    """A table with a byte order mark, an unused column and transcripts that hold the separator."""
    rows = ["id,path,label,speaker,group,transcript,language,colour"]
    for speaker, label in product("abcd", ("Happy", "sad", "neutral")):
        path = write_wav(root / "audio" / speaker / f"{label}.wav")
        rows.append(
            f"{speaker}-{label},{path.relative_to(root).as_posix()},{label},{speaker},s{'ab'.find(speaker) >= 0:d},"
            f'"Well, yes",en,red'
        )
    write_text(root / "manifest.csv", "\ufeff" + "\r\n".join(rows) + "\r\n")
    return root


def demo(root: Path) -> Path:
    """The demo corpus itself is made by its reader."""
    return root / "demo"


def flat(folder: Path, stems: Iterable[str], suffix: str = ".wav", rate: int = 16_000) -> Path:
    """Recordings with these stems, and an AppleDouble file for the first."""
    names = [f"{stem}{suffix}" for stem in stems]
    for name in names:
        write_wav(folder / name, rate=rate)
    touch((folder / names[0]).with_name("._" + Path(names[0]).name), APPLE_DOUBLE)
    return folder


def cremad(root: Path) -> Path:
    emotions = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
    stems = [
        f"{actor}_{text}_{e}_XX" for actor in (1001, 1002, 1091) for text in ("TIE", "WSI") for e in emotions
    ]
    flat(root / "AudioWAV", stems)
    touch(root / "AudioWAV" / "1003_IEO_ANG_HI.wav", LFS_POINTER)
    write_text(
        root / "processedResults" / "summaryTable.csv",
        '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'
        '"1","1001_TIE_ANG_XX","A","69.1","N","92.2","A","64.8"\n"2","1001_TIE_DIS_XX","A:D","50","D","9","D","8"\n',
    )
    return root


def savee(root: Path, flattened: bool = False) -> Path:
    codes = ("a", "d", "f", "h", "n", "sa", "su")
    pairs = [(s, f"{code}{n:02d}") for s in ("DC", "JE", "JK", "KL") for code in codes for n in (1, 15)]
    separator = "_" if flattened else "/"
    flat(root / "AudioData", [separator.join(pair) for pair in pairs], rate=44_100)
    write_text(root / "AudioData" / "Info.txt", "SAVEE\n")
    return root


def tess(root: Path) -> Path:
    """As re-packed: odd folder names, one misspelt file, an inner copy of everything."""
    codes = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
    stems = [f"{who}_{word}_{code}" for who in ("OAF", "YAF") for word in ("back", "bite") for code in codes]
    stems = [s.replace("OAF_bite_neutral", "OA_bite_neutral") for s in stems]
    for folder in (root / "OAF_Pleasant_surprise", root / "TESS Toronto emotional speech set data" / "copy"):
        flat(folder, stems, rate=24_414)
    return root


def emovo(root: Path) -> Path:
    codes = ("dis", "gio", "neu", "pau", "rab", "sor", "tri")
    speakers = ("f1", "f2", "f3", "m1", "m2", "m3")
    return flat(root, [f"{s}/{code}-{s}-{text}" for s in speakers for code in codes for text in ("b1", "d2")])


def shemo(root: Path) -> Path:
    """Transcripts with the direction marks of the release; fear of a woman, F..F.."""
    for speaker in ("F03", "M01", "M12"):
        stems = [f"{speaker}{letter}{n:02d}" for letter in "AFHNSW" for n in (1, 2)]
        flat(root / ("female" if speaker[0] == "F" else "male"), stems)
        for stem in stems:
            write_text(root / "transcript" / "final text" / f"{stem}.ort", "\ufeff\u200fسلام دنیا\u200e\n")
    return root


def cafe(root: Path) -> Path:
    """Folder names as they unpack in a wrong code page."""
    folders = {
        "C": "ColŠre",
        "D": "D‚go–t",
        "J": "Joie",
        "N": "Neutre",
        "P": "Peur",
        "S": "Surprise",
        "T": "Tristesse",
    }
    for letter, folder in folders.items():
        for intensity in "1" if letter == "N" else "12":
            inner = "" if letter == "N" else ("Faible", "Fort")[int(intensity) - 1]
            flat(
                root / "CaFE_48k" / folder / inner, [f"{a:02d}-{letter}-{intensity}-1" for a in range(1, 13)]
            )
    return root


def aesdd(root: Path) -> Path:
    for letter, folder in zip("adfhs", ("anger", "disgust", "fear", "happiness", "sadness"), strict=True):
        flat(root / folder, [f"{letter}{n:02d} ({s})" for n in (1, 5, 20) for s in range(1, 7)], rate=44_100)
    flat(root / "disgust", ["d03 (01)", "d04 (5)b"])
    return root


def mesd(root: Path) -> Path:
    folder = root / "Mexican Emotional Speech Database (MESD)"
    emotions = ("Anger", "Disgust", "Fear", "Happiness", "Neutral", "Sadness")
    stems = [
        f"{e}_{v}_{c}_{w}"
        for e in emotions
        for v in "FMC"
        for c, w in (("A", "tarde"), ("B", "abajo_arriba"))
    ]
    flat(folder, stems, rate=48_000)
    return root


ESD_ENCODINGS = {"0001": "gb2312", "0003": "utf-16", "0011": "ascii", "0016": "latin-1", "0012": "utf-16-le"}


def esd(root: Path, parts: bool = False) -> Path:
    """Text files in the encodings of the release, with spaces for tabs, blank and broken lines."""
    labels = {"Neutral": "中立", "Angry": "生气", "Happy": "快乐", "Sad": "伤心", "Surprise": "惊喜"}
    for speaker, encoding in ESD_ENCODINGS.items():
        mandarin = speaker <= "0010"
        lines = []
        for block, (label, word) in enumerate(labels.items()):
            for n in (1, 2, 350):
                stem = f"{speaker}_{350 * block + n:06d}"
                part = {1: "train", 2: "evaluation", 350: "test"}[n] if parts else ""
                write_wav(root / speaker / label / part / f"{stem}.wav")
                text = (
                    "他对谁都那么友好。"
                    if mandarin
                    else "The café, I keep."
                    if encoding == "latin-1"
                    else "I keep it."
                )
                lines.append(f"{stem}{' ' if n == 2 else chr(9)}{text}\t{word if mandarin else label}")
        write_text(
            root / speaker / f"{speaker}.txt", "\r\n".join([*lines, "", f"{speaker}_000003"]), encoding
        )
    return root


MSP_IMPROV_CLIPS = {
    "S01A-F01-P-FM01": "A", "S01A-M01-S-FM02": "H", "S02H-F02-R-FF01": "S", "S02H-M02-T-MF01": "N",
    "S03N-F03-P-MF05": "O", "S04S-M06-S-FM11": "X", "S20S-F05-T-FM01": "A",
}  # fmt: skip


def msp_improv_block(clip: str, label: str) -> str:
    """One block of the label file, with its odd spaces, a value that is NaN and a rater twice."""
    return (
        f"UTD-IMPROV-{clip}.avi; {label}; A:3.333333; V:2.333333; D:3.000000 ; N:3.666667;\n"
        "A3GLOA; Angry; Angry,Frustrated; A:2.000000; V:2.000000; D:4.000000; N:4.000000;\n"
        "A3GLOA; Angry; Angry,Frustrated; A:2.000000; V:2.000000; D:4.000000; N:4.000000;\n"
        "WORKER 2; Other; Other: bored; A:4.000000; V:NaN; D:1.000000; N:NaN;\n\n"
    )


def msp_improv(root: Path, audio: str = "Audio") -> Path:
    for clip in MSP_IMPROV_CLIPS:
        sentence, speaker, scenario, _ = clip.split("-")
        folder = root / audio / f"session{speaker[-1]}" / sentence / scenario
        write_wav(folder / f"MSP-IMPROV-{clip}.wav")
        touch(folder / f"UTD-IMPROV-{clip}.avi")
    blocks = [msp_improv_block(clip, label) for clip, label in MSP_IMPROV_CLIPS.items()]
    write_text(root / "Evalution.txt", "".join(blocks).replace("\n", "\r\n"))
    return root


MSP_PODCAST_ROWS = (
    ("0001_0008", "N", "30", "Male", "Test1"), ("0001_0019", "A", "30", "Male", "Train"),
    ("0002_0033", "H", "Unknown", "Female", "Development"), ("0002_0039_0001", "S", "7", "Female", "Train"),
    ("0003_0001", "U", "8", "Male", "Train"), ("0003_0002", "F", "8", "Male", "Train"),
    ("0004_0001", "D", "9", "Female", "Test2"), ("0004_0002", "C", "9", "Female", "Train"),
    ("0004_0003", "X", "9", "Female", "Train"), ("0004_0004", "O", "9", "Female", "Train"),
)  # fmt: skip


def msp_podcast(root: Path, table: str = "labels_consensus.csv") -> Path:
    """A release with its table of labels, or the text of later releases and its lists."""
    release = root / "MSP-PODCAST-Publish-1.11"
    csv_text = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
    blocks, parts, speakers = "", "", ""
    for name, label, speaker, sex, part in MSP_PODCAST_ROWS:
        file = f"MSP-PODCAST_{name}.wav"
        write_wav(release / "Audios" / file)
        write_text(release / "Transcripts" / f"MSP-PODCAST_{name}.txt", f"This is {name}.\n")
        csv_text += f"{file},{label},2.2,4.0,2.6,{speaker},{sex},{part}\n"
        blocks += f"{file}; {label}; A:2.200000; V:4.000000; D:2.600000;\n"
        blocks += "WORKER0000001; Neutral; Neutral,Confused; A:1.000000; V:4.000000; D:1.000000;\n\n"
        parts += f"{part}; {file}\n"
        speakers += f"{file}; {speaker}\n"
    write_text(release / "Labels" / table, csv_text if table.endswith("csv") else blocks)
    write_text(release / "Partitions.txt", parts)
    write_text(release / "Speaker_ids.txt", speakers)
    write_text(
        release / "Labels" / "labels_detailed.json",
        '{"MSP-PODCAST_0001_0008.wav": {"WORKER0000001": {"EmoClass_Major": "Other-unsure", '
        '"EmoClass_Second": "Neutral,Confused", "EmoAct": 1.0, "EmoDom": 2.0, "EmoVal": 4.0}}}',
    )
    return release


MELD_ROWS = {
    "train": ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
    "dev": ("neutral",),
    "test": ("joy", "neutral"),
}
MELD_FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}


def meld(root: Path, suffix: str = ".wav") -> Path:
    """Tables with CRLF, one in a Windows code page; left-overs beside the test clips."""
    header = (
        "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
    )
    for part, labels in MELD_ROWS.items():
        folder = root / part / MELD_FOLDERS[part]
        rows = [header]
        for n, label in enumerate(labels):
            write_wav(folder / f"dia0_utt{n}{suffix}")
            rows.append(
                f'{n + 1},"Oh, it’s {n}!",Joey,{label},neutral,0,{n},8,21,"00:16:16,059","00:16:21,731"'
            )
        encoding = "cp1252" if part == "test" else "utf-8"
        write_text(root / f"{part}_sent_emo.csv", "\r\n".join(rows) + "\r\n", encoding)
    touch(root / "test" / MELD_FOLDERS["test"] / "._dia0_utt0.wav", APPLE_DOUBLE)
    touch(root / "test" / MELD_FOLDERS["test"] / "final_videos_testdia0_utt0.wav")
    return root


def voxceleb1(root: Path, merged: bool = False) -> Path:
    """Both folders, or one merged ``wav``; every speaker has a line, three have recordings."""
    lines = []
    for speaker in range(10001, 11252):
        for part, n in (("1", 1), ("2", 2), ("3", 3)):
            name = f"id{speaker}/na8-QEFmj44/{n:05d}.wav"
            lines.append(f"{part} {name}")
            if speaker in (10001, 10003, 10270):
                top = "" if merged else "test" if speaker == 10270 else "dev"
                write_wav(root / top / "wav" / name)
    write_text(root / "iden_split.txt", "\n".join(lines) + "\n")
    meta = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\nid10003\tA.R._Rahman\tm\tIndia\tdev\n"
    write_text(root / "vox1_meta.csv", meta)
    return root


def hume_prosody(root: Path) -> Path:
    emotions = ["Anger", "Boredom", "Calmness", "Concentration", "Determination"]
    emotions += ["Excitement", "Interest", "Sadness", "Tiredness"]
    number = 0
    for part, n in (("train", 10), ("devel", 9), ("test", 2)):
        rows = [",".join(["filename", *emotions])]
        for k in range(n):
            number += 1
            shares = ["?"] * 9 if part == "test" else ["1.0" if j == k % 9 else "0.191" for j in range(9)]
            rows.append(",".join([f"{number:05d}.wav", *shares]))
            write_wav(root / "data" / "wav" / f"{number:05d}.wav")
        write_text(root / "data" / "lab" / f"{part}.csv", "\n".join(rows) + "\n")
    return root


def nemo(root: Path) -> Path:
    emotions = ("anger", "fear", "happiness", "neutral", "sadness", "surprised")
    stems = [f"{who}_{emotion}_{n}" for who in ("EB0", "WR0") for emotion in emotions for n in (1, 90)]
    flat(root / "samples", stems)
    rows = ["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"]
    rows += [
        f"{stem}.wav\t{stem.split('_')[1]}\tLubię czytać.\tlubię czytać\t        EB0\tfemale\t27"
        for stem in stems
    ]
    write_text(root / "data.tsv", "\n".join(rows) + "\n")
    return root


def urdu(root: Path) -> Path:
    for folder in ("Angry", "Happy", "Neutral", "Sad"):
        flat(root / folder, [f"{who}_F1_{folder[0]}0{n}" for n, who in enumerate(("SM1", "SM5", "SF10"))])
    return root


def turev(root: Path) -> Path:
    """The sounds and, beside them, the filtered copies of the repository with the same names."""
    for folder, code in (("Angry", "kz"), ("Calm", "sk"), ("Happy", "mt"), ("Sad", "hl")):
        stems = [f"{speaker}_{code}_{word}" for speaker in (1157, 7895) for word in ("beste", "okul")]
        flat(root / "Sound Source" / folder, stems, rate=44_100)
        flat(root / "Model Output for Test Data" / "testEmotions500HighPass" / "sound" / folder, stems[:1])
    return root


def casia(root: Path) -> Path:
    emotions = ("angry", "fear", "happy", "neutral", "sad", "surprise")
    speakers = ("liuchanhg", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang")
    return flat(
        root, [f"{who}/{emotion}/{n}" for who in speakers for emotion in emotions for n in (201, 250)]
    )


MOSEI_NAMES = ["sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear"]


def cmu_mosei(root: Path) -> Path:
    """Two videos; every emotion once, one segment without any, one tie, one with a start below zero."""
    import h5py

    features = np.zeros((8, 7), dtype=np.float32)
    for k in range(6):
        features[k, 0], features[k, k + 1] = k - 3, 2.0
    features[7, 1:3] = 1.0
    spans = np.array([[k - 0.5, k + 0.25] for k in range(8)])
    names = np.array([json.dumps(MOSEI_NAMES).encode()], dtype=object)
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "w") as file:
        top = file.create_group("All Labels")
        top.create_dataset("metadata/dimension names", data=names, dtype=h5py.string_dtype())
        for video in ("-3g5yACwYnA", "0h-zjBukYpk"):
            top.create_dataset(f"data/{video}/features", data=features)
            top.create_dataset(f"data/{video}/intervals", data=spans)
            write_wav(root / "Raw" / "Audio" / "Full" / "WAV_16000" / f"{video}.wav", seconds=8.0)
            lines = [
                f"{video}___{k}___{a}___{b}___text {k}____and more" for k, (a, b) in enumerate(spans.tolist())
            ]
            folder = root / "Raw" / "Transcript" / "Segmented" / "Combined"
            write_text(folder / f"{video}.txt", "\n".join([*lines, "1 2 3", "\x00\x01"]) + "\n", "latin-1")
    return root


AUDFORMAT_YAML = """name: toy
source: none
usage: unrestricted
languages: [deu]
description: Two tables and a list of speakers.
schemes:
  emotion:
    dtype: str
    labels: [anger, happiness, neutral]
  speaker:
    dtype: int
    labels:
      3: {gender: male}
      8: {gender: female}
  transcription:
    dtype: str
    labels: {a01: Der Lappen liegt auf dem Eisschrank.}
tables:
  emotion.train.gold_standard:
    type: filewise
    columns:
      emotion: {scheme_id: emotion}
  emotion.test.gold_standard:
    type: filewise
    columns:
      emotion: {scheme_id: emotion}
  emotion.desired:
    type: filewise
    columns:
      emotion: {scheme_id: emotion}
  files:
    type: filewise
    columns:
      speaker: {scheme_id: speaker}
      transcription: {scheme_id: transcription}
"""


def audformat(root: Path) -> Path:
    write_text(root / "db.yaml", AUDFORMAT_YAML)
    rows = {"wav/03a.wav": (3, "anger"), "wav/03b.wav": (3, "neutral"), "wav/08a.wav": (8, "happiness")}
    for file in rows:
        write_wav(root / file)
    for part, files in (("train", ["wav/03a.wav", "wav/03b.wav"]), ("test", ["wav/08a.wav"])):
        table = "file,emotion\n" + "".join(f"{file},{rows[file][1]}\n" for file in files)
        write_text(root / f"db.emotion.{part}.gold_standard.csv", table)
    # The acted emotion differs from what listeners heard; it must not count.
    write_text(
        root / "db.emotion.desired.csv", "file,emotion\n" + "".join(f"{file},anger\n" for file in rows)
    )
    speakers = "".join(f"{file},{speaker},a01\n" for file, (speaker, _) in rows.items())
    write_text(root / "db.files.csv", "file,speaker,transcription\n" + speakers)
    return root


TREES: dict[str, Callable[[Path], Path]] = {
    "aesdd": aesdd,
    "audformat": audformat,
    "cafe": cafe,
    "casia": casia,
    "cmu-mosei": cmu_mosei,
    "cremad": cremad,
    "demo": demo,
    "emodb": emodb,
    "emovo": emovo,
    "esd": esd,
    "hume-prosody": hume_prosody,
    "iemocap": iemocap,
    "manifest": manifest,
    "meld": meld,
    "mesd": mesd,
    "msp-improv": msp_improv,
    "msp-podcast": msp_podcast,
    "nemo": nemo,
    "ravdess": ravdess,
    "savee": savee,
    "shemo": shemo,
    "tess": tess,
    "turev": turev,
    "urdu": urdu,
    "voxceleb1": voxceleb1,
}
