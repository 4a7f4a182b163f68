"""Frame logits along time: known answers first, then properties that hold for any logits."""

import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emoscope.labels import INDEX, LABELS
from emoscope.timeline import (
    MIN_SEGMENT,
    NAMES,
    SILENCE,
    SILENT,
    Segment,
    Timeline,
    TurningPoint,
    _merge_short,
    _runs,
    frame_centres,
    frame_count,
    shares,
    softmax,
    turning_points,
)
from tests import reports
from tests.reports import SURE

WON = np.exp(SURE) / (np.exp(SURE) + 8)  # the probability of a winner with this logit against eight zeros


def spoken(*plan, **how):
    """A timeline that follows pairs of a label and a number of frames."""
    labels = [label for label, frames in plan for _ in range(frames)]
    logits = np.zeros((len(labels), 9), dtype=np.float32)
    for frame, label in enumerate(labels):
        logits[frame, INDEX.get(label, INDEX["unknown"])] = SURE
    return Timeline(logits, silent=np.array([label == SILENCE for label in labels]), **how)


def spans(segments):
    return [(segment.label, segment.start, segment.end) for segment in segments]


# ---- physics


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16_000, 49), (160_000, 499)]
)  # fmt: skip
def test_how_many_frames_fit(samples, frames):
    assert frame_count(samples) == frames


def test_frame_centres_are_in_the_middle_of_windows():
    assert frame_centres(3) == pytest.approx([0.0125, 0.0325, 0.0525])


def test_softmax_of_what_cannot_be_said_is_exactly_zero():
    found = softmax(np.array([0.0, -np.inf, 0.0], dtype=np.float32))
    assert found.tolist() == [0.5, 0.0, 0.5]
    assert softmax(np.full(9, 3e38, dtype=np.float32)).sum() == pytest.approx(1.0)


# ---- what a timeline accepts


@pytest.mark.parametrize(
    "logits",
    [
        np.zeros((0, 9)), np.zeros((3, 8)), np.zeros(9), np.zeros((1, 1, 9)), np.full((2, 9), np.nan),
        np.full((2, 9), np.inf), np.full((2, 9), -np.inf),
    ],
    ids=["no frame", "eight classes", "one row", "three axes", "nan", "inf", "nothing can be said"],
)  # fmt: skip
def test_logits_that_are_none_are_refused(logits):
    with pytest.raises(ValueError, match="timeline"):
        Timeline(logits)


@pytest.mark.parametrize(
    "wrong",
    [{"silent": [True]}, {"start": float("nan")}, {"seconds": 0.09}, {"seconds": 0.2}, {"seconds": -1.0}],
    ids=str,
)
def test_a_time_axis_that_does_not_fit_is_refused(wrong):
    with pytest.raises(ValueError, match="frames"):
        Timeline(np.zeros((5, 9)), **wrong)


def test_values_are_read_only_and_the_callers_array_is_not():
    mine = np.zeros((5, 9), dtype=np.float32)
    timeline = Timeline(mine)
    with pytest.raises(ValueError, match="read-only"):
        timeline.logits[0, 0] = 1
    mine[0, 0] = 0.0
    assert mine.flags.writeable


def test_times_are_on_the_files_clock():
    timeline = Timeline(np.zeros((50, 9)), start=2.5)
    assert len(timeline) == 50
    assert timeline.times[[0, 1, 49]] == pytest.approx([2.5, 2.52, 3.48])
    assert timeline.end == pytest.approx(3.5)


def test_the_last_frame_lasts_until_the_sound_ends():
    timeline = Timeline(np.zeros((49, 9)), seconds=1.0)
    assert timeline.end == 1.0
    assert spans(timeline.segments()) == [("angry", 0.0, 1.0)]
    assert replace(timeline, start=3.0).end == 4.0


# ---- known answers


def test_half_angry_half_sad():
    first, second = spoken(("angry", 150), ("sad", 150)).segments()
    assert spans((first, second)) == [("angry", 0.0, 3.0), ("sad", 3.0, 6.0)]
    assert first.seconds == pytest.approx(3.0)
    assert first.probability == pytest.approx(second.probability)
    assert spoken(("angry", 150), ("sad", 150)).segments(smooth=0)[0].probability == pytest.approx(WON)


def test_half_angry_half_sad_has_one_turning_point_and_equal_shares():
    timeline = spoken(("angry", 150), ("sad", 150))
    assert timeline.turning_points() == (TurningPoint(3.0, "angry", "sad"),)
    assert timeline.shares() == {**dict.fromkeys(LABELS, 0.0), "angry": 0.5, "sad": 0.5}
    scores = timeline.scores()
    assert scores[INDEX["angry"]] == scores[INDEX["sad"]] == pytest.approx(np.exp(2) / (2 * np.exp(2) + 7), rel=1e-6)


def test_silence_in_the_middle_is_a_segment_but_no_turning_point():
    timeline = spoken(("happy", 100), (SILENCE, 100), ("happy", 50), ("surprised", 50))
    segments = timeline.segments()
    assert spans(segments) == [
        ("happy", 0.0, 2.0), (SILENCE, 2.0, 4.0), ("happy", 4.0, 5.0), ("surprised", 5.0, 6.0)
    ]  # fmt: skip
    assert segments[1].probability == 0.0
    assert timeline.turning_points() == (TurningPoint(5.0, "happy", "surprised"),)
    assert timeline.shares()["happy"] == pytest.approx(0.75)


def test_an_emotion_that_changes_across_silence_turns_where_the_new_one_begins():
    timeline = spoken(("happy", 100), (SILENCE, 100), ("sad", 100))
    assert timeline.turning_points() == (TurningPoint(4.0, "happy", "sad"),)


def test_silence_does_not_colour_its_neighbours():
    timeline = spoken(("happy", 100), (SILENCE, 100), ("happy", 100))
    sounding = timeline.probabilities(0.5)[~timeline.silent]
    assert sounding[:, INDEX["happy"]] == pytest.approx(WON, abs=1e-6)


def test_deep_within_silence_the_mean_is_that_of_the_silent_frames():
    timeline = spoken(("happy", 50), (SILENCE, 100))
    inside = timeline.probabilities(0.5)[-1]
    assert inside[INDEX["unknown"]] == pytest.approx(WON, abs=1e-6)


def test_all_silence():
    timeline = spoken((SILENCE, 100))
    assert timeline.segments() == (Segment(SILENCE, 0.0, 2.0, 0.0),)
    assert timeline.turning_points() == ()
    assert set(timeline.shares().values()) == {0.0}
    assert timeline.scores().sum() == pytest.approx(1.0)


@pytest.mark.parametrize("smooth", [0.0, 0.5, 10.0])
def test_one_frame(smooth):
    timeline = spoken(("fearful", 1), seconds=0.025)
    (segment,) = timeline.segments(smooth)
    assert (segment.label, segment.start, segment.end) == ("fearful", 0.0, 0.025)
    assert segment.probability == pytest.approx(WON)
    assert timeline.shares(smooth)["fearful"] == 1.0


def test_alternating_flicker_becomes_one_segment():
    timeline = spoken(*(("angry", 1), ("sad", 1)) * 100, ("sad", 1))
    (segment,) = timeline.segments(smooth=0)
    assert segment.end == 4.02
    raw = timeline.segments(smooth=0, shortest=0)
    assert len(raw) == 200
    assert raw[0].probability == pytest.approx(WON)


def test_flicker_between_long_moods_goes_to_the_longer_one():
    timeline = spoken(("happy", 100), ("angry", 5), ("sad", 50))
    assert spans(timeline.segments(smooth=0)) == [("happy", 0.0, 2.1), ("sad", 2.1, 3.1)]


def test_a_breath_disappears_in_the_word_and_a_click_in_the_silence():
    assert spans(spoken(("sad", 50), (SILENCE, 5), ("sad", 50)).segments()) == [("sad", 0.0, 2.1)]
    assert spans(spoken((SILENCE, 50), ("sad", 5), (SILENCE, 50)).segments()) == [(SILENCE, 0.0, 2.1)]


def test_a_segments_probability_is_the_mean_over_its_sounding_frames():
    (segment,) = spoken(("sad", 50), (SILENCE, 5), ("sad", 50)).segments(smooth=0)
    assert segment.probability == pytest.approx(WON)  # the silent frames say "unknown"


def test_equal_neighbours_go_to_the_one_before():
    timeline = spoken(("angry", 20), ("happy", 5), ("sad", 20))
    assert spans(timeline.segments(smooth=0)) == [("angry", 0.0, 0.5), ("sad", 0.5, 0.9)]


def test_segments_at_the_border_of_the_shortest_length():
    frames = round(MIN_SEGMENT / 0.02)
    assert len(spoken(("angry", 50), ("sad", frames), ("angry", 50)).segments(smooth=0)) == 3
    assert len(spoken(("angry", 50), ("sad", frames - 1), ("angry", 50)).segments(smooth=0)) == 1


def test_what_a_model_cannot_say_stays_at_zero():
    logits = np.zeros((100, 9), dtype=np.float32)
    logits[:, [5, 8]] = -np.inf
    timeline = Timeline(logits)
    for smooth in (0.0, 0.5):
        assert (timeline.probabilities(smooth)[:, [5, 8]] == 0).all()
        assert timeline.probabilities(smooth)[:, 0] == pytest.approx(1 / 7)
    assert timeline.scores()[[5, 8]].tolist() == [0, 0]
    assert (timeline.contributions("other") == -np.inf).all()
    assert (timeline.contributions("sad", against="other") == np.inf).all()
    with pytest.raises(ValueError, match="neither other nor unknown"):
        timeline.contributions("other", against="unknown")


def test_the_window_of_smoothing_is_centred_and_cut_at_the_ends():
    logits = np.full((9, 9), -30.0, dtype=np.float32)
    logits[:, 0] = 0.0
    logits[4] = [-30, 0, -30, -30, -30, -30, -30, -30, -30]  # one frame says "disgusted"
    found = Timeline(logits).probabilities(0.1)[:, 1]  # five frames
    assert found == pytest.approx([0, 0, 0.2, 0.2, 0.2, 0.2, 0.2, 0, 0], abs=1e-6)
    assert Timeline(logits[3:6]).probabilities(0.1)[:, 1] == pytest.approx([1 / 3] * 3, abs=1e-6)


@pytest.mark.parametrize("smooth", [0.0, 0.02, 0.029])
def test_smoothing_over_one_frame_shows_raw_frames(smooth):
    timeline = reports.changing(3, seed=4).speech.timeline
    assert (timeline.probabilities(smooth) == softmax(timeline.logits)).all()


def test_dominant_frames_name_silence():
    timeline = spoken(("happy", 2), (SILENCE, 1))
    assert [NAMES[index] for index in timeline.dominant(0)] == ["happy", "happy", SILENCE]
    assert timeline.dominant(0)[-1] == SILENT


def test_who_has_the_segments_can_ask_the_functions():
    timeline = reports.changing(60).speech.timeline
    segments = timeline.segments(0.3)
    assert shares(segments) == timeline.shares(0.3)
    assert turning_points(segments) == timeline.turning_points(0.3)
    assert shares(()) == dict.fromkeys(LABELS, 0.0)


def test_times_are_rounded_to_microseconds():
    timeline = spoken(*((("angry", "sad")[turn % 2], 35) for turn in range(30)), start=0.0000625 * 3)
    for segment in timeline.segments(smooth=0):
        assert segment.start == round(segment.start, 6)
        assert segment.end == round(segment.end, 6)
    assert spoken(("angry", 35), ("sad", 35)).segments(0)[0].end == 0.7


# ---- properties of any timeline

MANY = settings(max_examples=60, deadline=None)


@st.composite
def timelines(draw):
    frames = draw(st.integers(1, 120))
    logits = draw(arrays(np.float32, (frames, 9), elements=st.floats(-30, 30, width=32), fill=st.just(0.0)))
    mute = draw(st.lists(st.integers(0, 8), max_size=8, unique=True))
    logits[:, mute] = -np.inf
    silent = draw(arrays(np.bool_, frames))
    tail = draw(st.sampled_from([0.0, 0.005, 0.024]))
    return Timeline(logits, silent=silent, start=draw(st.sampled_from([0.0, 1.2345])), seconds=frames / 50 + tail)


SMOOTHINGS = st.sampled_from([0.0, 0.06, 0.5, 10.0])
SHORTEST = st.sampled_from([0.0, 0.1, 0.3, 5.0])


@MANY
@given(timelines(), SMOOTHINGS)
def test_probabilities_are_probabilities(timeline, smooth):
    found = timeline.probabilities(smooth)
    assert found.shape == timeline.logits.shape
    assert found.dtype == np.float32
    assert (found >= 0).all()
    assert found.sum(axis=1) == pytest.approx(1.0, abs=1e-6)


@MANY
@given(timelines(), SMOOTHINGS, SHORTEST)
def test_segments_tile_the_time(timeline, smooth, shortest):
    segments = timeline.segments(smooth, shortest)
    assert segments[0].start == pytest.approx(timeline.start, abs=1e-6)
    assert segments[-1].end == pytest.approx(timeline.end, abs=1e-6)
    for before, after in pairwise(segments):
        assert before.end == after.start
        assert before.label != after.label
    for segment in segments:
        assert segment.label in NAMES
        assert 0 <= segment.probability <= 1 + 1e-6
        assert (segment.probability == 0) == (segment.label == SILENCE) or segment.probability < 1e-6
    if len(segments) > 1:
        assert min(segment.seconds for segment in segments) >= shortest - 1e-6


@MANY
@given(timelines(), SMOOTHINGS, SHORTEST)
def test_shares_sum_to_one_or_nothing_sounds(timeline, smooth, shortest):
    segments = timeline.segments(smooth, shortest)
    total = sum(timeline.shares(smooth, shortest).values())
    assert total == pytest.approx(0.0 if all(each.label == SILENCE for each in segments) else 1.0)


@MANY
@given(timelines())
def test_the_verdict_is_the_softmax_of_the_mean_logits(timeline):
    mean = timeline.logits.astype(np.float64).mean(axis=0)
    weights = np.exp(mean - mean.max())
    assert timeline.scores() == pytest.approx(weights / weights.sum(), abs=1e-6)


@MANY
@given(timelines(), st.sampled_from(LABELS), st.sampled_from(LABELS))
def test_contributions_sum_to_the_mean_logit(timeline, label, against):
    mean = timeline.logits.astype(np.float64).mean(axis=0)
    assert timeline.contributions(label).sum() == pytest.approx(mean[INDEX[label]], abs=1e-5)
    if np.isfinite(mean[INDEX[label]]) and np.isfinite(mean[INDEX[against]]):
        odds = mean[INDEX[label]] - mean[INDEX[against]]
        assert timeline.contributions(label, against).sum() == pytest.approx(odds, abs=1e-5)


@MANY
@given(
    arrays(np.float32, 9, elements=st.floats(-30, 30, width=32)), st.integers(1, 200), arrays(np.bool_, 200), SMOOTHINGS
)
def test_smoothing_preserves_what_is_constant(row, frames, silent, smooth):
    timeline = Timeline(np.tile(row, (frames, 1)), silent=silent[:frames])
    assert timeline.probabilities(smooth) == pytest.approx(np.tile(softmax(row), (frames, 1)), abs=1e-6)


def merged_slowly(runs, shortest):
    """The rule as one would say it: quadratic, and obviously right."""
    runs = list(runs)
    while len(runs) > 1:
        lengths = [last - first for _, first, last in runs]
        index = lengths.index(min(lengths))
        if lengths[index] >= shortest:
            break
        neighbours = [at for at in (index - 1, index + 1) if 0 <= at < len(runs)]
        runs[index] = (runs[max(neighbours, key=lengths.__getitem__)][0], *runs[index][1:])
        joined = []
        for winner, first, last in runs:
            if joined and joined[-1][0] == winner:
                first = joined.pop()[1]
            joined.append((winner, first, last))
        runs = joined
    return runs


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=60), st.integers(0, 12))
def test_merging_does_what_the_slow_rule_does(plan, shortest):
    winners = np.array([winner for winner, frames in plan for _ in range(frames)])
    runs = _runs(winners)
    assert _merge_short(runs, shortest) == merged_slowly(runs, shortest)


# ---- an hour


def test_an_hour_of_flicker_is_read_in_moments():
    random = np.random.default_rng(0)
    logits = random.standard_normal((180_000, 9), dtype=np.float32)
    timeline = Timeline(logits, silent=np.repeat(random.random(3600) < 0.2, 50))
    start = time.process_time()
    segments = timeline.segments(smooth=0)
    taken = time.process_time() - start
    assert len(_runs(timeline.dominant(0))) > 100_000
    assert 1_000 < len(segments) < 12_000
    assert taken < 5  # seconds; it takes half a second, and took hours when every step searched all runs
