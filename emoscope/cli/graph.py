"""`./run.sh export-onnx`: a speech model for programs without PyTorch."""

from pathlib import Path
from typing import Annotated

import typer

from emoscope.cli.terminal import bar, complain, settings_of_process


def export_onnx(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="large, base, seed, or a model folder.")] = "large",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The graph, if not outputs/<model>.onnx.")] = None,
) -> None:
    """Write a speech model as one ONNX file, and compare it with PyTorch by ONNX Runtime.

    A graph that differs by more than 1e-3 is not kept. Needs an extra: requirements-onnx.txt.
    """
    from emoscope import models

    with settings_of_process() as settings, bar(model) as progress:
        folder = models.resolve(model, settings.models).folder
        from emoscope.speech import checkpoint, graph  # seconds, which a mistyped name need not wait for

        file = out or settings.outputs / f"{folder.name}.onnx"
        heard = checkpoint.load(folder, device="cpu", threads=settings.threads)
        exported = graph.export(heard, file, threads=settings.threads, progress=progress)
    complain(
        f"{len(exported.labels)} labels, {exported.file.stat().st_size / 1e6:,.0f} MB. The largest difference of a "
        f"feature or logit from PyTorch is {exported.difference:.1e}."
    )
    print(exported.file)
