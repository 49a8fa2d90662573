"""Trees of corpora that are free to ask for and whose file names carry the labels."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from sercache.datasets._examples._tools import flat, touch, write_flac, write_text, write_wav


def subesco(root: Path) -> Path:
    """Two women and two men, every emotion; one name with the bracket of the release."""
    speakers = ("F_01_OISHI", "F_02_MONIKA", "M_01_BASHIR", "M_10_EVAN")
    emotions = ("ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL", "SAD", "SURPRISE")
    stems = [f"{who}_S_{text}_{e}_1" for who, text, e in product(speakers, (1, 10), emotions)]
    return flat(root, [*stems, "F_02_MONIKA_S_2_SURPRISE_3]"], rate=44_100)


def jl_corpus(root: Path) -> Path:
    """All speakers and emotions in the folder of the download, with a text beside each recording."""
    emotions = (
        "angry", "anxious", "apologetic", "assertive", "concerned", "encouraging", "excited", "happy", "neutral", "sad",
    )  # fmt: skip
    speakers = ("female1", "female2", "male1", "male2")
    stems = [f"{who}_{e}_{text}_1" for who, e, text in product(speakers, emotions, ("1a", "15b"))]
    folder = root / "Raw JL corpus (unchecked and unannotated)" / "JL(wav+txt)"
    flat(folder, stems)
    for stem in stems:
        write_text(folder / f"{stem}.txt", "some words\n")
    return root


def baved(root: Path) -> Path:
    """Folders by word; speaker 53 has the recordings of speaker 46, and one file lies with another word."""
    for word, level in product(range(7), range(3)):
        folder = root / str(word)
        for number, who in enumerate(("0-m-21", "3-f-21", "46-m-20")):
            path = write_wav(folder / f"{who}-{word}-{level}-{100 + 100 * word + 10 * level + number}.wav")
        copy = folder / f"53-m-20-{word}-{level}-{1000 + 10 * word + level}.wav"
        copy.write_bytes(path.read_bytes())
    write_wav(root / "0" / "49-m-23-6-1-201.wav")
    write_text(root / "naming.txt", "speaker_id(int) - speaker_gender(m or f) - ...\n")
    write_text(root / "speakers_info.json", '{"0": {"age": 21, "gender": "m"}}\n')
    return root


def ased(root: Path) -> Path:
    """Folders by emotion, one name with a large letter, one with the number of the other sex."""
    for number, (letter, name) in enumerate(
        zip("nfhsa", ("Neutral", "Fearful", "Happy", "Sad", "Angry"), strict=True), 1
    ):
        pairs = (("01", "01"), ("02", "30"), ("01", "21"))
        stems = [f"{letter}{number}-{text}-01-{sex}-{who}" for text in ("01", "05") for sex, who in pairs]
        extra = {"s": ["S4-04-02-01-29"], "h": ["h3-02-02-02-21"]}.get(letter, [])
        flat(root / f"{number:02d}{name}", stems + extra)
    return root


def emov_db(root: Path) -> Path:
    """Folders by speaker and style; names repeat between them, in mixed case and with either separator."""
    styles = {
        "Amused": "amused", "Angry": "anger", "Disgusted": "Disgust", "Neutral": "neutral", "Sleepy": "sleepiness",
    }  # fmt: skip
    for who, (style, word) in product(("bea", "jenie", "josh", "sam"), styles.items()):
        if who != "josh" or style not in ("Angry", "Disgusted"):
            stems = [f"{word}_1-28_0001", f"{word}_1_28_0028"]
            flat(root / f"{who}_{style}", stems, rate=44_100 if who == "bea" else 16_000)
    return root


def oreau(root: Path) -> Path:
    """Folders by sex and emotion."""
    for (sex, speakers), letter in product((("f", ("10", "13")), ("m", ("07", "42"))), "CDJNPST"):
        stems = [f"{who}{text}{letter}a" for who in speakers for text in ("a01", "a12")]
        flat(root / "OréauFR_02" / sex / f"sess{letter.lower()}", stems, rate=44_100)
    return root


def resd(root: Path) -> Path:
    """Both spellings of names and folders; each dialogue has turns in both parts."""
    dialogues = (
        ("01", "happiness", "anger"), ("07", "fear", "neutral"), ("20", "disgust", "enthusiasm"),
        ("49", "sadness", "happiness"),
    )  # fmt: skip
    for number, one, two in dialogues:
        early = number < "12"
        folder = f"{number}_{one}_{two}" if early else f"{one}_{two}_{number}"
        for part, turn, emotion in product(("train", "test"), (30, 41), (one, two)):
            stem = f"{number}_{one}_{two}{' ' if early else '_'}{emotion[0]}_{turn + (part == 'test'):03d}"
            write_wav(root / part / folder / f"{stem}.wav")
    touch(root / "train" / ".DS_Store")
    return root


def enterface(root: Path) -> Path:
    """The sound of the films in folders by subject, emotion and sentence, with the odd names."""
    names = {
        "an": "anger",
        "di": "disgust",
        "fe": "fear",
        "ha": "happiness",
        "sa": "sadness",
        "su": "surprise",
    }
    for (code, folder), who, text in product(names.items(), ("1", "3", "16"), (1, 3)):
        stem = f"s{'_' if who == '3' else ''}{who}_{code}_{text}{'avi' if (who, code, text) == ('16', 'su', 3) else ''}"
        path = root / f"subject {who}" / folder / f"sentence {text}" / f"{stem}.wav"
        touch(write_wav(path).with_suffix(".avi"), b"RIFF")
    for code, folder in names.items():
        write_wav(root / "subject 6" / folder / f"s6_{code}.wav")
    return root


def emns(root: Path) -> Path:
    """The table with its bars and a row without recording; sound made of two films of each emotion."""
    rows = ["id|utterance|description|emotion|date_created|status|gender|age|level|audio_recording|user_id"]
    emotions = ("Angry", "Disgust", "Excited", "Happy", "Neutral", "Sad", "Sarcastic", "Surprised")
    for number, (emotion, letter) in enumerate(product(emotions, "aB")):
        name = f"recorded_audio_{letter}{number:02d}x"
        touch(write_wav(root / "cleaned_webm" / f"{name}.wav").with_suffix(".webm"), b"\x1a\x45\xdf\xa3")
        rows.append(
            f"{number}|Well, {number} times.|calm|{emotion}|2022|Complete|Female|30|MD|wavs/{name}.webm|3"
        )
    rows.append("99|Not yet.|calm|Sad|2022|Needs Updating|Female|30|MD|wavs/recorded_audio_none.webm|3")
    write_text(root / "metadata.csv", "\n".join(rows) + "\n")
    return root


def pavoque(root: Path) -> Path:
    """Two styles and outtakes: long recordings, and files that say where each prompt lies, with its phones."""
    listed = {
        "sad": ("m0066 sad", "m0067 sad"), "happy": ("m0066 happy", "poppy0001 happy"),
        "outtakes": ("m0066a sad", "e0018d neutral", "poker_n0001a poker", "spike0001a angry"),
    }  # fmt: skip
    for name, prompts in listed.items():
        write_flac(root / f"pavoque-{name}.flac", 0.5 * len(prompts))
        entries = []
        for number, (prompt, style) in enumerate(each.split() for each in prompts):
            entries.append(
                f"- prompt: {prompt}\n  text: 'Er sagte: schön {number}.'\n  style: {style}\n"
                f"  start: {number / 2}\n  end: {number / 2 + 0.5}\n"
                "  segments:\n  - {lab: H#, end: 0.2}\n  - {lab: 'e:', end: 0.3}\n"
            )
        write_text(root / f"pavoque-{name}.yaml", "".join(entries))
    return root


def emozionalmente(root: Path) -> Path:
    """Recordings that only the tables say something of."""
    emotions = ("anger", "disgust", "fear", "joy", "neutrality", "sadness", "surprise")
    samples = [",file_name,timestamp,actor,sentence,emotion_expressed"]
    for number, (actor, emotion) in enumerate(product(("u1", "u2", "u3"), emotions)):
        name = f"{1613655062436 + number}.wav"
        write_wav(root / "audio" / name)
        samples.append(f'{number},{name},1,{actor},"Sento che, oggi, {number % 2}.",{emotion}')
    write_text(root / "metadata" / "samples.csv", "\n".join(samples) + "\n")
    users = "username,age,gender\nu1,30,female\nu2,31,male\nu3,32,other\n"
    write_text(root / "metadata" / "users.csv", users)
    write_text(root / "metadata" / "evaluations.csv", "file_name,emotion_recognized\n1613655062436.wav,joy\n")
    return root


def mead(root: Path) -> Path:
    """Folders by actor, emotion and level, where each recording is a number."""
    emotions = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
    for number, (who, emotion, level) in enumerate(product(("M003", "W009"), emotions, (1, 3)), 1):
        if emotion != "neutral" or level == 1:
            path = write_wav(
                root / who / "audio" / emotion / f"level_{level}" / f"{number:03d}.wav", rate=48_000
            )
            touch(path.with_suffix(".m4a"), b"\x00\x00\x00\x20ftypM4A ")
    return root
