"""The command line: `./run.sh analyze clip.mp3`. One module for each command, or group of them."""

from typing import Annotated

import typer

from emoscope import __version__
from emoscope.cli.batches import batch
from emoscope.cli.fusion import train_fusion
from emoscope.cli.graph import export_onnx
from emoscope.cli.history import app as history_app
from emoscope.cli.history import verify
from emoscope.cli.models import app as models_app
from emoscope.cli.recordings import analyze
from emoscope.cli.texts import text

app = typer.Typer(
    help="Hear and read emotion: one verdict, nine emotions every 20 ms, and what each word does.",
    epilog="“./run.sh” alone opens the studio, “./run.sh test” runs the tests.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(analyze)
app.command()(text)
app.command()(batch)
app.command("export-onnx")(export_onnx)
app.command("train-fusion")(train_fusion)
app.command()(verify)
app.add_typer(history_app, name="history")
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
    """Hear and read emotion: one verdict, nine emotions every 20 ms, and what each word does."""
