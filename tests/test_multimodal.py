"""A recording with its words: sentences against what is heard at their time, silence, disagreement, and heads."""

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from emoscope.errors import OptionError
from emoscope.fusion import ALONE, APART, METHODS, NEITHER
from emoscope.labels import INDEX, LABELS
from emoscope.multimodal import disagreements, fuse_again, reliability, together
from emoscope.results import Quality, Sentence, SpeechResult
from emoscope.settings import Options
from emoscope.timeline import Timeline, softmax
from emoscope.transcript import FILE, Line, Transcript
from tests.reports import SAYS, SURE, all_silent, altered, half_and_half, hour, make, pause, text_report

SPOKEN = ((0.2, 2.8), (3.2, 5.8))  # when the two sentences of `text_report` are said
WINS = np.exp(SURE) / (np.exp(SURE) + 8)  # what the frames of `make` give to their emotion
REST = 1 / (np.exp(SURE) + 8)
READS = np.exp(SURE) / (np.exp(SURE) + 7)  # what a sentence of `text_report` gives to its label
OTHERS = 1 / (np.exp(SURE) + 7)


def report(heard=None, said=None, method="weighted", weight=0.55, head=None):
    """The report of a recording and its words, as the analyzer puts it together."""
    heard, said = heard or half_and_half(), said or text_report(times=SPOKEN)
    options = replace(heard.options, fusion=method, text_weight=weight)
    found = together(heard.heard, said.read, options, head)
    notes = filter(None, (*heard.warnings, found.fused.note))
    return replace(heard, options=options, read=said.read, together=found, warnings=tuple(notes))


def at(scores, *labels):
    return [float(scores[INDEX[label]]) for label in labels]


def mixed(spoken, written, weight=0.55):
    """What the rule makes of two by weight, where the text can say all but `unknown`, in two lines."""
    shared = 1 - spoken[INDEX["unknown"]]
    return np.where(SAYS, (1 - weight) * spoken + weight * shared * written, spoken)


# ---- the whole, and its sentences


def test_a_sentence_sounds_like_the_frames_of_its_time():
    found = report().together
    angry, sad = found.passages
    assert (angry.time, sad.time) == SPOKEN
    assert at(angry.spoken, "angry", "happy", "unknown") == pytest.approx([WINS, REST, REST], abs=1e-6)
    assert at(sad.spoken, "sad", "happy") == pytest.approx([WINS, REST], abs=1e-6)
    assert at(angry.written, "happy", "angry", "unknown") == pytest.approx([READS, OTHERS, 0], abs=1e-6)
    for passage in found.passages:
        assert passage.fused == pytest.approx(mixed(passage.spoken, passage.written), abs=1e-6)
    assert at(angry.fused, "unknown") == pytest.approx([REST], abs=1e-6)


def test_the_whole_is_fused_like_a_sentence():
    found = report()
    scores = found.together.fused.scores
    assert scores == pytest.approx(mixed(found.speech.scores, found.read.text.scores), abs=1e-6)
    assert found.scores is scores
    assert found.together.fused.method == "weighted"
    assert found.together.fused.weights == {"speech": 0.45, "text": 0.55}
    assert found.together.fused.note == ""


def test_distances_are_over_what_both_can_say():
    found = report().together
    for spoken, written, distance in (
        (report().speech.scores, report().read.text.scores, found.distance),
        *((passage.spoken, passage.written, passage.distance) for passage in found.passages),
    ):
        assert distance == pytest.approx(jensenshannon(spoken[SAYS], written[SAYS], base=2), abs=1e-6)
    differ, agree = found.passages
    assert differ.distance > 0.8
    assert agree.distance < 0.05


@pytest.mark.parametrize("times", [(), (None, None)])
def test_without_times_only_the_whole_is_compared(times):
    found = report(said=text_report(times=times)).together
    assert [passage.time for passage in found.passages] == [None, None]
    assert [passage.spoken for passage in found.passages] == [None, None]
    assert [passage.distance for passage in found.passages] == [None, None]
    assert [passage.fused is passage.written for passage in found.passages] == [True, True]
    assert found.distance == report().together.distance


def test_there_is_a_passage_for_every_sentence_in_its_place():
    said = text_report(("One.", "sad"), ("Two.", "happy"), ("Three.", "angry"), times=(None, (3.2, 5.8), None))
    passages = report(said=said).together.passages
    assert [(each.start, each.end) for each in passages] == [(0, 4), (5, 9), (10, 16)]
    assert [each.spoken is None for each in passages] == [True, False, True]
    assert at(passages[1].spoken, "sad") == pytest.approx([WINS], abs=1e-6)


def test_silence_within_a_sentence_does_not_count():
    heard = pause()  # happy to 2 s, silent to 4 s, happy to 5 s, surprised to 6 s
    said = text_report(("A.", "sad"), ("B.", "sad"), ("C.", "sad"), times=((0.5, 4.8), (2.5, 3.5), (4.5, 5.5)))
    straddling, silent, turning = report(heard, said).together.passages
    assert at(straddling.spoken, "happy") == pytest.approx([WINS], abs=1e-6)
    assert silent.spoken is None
    assert silent.distance is None
    assert silent.fused.tolist() == silent.written.tolist()
    halves = at(turning.spoken, "happy", "surprised")
    assert halves[0] == pytest.approx(halves[1], abs=0.02)


@pytest.mark.parametrize(
    ("when", "counted"),
    [
        ((10.0, 10.05), [0, 1]),  # the middles of frames are at 10.0125, 10.0325, 10.0525, ...
        ((10.02, 10.03), []),
        ((10.0125, 10.0325), [0]),
        ((0.0, 9.9), []),
        ((13.9, 20.0), [195, 196, 197, 198]),
        ((20.0, 30.0), []),
    ],
)
def test_frames_are_counted_on_the_clock_of_the_file(when, counted):
    random = np.random.default_rng(0)
    before = make(("happy", 4.0), offset=10.0)
    logits = random.standard_normal(before.speech.timeline.logits.shape).astype(np.float32)
    heard = altered(before, speech=SpeechResult(Timeline(logits, start=10.0), before.speech.embedding))
    [passage] = report(heard, text_report(("Now.", "sad"), times=(when,))).together.passages
    if counted:
        expected = softmax(logits[counted].astype(float).mean(axis=0))
        assert passage.spoken == pytest.approx(expected, abs=1e-6)
    else:
        assert passage.spoken is None


def test_a_sentence_that_is_the_whole_sounds_like_the_whole():
    heard = make(("happy", 1.0), ("sad", 2.0), noise=1.0)
    [passage] = report(heard, text_report(("All of it.", "sad"), times=((0.0, 3.1),))).together.passages
    assert passage.spoken == pytest.approx(heard.speech.scores, abs=1e-6)


def test_what_the_speech_model_cannot_say_is_no_opinion():
    before = half_and_half()
    logits = before.speech.timeline.logits.copy()
    logits[:, INDEX["happy"]] = -np.inf
    heard = altered(before, speech=SpeechResult(Timeline(logits), before.speech.embedding))
    found = report(heard, weight=0.0)
    angry = found.together.passages[0]
    assert not angry.spoken[INDEX["happy"]]
    # The words' odds of happy against all that both can say stay: READS to 7 others.
    shared = 1 - float(angry.spoken[INDEX["unknown"]])
    odds = READS / (7 * OTHERS)
    assert at(angry.fused, "happy")[0] == pytest.approx(odds / (1 / shared + odds), abs=1e-5)
    assert found.scores.sum() == pytest.approx(1, abs=1e-6)


# ---- sides that do not count


@pytest.mark.parametrize("method", METHODS)
def test_the_words_of_a_silent_recording_decide_alone(method):
    found = report(all_silent(6.0), method=method, weight=0.0)
    assert found.scores.tolist() == found.read.text.scores.tolist()
    assert found.together.fused.weights == {"speech": 0.0, "text": 1.0}
    assert found.together.fused.note == ALONE["text"]
    assert found.together.distance is None
    assert all(each.spoken is None and each.fused is each.written for each in found.together.passages)
    assert found.to_dict()["fusion"]["distance"] is None
    assert disagreements(found) == []


def test_a_recording_whose_frames_are_silent_is_silent_whatever_was_measured():
    heard = all_silent(6.0)
    quality = replace(heard.recording.quality, silence=0.98)  # frames are marked by their middles
    found = report(altered(heard, recording=replace(heard.recording, quality=quality)))
    assert found.together.fused.weights == {"speech": 0.0, "text": 1.0}


@pytest.mark.parametrize("method", METHODS)
def test_words_that_nobody_is_sure_of_do_not_count(method):
    said = text_report(times=SPOKEN)
    said = replace(said, read=replace(said.read, transcript=replace(said.read.transcript, confidence=0.0)))
    found = report(said=said, method=method)
    assert found.scores.tolist() == found.speech.scores.tolist()
    assert found.together.fused.note == ALONE["speech"]
    assert all(each.fused == pytest.approx(each.spoken, abs=1e-6) for each in found.together.passages)
    neither = report(all_silent(6.0), said, method=method)
    assert neither.together.fused.note == NEITHER


def test_poor_sound_and_doubtful_words_count_less_in_adaptive():
    said = text_report(times=SPOKEN)
    doubtful = replace(said, read=replace(said.read, transcript=replace(said.read.transcript, confidence=0.3)))
    clean = half_and_half()
    noisy = altered(clean, recording=replace(clean.recording, quality=replace(clean.recording.quality, snr=2.0)))
    texts = [
        report(heard, words, method="adaptive").together.fused.weights["text"]
        for heard, words in ((clean, doubtful), (clean, said), (noisy, said))
    ]
    assert texts == sorted(set(texts))
    assert report(noisy, said).together.fused.weights == {"speech": 0.45, "text": 0.55}


GOOD = Quality(duration=5.0, peak=0.5, clipped=0.0, snr=25.0, silence=0.3)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, 1.0),
        ({"snr": 20.0}, 1.0),
        ({"snr": 10.0}, 0.5),
        ({"snr": None}, 0.5),
        ({"snr": -10.0}, 0.1),
        ({"clipped": 0.01}, 0.9),
        ({"clipped": 0.5}, 0.1),
        ({"silence": 0.5}, 1.0),
        ({"silence": 0.75}, 0.5),
        ({"silence": 1.0}, 0.0),
        ({"snr": 15.0, "clipped": 0.02, "silence": 0.9}, 0.75 * 0.8 * 0.2),
    ],
)
def test_how_far_a_recording_can_be_relied_on(changed, expected):
    assert reliability(replace(GOOD, **changed)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("what", "worse"),
    [("snr", np.linspace(40, -10, 51)), ("clipped", np.linspace(0, 1, 51)), ("silence", np.linspace(0, 1, 51))],
)
def test_a_worse_recording_is_never_relied_on_more(what, worse):
    found = [reliability(replace(GOOD, **{what: float(value)})) for value in worse]
    assert found == sorted(found, reverse=True)
    assert found[0] == 1
    assert all(0 <= each <= 1 for each in found)


# ---- the same again


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_fusing_again_is_what_the_models_would_have_given(method, weight):
    again = fuse_again(report(), method=method, text_weight=weight)
    anew = report(method=method, weight=weight)
    assert again.options == anew.options
    assert again.to_dict() == anew.to_dict()


def test_fusing_again_changes_the_note_and_no_other_warning():
    one = np.eye(9, dtype=np.float32)
    before = half_and_half()
    logits = np.where(one[INDEX["angry"]], 0.0, -2000.0).astype(np.float32)
    speech = SpeechResult(Timeline(np.tile(logits, (len(before.speech.timeline), 1))), before.speech.embedding)
    said = text_report(times=SPOKEN)
    words = replace(said.read.text, scores=one[INDEX["happy"]])
    first = report(altered(before, speech=speech), replace(said, read=replace(said.read, text=words)), "weighted")
    assert first.warnings == before.warnings
    second = fuse_again(first, method="product", text_weight=0.5)
    assert second.warnings == (*before.warnings, APART)
    assert second.together.fused.note == APART
    third = fuse_again(second, method="maximum", text_weight=0.5)
    assert third.warnings == before.warnings
    assert third.id == first.id


def test_what_cannot_be_fused_again():
    for one_sided in (half_and_half(), text_report()):
        with pytest.raises(ValueError, match="nothing to fuse"):
            fuse_again(one_sided, method="weighted", text_weight=0.5)
    with pytest.raises(OptionError, match="Fusion is weighted, product, maximum, adaptive, not “magic”"):
        fuse_again(report(), method="magic", text_weight=0.5)
    with pytest.raises(OptionError, match="from 0 to 1"):
        fuse_again(report(), method="weighted", text_weight=1.5)
    with pytest.raises(OptionError, match="not “auto”"):
        report(method="auto")
    with pytest.raises(ValueError, match="not settled"):
        together(half_and_half().heard, text_report().read, Options(fusion="weighted"))


def long_report(sentences=1500):
    """An hour of speech and its sentences, each with a mood of its own."""
    heard, random = hour(), np.random.default_rng(3)
    pace = 3600 / sentences
    lines = tuple(Line("x" * 60, (pace * place, pace * (place + 0.9))) for place in range(sentences))
    scores = random.dirichlet(np.where(SAYS, 0.3, 1e-9), sentences).astype(np.float32) * SAYS
    said = text_report(times=SPOKEN)
    found = tuple(Sentence(61 * place, 61 * place + 60, each / each.sum()) for place, each in enumerate(scores))
    transcript = Transcript(lines, FILE)
    text = replace(said.read.text, text=transcript.text, sentences=found)
    return report(heard, replace(said, read=replace(said.read, transcript=transcript, text=text)))


def test_an_hour_is_fused_again_at_once():
    found = long_report()
    assert sum(passage.spoken is not None for passage in found.together.passages) > 1400
    took = []
    for weight in (0.1, 0.5, 0.9):
        begun = time.process_time()
        again = fuse_again(found, method="adaptive", text_weight=weight)
        took.append(time.process_time() - begun)
        assert len(again.together.passages) == 1500
    assert min(took) < 0.1  # seconds; it takes a tenth of that
    listed = disagreements(again)
    assert len(listed) > 100
    assert [each.distance for each in listed] == sorted((each.distance for each in listed), reverse=True)


# ---- where they disagree


def test_what_reads_one_way_and_sounds_another_is_listed():
    said = text_report(
        ("Fine.", "happy"), ("No.", "neutral"), ("Alas.", "sad"), ("Later.", "happy"),
        times=((0.2, 1.0), (1.2, 2.0), (3.2, 4.0), None),
    )  # fmt: skip
    text = said.read.text
    unsure = np.where(SAYS, 0.2 / 6, 0).astype(np.float32)  # another emotion leads, but what is heard is near
    unsure[[INDEX["neutral"], INDEX["angry"]]] = 0.41, 0.39
    sentences = (text.sentences[0], replace(text.sentences[1], scores=unsure), *text.sentences[2:])
    said = replace(said, read=replace(said.read, text=replace(text, sentences=sentences)))
    found = report(said=said)
    first, second, agreeing, untimed = found.together.passages
    assert second.distance < 0.5 < first.distance
    assert second.spoken.argmax() != second.written.argmax()
    assert disagreements(found) == [first]
    assert agreeing.spoken.argmax() == agreeing.written.argmax()
    assert untimed.spoken is None


def test_the_farthest_is_listed_first():
    said = text_report(("A.", "happy"), ("B.", "sad"), times=((3.2, 4.0), (0.2, 1.0)))
    found = report(said=said)
    nearer = replace(found.together.passages[0], distance=0.6)
    found = replace(found, together=replace(found.together, passages=(nearer, found.together.passages[1])))
    assert disagreements(found) == [found.together.passages[1], nearer]


@pytest.mark.parametrize("distance", [0.49, 0.5])
def test_the_threshold_is_the_one_of_the_docs(distance):
    found = report()
    passage = replace(found.together.passages[0], distance=distance)
    found = replace(found, together=replace(found.together, passages=(passage,)))
    assert disagreements(found) == ([passage] if distance == 0.5 else [])


def test_what_one_side_cannot_say_contradicts_nobody():
    """A voice that sounds like nothing known does not disagree with words that cannot say so."""
    heard = make(("unknown", 3.0), ("sad", 3.0))
    found = report(heard, text_report(times=SPOKEN))
    assert LABELS[found.together.passages[0].spoken.argmax()] == "unknown"
    assert disagreements(found) == []


def test_the_same_leading_emotion_is_no_disagreement_however_far_the_rest():
    found = report()
    spoken, written = np.zeros((2, 9), np.float32)
    spoken[[0, 1, 2]] = 0.34, 0.33, 0.33
    written[[0, 3, 4]] = 0.34, 0.33, 0.33
    passage = replace(found.together.passages[0], spoken=spoken, written=written, distance=0.81)
    found = replace(found, together=replace(found.together, passages=(passage,)))
    assert disagreements(found) == []


@pytest.mark.parametrize("one_sided", [half_and_half, text_report])
def test_one_side_agrees_with_itself(one_sided):
    assert disagreements(one_sided()) == []


# ---- trained heads


@dataclass(frozen=True)
class Told:
    """A head that answers with what it was given, as far as that can be seen from outside."""

    name: str = "ours"

    def scores(self, speech, text):
        assert (len(speech), len(text)) == (6, 5)
        return np.eye(9, dtype=np.float32)[INDEX["fearful"]]

    def weights(self, speech, text):
        assert (len(speech), len(text)) == (6, 5)
        return {"speech": 0.25, "text": 0.75}


class Deaf(Told):
    """A head that must not be asked."""

    def scores(self, *_embeddings):
        raise AssertionError


def test_a_head_decides_the_whole_and_weights_the_sentences():
    found = report(method="ours", head=Told())
    assert found.verdict.emotion == "fearful"
    assert found.together.fused.method == "ours"
    assert found.together.fused.weights == {"speech": 0.25, "text": 0.75}
    for one, other in zip(found.together.passages, report().together.passages, strict=True):
        assert one.fused.tolist() == other.fused.tolist()
    assert found.together.distance == report().together.distance
    again = fuse_again(report(), method="ours", text_weight=0.55, head=Told())
    assert again.to_dict() == found.to_dict()
    assert fuse_again(again, method="weighted", text_weight=0.55).to_dict() == report().to_dict()


def test_a_head_is_not_asked_about_silence():
    found = report(all_silent(6.0), method="ours", head=Deaf())
    assert found.scores.tolist() == found.read.text.scores.tolist()
    assert found.together.fused.note == ALONE["text"]


def test_a_report_of_both_is_one_of_the_schema():
    found = report()
    assert found.mode == "multimodal"
    assert found.verdict.scores == pytest.approx(found.to_dict()["fusion"]["scores"], abs=1e-6)
    fusion = found.to_dict()["fusion"]
    assert fusion["method"] == "weighted"
    assert [each["text"] for each in fusion["passages"]] == ["I am so happy for you!", "It is a sad day."]
    assert [tuple(each["time"]) for each in fusion["passages"]] == list(SPOKEN)
