"""Trees of corpora whose file names carry the labels."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from sercache.datasets._examples._tools import APPLE_DOUBLE, LFS_POINTER, flat, touch, write_text, write_wav


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


def cremad(root: Path) -> Path:
    """Two actors, every emotion at several intensities."""
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
    answers = (("1001_TIE_ANG_XX", "AAD"), ("1002_WSI_SAD_XX", "SNSS"), ("1091_TIE_NEU_XX", "NNNNN"))
    rows = ['"","localid","pos","ans","queryType","clipName"']
    for name, letters in answers:
        rows += [f'"{k}","{k}","1","{letter}_60","1","{name}"' for k, letter in enumerate(letters, 1)]
    write_text(root / "finishedResponses.csv", "\n".join(rows) + "\n")
    return root


def savee(root: Path, flattened: bool = False) -> Path:
    """Four speakers in folders of their own, or all in one folder."""
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
    """Six speakers, every emotion, in folders by speaker."""
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
    """Folders by emotion; the speaker stands in parentheses."""
    for letter, folder in zip("adfhs", ("anger", "disgust", "fear", "happiness", "sadness"), strict=True):
        flat(root / folder, [f"{letter}{n:02d} ({s})" for n in (1, 5, 20) for s in range(1, 7)], rate=44_100)
    flat(root / "disgust", ["d03 (01)", "d04 (5)b"])
    return root


def mesd(root: Path) -> Path:
    """Emotion, voice and word in each name, below the folder that is unpacked."""
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


def nemo(root: Path) -> Path:
    """Two speakers; emotion and number in each name."""
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
    """Folders by emotion; the speaker begins each name."""
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
    """Folders by speaker and emotion, one speaker in mixed case."""
    emotions = ("angry", "fear", "happy", "neutral", "sad", "surprise")
    speakers = ("liuchanhg", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang")
    return flat(
        root, [f"{who}/{emotion}/{n}" for who in speakers for emotion in emotions for n in (201, 250)]
    )
