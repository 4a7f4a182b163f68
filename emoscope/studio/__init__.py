"""The studio: Emoscope in a browser, as a Gradio page to be mounted in a web application."""

from emoscope.studio.mounting import build, mount, prepare

__all__ = ["build", "mount", "prepare"]
