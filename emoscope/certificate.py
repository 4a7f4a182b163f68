"""What slim weights were checked against: written beside them by a conversion, read by whoever uses them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emoscope.errors import ModelError

CERTIFICATE = "certificate.json"
LIMIT = 1e-4  # the largest difference between FunASR's network and ours, of features, logits and probabilities
GOLDEN_LIMIT = 1e-3  # of published scores, which are rounded and were computed on another machine


@dataclass(frozen=True)
class Certificate:
    """How far our network with the slim weights is from FunASR's own on the same sound."""

    model: str  # the folder's name, such as "emotion2vec_plus_large"
    date: str  # ISO 8601, with its time zone
    certified: bool  # no difference was above `limit`; else the slim weights were not kept
    differences: dict[str, float | None]  # the largest over all clips; None where an answer was no number
    clips: list[dict[str, Any]]  # each with its name, seconds and differences
    golden: dict[str, Any] | None  # the published scores and ours, where both are known
    versions: dict[str, str]  # of emoscope, funasr, torch, python
    source: dict[str, str]  # path -> SHA-256 of what was converted
    slim: dict[str, Any] | None  # path, bytes and SHA-256 of the slim weights
    peak_memory: int  # bytes that the conversion took at most, mapped files included
    seconds: float  # that the conversion took
    limit: float = LIMIT

    @classmethod
    def read(cls, folder: Path) -> "Certificate | None":
        """Read the certificate of a model folder; None when it has none. Raises ModelError when it is damaged."""
        file = folder / CERTIFICATE
        if not file.is_file():
            return None
        try:
            found = cls(**json.loads(file.read_text("utf-8")))
            if not isinstance(found.source, dict) or (found.certified and not isinstance(found.slim, dict)):
                raise ValueError("no certificate")
        except (OSError, ValueError, TypeError):
            raise ModelError(f"{file} is damaged. Delete it, then ./run.sh models certify writes it anew.") from None
        return found

    def write(self, folder: Path) -> None:
        """Write the certificate into a folder, whole or not at all."""
        unfinished = folder / f".{CERTIFICATE}"
        text = json.dumps(asdict(self), ensure_ascii=False, indent=2, allow_nan=False)
        unfinished.write_text(text + "\n", "utf-8")
        unfinished.replace(folder / CERTIFICATE)

    @property
    def furthest(self) -> str:
        """Say the largest difference and what it is of."""
        if any(difference is None for difference in self.differences.values()):
            return "an answer that is no number"
        name, most = max(self.differences.items(), key=lambda item: item[1] or 0.0)
        return f"{most:.1e} in {name.replace('_', ' ')}"

    @property
    def sentence(self) -> str:
        """Say the outcome to a person."""
        golden = ""
        if self.golden:
            words = "agree" if self.golden["passed"] else "do NOT agree"
            golden = f" The published scores of {self.golden['clip']} {words} ({self.golden['difference']:.1e} apart)."
        versions = f"FunASR {self.versions['funasr']}, PyTorch {self.versions['torch']}"
        if self.certified:
            return f"Certified against {versions}; the largest difference is {self.furthest}.{golden}"
        return (
            f"Refused against {versions}: {self.furthest}, over {self.limit:.0e}; FunASR's own network serves.{golden}"
        )

    @property
    def note(self) -> str:
        """Say what a person should know who reads an answer of this model, if there is something."""
        if not self.certified:
            return (
                "FunASR's own network answers, because Emoscope's differed from it on this machine "
                f"({self.furthest}; certificate.json has the figures). It is slower."
            )
        if self.golden and not self.golden["passed"]:
            return (
                f"These weights do not give the scores published for {self.golden['clip']}: up to "
                f"{self.golden['difference']:.3f} apart."
            )
        return ""
