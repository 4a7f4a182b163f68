"""People who are listened to while they speak: every sample is kept, and the newest seconds are heard again and again.

    feed ─> 16 kHz ─┬─> a file on disk ─────────────────────> the whole recording, for the report
                    └─> the last half minute ─> one thread ─> frames, some of them settled ─> look

A pass of the model hears the newest window. Frames that have their context on both sides are settled by it and never
change again; the newest ones are a first guess, which the next passes better. A slow model makes fewer passes over more
sound; what it cannot follow is missing from the view and never from the recording.
"""

import logging
import secrets
import tempfile
import threading
import time
import wave
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emoscope import claims
from emoscope.analyzer import silent_frames
from emoscope.audio.levels import silences
from emoscope.audio.stream import Recent, Resampler
from emoscope.audio.words import length
from emoscope.errors import Cancelled, EmoscopeError, InputError, StorageError
from emoscope.labels import COUNT, LABELS
from emoscope.results import SpeechResult, Waveform
from emoscope.settings import Settings
from emoscope.timeline import HOP, HOP_SECONDS, RATE, SILENCE, SMOOTHING, Flags, Floats, Timeline, frame_count

log = logging.getLogger(__name__)

STEP = 0.15  # seconds of new sound that are worth another pass
ALIGNED = 4  # frames; the compact network pools frames by fours, so every window begins at a multiple
CONTEXT = 120  # frames, 2.4 s on either side after which a frame is settled; docs/windows.md says why
SHORTEST, LONGEST = 5.0, 30.0  # seconds in one pass; what it hears is also what a model takes for "the whole file"
PASS = 0.05  # seconds that a pass may take for the sake of a longer window, so that many visitors find room
PATIENCE = 6.0  # seconds that a pass may take in order to leave no sound out of the view
FAREWELL = 1.0  # seconds that the last pass gets to end when all is over
SLOWEST = 1.0  # seconds per second of sound; beyond that no window is short enough
KEPT = 3000  # frames, one minute: what a view can show
NEWEST = 75, 30  # frames: the current emotion is that of the last 1.5 s, or silence after 0.6 s of it
LEAST = 10  # frames, 0.2 s of sound that an emotion can be told from
RECORDINGS = "emoscope-live"  # what the folder for them is called, see `claims.temporary`
CROWD = 32  # people at once; each needs 4 MB, and disk for the recording
HEADER = 100  # bytes of a WAV file that are no sound, and some to spare
IDLE = 600.0  # seconds without a word from the visitor's browser until the session ends
REST = 5.0  # seconds between two tries of a model that failed

UNFORESEEN = "The live view has stopped for a moment; the log has the details. The recording goes on."
ENDED = "This live session has ended. Start a new one."
CROWDED = "Too many people are using the live view at the moment. Try again in a few minutes."
NO_ROOM = "The disk has no room for the recording any more. What was recorded until now is kept: stop, and analyse it."

Hear = Callable[[Waveform], SpeechResult]


@dataclass(frozen=True, eq=False)
class Look:
    """What is known of a session at a moment; frame i begins at `0.02 * i` seconds of the recording."""

    seconds: float  # of sound that have arrived
    heard: float  # seconds up to which the model has heard it
    first: int  # number of the first frame in here
    settled: int  # number of the first frame that may still change
    probabilities: Floats  # (T, 9), smoothed; all 0 where the model could not follow
    silent: Flags  # (T,)
    now: str = ""  # the current emotion, or "silence"; nothing while there is too little sound to tell
    probability: float = 0.0  # of that emotion
    full: str = ""  # a sentence when no more sound is taken
    trouble: str = ""  # a sentence while the view stands still


class Session:
    """One person's live session. `feed` and `look` never wait for a model."""

    def __init__(self, file: Path, rate: int, *, limit: float) -> None:
        """Record into `file` what comes at `rate` Hz, up to `limit` seconds."""
        self.token = secrets.token_urlsafe(24)
        self.began = time.time()
        self.file = file
        self.received = 0  # samples at the microphone's rate
        self.touched = time.monotonic()
        self.passed = 0.0  # when the last pass ended, `time.monotonic`
        self.ended = threading.Event()  # nobody wants this session any more
        self._limit = round(limit * RATE)  # samples
        self._lock = threading.Lock()
        self._resampler = Resampler(rate)
        self._recent = Recent(round(LONGEST * RATE))
        self._output = wave.open(str(file), "wb")  # noqa: SIM115 — it is open as long as somebody speaks
        self._output.setnchannels(1)
        self._output.setsampwidth(2)
        self._output.setframerate(RATE)
        self._stopped = False
        self._full = self._trouble = ""
        self._rest_until = 0.0  # `time.monotonic`
        self._tried = 0  # samples that were there when the last pass began
        self._answered = 0  # when the last one that has ended began
        self._settled = self._first = 0  # frames
        # from `_first` on: nine probabilities, silence, and the weight of all passes that heard the frame
        self._frames = np.zeros((0, COUNT + 2), dtype=np.float32)
        self._now, self._probability = "", 0.0

    def feed(self, piece: Floats, first: int) -> int:
        """Take in sound, (N,), which begins at sample `first`; return how many samples have arrived in all.

        What arrived before is not taken twice, so that a browser may send again what it is not sure of. After a gap
        nothing is taken: the number that is returned tells from where to go on.
        """
        with self._lock:
            self.touched = time.monotonic()
            new = piece[max(0, self.received - first) :]
            if first > self.received or self._stopped or not len(new):
                return self.received
            self.received += len(new)
            self._keep(self._resampler.take(new))
            return self.received

    def stay(self) -> None:
        """Say that somebody still works on the recording; raises Cancelled when nobody wants it any more."""
        if self.ended.is_set():
            raise Cancelled("The live session was left.")
        self.touched = time.monotonic()

    def stop(self) -> Path:
        """Take no more sound, and return the whole recording: 16 kHz mono WAV with 16 bits."""
        with self._lock:
            self.touched = time.monotonic()
            if not self._stopped:
                self._keep(self._resampler.take(np.zeros(0, dtype=np.float32), last=True))
                self._stopped = True
                with suppress(OSError):  # a full disk; every write left a whole file behind
                    self._output.close()
        return self.file

    def look(self, since: int = 0) -> Look:
        """Return what is known, with the frames from number `since` on."""
        with self._lock:
            first = min(max(since, self._first), self._first + len(self._frames))
            frames = self._frames[first - self._first :]
            return Look(
                seconds=self._recent.total / RATE,
                heard=(self._first + len(self._frames)) * HOP_SECONDS,
                first=first,
                settled=self._settled,
                probabilities=frames[:, :COUNT].copy(),
                silent=frames[:, COUNT] > 0,
                now=self._now,
                probability=self._probability,
                full=self._full,
                trouble=self._trouble,
            )

    def is_waiting(self) -> bool:
        """Say whether there is sound for another pass."""
        with self._lock:
            return self._is_new(self._tried)

    def is_behind(self) -> bool:
        """Say whether a pass that is running or due will tell more than `look` does."""
        with self._lock:
            return self._is_new(self._answered)

    def window(self, pace: float) -> tuple[int, Waveform]:
        """Return the sound of the next pass and the number of its first frame; `pace` is seconds per second of sound.

        The window holds the frames that are not settled with the context before them, and more for a fast model.
        """
        with self._lock:
            self._tried = self._recent.total
            stop = frame_count(self._tried)
            wish, most = (_frames(np.clip(seconds / pace, SHORTEST, LONGEST)) for seconds in (PASS, PATIENCE))
            needed = stop - (self._settled - CONTEXT)
            start = stop - min(max(needed, wish), most)
            start = max(start, -(-self._recent.oldest // HOP), 0)
            start = -(-start // ALIGNED) * ALIGNED
            return start, Waveform(self._recent.since(start * HOP))

    def take(self, start: int, heard: Timeline) -> None:
        """Take in what a pass has found out about the frames from number `start` on.

        A frame that is not settled is the mean of all passes that heard it, each weighing as much as the sound that it
        heard after the frame: so the first guess is there at once, and no pass leaves a step behind.
        """
        found = np.hstack([heard.probabilities(SMOOTHING), heard.silent[:, None]])  # (T, 10)
        with self._lock:
            self.passed = time.monotonic()
            self._answered = self._tried
            self._trouble = ""
            end, begin = start + len(found), max(start, self._settled)
            frames = np.zeros((end - self._first, COUNT + 2), dtype=np.float32)
            frames[: len(self._frames)] = self._frames
            weight = np.arange(end - begin, 0, -1).clip(1, CONTEXT)[:, None]  # (T, 1)
            open_ones = frames[begin - self._first :]
            before = open_ones[:, COUNT + 1 :]
            mean = (open_ones[:, :COUNT] * before + found[begin - start :, :COUNT] * weight) / (before + weight)
            open_ones[:] = np.hstack([mean, found[begin - start :, COUNT:], before + weight])
            self._frames = frames[-KEPT:]
            self._first = end - len(self._frames)
            self._settled = max(self._settled, end - CONTEXT)
            self._now, self._probability = _current(heard)

    def fail(self, sentence: str) -> None:
        """Remember that a pass failed, and why."""
        with self._lock:
            self.passed, self._answered = time.monotonic(), self._tried
            self._trouble, self._rest_until = sentence, self.passed + REST

    def discard(self) -> None:
        """End the session and remove its recording."""
        self.ended.set()
        self.stop()
        self.file.unlink(missing_ok=True)

    def _is_new(self, known: int) -> bool:
        """Say whether enough sound has come after the first `known` samples."""
        resting = self._stopped or time.monotonic() < self._rest_until
        return not resting and self._recent.total - known >= STEP * RATE

    def _keep(self, samples: Floats) -> None:
        """Write samples at 16 kHz to the file, and keep the newest for the next pass."""
        room = self._limit - self._recent.total
        if len(samples) > room and not self._full:
            self._full = f"The recording has reached the limit of {length(self._limit / RATE)}, so it was stopped."
        samples = samples[:room]
        try:
            self._output.writeframes(_pcm(samples))
        except OSError as error:
            log.error("a live recording cannot go on: %s", error)
            self._full, self._limit = NO_ROOM, self._recent.total
            return
        self._recent.add(samples)


class Live:
    """All live sessions, and the thread that listens to them in turn; safe to share between threads."""

    def __init__(self, hear: Hear, *, limit: float) -> None:
        """`hear` is one pass of the model; `limit` is how many seconds a session may record."""
        self._hear, self._limit = hear, limit
        self._sessions: dict[str, Session] = {}
        self._news = threading.Condition()  # guards all that follows, and tells that there is sound
        self._folder: Path | None = None
        self._ends = ExitStack()  # takes the folder away
        self._worker: threading.Thread | None = None
        self._pace = PASS / SHORTEST  # seconds per second of sound, of the latest passes
        self._closed = False

    def open(self, rate: int) -> Session:
        """Begin a session with a microphone of `rate` Hz; raises EmoscopeError when there is no room for it."""
        self._sweep()
        with self._news:
            if self._closed or len(self._sessions) >= CROWD:
                raise InputError(CROWDED)
            if self._folder is None:
                self._folder = _make_folder(self._ends)
            session = _begin(self._folder / f"{secrets.token_hex(8)}.wav", rate, self._limit)
            self._sessions[session.token] = session
            if self._worker is None:
                self._worker = threading.Thread(target=self._listen, name="live-listener", daemon=True)
                self._worker.start()
        return session

    def find(self, token: str) -> Session:
        """Return a session that has not ended; raises InputError when there is none."""
        with self._news:
            session = self._sessions.get(token)
        if session is None:
            raise InputError(ENDED)
        return session

    def feed(self, token: str, piece: Floats, first: int) -> Session:
        """Give a session more sound, see `Session.feed`, and wake the listener."""
        session = self.find(token)
        session.feed(piece, first)
        with self._news:
            self._news.notify()
        return session

    def end(self, token: str) -> None:
        """End a session, if there is one, and remove its recording."""
        with self._news:
            session = self._sessions.pop(token, None)
        if session is not None:
            session.discard()

    def close(self) -> None:
        """End all sessions, and leave nothing on disk."""
        with self._news:
            self._closed = True
            left = list(self._sessions)
            self._news.notify()
        for token in left:
            self.end(token)
        if self._worker is not None:
            self._worker.join(FAREWELL)
        self._ends.close()

    def _sweep(self) -> None:
        """End the sessions that no browser speaks for any more."""
        now = time.monotonic()
        with self._news:
            idle = [token for token, session in self._sessions.items() if now - session.touched > IDLE]
        for token in idle:
            self.end(token)

    def _listen(self) -> None:
        while (session := self._next()) is not None:
            try:
                self._pass(session)
            except EmoscopeError as error:
                session.fail(str(error))
            except Exception:  # else the thread ends, and every live view with it
                log.exception("a live pass failed")
                session.fail(UNFORESEEN)

    def _next(self) -> Session | None:
        """Wait for sound, and return whoever has waited longest for a pass; None when all is over."""
        while True:
            with self._news:
                if self._closed:
                    return None
                waiting = [session for session in self._sessions.values() if session.is_waiting()]
                if waiting:
                    return min(waiting, key=lambda session: session.passed)
                self._news.wait(REST)
            self._sweep()

    def _pass(self, session: Session) -> None:
        start, sound = session.window(self._pace)
        began = time.monotonic()
        logits = self._hear(sound).timeline.logits
        took = (time.monotonic() - began) / sound.seconds
        self._pace = (self._pace + min(took, SLOWEST)) / 2  # one slow pass, such as the first, is no slow model
        session.take(start, Timeline(logits, silent=silent_frames(len(logits), silences(sound))))


def longest(settings: Settings) -> float:
    """Return how many seconds a session may record, so that its file is within the limits of any other file."""
    return min(60 * settings.max_minutes, (1e6 * settings.max_mb - HEADER) / (2 * RATE))


def _begin(file: Path, rate: int, limit: float) -> Session:
    try:
        return Session(file, rate, limit=limit)
    except OSError as error:
        raise StorageError(f"There is no place for a recording ({error.strerror}). Make room on the disk.") from error


def _make_folder(ends: ExitStack) -> Path:
    folder = claims.temporary(RECORDINGS)
    try:
        ends.enter_context(claims.existing(folder))
    except OSError as error:
        raise StorageError(f"There is no place for a recording ({error.strerror}). Make room on the disk.") from error
    return folder


def sweep() -> None:
    """Remove the recordings of a process that was killed while it listened."""
    claims.sweep(Path(tempfile.gettempdir()), RECORDINGS)


def _pcm(samples: Floats) -> bytes:
    scaled = np.rint(samples * np.float32(2**15))
    whole: bytes = np.clip(scaled, -(2**15), 2**15 - 1).astype("<i2").tobytes()
    return whole


def _frames(seconds: float) -> int:
    return round(seconds / HOP_SECONDS)


def _current(heard: Timeline) -> tuple[str, float]:
    """Return the emotion of the newest sound and its probability."""
    long, short = NEWEST
    if heard.silent[-short:].all():
        return SILENCE, 0.0
    sounding = ~heard.silent[-long:]
    if sounding.sum() < LEAST:
        return "", 0.0
    scores = Timeline(heard.logits[-long:][sounding]).scores()
    winner = int(scores.argmax())
    return LABELS[winner], float(scores[winner])
