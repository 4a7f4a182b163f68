"""What is said becomes a transcript: written down by SenseVoice, or read from a file of subtitles.

Importing this loads neither FunASR nor torch; `load` does.
"""

from pathlib import Path

from emoscope.transcribe.files import ENDINGS, read_file
from emoscope.transcribe.recogniser import Recogniser
from emoscope.transcribe.rich import parse_result

__all__ = ["ENDINGS", "Recogniser", "load", "parse_result", "read_file"]


def load(folder: Path, vad: Path | None = None, *, device: str = "cpu", threads: int = 0) -> Recogniser:
    """Open SenseVoice in a folder, and in another one the model that finds speech; FunASR takes seconds to import.

    `device` is "auto", "cpu" or "cuda"; `threads` 0 leaves PyTorch's number. Never touches the network. Raises
    ModelError when a folder holds no such model that is whole, and OptionError for a device that is not there.
    """
    from emoscope.transcribe.sensevoice import load as open_folders

    return open_folders(folder, vad, device=device, threads=threads)
