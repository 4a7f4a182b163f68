"""What the part `nearby` is given of the history: the runs that are most like the one that is open."""

from collections.abc import Sequence
from typing import Any

from emoscope.history import Similar
from emoscope.studio import past
from emoscope.studio.words import Language, say


def view(found: Sequence[Similar], note: str, language: Language) -> dict[str, Any]:
    """Return the runs with their cosines, the most alike first; a note says why there are none."""
    return {
        "rows": [{**past.row(each.run, language), "cosine": each.cosine} for each in found],
        "note": note or ("" if found else say("history.alone", language)),
    }
