"""SenseVoice Small and the FSMN VAD, opened by FunASR's own loader and nothing but folders."""

import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emoscope.device import find_device
from emoscope.errors import ModelError
from emoscope.models import PUBLISHED, Manifest, Published, kind_of
from emoscope.results import ModelInfo
from emoscope.speech.reference import kept_to_itself
from emoscope.timeline import Floats
from emoscope.transcribe.cut import LONGEST
from emoscope.transcribe.recogniser import Recogniser
from emoscope.transcribe.rich import Result
from emoscope.transcript import Seconds

BATCH = 120.0  # seconds with padding, on a GPU; on a processor one stretch at a time, as FunASR does
PAUSE = 800  # milliseconds of silence that end a stretch, as the published settings of the model say
LIMIT = round(LONGEST * 1000)  # milliseconds of a stretch
TAGS = 4  # frames before the first of the sound: language, emotion, event, and how numbers are written
# What FunASR, OmegaConf and SentencePiece stumble over when files are damaged, or of another model.
DAMAGED = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, AssertionError)


def load(folder: Path, vad: Path | None, *, device: str, threads: int) -> Recogniser:
    """Open the two models; see `emoscope.transcribe.load`."""
    place = find_device(device)
    voice = SenseVoice(_open(folder, PUBLISHED["sensevoice"], place, threads))
    speech = None if vad is None else _open(vad, PUBLISHED["vad"], place, threads, max_single_segment_time=LIMIT)
    manifest = Manifest.read(folder)
    with (folder / "model.pt").open("rb") as stream:
        weights = hashlib.file_digest(stream, "sha256").hexdigest()
    info = ModelInfo(
        name=folder.resolve().name,
        kind="SenseVoiceSmall",
        weights=weights,
        precision="fp32",
        device=str(place),
        licence=manifest.licence if manifest else "",
    )
    room = 0.0 if place.type == "cpu" else BATCH
    return Recogniser(info, voice.answer, None if speech is None else Vad(speech).find, room)


class SenseVoice:
    """FunASR's SenseVoice, which also tells how probable each token was."""

    def __init__(self, model: Any) -> None:
        """Listen to the encoder: FunASR keeps the probabilities of the tokens to itself."""
        self.model = model
        self._certainties: list[list[float]] = []
        model.model.encoder.register_forward_hook(self._listen)

    def answer(self, sounds: list[Floats]) -> Sequence[Result]:
        """Write down some sounds, in one batch; numbers and punctuation are written as people do (`use_itn`)."""
        try:
            found = self._generate(sounds, output_timestamp=True)
        except (IndexError, RuntimeError):  # where a text is cut into other tokens than were heard, aligning them fails
            found = self._generate(sounds, output_timestamp=False)
        return [{**each, "certainties": sure} for each, sure in zip(found, self._certainties, strict=True)]

    def _generate(self, sounds: list[Floats], *, output_timestamp: bool) -> list[dict[str, Any]]:
        with torch.inference_mode(), kept_to_itself():
            found: list[dict[str, Any]] = self.model.generate(
                [dithered(sound) for sound in sounds],
                batch_size=len(sounds),
                language="auto",
                use_itn=True,
                output_timestamp=output_timestamp,
            )
        return found

    def _listen(self, _encoder: nn.Module, _given: object, encoded: tuple[Tensor, Tensor]) -> None:
        """Keep the probabilities of the tokens: encoded (B, T, D), lengths (B,)."""
        frames, lengths = encoded
        best = self.model.model.ctc.ctc_lo(frames).softmax(-1).max(-1)  # (B, T, D) -> (B, T), (B, T)
        rows = zip(best.values, best.indices, lengths.tolist(), strict=True)
        self._certainties = [certainties(p[TAGS:length], t[TAGS:length], self._blank) for p, t, length in rows]

    @property
    def _blank(self) -> int:
        return int(self.model.model.blank_id)


def dithered(sound: Floats) -> Floats:
    """Return the sound with the faint noise that Kaldi adds, one step of 16 bits, so that silence is not nothing.

    It is the same noise each time: a recording always reads the same.
    """
    noise = np.random.default_rng(0).standard_normal(len(sound), dtype=np.float32)
    return sound + noise / np.float32(2**15)


def certainties(probabilities: Tensor, tokens: Tensor, blank: int) -> list[float]:
    """Return how probable each token was where it began: (T,), (T,) -> one for each token that CTC decoding leaves."""
    before = torch.cat([tokens.new_full((1,), -1), tokens[:-1]])
    found: list[float] = probabilities[(tokens != blank) & (tokens != before)].tolist()
    return found


class Vad:
    """FunASR's FSMN VAD."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def find(self, sound: Floats) -> Sequence[Seconds]:
        """Return when somebody speaks."""
        with torch.inference_mode(), kept_to_itself():
            [found] = self.model.generate(dithered(sound), max_end_silence_time=PAUSE)
        return [(start / 1000, end / 1000) for start, end in found["value"]]


def _open(folder: Path, model: Published, place: torch.device, threads: int, **settings: int) -> Any:
    """Let FunASR open a folder; raises ModelError where it would go on with random weights, or look elsewhere."""
    if kind_of(folder) != model.kind:
        raise ModelError(f"{model.title} in {folder} is not whole; {model.command} repairs it.")
    try:
        with kept_to_itself() as said:
            from funasr import AutoModel

            opened = AutoModel(
                model=str(folder),
                device=str(place),
                ncpu=threads or torch.get_num_threads(),
                disable_update=True,
                disable_pbar=True,
                trust_remote_code=False,  # said here, it counts more than what config.yaml says
                ignore_init_mismatch=False,
                log_level="ERROR",
                **settings,
            )
    except pickle.UnpicklingError:
        raise ModelError(
            f"The weights in {folder} hold something other than numbers, perhaps code that would run when they are "
            "read. Take them from their publisher."
        ) from None
    except DAMAGED as error:
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise ModelError(f"{folder} cannot be opened: {reason}. Get it again.") from error
    if "miss key" in said.getvalue():
        raise ModelError(f"{folder} does not hold all the weights of {model.title}. Get it again.")
    opened.kwargs["frontend"].dither = 0.0  # it would be other noise each time; see `dithered`
    opened.model.requires_grad_(False)
    return opened
