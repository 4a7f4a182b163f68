"""`./run.sh models`: get, check and remove models."""

from typing import Annotated

import typer

from emoscope.cli.terminal import FAILED, bar, complain, settings_of_process

app = typer.Typer(help="Get, check and remove models.", no_args_is_help=True)

NAMES = "large, base or seed (Emotion2Vec+), sensevoice, english, multilingual, chinese, compact, or a folder."
Name = Annotated[str, typer.Argument(metavar="NAME", help=NAMES)]
SlimOnly = Annotated[bool, typer.Option("--slim-only", help="Remove model.pt once the slim weights are certified.")]


@app.command("list")
def list_models() -> None:
    """Show every model: whether it is whole, its size, where it is from, its licence and authors."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from emoscope import models

    with settings_of_process() as settings:
        entries = models.inventory(settings.models)
    table = Table("Name", "Model", "On disk", Column("MB", justify="right"), "Compared", box=SIMPLE)
    for entry in entries:
        table.add_row(
            escape(entry.name), escape(entry.title), entry.state, f"{entry.bytes / 1e6:,.1f}", entry.certificate
        )
    console = Console()
    console.print(table)
    for entry in entries:
        console.print(f"{entry.title}: {entry.source}.", style="dim", markup=False)
    for licence, authors in dict.fromkeys((entry.licence, entry.authors) for entry in entries):
        titles = [entry.title for entry in entries if (entry.licence, entry.authors) == (licence, authors)]
        by = f", by {authors}" if authors else ""
        console.print(f"Licence of {', '.join(titles)}: {licence}{by}.", style="dim", markup=False)
    console.print(f"Models lie in {settings.models}.", style="dim", markup=False, soft_wrap=True)


@app.command("download")
def download_model(name: Name, slim_only: SlimOnly = False) -> None:
    """Download a model and check it, and compare a speech model with FunASR; an interrupted download goes on."""
    from emoscope import models
    from emoscope.speech.conversion import convert

    with settings_of_process() as settings:
        with bar(name) as progress:
            folder = models.fetch(name, settings, progress)
        print(folder, flush=True)
        if models.PUBLISHED[name].kind != "speech":
            return
        with bar(name) as progress:
            certificate = models.certify(name, settings.models, convert, progress, again=False, slim_only=slim_only)
    complain(certificate.sentence)


@app.command("certify")
def certify_model(name: Name, slim_only: SlimOnly = False) -> None:
    """Compare a speech model with FunASR's own network, and keep slim weights and a certificate if they agree."""
    from emoscope import models
    from emoscope.speech.conversion import convert

    with settings_of_process() as settings, bar(name) as progress:
        certificate = models.certify(name, settings.models, convert, progress, slim_only=slim_only)
    print(certificate.sentence)
    raise typer.Exit(0 if certificate.certified else FAILED)


@app.command("verify")
def verify_model(name: Name) -> None:
    """Compare every file of a model with the hashes that were written down when it was downloaded."""
    from emoscope import models

    with settings_of_process() as settings, bar(name) as progress:
        manifest = models.verify(name, settings.models, progress)
    if manifest is None:
        print(f"{name} is complete; it came without hashes, so there is nothing to compare it with.")
    else:
        print(f"{name} is whole: {len(manifest.files)} files, downloaded from {manifest.hub} {manifest.repo}.")


@app.command("remove")
def remove_model(name: Name) -> None:
    """Delete a downloaded model, and what an interrupted download left of it."""
    from emoscope import models

    with settings_of_process() as settings:
        print(f"Removed {models.remove(name, settings.models)}")


@app.command("path")
def path_of_model(name: Name) -> None:
    """Print the folder of a model that is on disk."""
    from emoscope import models

    with settings_of_process() as settings:
        print(models.find(name, settings.models))
