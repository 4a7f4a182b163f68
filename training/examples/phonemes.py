"""The speech sounds of one sentence, as targets of a formant synthesiser.

Formants and bandwidths start from Klatt, "Software for a cascade/parallel formant synthesizer" (1980), tables II and
III; lengths, levels and the bands of hiss are our own, set by spectrograms and by the average spectrum of real speech.
Symbols are ARPAbet; stops are spelt out as closure, burst and breath.
"""

from dataclasses import dataclass

Hertz = tuple[float, float, float]  # the first three formants or their bandwidths

OFF = -90.0  # dB; not there
DENTAL = ((1400, 900, 0.3), (5200, 3500, 0.6), (7200, 2500, 1.0))
LABIAL = ((1200, 1200, 0.5), (4200, 4000, 0.7), (7000, 3000, 1.0))
ALVEOLAR = ((4700, 900, 0.7), (6100, 1400, 1.0), (7400, 1500, 0.8))
TOOTH_RIDGE = ((1800, 600, 0.25), (3900, 900, 0.9), (5600, 1800, 1.0))


@dataclass(frozen=True)
class Phone:
    """A sound: its length in seconds, formants and bandwidths in Hz, and the levels of its sources.

    Levels are dB under a full vowel. `end` is where a diphthong glides to. `zero` is the frequency in Hz that the nose
    takes away. `bands` shape the hiss: (centre Hz, bandwidth Hz, gain).
    """

    seconds: float
    formants: Hertz
    widths: Hertz
    end: Hertz | None = None
    voice: float = OFF
    breath: float = OFF
    hiss: float = OFF
    zero: float | None = None
    bands: tuple[tuple[float, float, float], ...] = ()
    vowel: bool = False


def _vowel(seconds: float, formants: Hertz, widths: Hertz, end: Hertz | None = None) -> Phone:
    return Phone(seconds, formants, widths, end, voice=0.0, vowel=True)


PHONES = {
    "AE": _vowel(0.135, (630, 1640, 2430), (70, 130, 300), (640, 1520, 2450)),
    "AO": _vowel(0.165, (600, 960, 2560), (90, 100, 110), (620, 1020, 2580)),
    "AY": _vowel(0.165, (670, 1180, 2540), (95, 80, 190), (400, 1880, 2520)),
    "EH": _vowel(0.115, (530, 1680, 2500), (60, 90, 200), (600, 1560, 2520)),
    "IH": _vowel(0.085, (410, 1790, 2570), (55, 100, 150), (450, 1650, 2590)),
    "IY": _vowel(0.100, (310, 2040, 2960), (50, 190, 350)),
    "OW": _vowel(0.155, (540, 1100, 2310), (80, 75, 90), (430, 880, 2300)),
    "L": Phone(0.070, (330, 950, 2820), (55, 100, 250), voice=-6.0),
    "R": Phone(0.065, (340, 1120, 1620), (70, 100, 140), voice=-5.0),
    "M": Phone(0.075, (400, 1150, 2150), (60, 200, 220), voice=-7.0, zero=450.0),
    "N": Phone(0.060, (400, 1450, 2500), (60, 260, 300), voice=-8.0, zero=450.0),
    "NG": Phone(0.085, (400, 2000, 2650), (60, 260, 300), voice=-8.0, zero=450.0),
    "V": Phone(0.055, (240, 1120, 2150), (70, 100, 140), voice=-10.0, hiss=-27.0, bands=LABIAL),
    "DH": Phone(0.045, (270, 1290, 2540), (70, 90, 180), voice=-10.0, hiss=-30.0, bands=DENTAL),
    "TH": Phone(0.090, (330, 1300, 2540), (180, 100, 200), breath=-36.0, hiss=-23.0, bands=DENTAL),
    "S": Phone(0.110, (330, 1450, 2560), (180, 100, 200), hiss=-12.0, bands=ALVEOLAR),
    "T closed": Phone(0.055, (330, 1700, 2620), (150, 120, 220)),
    "T burst": Phone(0.014, (340, 1700, 2620), (200, 130, 230), breath=-24.0, hiss=-9.0, bands=TOOTH_RIDGE),
    "T breath": Phone(0.034, (400, 1450, 2500), (250, 140, 230), breath=-15.0, hiss=-24.0, bands=TOOTH_RIDGE),
    "D closed": Phone(0.035, (230, 1700, 2600), (80, 120, 200), voice=-18.0),
    "D burst": Phone(0.010, (280, 1690, 2600), (80, 110, 200), voice=-12.0, hiss=-20.0, bands=TOOTH_RIDGE),
}


@dataclass(frozen=True)
class Sound:
    """A place in the sentence: a symbol of `PHONES` and how much it is accented, 0 to 1."""

    symbol: str
    accent: float = 0.0


def _sounds(text: str) -> tuple[Sound, ...]:
    """Read `S AO*0.7 T_closed`: symbols, the accent of a syllable on its vowel after a star."""
    pairs = (word.partition("*")[::2] for word in text.split())
    return tuple(Sound(symbol.replace("_", " "), float(accent or 0)) for symbol, accent in pairs)


SENTENCE = (  # one tuple per breath group: "I saw it this morning, / and I told them everything."
    _sounds("AY*0.2 S AO*0.7 IH T_closed DH IH*0.2 S M AO*1 R N IH NG"),
    _sounds(
        "AE*0.1 N D_closed D_burst AY*0.2 T_closed T_burst T_breath OW*0.8 L D_closed DH EH M EH*1 V R IY TH IH NG"
    ),
)
