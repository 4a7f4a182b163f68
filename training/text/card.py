# ruff: noqa: E501
"""The model card, written from the figures, so that none of them is copied by hand."""

from typing import Any


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])


def figure(value: float) -> str:
    """.623 rather than 0.6234."""
    return f"{value:.3f}".removeprefix("0")


def yardstick_table(metrics: dict[str, Any]) -> str:
    """The parts that a simpler model was measured on, too."""
    rows = [
        [part, *(figure(one[key]) for key in ("accuracy", "f1")), *map(figure, one["yardstick"]),
         "yes" if one["beaten"] else "no"]
        for part, one in metrics["yardstick"].items()
    ]  # fmt: skip
    return table(["test texts", "accuracy", "macro-F1", "yardstick accuracy", "yardstick macro-F1", "beaten"], rows)


def variant(metrics: dict[str, Any]) -> str:
    """The figures of a variant that was trained beside, when there is one."""
    if not (other := metrics.get("variant")):
        return ""
    mine, all_steps = (
        sum(config["steps"] for configs in one["generations"] for config in configs) for one in (other, metrics)
    )
    return f"""
### Tiers of licences: {other["tiers"]}
A variant that learned from {other["texts"]} texts of these tiers only, in {mine} steps instead of {all_steps}; its weights are not in this folder.

{yardstick_table(other)}
"""


def scores_table(metrics: dict[str, Any], kind: str) -> str:
    """Every dataset, or every language."""
    rows = [
        [
            part.removeprefix(f"{kind} "),
            str(one["texts"]),
            *(figure(one[key]) for key in ("accuracy", "f1", "majority")),
        ]
        for part, one in metrics["scores"].items()
        if part.startswith(f"{kind} ")
    ]
    return table([kind, "texts", "accuracy", "macro-F1", "majority"], rows)


def data_table(metrics: dict[str, Any]) -> str:
    """What it learned from."""
    rows = [[name, metrics["tiers_of"][name], metrics["licences"][name]] for name in metrics["datasets"]]
    return table(["dataset", "tier", "licence"], rows)


def card(metrics: dict[str, Any], megabytes: float, licence: str) -> str:
    """MODEL_CARD.md."""
    m, all_texts = metrics, metrics["scores"]["all"]
    (first,), (second,), thirds = metrics["generations"]
    drawing = first["drawing"]
    why = "since several datasets are non-commercial" if m["tiers"] == "all" else "as the datasets' licences allow"
    millions, sure = m["parameters"] / 1e6, m["calibration_error"]
    return f"""# Compact text emotion model

A small transformer ({millions:.1f} M parameters, {megabytes:.1f} MB in float16) that reads emotion in short
texts of {m["languages"]} languages and varieties, English and Chinese first. It ships so that Emoscope works at once and without a
network connection. **It is a demonstration model, below any fine-tuned BERT.**

An ordinary transformers folder (`ModernBertForSequenceClassification`, byte-level BPE): `AutoModelForSequenceClassification`
opens it. It was never near a pre-trained model: everything it knows is from the texts below.

## Intended use and limits
- For trying out the program, for teaching, for a first look at a text. Not for judging people: no diagnosis, no hiring, no
  policing. Emotion recognition at work and in schools is restricted by law in places.
- Most of the texts are social media, film subtitles and written dialogue. It reads words, not situations: irony, quotations
  and what a dialogue was about before are lost on it. Upper and lower case are the same to it.
- `disgusted` is rare, and often hidden in `angry`. `other` has many meanings in the data. `unknown` it never says.
- For most languages beside English and Chinese there are few texts, and some have projected or machine-translated labels.
- **Dialogue is far harder than social media.** Four in five utterances are neutral: in the `xdailydialog` rows the model is hardly
  better than the most frequent class, or worse. Do not expect it to hear what people themselves need the voice or the story for.

## Results
On the official test splits; the yardstick is TF-IDF with logistic regression, one untuned model for each line. Seven
classes (rows called `other` do not count). A dataset is judged among the classes that its annotators had.

{yardstick_table(m)}

All test texts: accuracy {figure(all_texts["accuracy"])}, macro-F1 {figure(all_texts["f1"])}; always the most
frequent class: {figure(all_texts["majority"])}. Offsets of the classes in English, Chinese and other languages, and a temperature of {m["temperature"]:.2f}, all fitted
on the development texts, are part of the weights; expected calibration error on the test texts: {sure:.3f}.

{scores_table(m, "language")}

{scores_table(m, "dataset")}
{variant(m)}
## Data
{m["texts"]} training texts; tiers of licences: {m["tiers"]}. **The weights are {licence}**, {why}. Attribution: the authors of the datasets.

{data_table(m)}

## Training
    python -m training.text --data ../shared/data/text --tiers {m["tiers"]} --out models/compact-text

Three generations. The first: {first["steps"]} steps of {drawing["tokens"]} tokens. The words' numbers begin as factors of how often words stand
near each other; a fifth of the words is hidden, and some of them are guessed from the others (a masked language model) beside the
emotions. The second goes on from there for {second["steps"]} steps. Its target is the label only in small part: the rest is what the first
network says of the text, and, of English and Chinese texts, what a linear model over n-grams says, one that had not seen the text
(distillation). The third is the mean of the weights of {len(thirds)} networks that went on from there, {" and ".join(str(one["steps"]) for one in thirds)} steps. A word's numbers
are its own and those of its letters' n-grams, which it shares with its relatives; they are added up in the shipped file.
Texts come as written, as a speech recogniser writes them, as pieces, as pairs of pieces, and with words in smaller parts
(BPE-dropout). Class masks per dataset; several labels share the target; datasets are drawn by a power of their size, English and
Chinese {drawing["first"]:g} to {thirds[0]["drawing"]["first"]:g} times as often.
What the run of the shipped weights did otherwise is told in `training/text/README.md`. All figures are in `metrics.json`.
"""
