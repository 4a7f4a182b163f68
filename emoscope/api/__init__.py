"""The REST interface: thin routes around the queue in front of the analyzer, and the history behind it."""

from emoscope.api.application import add_api
from emoscope.api.office import Office

__all__ = ["Office", "add_api"]
