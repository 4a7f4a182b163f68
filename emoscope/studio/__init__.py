"""The studio: Emoscope in a browser, Gradio mounted in FastAPI, one process."""

from emoscope.studio.server import build, create_app, serve

__all__ = ["build", "create_app", "serve"]
