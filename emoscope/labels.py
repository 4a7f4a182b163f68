"""The nine emotions of Emotion2Vec+, in its order, and how other names map onto them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Emotion:
    """One class: its position, its names, and how it is drawn everywhere."""

    id: int
    name: str
    chinese: str
    emoji: str
    colour: str  # sRGB hex


# The smallest distance (CIE76) between two colours is 24.4 in normal vision, 22.1 for protanopes, 22.4 for deuteranopes
# and 19.7 for tritanopes, who are one in ten thousand; simulated after Machado, Oliveira and Fernandes (2009) in linear
# RGB. tests/test_labels.py computes it. No colour is meant to be text on white: happy has a contrast of 1.7 to 1.
EMOTIONS = (
    Emotion(0, "angry", "生气", "😠", "#db2b15"),
    Emotion(1, "disgusted", "厌恶", "🤢", "#659e46"),
    Emotion(2, "fearful", "恐惧", "😨", "#b461af"),
    Emotion(3, "happy", "开心", "😊", "#e2c932"),
    Emotion(4, "neutral", "中立", "😐", "#b2b6bc"),
    Emotion(5, "other", "其他", "💬", "#8e7864"),
    Emotion(6, "sad", "难过", "😢", "#6b95f5"),
    Emotion(7, "surprised", "吃惊", "😮", "#fea892"),
    Emotion(8, "unknown", "未知", "❔", "#575c65"),
)

LABELS = tuple(emotion.name for emotion in EMOTIONS)
COUNT = len(EMOTIONS)
INDEX = {name: index for index, name in enumerate(LABELS)}

_NAMES = {**INDEX, **{emotion.chinese: emotion.id for emotion in EMOTIONS}, "<unk>": INDEX["unknown"]}


def emotion(name: str) -> Emotion:
    """Return the emotion with this English name."""
    return EMOTIONS[INDEX[name]]


def parse_token(token: str) -> int | None:
    """Return the class that a line of `tokens.txt` names, or None for one that names no class of ours.

    The published files write `生气/angry`; reversed and English-only lines occur too, and `unuse_3` marks an output
    that must never win. Spaces around the names and a byte order mark are ignored.
    """
    for part in reversed(token.strip("\ufeff \t\r\n").split("/")):
        index = _NAMES.get(part.strip().lower())
        if index is not None:
            return index
    return None
