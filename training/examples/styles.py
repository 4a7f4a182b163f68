"""Ways of speaking, as numbers.

Which way each number goes follows what was measured on actors: Murray and Arnott, "Toward the simulation of emotion in
synthetic speech" (1993), Banse and Scherer (1996); the sizes, and the rising end, are our own. No number was chosen by
what a model answers.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """How a sentence is spoken by the same throat."""

    pitch: float  # Hz, where the voice rests
    swing: float  # semitones that a full accent rises
    fall: float  # semitones that a breath group sinks from its beginning to its end
    last: float  # semitones that the last syllable of the sentence rises or falls
    pace: float  # length of vowels; 1 is unhurried
    pause: float  # seconds between the breath groups
    opening: float  # share of a cycle in which the vocal folds are open: 0.4 pressed, 0.8 breathy
    dull: float  # dB that the voice loses at 3 kHz beyond what the opening takes
    breath: float  # dB of breath noise under the voice
    uneven: float  # share by which cycles differ in length; their heights differ eight times as much
    stress: float  # dB that a full accent adds
    level: float  # dBFS of the clip, RMS
    jaw: float = 1.0  # factor of the first formant: loud speech opens the mouth
    lips: float = 1.0  # factor of the other formants: a smile shortens the throat
    slack: float = 0.0  # how far vowels shrink towards the middle of the mouth


STYLES = {
    "calm": Style(
        pitch=108, swing=3.0, fall=3.0, last=-2.5, pace=1.0, pause=0.22, opening=0.58, dull=3, breath=-36, uneven=0.006,
        stress=2.0, level=-24,
    ),
    "lively": Style(
        pitch=158, swing=8.5, fall=2.0, last=2.0, pace=0.86, pause=0.12, opening=0.55, dull=1, breath=-34, uneven=0.007,
        stress=4.0, level=-21, jaw=1.06, lips=1.05,
    ),
    "pressed": Style(
        pitch=150, swing=6.5, fall=4.0, last=-5.0, pace=0.90, pause=0.16, opening=0.40, dull=0, breath=-40,
        uneven=0.016, stress=6.0, level=-18.5, jaw=1.15, lips=1.01,
    ),
    "soft": Style(
        pitch=96, swing=1.3, fall=3.0, last=-1.5, pace=1.38, pause=0.42, opening=0.78, dull=10, breath=-22,
        uneven=0.010, stress=1.0, level=-31, jaw=0.96, lips=0.99, slack=0.25,
    ),
    "rising": Style(
        pitch=165, swing=5.0, fall=-2.0, last=11.0, pace=0.98, pause=0.14, opening=0.62, dull=2, breath=-28,
        uneven=0.008, stress=3.0, level=-22, jaw=1.08, lips=1.02,
    ),
}  # fmt: skip
