"""Two recordings compared: known differences, and the distance against numbers worked out by hand."""

import math

import numpy as np
import pytest

from emoscope.compare import Difference, compare
from emoscope.labels import LABELS
from tests.reports import all_silent, half_and_half, make, pause

NOTHING = dict.fromkeys(LABELS, 0.0)


def spread(**parts):
    return {**NOTHING, **parts}


HALVES = spread(angry=0.5, sad=0.5)


def test_points_are_the_second_minus_the_first():
    found = Difference(spread(angry=0.7, sad=0.3), spread(angry=0.45, sad=0.5, happy=0.05))
    assert found.points == pytest.approx({**NOTHING, "angry": -25, "sad": 20, "happy": 5})
    assert (found.gained, found.lost) == ("sad", "angry")


def test_the_other_way_round_only_the_signs_change():
    first, second = spread(angry=0.7, sad=0.3), spread(angry=0.1, neutral=0.9)
    there, back = Difference(first, second), Difference(second, first)
    assert [there.points[label] for label in LABELS] == [-back.points[label] for label in LABELS]
    assert there.distance == back.distance
    assert (there.gained, there.lost) == (back.lost, back.gained)


@pytest.mark.parametrize(
    ("second", "distance", "closeness"),
    [
        (HALVES, 0.0, "same"),
        (spread(angry=0.6, sad=0.4), 0.0854, "same"),
        (spread(angry=0.7, sad=0.3), 0.1741, "similar"),
        (spread(angry=0.9, sad=0.1), 0.3831, "different"),
        (spread(angry=1.0), math.sqrt(1.5 - 0.75 * math.log2(3)), "far"),
        (spread(happy=0.5, neutral=0.5), 1.0, "far"),  # nothing in common
    ],
)
def test_the_distance_is_that_of_jensen_and_shannon(second, distance, closeness):
    found = Difference(HALVES, second)
    assert found.distance == pytest.approx(distance, abs=1e-4)
    assert found.closeness == closeness


def entropy(values):
    values = np.array([value for value in values if value > 0])
    return float(-(values * np.log2(values)).sum())


def test_the_distance_agrees_with_its_other_definition_by_entropies():
    random = np.random.default_rng(0)
    for _ in range(20):
        first, second = random.dirichlet(np.ones(9), 2)
        jensen = entropy((first + second) / 2) - (entropy(first) + entropy(second)) / 2
        found = Difference(dict(zip(LABELS, first, strict=True)), dict(zip(LABELS, second, strict=True)))
        assert found.distance == pytest.approx(math.sqrt(jensen), abs=1e-9)


@pytest.mark.parametrize("wrong", [{}, spread(angry=0.4), {**HALVES, "silence": 0.0}])
def test_what_is_no_distribution_is_refused(wrong):
    with pytest.raises(ValueError, match="nine emotions"):
        Difference(HALVES, wrong)


def test_two_recordings_are_compared_by_their_verdicts_and_by_their_time():
    first, second = half_and_half(6.0), make(("angry", 1.5), ("sad", 4.5))
    found = compare(first, second)
    assert list(found) == ["scores", "shares"]
    assert found["scores"].first == first.verdict.scores
    assert found["scores"].gained == "sad"
    assert found["shares"].points["sad"] == pytest.approx(25, abs=1)
    assert found["shares"].points["angry"] == pytest.approx(-25, abs=1)


def test_silence_has_no_shares_to_compare():
    found = compare(pause(), all_silent())
    assert found["shares"] is None
    assert found["scores"].second == all_silent().verdict.scores
