"""Text classifiers that are known to fit, by their names on Hugging Face."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A published classifier: where it is, what it reads, and what it calls the emotions."""

    repo: str  # on Hugging Face
    languages: str
    licence: str
    labels: tuple[str, ...]  # of its config.json


KNOWN = {
    "english": Known(
        "j-hartmann/emotion-english-distilroberta-base",
        "English",
        "not stated",
        ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
    ),
    "multilingual": Known(
        "MilaNLProc/xlm-emo-t",
        "19 languages, Chinese among them",
        "not stated",
        ("anger", "fear", "joy", "sadness"),
    ),
    "chinese": Known(
        "touch20032003/xuyuan-trial-sentiment-bert-chinese",
        "Chinese",
        "not stated",
        ("none", "disgust", "happiness", "like", "fear", "sadness", "anger", "surprise"),
    ),
}
