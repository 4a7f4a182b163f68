"""What every request passes first: how it comes in, whose page sends it, and who asks."""

from emoscope.gate.gate import Gate
from emoscope.gate.intake import CONNECTIONS, Intake, Prompt

__all__ = ["CONNECTIONS", "Gate", "Intake", "Prompt"]
