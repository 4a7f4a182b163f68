"""The nine classes: order, names, how foreign files name them, and whether their colours can be told apart."""

from itertools import combinations

import numpy as np
import pytest

from emoscope.labels import COUNT, EMOTIONS, INDEX, LABELS, emotion, parse_token

PUBLISHED = ("生气/angry", "厌恶/disgusted", "恐惧/fearful", "开心/happy", "中立/neutral", "其他/other", "难过/sad", "吃惊/surprised", "<unk>")  # fmt: skip  # noqa: E501

# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
SMALLEST = {"normal": 24.4, "protan": 22.1, "deutan": 22.4, "tritan": 19.7}  # what labels.py says


def test_the_order_is_that_of_emotion2vec():
    assert LABELS == ("angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "unknown")
    assert [each.id for each in EMOTIONS] == list(range(COUNT)) == list(INDEX.values())
    assert all(emotion(name).name == name for name in LABELS)
    with pytest.raises(KeyError):
        emotion("bored")


@pytest.mark.parametrize("field", ["name", "chinese", "emoji", "colour"])
def test_every_class_is_its_own(field):
    assert len({getattr(each, field) for each in EMOTIONS}) == COUNT


@pytest.mark.parametrize(("index", "token"), list(enumerate(PUBLISHED)))
def test_published_tokens(index, token):
    chinese, _, english = token.rpartition("/")
    assert parse_token(token) == index
    assert parse_token(f"{english}/{chinese}") == index
    assert parse_token(english) == index
    for untidy in (
        f"\ufeff{token}",
        f"  {token}\r\n",
        f"\ufeff{english}\n",
        english.upper(),
        token.replace("/", " / "),
    ):
        assert parse_token(untidy) == index, repr(untidy)


@pytest.mark.parametrize("each", EMOTIONS, ids=LABELS)
def test_chinese_only_tokens(each):
    assert parse_token(each.chinese) == each.id


@pytest.mark.parametrize(
    "token", ["unuse_0", "unuse_8", "", "\ufeff", "/", "  ", "bored", "angr", "生", "unuse_1/unuse_1"]
)
def test_tokens_that_name_nothing_of_ours(token):
    assert parse_token(token) is None


def linear(colour):
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """Linear RGB to CIELAB under D65."""
    to_xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip  # noqa: E501
    share = to_xyz @ rgb / [0.95047, 1.0, 1.08883]
    x, y, z = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", VISION)
def test_colours_can_be_told_apart(eyes):
    seen = [lab(np.clip(np.array(VISION[eyes]) @ linear(each.colour), 0, 1)) for each in EMOTIONS]
    smallest = min(np.linalg.norm(one - other) for one, other in combinations(seen, 2))
    assert smallest == pytest.approx(SMALLEST[eyes], abs=0.05)
