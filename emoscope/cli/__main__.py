"""`python -m emoscope.cli`."""

from emoscope.cli import app

if __name__ == "__main__":
    app(prog_name="emoscope")
