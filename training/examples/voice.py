"""A voice: pulses of air and hiss, shaped by the resonances of a throat that moves.

The sources are KLGLOTT88's pulse (Klatt and Klatt 1990), breath and hiss; voice and breath go through a cascade of
eight formants and the nose, hiss through bands of its own.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.signal import lfilter, resample_poly

from emoscope.timeline import RATE
from training.examples import prosody
from training.examples.phonemes import PHONES, Phone
from training.examples.prosody import Curve, Span
from training.examples.styles import Style

FINE = 4  # times the rate, at which pulses are drawn, so that their edges do not fold back
HIGHER = ((3400, 220), (4450, 320), (5450, 420), (6450, 520), (7450, 620))  # formants 4 to 8 and bandwidths, Hz
MIDDLE = np.array([500.0, 1500.0, 2500.0])  # Hz; the throat at rest
NOSE, NOSE_WIDTH = 270.0, 100.0  # Hz; where nothing is nasal, its pole and zero lie on each other
GLIDE = 0.020  # seconds in which voice and breath come and go
SNAP = 0.008  # seconds in which hiss does
STEP = 2.0**-12  # of full scale; finer steps are as inaudible as a microphone's noise, and the files a third larger


def speak(style: Style, *, seed: int = 0) -> NDArray[np.float32]:
    """Return the sentence in this style, (N,) float32 at 16 kHz; the same seed gives the same samples."""
    random = np.random.default_rng(seed)
    spoken = prosody.spans(style)
    count = round(prosody.seconds(spoken) * RATE)
    times = np.arange(count) / RATE
    loud = _gain(prosody.loudness(spoken, style, times))
    throat = _throat(_larynx(spoken, style, times, random) * loud, spoken, style, times)
    heard = _unit(throat, _envelope(spoken, "voice", times, GLIDE) > 0.5) + _hiss(spoken, times, random) * loud
    heard *= _gain(style.level) / np.sqrt(np.mean(heard**2))
    return (np.round(heard / STEP) * STEP).astype(np.float32)


def _gain(decibels: Curve | float) -> Curve:
    return np.asarray(10.0 ** (np.asarray(decibels) / 20))


def _unit(sound: Curve, where: NDArray[np.bool_] | slice = slice(None)) -> Curve:
    """Return a sound with a power of 1 in the given places."""
    return np.asarray(sound / np.sqrt(np.mean(sound[where] ** 2)))


def _envelope(spoken: tuple[Span, ...], source: str, times: Curve, glide: float) -> Curve:
    """Return the amplitude of a source along time, (N,)."""
    levels = np.zeros(len(times))
    for span in spoken:
        levels[_inside(span)] = _gain(getattr(span.phone, source))
    return _smooth(levels, glide)


def _inside(span: Span) -> slice:
    return slice(round(span.start * RATE), round(span.end * RATE))


def _smooth(levels: Curve, glide: float) -> Curve:
    window = np.hanning(round(glide * RATE))
    return np.convolve(levels, window / window.sum(), "same")


def _larynx(spoken: tuple[Span, ...], style: Style, times: Curve, random: np.random.Generator) -> Curve:
    """Return what leaves the larynx: pulses and breath, (N,)."""
    pulses, opened = _pulses(prosody.pitch(spoken, style, times), style, random)
    voice = _envelope(spoken, "voice", times, GLIDE)
    noise = random.standard_normal(len(times))
    breathy = noise * (0.4 + 0.6 * opened) * voice * _gain(style.breath)  # air flows while the folds are open
    sighed = noise * _envelope(spoken, "breath", times, GLIDE)
    return _unit(_dulled(pulses, style.dull)) * voice + _rough(breathy + sighed)


def _rough(noise: Curve) -> Curve:
    """Breath as the throat makes it: noise without its lowest part."""
    return np.asarray(lfilter([1.0, -0.9], [1.0], noise))


def _pulses(pitch: Curve, style: Style, random: np.random.Generator) -> tuple[Curve, Curve]:
    """Return the derivative of the flow through the vocal folds, and where they are open, each (N,)."""
    rate = RATE * FINE
    flow, opened = np.zeros(len(pitch) * FINE), np.zeros(len(pitch))
    at = 0.0
    while at < len(pitch) / RATE:
        shake, height = random.standard_normal(2) * style.uneven
        period = (1 + shake) / pitch[int(at * RATE)]
        open_time = style.opening * period
        first, after = int(np.ceil(at * rate)), min(int(np.ceil((at + open_time) * rate)), len(flow))
        share = (np.arange(first, after) / rate - at) / open_time  # 0 to 1 through the open time
        flow[first:after] = (1 + 8 * height) * (2 * share - 3 * share**2)
        opened[first // FINE : after // FINE] = 1.0
        at += period
    return np.asarray(resample_poly(flow, 1, FINE)), opened


def _dulled(sound: Curve, decibels: float) -> Curve:
    """Take so many dB at 3 kHz from a sound, with one pole."""
    if decibels <= 0:
        return sound
    power, cosine = 10 ** (decibels / 10), np.cos(2 * np.pi * 3000 / RATE)
    middle = (power - cosine) / (power - 1)
    pole = middle - np.sqrt(middle**2 - 1)
    return np.asarray(lfilter([1 - pole], [1.0, -pole], sound))


def _throat(sound: Curve, spoken: tuple[Span, ...], style: Style, times: Curve) -> Curve:
    """Send the larynx's sound through nose, moving formants and higher formants, (N,)."""
    formants, widths, zero = _formants(spoken, style, times)
    sound = _moving(_without(sound, zero), np.full(len(times), NOSE), np.full(len(times), NOSE_WIDTH))
    for k in range(3):
        sound = _moving(sound, formants[:, k], widths[:, k])
    for centre, width in HIGHER:
        section = _resonance(centre * style.lips, width)
        sound = lfilter([section.sum()], section, sound)
    return sound


def _formants(spoken: tuple[Span, ...], style: Style, times: Curve) -> tuple[Curve, Curve, Curve]:
    """Return three formants and bandwidths, (T, 3) each, and the nose's zero, (T,), all in Hz and without a jump."""
    anchors = [anchor for span in spoken for anchor in _anchors(span, style)]
    where = np.array([time for time, _ in anchors])
    values = np.array([value for _, value in anchors])  # (A, 7)
    curves = PchipInterpolator(where, values)(np.clip(times, where[0], where[-1]))
    return curves[:, :3], curves[:, 3:6], curves[:, 6]


def _anchors(span: Span, style: Style) -> list[tuple[float, Curve]]:
    """Return (time, formants, bandwidths and zero) which the throat reaches in this sound."""
    phone, length = span.phone, span.end - span.start
    ends = (phone.formants, phone.end or phone.formants)
    shares = (0.28, 0.72) if length > 0.03 else (0.5,)
    rest = (*phone.widths, phone.zero or NOSE)
    return [
        (span.start + share * length, np.array([*_shaped(phone, formants, style), *rest]))
        for share, formants in zip(shares, ends, strict=False)
    ]


def _shaped(phone: Phone, formants: tuple[float, float, float], style: Style) -> Curve:
    """Return formants as this style's jaw, lips and slackness leave them."""
    slack = style.slack if phone.vowel else 0.0
    jaw = style.jaw if phone.vowel else 1.0
    return ((1 - slack) * np.array(formants) + slack * MIDDLE) * (jaw, style.lips, style.lips)


def _resonance(centre: Curve | float, width: Curve | float) -> Curve:
    """Return the denominator of Klatt's resonator, (3,) or (3, N); its sum as numerator makes the gain 1 at 0 Hz."""
    radius = np.exp(-np.pi * np.asarray(width) / RATE)
    return np.stack([np.ones_like(radius), -2 * radius * np.cos(2 * np.pi * np.asarray(centre) / RATE), radius**2])


def _moving(sound: Curve, centre: Curve, width: Curve) -> Curve:
    """Send (N,) through a resonator that moves with every sample; steps of even half a millisecond are heard."""
    section = _resonance(centre, width)
    driven, first, second = (section.sum(axis=0) * sound).tolist(), section[1].tolist(), section[2].tolist()
    heard, last, before = [], 0.0, 0.0
    for push, one, two in zip(driven, first, second, strict=True):
        last, before = push - one * last - two * before, last
        heard.append(last)
    return np.array(heard)


def _without(sound: Curve, zero: Curve) -> Curve:
    """Take the frequency `zero` from a sound, (N,)."""
    section = _resonance(zero, np.full(len(zero), NOSE_WIDTH))
    padded = np.concatenate(([0.0, 0.0], sound))
    return np.asarray((section[0] * sound + section[1] * padded[1:-1] + section[2] * padded[:-2]) / section.sum(axis=0))


def _hiss(spoken: tuple[Span, ...], times: Curve, random: np.random.Generator) -> Curve:
    """Return fricatives and bursts, (N,): noise in the bands of each sound."""
    whole = np.zeros(len(times))
    for bands in dict.fromkeys(phone.bands for phone in PHONES.values() if phone.bands):
        noise = random.standard_normal(len(times))
        shaped = sum(gain * _unit(_band(noise, centre, width)) for centre, width, gain in bands)
        own = tuple(span for span in spoken if span.phone.bands == bands)
        whole += _unit(np.asarray(shaped)) * _envelope(own, "hiss", times, SNAP)
    return whole


def _band(noise: Curve, centre: float, width: float) -> Curve:
    """Noise around one frequency: a resonator that lets nothing through at 0 Hz."""
    return np.asarray(lfilter([1.0, 0.0, -1.0], _resonance(centre, width), noise))
