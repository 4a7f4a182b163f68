"""The folder whose files the page may fetch: what a result shows is put there under a name nobody can guess."""

import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder


class Shelf:
    """One result's own place; Gradio removes its files when they are old, and all of them when it stops."""

    def __init__(self) -> None:
        self.folder = Path(get_upload_folder()) / secrets.token_urlsafe(24)
        self.folder.mkdir(mode=0o700, parents=True)

    def put(self, name: str, content: bytes) -> dict[str, Any]:
        """Write a file and return what tells the page where it is."""
        file = self.folder / name
        file.write_bytes(content)
        return _reference(file)

    def link(self, source: Path) -> dict[str, Any]:
        """Offer an existing file without copying it where the file system allows."""
        file = self.folder / source.name
        if not file.exists():  # the sound is both played and downloaded
            try:
                os.link(source, file)
            except OSError:
                shutil.copyfile(source, file)
        return _reference(file)


def _reference(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = gr.FileData(path=str(file), orig_name=file.name, size=file.stat().st_size).model_dump()
    return found
