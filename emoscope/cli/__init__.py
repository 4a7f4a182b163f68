"""The command line: `./run.sh analyze clip.mp3`. One module for each command, or group of them."""

from typing import Annotated

import typer

from emoscope import __version__
from emoscope.cli.batches import batch
from emoscope.cli.graph import export_onnx
from emoscope.cli.models import app as models_app
from emoscope.cli.recordings import analyze

app = typer.Typer(
    help="Hear emotion in recordings: one verdict, and nine emotions every 20 ms.",
    epilog="“./run.sh” alone opens the studio, “./run.sh test” runs the tests.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(analyze)
app.command()(batch)
app.command("export-onnx")(export_onnx)
app.add_typer(models_app, name="models")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"emoscope {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Hear emotion in recordings: one verdict, and nine emotions every 20 ms."""
