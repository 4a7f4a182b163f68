"""All figures of the model card: test speakers, unseen corpora, the timeline, confidence, sounds without a voice."""

import time
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoscope.speech.compact import SAMPLE_RATE, CompactSpeech, describe, frame_count
from training.speech.data import LABELS, NONSPEECH, UNKNOWN, Clip, Corpora
from training.speech.evaluate import Array, along_time, choose, recalls, uar, verdicts
from training.speech.runs import OPEN, Parts, Run, unseen_by

MAIN = ("crema_d", "ravdess", "casia", "banglaser", "ased", "nemo")  # with enough test speakers or clips for a target


def softmax(logits: Array) -> Array:
    """(N, 9) -> (N, 9)."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def interval(values: dict[str, list[tuple[int, int]]], *, rounds: int = 1000) -> list[float]:
    """95 % bootstrap interval of the UAR, drawing whole speakers: {speaker: [(truth, guess), ...]}."""
    random, speakers, found = np.random.default_rng(1), list(values), []
    for _ in range(rounds):
        some = random.choice(speakers, len(speakers))
        drawn = np.array([pair for speaker in some for pair in values[speaker]])
        found.append(float(np.mean(list(recalls(drawn[:, 0], drawn[:, 1]).values()))))
    return [round(float(x), 4) for x in np.percentile(found, [2.5, 97.5])]


def score(logits: Array, clips: list[Clip], classes: list[int]) -> dict[str, Any]:
    """One corpus: UAR among its own classes with an interval by speaker, WA, UAR with all nine competing."""
    truth = np.array([clip.label for clip in clips])
    guess = choose(logits, classes)
    pairs: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for clip, t, g in zip(clips, truth, guess, strict=True):
        pairs[clip.speaker].append((int(t), int(g)))
    matrix = np.zeros((len(classes), len(classes)), int)
    for t, g in zip(truth, guess, strict=True):
        matrix[classes.index(t), classes.index(g)] += 1
    return {
        "clips": len(clips),
        "speakers": len(pairs),
        "uar": round(uar(logits, clips, classes), 4),
        "interval": interval(pairs),
        "wa": round(float(np.mean(truth == guess)), 4),
        "uar_all_nine": round(uar(logits, clips, range(len(LABELS))), 4),
        "chance": round(1 / len(classes), 4),
        "classes": [LABELS[k] for k in classes],
        "confusion": matrix.tolist(),
    }


def score_all(model: CompactSpeech, corpora: Corpora, clips: list[Clip], version: int = 0) -> dict[str, Any]:
    """Every corpus among the clips."""
    parts = {name: [clip for clip in clips if clip.corpus == name] for name in corpora.names}
    return {
        name: score(verdicts(model, corpora, part, version), part, corpora.classes(name))
        for name, part in parts.items()
        if part
    }


def mean_uar(scores: dict[str, Any], names: tuple[str, ...] | list[str]) -> float:
    """Mean over corpora."""
    return round(float(np.mean([scores[name]["uar"] for name in names])), 4)


def fit_temperature(logits: Array, clips: list[Clip]) -> float:
    """The divisor of the logits that makes the confidence honest: least cross-entropy, corpora weighing alike."""
    truth = np.array([clip.label for clip in clips])
    sizes = {name: sum(clip.corpus == name for clip in clips) for name in {clip.corpus for clip in clips}}
    weight = np.array([1 / sizes[clip.corpus] for clip in clips])
    grid = np.exp(np.linspace(np.log(0.3), np.log(4), 200))
    costs = [-np.sum(weight * np.log(softmax(logits / t)[np.arange(len(truth)), truth] + 1e-12)) for t in grid]
    return float(grid[int(np.argmin(costs))])


def calibration_error(logits: Array, clips: list[Clip], bins: int = 15) -> float:
    """Expected calibration error over all nine classes: |accuracy - confidence|, in bins of equal width."""
    chances = softmax(logits)
    right = chances.argmax(1) == np.array([clip.label for clip in clips])
    sure = chances.max(1)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    return float(sum(abs(np.sum(right[place == b]) - np.sum(sure[place == b])) for b in range(bins)) / len(clips))


def fold_in(model: CompactSpeech, temperature: float) -> None:
    """Divide the head by the temperature, so that the identity of frames and verdict stays exact."""
    with torch.no_grad():
        model.proj.weight /= temperature
        model.proj.bias /= temperature


def crema_d_views(model: CompactSpeech, corpora: Corpora) -> dict[str, Any]:
    """CREMA-D's test speakers against what the actor was asked for, and against what listeners heard."""
    clips = corpora.select({"crema_d"}, "test")
    guess = choose(verdicts(model, corpora, clips), corpora.classes("crema_d"))
    label = np.array([clip.label for clip in clips])
    sole = [k for k, clip in enumerate(clips) if clip.votes and max(clip.votes) == 1]
    heard = np.array([int(np.argmax(clips[k].votes)) for k in sole])
    agreed = [k for k in sole if np.argmax(clips[k].votes) == label[k]]
    any_vote = [clip.votes[g] > 0 for clip, g in zip(clips, guess, strict=True) if clip.votes]
    return {
        "label_wa": round(float(np.mean(guess == label)), 4),
        "vote_wa": round(float(np.mean(any_vote)), 4),
        "vote_uar": round(float(np.mean(list(recalls(heard, guess[sole]).values()))), 4),
        "agreed_clips": len(agreed),
        "agreed_uar": round(float(np.mean(list(recalls(label[agreed], guess[agreed]).values()))), 4),
        "listeners_label_wa": round(float(np.mean([c.votes[c.label] == 1 for c in clips if c.votes])), 4),
    }


def voiceless(model: CompactSpeech, corpora: Corpora) -> dict[str, Any]:
    """How often sounds without a voice are called unknown, and how often voices are."""
    extra = corpora.select({NONSPEECH}, "test")
    heard = verdicts(model, corpora, extra).argmax(1) == UNKNOWN
    kinds: dict[str, list[bool]] = defaultdict(list)
    for clip, unknown in zip(extra, heard, strict=True):
        kinds[clip.path.split("/")[0]].append(bool(unknown))
    voices = verdicts(model, corpora, corpora.select(set(corpora.names), "test")).argmax(1)
    return {
        "sounds_called_unknown": round(float(np.mean(heard)), 4),
        "by_kind": {kind: round(float(np.mean(found)), 3) for kind, found in kinds.items()},
        "voices_called_unknown": round(float(np.mean(voices == UNKNOWN)), 4),
        "voices_called_other": round(float(np.mean(voices == LABELS.index("other"))), 4),
    }


@torch.inference_mode()
def speed(model: CompactSpeech, seconds: float = 30.0) -> float:
    """How many times faster than real time, on the threads that torch has."""
    wave = 0.1 * torch.randn(1, int(seconds * SAMPLE_RATE))
    length = torch.tensor([wave.shape[1]])
    times = []
    for _ in range(5):
        start = time.perf_counter()
        model(wave, length, model.statistics(wave[0])[None])
        times.append(time.perf_counter() - start)
    return round(seconds / float(np.median(times)), 1)


@torch.inference_mode()
def window_gap(model: CompactSpeech, sound: NDArray[np.float16], statistics: torch.Tensor) -> float:
    """Largest difference of a frame's probabilities between one long pass and 30 s windows with 3 s to spare."""
    whole = torch.from_numpy(sound.astype(np.float32))[None]
    mask = torch.ones(whole.shape[:2], dtype=torch.bool)
    truth = model.encode(whole, mask, statistics)[1].softmax(-1)[0]
    size, spare, worst = frame_count(30 * SAMPLE_RATE) // 4 * 4, 148, 0.0
    for start in range(0, len(truth) - size, size - 2 * spare):
        part = slice(start, start + size)
        found = model.encode(whole[:, part], mask[:, part], statistics)[1].softmax(-1)[0]
        gap = (found - truth[part])[spare:-spare].abs().max()
        worst = max(worst, float(gap))
    return worst


def judge_strangers(parts: Parts, corpora: Corpora, clips: list[Clip]) -> dict[str, Array]:
    """Utterance logits of a network's committee, its ear, and both."""
    committee, ear = (verdicts(part, corpora, clips) for part in parts)
    return {"committee": committee, "ear": ear, "both": (committee + ear) / 2}


def only(found: dict[str, Array], clips: list[Clip], name: str) -> tuple[dict[str, Array], list[Clip]]:
    """One corpus of several."""
    rows = [k for k, clip in enumerate(clips) if clip.corpus == name]
    return {half: logits[rows] for half, logits in found.items()}, [clips[k] for k in rows]


def relative(logits: Array, clips: list[Clip]) -> Array:
    """Logits beside the mean of the same speaker's clips: what is left once a voice is known."""
    speakers = np.array([clip.speaker for clip in clips])
    centred = logits.copy()
    for speaker in np.unique(speakers):
        centred[speakers == speaker] -= logits[speakers == speaker].mean(0)
    return centred


def unseen(parts: dict[str, Parts], runs: list[Run], corpora: Corpora, temperature: float) -> dict[str, Any]:
    """Each corpus judged whole by the network that did not hear it; how sure that network was; its parts alone."""
    scores: dict[str, Any] = {}
    alone: dict[str, dict[str, float]] = {"committee": {}, "ear": {}}
    logits, strangers = [], []
    for run in (run for run in runs if run.name.startswith("without-")):
        clips = corpora.select(set(unseen_by(run, corpora)), "train", "dev", "test")
        found = judge_strangers(parts[run.name], corpora, clips)
        logits.append(found["both"] / temperature)
        strangers += clips
        for name in unseen_by(run, corpora):
            part, own = only(found, clips, name)
            scores[name] = score(part["both"], own, corpora.classes(name))
            scores[name]["relative"] = round(uar(relative(part["both"], own), own, corpora.classes(name)), 4)
            for half in alone:
                alone[half][name] = round(uar(part[half], own, corpora.classes(name)), 4)
    return {
        "unseen_corpora": {name: scores[name] for name in corpora.names},
        "unseen_parts": alone,
        "unseen_mean_ten": mean_uar(scores, corpora.names),
        "unseen_mean_six": mean_uar(scores, MAIN),
        "unseen_relative_ten": round(float(np.mean([s["relative"] for s in scores.values()])), 4),
        "unseen_ece": round(calibration_error(np.concatenate(logits), strangers), 4),
    }


def compare_open(parts: Parts, corpora: Corpora, left_out: dict[str, Any]) -> dict[str, Any]:
    """The network of open corpora against the others, on the seven corpora that neither heard."""
    rest = [name for name in corpora.names if name not in OPEN]
    clips = corpora.select(set(rest), "train", "dev", "test")
    found = judge_strangers(parts, corpora, clips)
    scores = {}
    for name in rest:
        part, own = only(found, clips, name)
        scores[name] = {"uar": round(uar(part["both"], own, corpora.classes(name)), 4)}
    return {
        "open": {name: scores[name]["uar"] for name in rest},
        "all_but_two": {name: left_out[name]["uar"] for name in rest},
        "open_mean": mean_uar(scores, rest),
        "all_but_two_mean": mean_uar(left_out, rest),
    }


def measure(model: CompactSpeech, parts: dict[str, Parts], runs: list[Run], corpora: Corpora) -> dict[str, Any]:
    """Every figure; the temperature is fitted on development speakers and folded into the final network."""
    names = set(corpora.names)
    dev, test = corpora.select(names, "dev"), corpora.select(names, "test")
    temperature = fit_temperature(verdicts(model, corpora, dev), dev)
    before = verdicts(model, corpora, test)
    fold_in(model, temperature)
    seen = score_all(model, corpora, test)
    noisy, far = (score_all(model, corpora, test, version) for version in (1, 2))
    long = np.concatenate([corpora.clip(clip) for clip in corpora.select({"nemo"}, "test")[:60]])
    strangers = unseen(parts, runs, corpora, temperature)
    return {
        "test_speakers": seen,
        "test_mean_six": mean_uar(seen, MAIN),
        "test_mean_ten": mean_uar(seen, corpora.names),
        "test_noisy": {name: s["uar"] for name, s in noisy.items()},
        "test_far": {name: s["uar"] for name, s in far.items()},
        **strangers,
        "open_model": compare_open(parts["open"], corpora, strangers["unseen_corpora"]),
        "crema_d": crema_d_views(model, corpora),
        "timeline": {name: along_time(model, corpora, corpora.select({name}, "test")) for name in MAIN},
        "calibration": {
            "temperature": round(temperature, 4),
            "ece_before": round(calibration_error(before, test), 4),
            "ece_after": round(calibration_error(before / temperature, test), 4),
            "ece_unseen_corpora": strangers["unseen_ece"],
        },
        "voiceless": voiceless(model, corpora),
        "window_gap": round(window_gap(model, long, long_statistics(long)), 6),
        "speed_times_real_time": speed(model),
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def long_statistics(sound: NDArray[np.float16]) -> torch.Tensor:
    """Statistics of sound features that were measured before."""
    whole = torch.from_numpy(sound.astype(np.float32))[None]
    return describe(whole, torch.ones(whole.shape[:2], dtype=torch.bool))
