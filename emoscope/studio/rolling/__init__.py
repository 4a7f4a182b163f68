"""The rolling timeline: what a live session has heard, as the page is sent it several times a second."""

import base64
from typing import Any

import numpy as np

from emoscope.live import Look
from emoscope.studio.words import Language, translate


def view(now: Look, received: int, language: Language) -> dict[str, Any]:
    """Return a look as JSON types; the frames are base64 of (T, 10) bytes as `timeline.pack_frames` makes them.

    `received` tells the browser which samples it may forget. Ten bytes of 0 are a frame that was not heard.
    """
    packed = np.rint(255 * np.hstack([now.probabilities, now.silent[:, None]])).astype(np.uint8)
    return {
        "received": received,
        "first": now.first,
        "settled": now.settled,
        "frames": base64.b64encode(packed.tobytes()).decode(),
        "heard": round(now.heard, 3),
        "now": now.now,
        "probability": round(now.probability, 3),
        "full": translate(now.full, language),
        "trouble": translate(now.trouble, language),
    }
