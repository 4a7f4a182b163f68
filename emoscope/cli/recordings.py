"""`./run.sh analyze`: recordings, each with a folder of results of its own."""

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoscope.cli.answers import Done, Failed, Format, as_json, clock, leading, one_line, show_notes
from emoscope.cli.keeping import Keeping
from emoscope.cli.terminal import FAILED, Granularity, Precision, TextModel, bar, complain, settings_of_process
from emoscope.errors import EmoscopeError, InputError, OptionError
from emoscope.fusion import METHODS
from emoscope.settings import Options, Settings

if TYPE_CHECKING:
    from rich.console import Console

    from emoscope.transcript import Transcript

SHOWN = 3  # disagreements under the table


@dataclass(frozen=True)
class Words:
    """Where the words of recordings are: one text for one recording, or a file, or a folder with a file for each."""

    text: str | None
    place: Path | None

    def of(self, file: Path, *, needed: bool) -> "Transcript | None":
        """Return the words of a recording; raises InputError where they are `needed` and missing."""
        from emoscope import transcribe
        from emoscope.transcript import Transcript

        if self.text is not None:
            return Transcript.typed(self.text)
        place = self.place
        if place is not None and place.is_dir():
            found = (place / f"{file.stem}{suffix}" for suffix in transcribe.ENDINGS)
            place = next((each for each in found if each.is_file()), None)
            if place is None and needed:
                raise InputError(
                    f"{file.name} has no transcript: {file.stem}.srt, .vtt or .txt is not in {self.place}. Put one "
                    "there, or add --transcribe."
                )
        return None if place is None else transcribe.read_file(place)


def analyze(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Recordings of any format.", show_default=False)],
    granularity: Annotated[
        Granularity, typer.Option(help="One verdict, or also the distribution every 20 ms.")
    ] = Granularity.utterance,
    embedding: Annotated[bool, typer.Option("--embedding", help="Also write embedding.npy.")] = Options.embedding,
    smooth: Annotated[float, typer.Option(help="Smooth the timeline over this many seconds; 0 shows raw frames.")] = (
        Options.smooth
    ),
    trim: Annotated[
        bool, typer.Option("--trim", help="Cut silence at both ends; times stay the file's.")
    ] = Options.trim,
    denoise: Annotated[bool, typer.Option("--denoise", help="Reduce steady noise.")] = Options.denoise,
    normalise: Annotated[bool, typer.Option("--normalise", help="Bring loudness to -23 LUFS.")] = Options.normalise,
    model: Annotated[str, typer.Option(help="auto, compact, large, base, seed, or a model folder.")] = Options.model,
    precision: Precision = Options.precision,
    text: Annotated[str | None, typer.Option("--text", metavar="WORDS", help="What is said in the one FILE.")] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="What is said: an .srt, .vtt or .txt, or a folder with one for every FILE."),
    ] = None,
    transcribe: Annotated[
        bool, typer.Option("--transcribe", help="Write down what is said where there is no transcript.")
    ] = Options.transcribe,
    text_model: TextModel = Options.text_model,
    fusion: Annotated[
        str, typer.Option(metavar=f"[{'|'.join(METHODS)}|NAME]", help="How voice and words become one; or a head.")
    ] = Options.fusion,
    text_weight: Annotated[
        float | None, typer.Option(help="How much the words count beside the voice, 0 to 1.", show_default=False)
    ] = Options.text_weight,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where results go, if not into outputs/.")] = None,
    format: Annotated[Format, typer.Option(help="What is printed: a table, or JSON and nothing else.")] = Format.table,
) -> None:
    """Hear the emotion of recordings, and write each one's results into a folder of its own.

    With their words, given or written down, both are read together. Where only one of voice and words can be had, the
    report is about that one and says why.

    JSON is one object for one FILE and a list in the order of the FILEs for several; one that failed is an object with
    “file” and “error”. Exit status: 0, or 1 when a file failed (the others are still done), or 2 for bad usage.
    """
    with settings_of_process() as settings:
        options = Options(
            granularity=granularity.value, embedding=embedding, smooth=smooth, trim=trim, denoise=denoise,
            normalise=normalise, model=model, precision=precision, text_model=text_model, transcribe=transcribe,
            fusion=fusion, text_weight=text_weight,
        )  # fmt: skip
        words = _words(files, text, transcript, transcribe=transcribe)
        keeping = Keeping(settings, out)
        with redirect_stdout(sys.stderr):  # nothing that a library prints may mix with the results
            answers = _analyze_all(files, words, options, settings, keeping)
        PRINTERS[format](answers)
        keeping.finish()
    raise typer.Exit(FAILED if any(isinstance(answer, Failed) for answer in answers) else 0)


def _words(files: list[Path], text: str | None, transcript: Path | None, *, transcribe: bool) -> Words:
    """Return where the words are; raises OptionError for what contradicts itself."""
    if text is not None and (transcript is not None or transcribe):
        raise OptionError("Give --text alone, or --transcript or --transcribe in its place.")
    if len(files) > 1 and text is not None:
        raise OptionError("--text is what is said in one FILE. For several, give --transcript a folder.")
    if len(files) > 1 and transcript is not None and not transcript.is_dir():
        raise OptionError("For several FILEs --transcript is a folder that holds NAME.srt, .vtt or .txt for each.")
    return Words(text, transcript)


def _analyze_all(
    files: list[Path], words: Words, options: Options, settings: Settings, keeping: Keeping
) -> list[Done | Failed]:
    """Analyse every file; report each failure on stderr and go on."""
    from emoscope.analyzer import Analyzer

    analyzer = Analyzer(settings)
    answers: list[Done | Failed] = []
    for file in files:
        try:
            with bar(file.name) as progress:
                said = words.of(file, needed=not options.transcribe)
                report = analyzer.analyze(file, options, transcript=said, progress=progress)
                answers.append(Done(report, file.name, keeping.write(report)))
        except OptionError:  # every file would say the same
            raise
        except EmoscopeError as error:
            answers.append(Failed(file, str(error)))
            complain(_about(file, str(error)))
    return answers


def _about(file: Path, sentence: str) -> str:
    """Begin a sentence with the file as it was given; many begin with its name already."""
    return f"{file}{sentence[len(file.name) :]}" if sentence.startswith(f"{file.name} ") else f"{file}: {sentence}"


def _print_json(answers: list[Done | Failed]) -> None:
    print(as_json(answers))


def _print_table(answers: list[Done | Failed]) -> None:
    done = [answer for answer in answers if isinstance(answer, Done)]
    if not done:
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    with_words = any(each.report.read for each in done)
    sides = ["Voice", "Words", "Together"] if with_words else ["Emotion"]
    runner_up = [] if with_words else ["Runner-up"]  # a terminal has room for 80 columns
    table = Table("File", "Seconds", *sides, "Confidence", *runner_up, box=SIMPLE)
    for each in done:
        table.add_row(*_cells(each, with_words=with_words))
    console = Console()
    console.print(table)
    for each in done:
        _show_disagreements(console, each)
    show_notes(console, done)


def _cells(done: Done, *, with_words: bool) -> Iterator[str]:
    """Yield a row of the table."""
    from rich.markup import escape

    from emoscope.labels import emotion

    report, verdict = done.report, done.report.verdict
    yield escape(done.name)
    yield f"{report.recording.quality.duration:.2f}" if report.heard else ""
    if with_words:
        yield leading(report.speech.scores) if report.heard and not report.heard.silent else ""
        yield leading(report.read.text.scores) if report.read else ""
    yield "silent" if report.silent else f"{emotion(verdict.emotion).emoji} {verdict.emotion}"
    yield f"{verdict.confidence:.0%}, {verdict.certainty}"
    if not with_words:
        yield f"{verdict.runner_up} {verdict.scores[verdict.runner_up]:.0%}"


def _show_disagreements(console: "Console", done: Done) -> None:
    """Print the sentences whose words and voice differ most."""
    from emoscope import multimodal
    from emoscope.labels import LABELS

    for passage in multimodal.disagreements(done.report)[:SHOWN]:
        assert done.report.read is not None and passage.spoken is not None  # or there would be nothing to disagree
        says, sounds = LABELS[int(passage.written.argmax())], LABELS[int(passage.spoken.argmax())]
        said = one_line(done.report.read.text.text[passage.start : passage.end])
        line = f"{done.name}, {clock(passage.time)}: says {says}, sounds {sounds}: “{said}”"
        console.print(line, markup=False, highlight=False)


PRINTERS = {Format.table: _print_table, Format.json: _print_json}
