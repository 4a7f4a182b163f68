"""What was said and when: characters of the text find their seconds."""

import random

import pytest

from emoscope.transcript import FILE, Line, Moment, Transcript

HELLO = Line("Hello you", (10.0, 19.0))  # a second for each character
SPOKEN = Line(
    "Hello you", (10.0, 19.0), moments=(Moment(0, 5, 10.5, 12.0), Moment(6, 9, 15.0, 18.0))
)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "span", "time"),
    [
        (HELLO, (0, 9), (10.0, 19.0)), (HELLO, (0, 5), (10.0, 15.0)), (HELLO, (6, 9), (16.0, 19.0)),
        (SPOKEN, (0, 5), (10.5, 12.0)), (SPOKEN, (6, 9), (15.0, 18.0)), (SPOKEN, (0, 9), (10.5, 18.0)),
        (SPOKEN, (2, 7), (10.5, 18.0)), (SPOKEN, (5, 6), (15.0, 16.0)),  # the space, of which nobody knows
        (Line("Hello"), (0, 5), None), (Line("", (1.0, 2.0)), (0, 0), (1.0, 2.0)),
    ],
)  # fmt: skip
def test_characters_of_a_line_have_their_time(line, span, time):
    assert line.when(*span) == (time if time is None else pytest.approx(time))


def test_a_span_over_lines_goes_from_the_first_to_the_last():
    said = Transcript((Line("One.", (0.0, 1.0)), Line("Two."), Line("Three.", (5.0, 6.0))), FILE)
    assert said.text == "One.\nTwo.\nThree."
    assert said.timed
    assert said.when(0, 16) == (0.0, 6.0)
    assert said.when(0, 4) == said.when(0, 9) == (0.0, 1.0)
    assert said.when(5, 9) is None
    assert said.when(10, 16) == said.when(5, 16) == (5.0, 6.0)
    assert said.when(4, 5) is None  # the line break
    assert said.when(16, 20) is None


@pytest.mark.parametrize("seed", range(50))
def test_a_span_is_said_while_its_characters_are(seed):
    """Compared with the times of all characters, one by one."""
    chance = random.Random(seed)
    times = [chance.choice([None, (float(at), at + chance.random())]) for at in range(chance.randrange(1, 7))]
    said = Transcript(tuple(Line("x" * chance.randrange(1, 5), time) for time in times))
    letters = []
    for line in said.lines:
        pace = (line.time[1] - line.time[0]) / len(line.text) if line.time else 0
        letters += [
            line.time and (line.time[0] + pace * at, line.time[0] + pace * (at + 1)) for at in range(len(line.text))
        ]
        letters.append(None)
    for start in range(len(said.text)):
        for end in range(start + 1, len(said.text) + 1):
            known = [time for time in letters[start:end] if time]
            expected = (known[0][0], max(end for _, end in known)) if known else None
            assert said.when(start, end) == (expected if expected is None else pytest.approx(expected))


def test_later_is_the_same_said_later():
    later = Transcript((SPOKEN, Line("Untimed.")), FILE, "en", 0.5).later(2.5)
    assert later.lines[0].time == (12.5, 21.5)
    assert later.when(0, 5) == (13.0, 14.5)
    assert later.lines[1].time is None
    assert (later.origin, later.language, later.confidence) == (FILE, "en", 0.5)
    assert Transcript((HELLO,)).later(0.0) == Transcript((HELLO,))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("One.\nTwo.", ["One.", "Two."]),
        ("One.\r\n\r\nTwo.\n", ["One.", "", "Two."]),
        ("", [""]),
        ("a\u2028b", ["a", "b"]),
    ],
)
def test_what_a_person_typed(text, lines):
    typed = Transcript.typed(text)
    assert [line.text for line in typed.lines] == lines
    assert (typed.timed, typed.origin, typed.confidence) == (False, "typed", 1.0)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("a\nb", None),
        ("a\rb", None),
        ("a", (2.0, 1.0)),
        ("a", (-1.0, 1.0)),
        ("a", (0.0, float("inf"))),
        ("a", (float("nan"), 1.0)),
    ],
)
def test_a_line_refuses_nonsense(text, time):
    with pytest.raises(ValueError, match="a line"):
        Line(text, time)
