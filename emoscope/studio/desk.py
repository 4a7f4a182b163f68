"""What every tab of the studio works with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emoscope.settings import Settings

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer
    from emoscope.live import Live


@dataclass(frozen=True)
class Desk:
    """The analyzer, the settings of this process, and who is listened to live; the same for every visitor."""

    analyzer: "Analyzer"
    settings: Settings
    live: "Live"
