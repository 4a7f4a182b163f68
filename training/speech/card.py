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


def card(metrics: dict[str, Any], megabytes: float) -> str:
    """MODEL_CARD.md."""
    test, unseen, open_model = metrics["test_speakers"], metrics["unseen_corpora"], metrics["open_model"]
    crema, calm, quiet = metrics["crema_d"], metrics["calibration"], metrics["voiceless"]
    results = table(
        ["corpus", "clips", "speakers", "classes", "UAR", "95 %", "WA", "UAR, all nine compete", "noisy", "far"],
        [
            [
                CORPORA[name][0], str(s["clips"]), str(s["speakers"]), str(len(s["classes"])), figure(s["uar"]),
                between(s["interval"]), figure(s["wa"]), figure(s["uar_all_nine"]),
                figure(metrics["test_noisy"][name]), figure(metrics["test_far"][name]),
            ]
            for name, s in test.items()
        ],
    )  # fmt: skip
    strangers = table(
        ["corpus left out", "clips", "classes", "UAR", "95 %", "chance"],
        [
            [CORPORA[name][0], str(s["clips"]), str(len(s["classes"])), figure(s["uar"]), between(s["interval"]),
             figure(s["chance"])]
            for name, s in unseen.items()
        ],
    )  # fmt: skip
    timeline = table(
        ["corpus", "clip alone", "its stretch of the recording", "frames", "frames, averaged over .5 s", "neighbour"],
        [
            [CORPORA[name][0], *(figure(t[key]) for key in ("alone", "segment", "frame", "smooth", "neighbour"))]
            for name, t in metrics["timeline"].items()
        ],
    )
    data = table(["corpus", "language", "licence"], [list(CORPORA[name]) for name in test])
    kinds = ", ".join(f"{kind} {figure(share)}" for kind, share in quiet["by_kind"].items())
    return f"""# Compact speech emotion model

A small network ({metrics["parameters"] / 1e6:.1f} M parameters, {megabytes:.1f} MB, float32) that hears emotion in a
voice, 50 times a second. It ships so that Emoscope works at once and without a network connection. **It is a
demonstration model, far below Emotion2Vec+ Large**, which takes over as soon as its weights are there.

## Intended use and limits
- For trying out the program, for teaching, for a first look at a recording. Not for judging people: no diagnosis, no
  hiring, no policing, no lie detection. Emotion recognition at work and in schools is restricted by law in places.
- It learned from **acted** speech (and vocal bursts) of a few hundred people. Real feelings are quieter and more mixed. On a
  recording from a new source expect the figures of "Corpora it has never heard", not those of "Speakers".
- Seven emotions come from data. `unknown` comes from made-up sounds without a voice (silence, noise, machines, tones,
  chords), and means "no voice to judge". `other` has no training data at all: it only learned to stay low, and a high
  `other` means nothing.
- Loudness of the whole file is normalised away; emotion is read from spectrum, pitch and their movement, not from words.

## Data
{data}

Test speakers are never trained or tuned on; development speakers come from the others. Since several corpora are
non-commercial, **the weights are CC BY-NC-SA 4.0**. Attribution: the authors of the corpora above.

## Speakers it has never heard, from corpora it knows
UAR (unweighted average recall) among each corpus's own classes; 95 % intervals by bootstrap over speakers; whole clips,
silence at the ends included. *Noisy*: noise or babble at 3 to 25 dB; *far*: a simulated room, often band-limited.

{results}

Mean UAR of CREMA-D, RAVDESS, CASIA, BanglaSER, ASED, nEMO: **{figure(metrics["test_mean_six"])}**. Of all ten:
{figure(metrics["test_mean_ten"])}.

Confusions on the test speakers, all corpora together, in per cent of the row:

{confusion(test)}

## Corpora it has never heard
Five networks, each trained without two of the corpora and with {metrics["short_steps"]} instead of
{metrics["config"]["steps"]} steps, judged on those two whole. Two are left out at a time and the training is shorter, so
these are lower bounds for the shipped network.

{strangers}

Mean UAR over the ten: **{figure(metrics["unseen_mean_ten"])}**; over the six above:
{figure(metrics["unseen_mean_six"])}.

## CREMA-D: what was asked for, and what was heard
Listeners who only heard the voice named the intended emotion in {figure(crema["listeners_label_wa"])} of the test clips (no
ties). The model names the intended emotion in {figure(crema["label_wa"])}, and one that listeners named most in
{figure(crema["vote_wa"])} (most votes are neutral, hence a UAR against the votes of {figure(crema["vote_uar"])}). On the
{crema["agreed_clips"]} clips where listeners and script agree, UAR is {figure(crema["agreed_uar"])}.

## Along time
Three clips of one test speaker in one recording, 200 ms apart, neighbours of different emotions. Accuracy of a clip heard
alone, of its stretch of the recording, of single frames, and of frames averaged over half a second; *neighbour* is the
share of those that name another clip's emotion instead.

{timeline}

A window of 30 s and a pass over the whole file differ by at most {metrics["window_gap"]:.4f} in any frame's probabilities,
3 s inside the window.

## Confidence
A temperature of {calm["temperature"]:.2f}, fitted on development speakers, is divided into the weights of `proj`. Expected
calibration error on test speakers, nine classes: {calm["ece_before"]:.3f} before, {calm["ece_after"]:.3f} after. On
unseen corpora (the five networks, same temperature): {calm["ece_unseen_corpora"]:.3f}; there the model is surer than it
should be.

## Sounds without a voice
Called `unknown`: {figure(quiet["sounds_called_unknown"])} of made-up sounds not used in training ({kinds}). Voices of test
speakers called `unknown`: {quiet["voices_called_unknown"]:.3f}; called `other`: {quiet["voices_called_other"]:.3f}.

## An openly licensed twin
Trained on CREMA-D, BanglaSER and EmoGator alone, with {metrics["short_steps"]} steps: mean UAR
{figure(open_model["open_mean"])} on the seven corpora it has not heard, against {figure(open_model["all_but_two_mean"])} for
the networks that had eight corpora and had not heard these either.

## Speed and rerun
{metrics["speed_times_real_time"]:.0f} times real time on {metrics["threads"]} CPU threads (30 s of audio).

    python -m training.speech --data ../shared/data/audio --out models/compact-speech

All figures are in `metrics.json`; how the choices were made is in `training/README.md`.
"""
