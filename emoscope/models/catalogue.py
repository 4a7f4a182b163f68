"""The models that can be downloaded: their names, where they are published, their licence and their authors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["speech", "text", "transcript", "vad"]
Groups: TypeAlias = tuple[tuple[str, ...], ...]  # one file of each group, the first that is there

COMPACT = "compact-speech"  # in git, so that the first run needs no network
COMPACT_TEXT = "compact-text"  # as well

HUBS = {"modelscope": "ModelScope", "huggingface": "Hugging Face"}  # in the order in which they are asked

FUNASR = "FunASR Model License 1.1"
UNKNOWN = "not stated"
# What else is worth having; everything else in the repositories is pictures and Git's own files.
PAPERS = ("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "MODEL_LICENSE")


@dataclass(frozen=True)
class Contents:
    """What the models of one kind consist of."""

    present: Groups  # in a folder that is a model
    required: Groups  # at a hub
    welcome: tuple[str, ...]  # what is fetched too, where a hub has it

    @property
    def all(self) -> tuple[str, ...]:
        """Return every file that a download may bring."""
        return (*(path for group in self.required for path in group), *self.welcome)


SENSEVOICE = (("config.yaml",), ("configuration.json",), ("am.mvn",), ("model.pt",))
TOKENIZER = ("chn_jpn_yue_eng_ko_spectok.bpe.model",)
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # numbers only come before pickles
CUTTERS = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model")  # of tokenizers

CONTENTS: dict[Kind, Contents] = {
    "speech": Contents(
        present=(("config.yaml",), ("model.safetensors", "model.pt")),
        required=(("config.yaml",), ("model.pt",), ("tokens.txt",)),
        welcome=("configuration.json", "example/test.wav", *PAPERS),
    ),
    "text": Contents(
        present=(("config.json",), (*WEIGHTS, "model.safetensors.index.json"), CUTTERS),
        required=(("config.json",), WEIGHTS, CUTTERS),
        welcome=(
            *CUTTERS,
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "merges.txt",
            *PAPERS,
        ),
    ),
    "transcript": Contents(present=SENSEVOICE, required=(*SENSEVOICE, TOKENIZER), welcome=PAPERS),
    "vad": Contents(present=SENSEVOICE, required=SENSEVOICE, welcome=PAPERS),
}


@dataclass(frozen=True)
class Published:
    """A model that its authors publish at the hubs."""

    name: str  # what a person types
    kind: Kind
    title: str  # the model's own name, which its licence asks to keep
    folder: str  # in the store
    repos: dict[str, str]  # by hub, in the order in which they are asked
    licence: str
    authors: str
    size: str = ""  # of the download in words, where it is known before a hub is asked
    companions: tuple[str, ...] = ()  # names of models that it works with, fetched with it

    @property
    def command(self) -> str:
        """Return what a person types to get it."""
        return f"./run.sh models download {self.name}"

    @property
    def contents(self) -> Contents:
        """Return which files it consists of."""
        return CONTENTS[self.kind]

    def part(self, models: Path) -> Path:
        """Return the hidden folder in which a download grows."""
        return models / f".{self.folder}.part"


def _emotion2vec(name: str, size: str = "") -> Published:
    folder = f"emotion2vec_plus_{name}"
    return Published(
        name,
        "speech",
        f"Emotion2Vec+ {name.capitalize()}",
        folder,
        {"modelscope": f"iic/{folder}", "huggingface": f"emotion2vec/{folder}"},
        FUNASR,
        "the emotion2vec team: Ziyang Ma, Zhisheng Zheng, Jiaxin Ye, Jinchao Li, Zhifu Gao, Shiliang Zhang, Xie Chen",
        size,
    )


def _text(name: str, title: str, repo: str, licence: str, authors: str, size: str) -> Published:
    return Published(name, "text", title, repo.split("/")[1], {"huggingface": repo}, licence, authors, size)


_ALL = (
    _emotion2vec("large", "1.95 GB"),
    _emotion2vec("base"),
    _emotion2vec("seed"),
    Published(
        "sensevoice",
        "transcript",
        "SenseVoice Small",
        "SenseVoiceSmall",
        {"modelscope": "iic/SenseVoiceSmall", "huggingface": "FunAudioLLM/SenseVoiceSmall"},
        FUNASR,
        "the Tongyi SpeechTeam, Alibaba Group",
        "0.94 GB",
        companions=("vad",),
    ),
    Published(
        "vad",
        "vad",
        "FSMN VAD",
        "fsmn-vad",
        {"modelscope": "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch", "huggingface": "funasr/fsmn-vad"},
        "Apache-2.0 at ModelScope, FunASR Model License 1.1 at Hugging Face",
        "the Speech Lab of DAMO Academy, Alibaba Group",
        "2 MB",
    ),
    _text(
        "english",
        "Emotion English DistilRoBERTa",
        "j-hartmann/emotion-english-distilroberta-base",
        UNKNOWN,
        "Jochen Hartmann",
        "0.33 GB",
    ),
    _text(
        "multilingual",
        "XLM-EMO",
        "MilaNLProc/xlm-emo-t",
        UNKNOWN,
        "Federico Bianchi, Debora Nozza, Dirk Hovy",
        "1.12 GB",
    ),
    _text(
        "chinese",
        "Xuyuan Sentiment BERT Chinese",
        "touch20032003/xuyuan-trial-sentiment-bert-chinese",
        "Apache-2.0",
        "touch20032003",
        "0.41 GB",
    ),
)
PUBLISHED = {model.name: model for model in _ALL}
LARGE = PUBLISHED["large"].folder


def names(*kinds: Kind) -> list[str]:
    """Return the names of the published models of these kinds, or of all."""
    return [model.name for model in _ALL if not kinds or model.kind in kinds]


def is_published(name: str, kind: Kind) -> bool:
    """Say whether a published model of this kind has the name."""
    return name in names(kind)
