"""`python -m emoscope.cli`."""

import io
import sys

from emoscope.cli import app

if __name__ == "__main__":
    # Half a character in a file's name or a text is shown as an escape, and does not stop the answer.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app(prog_name="emoscope")
