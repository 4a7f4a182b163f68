# ruff: noqa: E501
"""The model card, written from the figures, so that none of them is copied by hand."""

from typing import Any

from training.speech.data import LABELS

CORPORA = {
    "crema_d": ("CREMA-D", "English", "ODbL 1.0"),
    "ravdess": ("RAVDESS speech", "English", "CC BY-NC-SA 4.0"),
    "savee": ("SAVEE", "English", "research only"),
    "casia": ("CASIA", "Mandarin", "research, unclear"),
    "banglaser": ("BanglaSER", "Bangla", "CC BY 4.0"),
    "ased": ("ASED", "Amharic", "none stated; cite the paper"),
    "nemo": ("nEMO", "Polish", "CC BY-NC-SA 4.0"),
    "aesdd": ("AESDD", "Greek", "research, unclear"),
    "emotiontts_ko": ("EmotionTTS open DB", "Korean", "CC BY-NC-SA, research only"),
    "emogator": ("EmoGator (vocal bursts)", "no words", "Apache-2.0"),
}


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figure(value: float) -> str:
    """.62 rather than 0.6234."""
    return f"{value:.2f}".removeprefix("0")


def between(pair: list[float]) -> str:
    """An interval."""
    return f"{figure(pair[0])} to {figure(pair[1])}"


def confusion(scores: dict[str, Any]) -> str:
    """All corpora's test speakers in one matrix, in per cent of the row; each clip among its corpus's classes."""
    labels = [label for label in LABELS if label not in ("other", "unknown")]
    total = {(a, b): 0 for a in labels for b in labels}
    for part in scores.values():
        for a, row in zip(part["classes"], part["confusion"], strict=True):
            for b, count in zip(part["classes"], row, strict=True):
                total[a, b] += count
    rows = []
    for a in labels:
        count = max(sum(total[a, b] for b in labels), 1)
        rows.append([a, *(f"{100 * total[a, b] / count:.0f}" for b in labels), str(count)])
    return table(["said", *labels, "clips"], rows)


def results_table(metrics: dict[str, Any]) -> str:
    """Test speakers, corpus by corpus."""
    head = ["corpus", "clips", "speakers", "classes", "UAR", "95 %", "WA", "UAR, nine compete", "UAR noisy", "UAR far"]
    rows = []
    for name, s in metrics["test_speakers"].items():
        counts = [str(s["clips"]), str(s["speakers"]), str(len(s["classes"]))]
        rates = [figure(s["uar"]), between(s["interval"]), figure(s["wa"]), figure(s["uar_all_nine"])]
        hard = [figure(metrics["test_noisy"][name]), figure(metrics["test_far"][name])]
        rows.append([CORPORA[name][0], *counts, *rates, *hard])
    return table(head, rows)


def strangers_table(metrics: dict[str, Any]) -> str:
    """Corpora left out."""
    head = [
        "corpus left out",
        "clips",
        "classes",
        "UAR",
        "95 %",
        "WA",
        "beside the voice",
        "committee",
        "ear",
        "chance",
    ]
    rows = []
    for name, s in metrics["unseen_corpora"].items():
        halves = [figure(metrics["unseen_parts"][half][name]) for half in ("committee", "ear")]
        rates = [
            figure(s["uar"]),
            between(s["interval"]),
            figure(s["wa"]),
            figure(s["relative"]),
            *halves,
            figure(s["chance"]),
        ]
        rows.append([CORPORA[name][0], str(s["clips"]), str(len(s["classes"])), *rates])
    return table(head, rows)


def timeline_table(metrics: dict[str, Any]) -> str:
    """Localisation, corpus by corpus."""
    head = ["corpus", "clip alone", "its stretch of a recording", "frames", "frames, averaged over .5 s", "neighbour"]
    keys = ("alone", "segment", "frame", "smooth", "neighbour")
    rows = [[CORPORA[name][0], *(figure(t[key]) for key in keys)] for name, t in metrics["timeline"].items()]
    return table(head, rows)


def twin(found: dict[str, Any]) -> str:
    """What the openly licensed network is worth, corpus by corpus."""
    head = ["", *(CORPORA[name][0] for name in found["open"]), "mean"]
    mine = ["open corpora alone", *map(figure, found["open"].values()), f"{found['open_mean']:.3f}"]
    theirs = ["all but two", *map(figure, found["all_but_two"].values()), f"{found['all_but_two_mean']:.3f}"]
    return table(head, [mine, theirs])


def card(metrics: dict[str, Any], megabytes: float) -> str:
    """MODEL_CARD.md."""
    m, crema, sure, quiet = metrics, metrics["crema_d"], metrics["calibration"], metrics["voiceless"]
    short, full = m["short_steps"], m["steps"]
    kinds = ", ".join(f"{kind} {figure(share)}" for kind, share in quiet["by_kind"].items())
    data = table(["corpus", "language", "licence"], [list(CORPORA[name]) for name in m["test_speakers"]])
    return f"""# Compact speech emotion model

A small network ({m["parameters"] / 1e6:.1f} M parameters, {megabytes:.1f} MB, float32) that hears emotion in a voice and
says so for every 20 ms. It ships so that Emoscope works at once and without a network connection. **It is a demonstration
model, far below Emotion2Vec+ Large**, which takes over as soon as its weights are there.

Its parts answer together: a *committee* of small perceptrons reads classical measurements of a moment's surroundings
(spectrum, loudness, pitch, and how they move), and *ears* of convolutions ({m["ears"]} here) learn what to measure. Frames
share an answer in blocks of 80 ms; an answer takes in up to 2 s to either side.

## Intended use and limits
- For trying out the program, for teaching, for a first look at a recording. Not for judging people: no diagnosis, no
  hiring, no policing, no lie detection. Emotion recognition at work and in schools is restricted by law in places.
- It learned from **acted** speech and vocal bursts of a few hundred people. Real feelings are quieter and more mixed. For
  a recording from a new source, expect the figures under "Corpora it has never heard": often wrong, better than chance.
- Seven emotions come from data. `unknown` comes from made-up sounds without a voice (silence, noise, machines, tones,
  chords), and means "no voice to judge". `other` has no training data at all: it only learned to stay low, and its value
  means nothing.
- The loudness of the file is normalised away; emotion is read from spectrum, pitch and their movement, not from words.
- Audio of the corpora had been through Opus at 20 to 24 kbit/s.

## Data
{data}

Test speakers are never trained or tuned on; development speakers come from the others. Since several corpora are
non-commercial, **the weights are CC BY-NC-SA 4.0**. Attribution: the authors of the corpora above.

## Speakers it has never heard, from corpora it knows
UAR (unweighted average recall) among each corpus's own classes; 95 % intervals by bootstrap over speakers (with one or two
speakers they say little); whole clips, silence at the ends included. *Noisy*: noise or babble at 3 to 25 dB; *far*: a
simulated room, often band-limited.

{results_table(m)}

Mean UAR of CREMA-D, RAVDESS, CASIA, BanglaSER, ASED, nEMO: **{figure(m["test_mean_six"])}**. Of all ten:
{figure(m["test_mean_ten"])}.

Confusions on the test speakers, all corpora together, in per cent of the row:

{confusion(m["test_speakers"])}

## Corpora it has never heard
Five networks, each trained without two of the corpora, judged on those two whole. Two are left out at a time, there is only
one ear, and training is shorter (ear {short["ear"]} instead of {full["ear"]} steps, committee {short["committee"]} instead of
{full["committee"]}), so these are likely lower bounds for the shipped network.

{strangers_table(m)}

Mean UAR over the ten: **{figure(m["unseen_mean_ten"])}**; over the six above: {figure(m["unseen_mean_six"])}. A new voice or
microphone mostly shifts all answers one way (to neutral, to angry). *Beside the voice*: the mean answer to a speaker's
clips (all emotions, several clips) is subtracted first, which needs more than one recording; mean
{figure(m["unseen_relative_ten"])}. So trust changes within a recording more than its absolute verdict.

## CREMA-D: what was asked for, and what was heard
Listeners who only heard the voice agreed on the intended emotion in {figure(crema["listeners_label_wa"])} of the test clips.
The model names the intended emotion in {figure(crema["label_wa"])} (accuracy), and one that listeners named most in
{figure(crema["vote_wa"])}; against the votes its UAR is {figure(crema["vote_uar"])} (half of the votes are neutral). On the
{crema["agreed_clips"]} clips where listeners and script agree, UAR is {figure(crema["agreed_uar"])}.

## Along time
Three clips of one test speaker in one recording, 200 ms apart, neighbours of different emotions. Accuracy of a clip heard
alone, of its stretch of the recording, of single frames, and of frames averaged over half a second; *neighbour* is the
share of those that name another clip's emotion instead.

{timeline_table(m)}

Windows of 30 s and a pass over a whole file differ by at most {m["window_gap"]:.4f} in any frame's probabilities, 3 s
inside the window.

## Confidence
A temperature of {sure["temperature"]:.2f}, fitted on development speakers, is divided into the weights of `proj`. Expected
calibration error on test speakers, nine classes: {sure["ece_before"]:.3f} before, {sure["ece_after"]:.3f} after. On corpora
it has never heard (the five networks, same temperature) it is {sure["ece_unseen_corpora"]:.3f}.

## Sounds without a voice
Called `unknown`: {figure(quiet["sounds_called_unknown"])} of made-up sounds not used in training ({kinds}). Voices of test
speakers called `unknown`: {quiet["voices_called_unknown"]:.3f}; called `other`: {quiet["voices_called_other"]:.3f}.

## An openly licensed twin
Trained in the same short way on CREMA-D, BanglaSER and EmoGator alone, which allow commercial use; UAR on the seven corpora
it has not heard, beside the networks of "Corpora it has never heard":

{twin(m["open_model"])}

It is {m["open_model"]["all_but_two_mean"] - m["open_model"]["open_mean"]:.3f} behind on new corpora, which is close, but it knows two languages instead of
seven and would lose the voices of seven corpora. It exists in the short training only; who needs open weights can train it
in full (`Run("open", OPEN)` in `training/speech/runs.py`).

## Speed and rerun
{m["speed_times_real_time"]:.0f} times real time on {m["threads"]} CPU threads (30 s of audio, on a busy machine).

    python -m training.speech --data ../shared/data/audio --out models/compact-speech

All figures are in `metrics.json`; how the choices were made is in `training/README.md`.
"""
