"""The corpora as one table of clips and one array of sound features."""

import csv
import hashlib
import json
import logging
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

from emoscope.speech.compact import BANDS, MARGIN, SAMPLE_RATE, FrontEnd
from training.speech import nonspeech
from training.speech.augment import VERSIONS, Wave

LABELS = ("angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "unknown")
CHINESE = ("生气", "厌恶", "恐惧", "开心", "中立", "其他", "难过", "吃惊", "<unk>")
OTHER, UNKNOWN = LABELS.index("other"), LABELS.index("unknown")
CACHE = Path(tempfile.gettempdir()) / "emoscope-training"  # decoded features and finished trainings
NONSPEECH = "nonspeech"  # the made-up corpus of sounds without a voice
NONSPEECH_CLIPS = {"train": 140, "test": 25}  # per kind
WIDTH = BANDS + 2  # columns of sound features
SILENCE = 7.4  # nat, 32 dB below the loud frames: where a clip's speech begins and ends
MARGIN_FRAMES = 8  # 160 ms of grace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """One recording: whose voice, which emotion, and where its features lie."""

    path: str
    corpus: str
    speaker: str
    label: int
    fold: str  # "train", "dev" or "test"; a speaker is in one only
    votes: tuple[float, ...] = ()  # what listeners heard, as a distribution over LABELS; empty: nobody was asked
    spans: tuple[tuple[int, int], ...] = ()  # first and last + 1 row of each version


@dataclass(frozen=True)
class Corpora:
    """All clips and their features: row i of `sound` is 20 ms of some version of some clip."""

    clips: list[Clip]
    sound: NDArray[np.float16]  # (rows, 66)

    @property
    def names(self) -> list[str]:
        """The real corpora, in the manifest's order."""
        return [name for name in dict.fromkeys(clip.corpus for clip in self.clips) if name != NONSPEECH]

    def classes(self, corpus: str) -> list[int]:
        """The emotions that a corpus asked its speakers for."""
        return sorted({clip.label for clip in self.clips if clip.corpus == corpus})

    def select(self, corpora: set[str], *folds: str) -> list[Clip]:
        """The clips of some corpora and folds."""
        return [clip for clip in self.clips if clip.corpus in corpora and clip.fold in folds]

    def clip(self, clip: Clip, version: int = 0) -> NDArray[np.float16]:
        """A whole clip's features (T, 66), silent ends included."""
        first, last = clip.spans[version]
        return self.sound[first:last]


def speech_bounds(sound: NDArray[np.float16]) -> tuple[int, int]:
    """First and last + 1 frame of a clip without its silent ends, a margin kept."""
    energy = np.log(np.exp(sound[:, :BANDS].astype(np.float32)).sum(1))
    loud = np.flatnonzero(energy > max(np.percentile(energy, 95) - SILENCE, np.percentile(energy, 5) + 1.0))
    if not len(loud):
        return 0, len(energy)
    return max(0, int(loud[0]) - MARGIN_FRAMES), min(len(energy), int(loud[-1]) + 1 + MARGIN_FRAMES)


def decode(path: Path) -> Wave:
    """Any of the clips, mono float32 at 16 kHz."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        blocks = [out.to_ndarray()[0] for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        blocks += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(blocks)


def read_table(folder: Path) -> list[Clip]:
    """The manifest with folds: test speakers as given, one in eight of the others for development."""
    rows = list(csv.DictReader((folder / "manifest.csv").open(encoding="utf-8")))
    test = set(json.loads((folder / "speaker_split.json").read_text())["test_speakers"])
    votes = {row["path"]: row for row in csv.DictReader((folder / "crema_d_votes.csv").open(encoding="utf-8"))}
    return [
        Clip(
            path=row["path"],
            corpus=row["corpus"],
            speaker=row["speaker"],
            label=LABELS.index(row["label"]),
            fold="test" if row["speaker"] in test else development(row["speaker"]),
            votes=distribution(votes.get(row["path"], {})),
        )
        for row in rows
    ]


def development(speaker: str) -> str:
    """One speaker in eight, by a hash of the name: "dev" or "train"."""
    return "dev" if hashlib.sha256(speaker.encode()).digest()[0] < 32 else "train"


def distribution(row: dict[str, str]) -> tuple[float, ...]:
    """What voice-only listeners heard most often ("angry|sad" is a tie), as a distribution."""
    heard = row.get("voice_vote", "").split("|")
    return tuple(1 / len(heard) if label in heard else 0.0 for label in LABELS) if heard != [""] else ()


def measure(wave: Wave, front_end: FrontEnd) -> NDArray[np.float16]:
    """Sound features of a wave, as the network's own front end makes them."""
    with torch.inference_mode():
        sound = front_end(torch.nn.functional.pad(torch.from_numpy(wave)[None], (MARGIN, MARGIN)))[0]
    return sound.numpy().astype(np.float16)


def measure_clips(clips: list[Clip], seed: int, *, folder: Path) -> list[list[NDArray[np.float16]]]:
    """Every version of every clip; runs in a process of its own."""
    torch.set_num_threads(1)
    front_end, random = FrontEnd(), np.random.default_rng(seed)
    recent: list[Wave] = []
    measured = []
    for clip in clips:
        wave = decode(folder / clip.path)
        recent = [*recent[-40:], wave / max(float(np.std(wave)), 1e-4)] if clip.fold == "train" else recent
        voices = [recent[int(k)] for k in random.integers(0, len(recent), 4)] if recent else [wave]
        babble = np.sum([np.resize(voice, len(wave)) for voice in voices], axis=0)
        measured.append([measure(make(wave, babble, random), front_end) for make in VERSIONS.values()])
    return measured


def measure_nonspeech(seed: int) -> tuple[list[Clip], list[list[NDArray[np.float16]]]]:
    """The made-up corpus of sounds without a voice."""
    front_end, random = FrontEnd(), np.random.default_rng(seed)
    clips, measured = [], []
    for fold, count in NONSPEECH_CLIPS.items():
        for kind in nonspeech.KINDS:
            for number in range(count):
                clips.append(Clip(f"{kind}/{fold}/{number}", NONSPEECH, f"{kind}_{fold}", UNKNOWN, fold))
                measured.append([measure(nonspeech.sound(kind, random), front_end)] * len(VERSIONS))
    return clips, measured


def prepare(folder: Path, cache: Path, *, seed: int = 1, workers: int = 2) -> Corpora:
    """Decode and measure everything once; later calls read the cache."""
    table, array = cache / "clips.json", cache / "sound.npy"
    if not table.exists():
        cache.mkdir(parents=True, exist_ok=True)
        clips = read_table(folder)
        step = 200
        parts = [clips[i : i + step] for i in range(0, len(clips), step)]
        with ProcessPoolExecutor(workers) as pool:
            jobs = pool.map(partial(measure_clips, folder=folder), parts, range(seed * 1000, seed * 1000 + len(parts)))
            measured = []
            for number, part in enumerate(jobs, 1):
                measured += part
                log.info("measured %d of %d parts", number, len(parts))
        extra, extra_measured = measure_nonspeech(seed)
        write(clips + extra, measured + extra_measured, table, array)
    clips = [
        Clip(**{**row, "votes": tuple(row["votes"]), "spans": tuple(tuple(span) for span in row["spans"])})
        for row in json.loads(table.read_text())
    ]
    return Corpora(clips, np.load(array, mmap_mode="r"))


def write(clips: list[Clip], measured: list[list[NDArray[np.float16]]], table: Path, array: Path) -> None:
    """One array of all rows, and the table that says which rows are whose."""
    blocks, spans, row = [], [], 0
    for versions in measured:
        here = []
        for sound in versions:
            here.append((row, row + len(sound)))
            blocks.append(sound)
            row += len(sound)
        spans.append(tuple(here))
    np.save(array, np.concatenate(blocks))
    table.write_text(json.dumps([replace(clip, spans=span).__dict__ for clip, span in zip(clips, spans, strict=True)]))
