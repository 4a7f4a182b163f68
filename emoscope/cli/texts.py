"""`./run.sh text`: the emotion of a text, or of every line of a file."""

import io
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from emoscope.cli.answers import Done, Format, as_json, clock, leading, one_line, show_notes
from emoscope.cli.keeping import Keeping
from emoscope.cli.lines import LineFormat, show_lines
from emoscope.cli.terminal import FAILED, TextModel, bar, complain, settings_of_process
from emoscope.errors import InputError, OptionError
from emoscope.settings import Options, Settings

if TYPE_CHECKING:
    from emoscope.results import Sentence
    from emoscope.transcript import Transcript

SUBTITLES = (".srt", ".vtt")
STRONGEST = 3  # words of a sentence
WEAK = 0.005  # half a percentage point, below which a word is not shown


def text(
    words: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What to read; standard input without it.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Read this file: text, or subtitles (.srt, .vtt).")
    ] = None,
    each_line: Annotated[bool, typer.Option("--each-line", help="Read every line as a text of its own.")] = False,
    text_model: TextModel = Options.text_model,
    embedding: Annotated[bool, typer.Option("--embedding", help="Also write text_embedding.npy.")] = Options.embedding,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where results go, if not into outputs/.")] = None,
    format: Annotated[LineFormat, typer.Option(help="What is printed; csv goes with --each-line.")] = LineFormat.table,
) -> None:
    """Read the emotion of a text, of each of its sentences, and what each word does to it.

    Results go into a folder of their own. With --each-line nothing is written: send the csv, or the JSON with a report
    on each line, into a file. Exit status: 0, or 1 when a text or line could not be read (the others still are), or 2
    for bad usage.
    """
    with settings_of_process() as settings:
        if words is not None and file is not None:
            raise OptionError("Give a text or --file, not both.")
        options = Options(embedding=embedding, text_model=text_model)
        if each_line:
            if embedding or out is not None:
                raise OptionError("--each-line writes no folder: send what it prints into a file, without --out.")
            whole = show_lines(_lines(words, file), options, settings, format=format)
            raise typer.Exit(0 if whole else FAILED)
        if format == LineFormat.csv:
            raise OptionError("csv goes with --each-line; of a single text it is sentences.csv among the results.")
        keeping = Keeping(settings, out)
        PRINTERS[Format(format)](_read(_whole(words, file), options, settings, keeping))
        keeping.finish()


def _read(said: "Transcript | str", options: Options, settings: Settings, keeping: Keeping) -> Done:
    """Read one text, and write its results."""
    from emoscope.analyzer import Analyzer

    with redirect_stdout(sys.stderr), bar("text") as progress:  # nothing that a library prints may mix with results
        report = Analyzer(settings).read(said, options, progress=progress)
        return Done(report, report.name, keeping.write(report))


def _whole(words: str | None, file: Path | None) -> "Transcript | str":
    """Return the whole text that is given, or the subtitles with their times."""
    if file and file.suffix.lower() in SUBTITLES:
        from emoscope import transcribe

        return transcribe.read_file(file)
    return "".join(_lines(words, file)) if words is None else words


def _lines(words: str | None, file: Path | None) -> Iterator[str]:
    """Yield the lines of what is given, as they come."""
    if words is not None:
        yield from io.StringIO(words, newline=None)
    elif file and file.suffix.lower() in SUBTITLES:
        from emoscope import transcribe

        yield from (line.text for line in transcribe.read_file(file).lines)
    else:
        yield from _decoded(file)


def _decoded(file: Path | None) -> Iterator[str]:
    """Yield the lines of a file, or of standard input; raises InputError where it is no text."""
    name = str(file or "standard input")
    if file is None and sys.stdin.isatty():
        complain("Type or paste the text. Ctrl-D on a line of its own ends it.")
    try:
        raw = file.open("rb") if file else cast(io.BufferedReader, sys.stdin.buffer)
        wide = raw.peek(2)[:2] in (BOM_UTF16_LE, BOM_UTF16_BE)
        with io.TextIOWrapper(raw, "utf-16" if wide else "utf-8-sig") as lines:
            for line in lines:
                if "\0" in line:
                    raise UnicodeError("UTF-16 without its mark, or no text at all")
                yield line
    except UnicodeError:
        raise InputError(
            f"{name} is no text in UTF-8, nor in UTF-16 with a byte order mark. Save it as UTF-8, and read it again."
        ) from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}. Give a text file.") from None


def _print_json(done: Done) -> None:
    print(as_json([done]))


def _print_table(done: Done) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    report = done.report
    read, verdict = report.read, report.verdict
    assert read is not None  # a text was read
    console = Console()
    runner_up = f"{verdict.runner_up} {verdict.scores[verdict.runner_up]:.0%}"
    console.print(f"{leading(report.scores)}, {verdict.certainty}; then {runner_up}")
    table = Table(
        *(["Time"] if read.transcript.timed else []), "Sentence", "Emotion", "Strongest words, points", box=SIMPLE
    )
    for sentence in read.text.sentences:
        time = read.transcript.when(sentence.start, sentence.end)
        table.add_row(
            *([clock(time)] if read.transcript.timed else []),
            escape(one_line(read.text.text[sentence.start : sentence.end])),
            leading(sentence.scores),
            escape(_strongest(sentence, read.text.text)),
        )
    console.print(table)
    show_notes(console, [done])


def _strongest(sentence: "Sentence", whole: str) -> str:
    """Return the words that do most for a sentence's emotion, with how many percentage points they give it."""
    column = int(sentence.scores.argmax())
    given = [(float(word.contributions[column]), word) for word in sentence.words]
    most = sorted(given, key=lambda each: -each[0])[:STRONGEST]
    return ", ".join(
        f"{one_line(whole[word.start : word.end])} {100 * part:+.0f}" for part, word in most if part >= WEAK
    )


PRINTERS = {Format.table: _print_table, Format.json: _print_json}
