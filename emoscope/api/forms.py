"""What a request may ask for: its fields, their types, and how they become the options of an analysis."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emoscope import models
from emoscope.api.problems import invalid
from emoscope.api.uploads import FILE, FORM, JSON, TRANSCRIPT, Form
from emoscope.errors import InputError, OptionError
from emoscope.models.catalogue import Kind
from emoscope.settings import LONGEST_SMOOTHING, Granularity, Options
from emoscope.text.split import BROKEN, LONGEST
from emoscope.transcribe import read_file
from emoscope.transcript import Transcript

Model = Annotated[str, Field(max_length=200)]
NO_RECORDING = "There is no recording in the request: send it as the part “file” of multipart/form-data."
NO_WORDS = "There are no words in the request: send “text”, or a transcript as the part “transcript”."
NEITHER = "There is nothing to read beside the voice: send “text”, a “transcript”, or “transcribe=true”."
BOTH = "There is a “text” and a “transcript” in the request: send one of them."
NO_MODEL = "There is no model “{name}” on this machine. GET /api/v1/models lists those that there are."


class Fields(BaseModel):
    """What every analysis may be asked for."""

    model_config = ConfigDict(extra="forbid")

    embedding: bool = Field(Options.embedding, description="Also keep the models' features, as NumPy files of the run.")

    @property
    def chosen(self) -> dict[str, Any]:
        """Return what becomes options."""
        return self.model_dump(exclude={"text"})


class ByVoice(BaseModel):
    """What a recording may be asked for."""

    granularity: Granularity = Field(Options.granularity, description="“frame” adds nine numbers for every 20 ms.")
    smooth: float = Field(
        Options.smooth, ge=0, le=LONGEST_SMOOTHING, allow_inf_nan=False, description="Seconds of the smoothing."
    )
    trim: bool = Field(Options.trim, description="Cut silence at both ends.")
    denoise: bool = Field(Options.denoise, description="Take steady noise away.")
    normalise: bool = Field(Options.normalise, description="Bring to the usual loudness.")
    model: Model = Field(Options.model, description="A speech model that GET /models lists.")
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field("auto", description="How it calculates.")


class ByWords(BaseModel):
    """What a text may be asked for."""

    text: str = Field("", max_length=LONGEST, description="What is said, or written.")
    text_model: Model = Field(Options.text_model, description="A text model that GET /models lists.")


class SpeechFields(ByVoice, Fields):
    """How a recording is to be heard."""


class TextFields(ByWords, Fields):
    """A text, and how it is to be read."""


class TogetherFields(ByVoice, ByWords, Fields):
    """How a recording is to be heard, its words to be read, and both to become one answer."""

    transcribe: bool = Field(Options.transcribe, description="Write down what is said, when no words are given.")
    fusion: Model = Field(Options.fusion, description="weighted, product, maximum, adaptive, or a trained head.")
    text_weight: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="Of the text beside the speech; the settings' without it."
    )


FILES = {  # the parts that are files, as OpenAPI describes them
    FILE: {"type": "string", "format": "binary", "description": "A recording, in any format with sound."},
    TRANSCRIPT: {"type": "string", "format": "binary", "description": "What is said: SRT, WebVTT or lines of text."},
}


def body(fields: type[Fields], *, files: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Describe the body of a request for the OpenAPI document; a text alone may be JSON, too."""
    schema = fields.model_json_schema()
    properties = {**{name: FILES[name] for name in files}, **schema["properties"]}
    form = {**schema, "properties": properties, "required": list(needed)}
    content = {FORM: {"schema": form}}
    if FILE not in files:
        content[JSON] = {"schema": {**schema, "required": ["text"]}}
    return {"requestBody": {"required": True, "content": content}}


def parse(fields: type[Fields], form: Form, store: Path) -> Options:
    """Read the options off a form; `store` is the folder of models. Raises a 422 problem, or OptionError."""
    try:
        found = fields.model_validate(form.fields)
    except ValidationError as error:
        raise invalid(list(error.errors())) from None
    chosen = found.chosen
    kinds: dict[str, Kind] = {"model": "speech", "text_model": "text"}
    for name, kind in kinds.items():
        if name in chosen:
            chosen[name] = find_model(chosen[name], store, kind)
    return Options(**chosen)


def recording_of(form: Form) -> tuple[Path, str]:
    """Return the recording of a form, and what it is called; raises InputError."""
    if FILE not in form.files:
        raise InputError(NO_RECORDING)
    return form.files[FILE], form.names[FILE]


def words_of(form: Form) -> Transcript | None:
    """Return the words of a form, None where there are none; raises InputError."""
    text = str(form.fields.get("text") or "").translate(BROKEN)  # half a character cannot be sent back
    if TRANSCRIPT not in form.files:
        return Transcript.typed(text) if text.strip() else None
    if text.strip():
        raise InputError(BOTH)
    return read_file(form.files[TRANSCRIPT])


def find_model(name: str, store: Path, kind: Kind) -> str:
    """Return what the store calls a model; nobody may name a folder of this machine. Raises OptionError."""
    if name == "auto":
        return name
    found = {public_name(entry): entry for entry in models.inventory(store) if entry.kind == kind}
    if name not in found or found[name].state != "ready":
        raise OptionError(NO_MODEL.format(name=name))
    return found[name].name


def public_name(entry: models.Entry) -> str:
    """Return what a request calls a model: never a path."""
    return entry.folder.name if entry.name == str(entry.folder) else entry.name
