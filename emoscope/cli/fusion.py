"""`./run.sh train-fusion`: labelled pairs of recordings and texts become a fusion of one's own."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoscope.cli.terminal import bar, complain, settings_of_process
from emoscope.settings import Options

if TYPE_CHECKING:
    from emoscope.pairs import Result


class Kind(StrEnum):
    """How a trained fusion works; the same words as `heads.FORMULAS`."""

    early = "early"
    gated = "gated"


def train_fusion(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            show_default=False,
            help="A .csv, .tsv or .jsonl with path, text (or transcript: a file), label; perhaps speaker, split.",
        ),
    ],
    kind: Annotated[
        Kind,
        typer.Option(help="early: one linear layer over both embeddings; gated: a gate weighs them."),
    ] = Kind.early,
    name: Annotated[str, typer.Option(metavar="NAME", help="What the fusion is called, if not like its kind.")] = "",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where fusions lie, if not in models/.")] = None,
    model: Annotated[str, typer.Option(help="The speech model: auto, compact, large, or a folder.")] = Options.model,
    text_model: Annotated[str, typer.Option(help="The text model: auto, compact, or a folder.")] = Options.text_model,
    seed: Annotated[int, typer.Option(min=0, help="Which pairs are held out, and how training begins.")] = 0,
) -> None:
    """Train a fusion of speech and words on labelled pairs, and compare it on pairs that were held out.

    It is saved in a folder of its own, and is one of the choices of fusion from then on, for the same two models.
    """
    with settings_of_process() as settings:
        from emoscope import pairs
        from emoscope.analyzer import Analyzer

        with bar(manifest.name) as progress:
            result = pairs.train(
                manifest, Analyzer(settings), Options(model=model, text_model=text_model), kind=kind.value,
                name=name or kind.value, models=out or settings.models, seed=seed, progress=progress,
            )  # fmt: skip
    _show(result)


def _show(result: "Result") -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    for row in result.skipped:
        complain(f"{row.row} was skipped: {row.sentence}")
    head, figures = result.head, result.head.figures
    numbers = [Column(title, justify="right") for title in ("Accuracy", "UAR", "Macro-F1")]
    table = Table("On the held-out pairs", *numbers, box=SIMPLE)
    for who, found in figures["held_out"].items():
        title = f"{head.name} ({head.kind})" if who == "head" else who
        table.add_row(escape(title), *(f"{found[figure]:.1%}" for figure in ("accuracy", "uar", "macro_f1")))
    console = Console()
    console.print(table)
    counts = ", ".join(f"{part} {count}" for part, count in figures["pairs"].items())
    console.print(f"Pairs: {counts}. Held out: {figures['division']}.", markup=False)
    console.print(f"Labels: {', '.join(head.labels)}. Models: {head.speech}, {head.text}.", markup=False)
    print(result.folder)
