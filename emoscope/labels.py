"""The nine emotions of Emotion2Vec+, in its order, and how other names map onto them."""

import re
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


# What other models and corpora call the emotions. English names follow the groups that GoEmotions' authors published
# (Demszky et al. 2020, Ekman's six); a verdict such as “negative” or “2 stars” says how good, not which emotion.
FOREIGN = {
    "angry": "anger annoyance disapproval annoyed rage fury mad frustration irritation 愤怒 憤怒 生氣 发怒 恼怒 怒",
    "disgusted": "disgust hate hatred contempt dislike 厌恶 厭惡 恶心 噁心 讨厌 討厭 反感 恶",
    "fearful": "fear nervousness anxiety worry worried afraid scared terror 恐惧 恐懼 害怕 担忧 擔憂 焦虑 惧",
    "happy": (
        "joy happiness amusement approval excitement gratitude love optimism relief pride admiration desire caring "
        "enthusiasm enjoyment like joyful fun trust positive pos "
        "快乐 快樂 高兴 高興 开心 開心 喜悦 喜悅 喜欢 喜歡 喜爱 喜 幸福 感动 积极 積極 正面 关切 關切 好"
    ),
    "neutral": "none calm boredom neu 中性 中立 平静 平靜 平淡 无情绪 無情緒 无",
    "other": "others 其它 其他 其他情绪",
    "sad": (
        "sadness grief disappointment embarrassment remorse guilt shame depression lonely pessimism negative neg "
        "悲伤 悲傷 伤心 傷心 难过 難過 哀伤 低落 失望 哀 消极 消極 负面 負面 差"
    ),
    "surprised": (
        "surprise realization confusion curiosity wonder amazement 惊讶 驚訝 惊奇 驚奇 吃惊 吃驚 惊喜 惊 疑问 疑問"
    ),
}
_FOREIGN = {other: INDEX[name] for name, others in FOREIGN.items() for other in others.split()}
_STARS = {1: "sad", 2: "sad", 3: "neutral", 4: "happy", 5: "happy"}
_STAR = re.compile(r"(?:([1-5]) ?stars?|stars? ?([1-5])|([1-5]) ?星|([一二三四五])星)$")
_TONE = re.compile(r"(?:语调|語調|语气|語氣|情绪|情緒)$")


def parse_foreign(label: str) -> int | None:
    """Return the class that a label of somebody else's text classifier means, or None for one that means none of ours.

    Case, spaces around it, and the word for “tone” after a Chinese label do not count; stars and signs are understood.
    """
    known = parse_token(label)
    if known is not None:
        return known
    name = label.strip().lower().replace("_", " ")
    star = _STAR.match(name)
    if star:
        digit = next(group for group in star.groups() if group)
        return INDEX[_STARS[int(digit) if digit.isascii() else "一二三四五".index(digit) + 1]]
    return next((_FOREIGN[each] for each in (name, _TONE.sub("", name)) if each in _FOREIGN), None)
