"""The options of hearing that a form offers; `name` begins the names of its elements, as a page has several forms."""

import gradio as gr

from emoscope.settings import LONGEST_SMOOTHING, PRECISIONS, Options
from emoscope.studio.words import label

DEFAULTS = Options()


def place_granularity(name: str = "") -> gr.Radio:
    """Place the choice between one verdict and the frames too."""
    return gr.Radio(
        [(label("speech.utterance"), "utterance"), (label("speech.frame"), "frame")],
        value=DEFAULTS.granularity,
        label=label("speech.granularity"),
        info=label("speech.granularity_help"),
        elem_id=f"{name}granularity",
        elem_classes="choice",
    )


def place_precision(name: str = "") -> gr.Dropdown:
    """Place the choice of the bits that a model computes with."""
    shown = {DEFAULTS.precision: label("speech.automatic")}
    return gr.Dropdown(
        [(shown.get(each, each), each) for each in PRECISIONS],
        value=DEFAULTS.precision,
        label=label("speech.precision"),
        info=label("speech.precision_help"),
        elem_id=f"{name}precision",
        filterable=False,
    )


def place_smoothing(name: str = "") -> gr.Slider:
    """Place the seconds over which frames are smoothed."""
    return gr.Slider(
        0,
        LONGEST_SMOOTHING,
        DEFAULTS.smooth,
        step=0.1,
        label=label("speech.smooth"),
        info=label("speech.smooth_help"),
        elem_id=f"{name}smooth",
        elem_classes="slider",
    )


def place_switch(option: str, name: str = "") -> gr.Checkbox:
    """Place an option that is on or off."""
    return gr.Checkbox(
        getattr(DEFAULTS, option),
        label=label(f"speech.{option}"),
        info=label(f"speech.{option}_help"),
        elem_id=f"{name}{option}",
        container=False,
    )
