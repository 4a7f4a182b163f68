"""The models that can be downloaded: their names, where they are published, their licence and their authors."""

from dataclasses import dataclass
from pathlib import Path

COMPACT = "compact-speech"  # in git, so that the first run needs no network

HUBS = {"modelscope": "ModelScope", "huggingface": "Hugging Face"}  # in the order in which they are asked
OWNERS = {"modelscope": "iic", "huggingface": "emotion2vec"}  # who publishes Emotion2Vec+ there

LICENCE = "FunASR Model License 1.1"
AUTHORS = "the emotion2vec team: Ziyang Ma, Zhisheng Zheng, Jiaxin Ye, Jinchao Li, Zhifu Gao, Shiliang Zhang, Xie Chen"

REQUIRED = ("config.yaml", "model.pt", "tokens.txt")  # without these it is no model
# What else is worth having; everything else in the repositories is pictures and Git's own files.
WELCOME = (
    "configuration.json",
    "example/test.wav",
    "README.md",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "MODEL_LICENSE",
)


@dataclass(frozen=True)
class Published:
    """A model that its authors publish at the hubs."""

    name: str  # what a person types
    size: str = ""  # of the download in words, where it is known before a hub is asked

    @property
    def title(self) -> str:
        """Return the model's own name, which its licence asks to keep."""
        return f"Emotion2Vec+ {self.name.capitalize()}"

    @property
    def folder(self) -> str:
        """Return the name of its folder and of its repositories."""
        return f"emotion2vec_plus_{self.name}"

    @property
    def command(self) -> str:
        """Return what a person types to get it."""
        return f"./run.sh models download {self.name}"

    def repo(self, hub: str) -> str:
        """Return its repository at a hub."""
        return f"{OWNERS[hub]}/{self.folder}"

    def part(self, models: Path) -> Path:
        """Return the hidden folder in which a download grows."""
        return models / f".{self.folder}.part"


PUBLISHED = {model.name: model for model in (Published("large", "1.95 GB"), Published("base"), Published("seed"))}
LARGE = PUBLISHED["large"].folder
