"""`./run.sh text --each-line`: every line is a text of its own."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

from emoscope.cli.answers import leading, one_line, show_models
from emoscope.cli.terminal import bar, complain
from emoscope.errors import InputError
from emoscope.settings import Options, Settings

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer
    from emoscope.report import Report
    from emoscope.results import ModelInfo

TOGETHER = 256  # lines that are read at once


class LineFormat(StrEnum):
    """How the answers for lines are printed."""

    table = "table"
    json = "json"
    csv = "csv"


@dataclass(frozen=True)
class Line:
    """A line that was read as a text of its own, or the reason why it could not be."""

    number: int  # from 1, empty ones included
    text: str
    report: "Report | None" = None
    error: str = ""


def show_lines(lines: Iterable[str], options: Options, settings: Settings, *, format: LineFormat) -> bool:
    """Read every line in which there is something, and print the answers; return whether all could be read."""
    failed: list[int] = []
    PRINTERS[format](_watched(_read(lines, options, settings), failed))
    return not failed


def _read(lines: Iterable[str], options: Options, settings: Settings) -> Iterator[Line]:
    """Yield the answers, many at a time."""
    from emoscope.analyzer import Analyzer

    analyzer = Analyzer(settings)
    numbered = ((number, line) for number, line in enumerate(map(str.strip, lines), 1) if line)
    while group := list(islice(numbered, TOGETHER)):
        yield from _read_group(group, analyzer, options)


def _read_group(group: list[tuple[int, str]], analyzer: "Analyzer", options: Options) -> Iterator[Line]:
    """Yield the answers for some lines, in their order."""
    errors = {number: _unreadable(line) for number, line in group}
    good = [line for number, line in group if not errors[number]]
    # Nothing that a library prints may mix with the answers.
    with redirect_stdout(sys.stderr), bar(f"lines {group[0][0]} to {group[-1][0]}") as progress:
        reports = iter(analyzer.read_many(good, options, progress=progress) if good else [])
    for number, line in group:
        yield Line(number, line, error=errors[number]) if errors[number] else Line(number, line, next(reports))


def _unreadable(line: str) -> str:
    """Return why a line cannot be read, so that it does not stop the others."""
    from emoscope.text.split import clean

    try:
        clean(line)
    except InputError as error:
        return str(error)
    return ""


def _watched(lines: Iterable[Line], failed: list[int]) -> Iterator[Line]:
    """Pass lines on; say on stderr which of them failed, and note it."""
    for line in lines:
        if line.error:
            failed.append(line.number)
            complain(f"line {line.number}: {line.error}")
        yield line


def _print_table(lines: Iterable[Line]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    table = Table(Column("Line", justify="right"), "Text", "Emotion", "Runner-up", box=SIMPLE)
    models: list[ModelInfo] = []
    for line in lines:
        if line.report:
            verdict = line.report.verdict
            emotion = f"{leading(line.report.scores)}, {verdict.certainty}"
            runner_up = f"{verdict.runner_up} {verdict.scores[verdict.runner_up]:.0%}"
            table.add_row(str(line.number), escape(one_line(line.text)), emotion, runner_up)
            models = [*line.report.models]
    if models:
        console = Console()
        console.print(table)
        show_models(console, models)


def _print_json(lines: Iterable[Line]) -> None:
    """Print a report on each line, with the number of the line that it is about."""
    for line in lines:
        found: dict[str, Any] = line.report.to_dict() if line.report else {"text": line.text, "error": line.error}
        print(json.dumps({**found, "line": line.number}, ensure_ascii=False, allow_nan=False))


def _print_csv(lines: Iterable[Line]) -> None:
    """Print a row for each line; a text that a spreadsheet would calculate has a quote before it."""
    from emoscope.cells import harmless
    from emoscope.labels import LABELS

    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["line", "text", "emotion", "confidence", *LABELS, "error"])
    for line in lines:
        cells = [""] * (2 + len(LABELS))
        if line.report:
            verdict = line.report.verdict
            cells = [verdict.emotion, *(f"{score:.6f}" for score in (verdict.confidence, *verdict.scores.values()))]
        table.writerow([line.number, harmless(one_line(line.text)), *cells, line.error])


PRINTERS = {LineFormat.table: _print_table, LineFormat.json: _print_json, LineFormat.csv: _print_csv}
