"""Who says what, and how, in the demo corpus: speakers, sentences, emotions as prosody."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

SEED = 20260101

EMOTIONS = ("anger", "happiness", "neutral", "sadness")

SENTENCES = {
    "en": (
        "The train leaves at seven.",
        "She put the cup on the table.",
        "We will meet your brother.",
        "There is a letter for you.",
        "He told me the whole story.",
    ),
    "de": (
        "Der Zug fährt um sieben.",
        "Sie stellt die Tasse auf den Tisch.",
        "Wir treffen deinen Bruder.",
        "Da liegt ein Brief für dich.",
        "Er hat mir alles erzählt.",
    ),
    "es": (
        "El tren sale a las siete.",
        "Puso la taza en la mesa.",
        "Veremos a tu hermano.",
        "Hay una carta para ti.",
        "Me contó toda la historia.",
    ),
    "el": (
        "Το τρένο φεύγει στις επτά.",
        "Έβαλε το φλιτζάνι στο τραπέζι.",
        "Θα δούμε τον αδελφό σου.",
        "Υπάρχει ένα γράμμα για σένα.",
        "Μου είπε όλη την ιστορία.",
    ),
    "zh": (
        "火车七点出发。",
        "她把杯子放在桌子上。",
        "我们去见你的哥哥。",
        "这里有一封给你的信。",
        "他给我讲了整个故事。",
    ),
}
VOICES = {"en": "en-us", "de": "de", "es": "es-419", "el": "el", "zh": "cmn"}


@dataclass(frozen=True)
class Speaker:
    """A voice variant of espeak-ng with its own habits."""

    name: str
    sex: str
    variant: str
    session: str
    pitch: int
    """Added to the pitch (0 to 100)."""
    rate: float
    """Factor on the speaking rate."""
    volume: float
    """Factor on the volume."""


SPEAKERS = (
    Speaker("D01F", "F", "f1", "D01", 0, 1.00, 1.00),
    Speaker("D01M", "M", "m1", "D01", 4, 1.06, 0.90),
    Speaker("D02F", "F", "f2", "D02", 6, 0.94, 1.05),
    Speaker("D02M", "M", "m2", "D02", -5, 1.00, 1.10),
    Speaker("D03F", "F", "f3", "D03", -4, 1.08, 0.92),
    Speaker("D03M", "M", "m3", "D03", 0, 0.92, 1.00),
    Speaker("D04F", "F", "f4", "D04", 3, 1.02, 1.12),
    Speaker("D04M", "M", "m4", "D04", 7, 0.98, 0.95),
    Speaker("D05F", "F", "f5", "D05", -6, 0.96, 1.00),
    Speaker("D05M", "M", "m7", "D05", -2, 1.04, 1.06),
)

# Mean change of (rate factor, pitch, pitch range, volume factor) by emotion, and their spread from
# utterance to utterance. The emotions overlap on purpose: no rule tells them apart without fault.
_PROSODY = {
    "anger": (1.16, 6.0, 10.0, 1.30),
    "happiness": (1.10, 14.0, 22.0, 1.05),
    "neutral": (1.00, 0.0, 0.0, 1.00),
    "sadness": (0.84, -8.0, -22.0, 0.75),
}
_SPREAD = (0.07, 5.0, 10.0, 0.12)


@dataclass(frozen=True)
class Line:
    """One utterance to be spoken."""

    id: str
    speaker: Speaker
    emotion: str
    language: str
    sentence: str
    text: str
    rate: int
    """Words per minute."""
    pitch: int
    range: int
    volume: int

    @property
    def voice(self) -> str:
        """Name of language and variant as espeak-ng takes it."""
        return f"{VOICES[self.language]}+{self.speaker.variant}"


def script() -> Iterator[Line]:
    """All lines in their fixed order: each speaker says two sentences per language in every emotion."""
    draw = random.Random(SEED)
    for n, speaker in enumerate(SPEAKERS):
        for language, sentences in SENTENCES.items():
            for k in (n % 5, (n + 1 + n // 5) % 5):
                for emotion in EMOTIONS:
                    rate, pitch, spread, volume = (
                        mean + draw.gauss(0.0, deviation)
                        for mean, deviation in zip(_PROSODY[emotion], _SPREAD, strict=True)
                    )
                    yield Line(
                        id=f"{speaker.name}_{language}{k + 1}_{emotion}",
                        speaker=speaker,
                        emotion=emotion,
                        language=language,
                        sentence=f"{language}{k + 1}",
                        text=sentences[k],
                        rate=round(min(max(170 * speaker.rate * rate, 90), 320)),
                        pitch=round(min(max(50 + speaker.pitch + pitch, 5), 95)),
                        range=round(min(max(50 + spread, 5), 95)),
                        volume=round(min(max(70 * speaker.volume * volume, 30), 180)),
                    )
