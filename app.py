"""Settings, analyzer, FastAPI and Gradio in one process: `python app.py` opens the studio."""

import logging
import os
import sys

from emoscope.analyzer import Analyzer
from emoscope.errors import EmoscopeError
from emoscope.server import serve
from emoscope.settings import Settings


def main() -> int:
    """Serve studio and REST until the process is asked to stop."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_environment(os.environ)
        serve(Analyzer(settings), settings)
    except EmoscopeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Python's own end aborts the process where a thread is in the middle of a model's pass
