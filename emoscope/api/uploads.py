"""What a request carries, taken in piece by piece: files go to disk, and nothing is read beyond its limit."""

import errno
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from emoscope.api.problems import Problem
from emoscope.errors import InputError, StorageError, TooLargeError
from emoscope.room import DISK_FULL
from emoscope.transcribe.files import LARGEST

UPLOADS = "emoscope-uploads"  # what the folder for them is called, see `claims.temporary`
FORM, JSON = "multipart/form-data", "application/json"
LONGEST_FIELD = 1_000_000  # bytes; the longest text has 200,000 characters of up to four
MOST_PARTS = 40
LONGEST_NAME = 200  # characters of a file's name
FILE, TRANSCRIPT = "file", "transcript"  # the parts that are files
NAMELESS = "recording"
BLOCK = 1 << 20  # bytes that are written at once

TOO_LARGE = "The file is larger than {most:g} MB, the limit of this server. Cut it, or save it as MP3 or M4A."
TOO_LONG = "The field “{name}” is longer than {most:g} MB. Send less at a time."
NOT_TAKEN = "What is sent cannot be written to the disk for uploads. Set TMPDIR to another folder."
TOO_MANY = "There are more than {most} parts in the request. Send each option once."
OTHER_KIND = "The body is “{kind}”, but {kinds} is needed here."
CUT_OFF = "The connection was closed before all of the request had come. Send it again."
MALFORMED = "The body cannot be read as {kind}: {why}."


@dataclass
class Form:
    """The fields and files of a request; `close` removes the files."""

    fields: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # what the files are called
    folder: Path | None = None

    def close(self) -> None:
        """Remove the files."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


async def receive(request: Request, folder: Path, limit: int, kinds: Iterable[str]) -> Form:
    """Take in the body of a request whose type is one of `kinds`; files are put into a new folder within `folder`.

    `limit` is the largest recording in bytes. Raises InputError and TooLargeError, at the first byte too many.
    """
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    media, kinds = kind.decode("latin-1").lower(), tuple(kinds)
    if media not in kinds:
        raise Problem(415, OTHER_KIND.format(kind=media, kinds=" or ".join(kinds)))
    if media == JSON:
        return Form(_parse(await _whole(request, LONGEST_FIELD)))
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit + LARGEST + LONGEST_FIELD:
        raise TooLargeError(TOO_LARGE.format(most=limit / 1e6))
    if not parameters.get(b"boundary"):
        raise InputError(MALFORMED.format(kind=FORM, why="its boundary is missing in the content type"))
    with _explained():
        form = Form(folder=Path(tempfile.mkdtemp(dir=folder)))
    reader = _Reader(form, limit)
    try:
        with _explained():
            parser = MultipartParser(parameters[b"boundary"], reader.callbacks())
            async for block in _blocks(request):
                await run_in_threadpool(parser.write, block)  # a disk may take its time
            parser.finalize()
            reader.check_end()
    except FormParserError as error:
        form.close()
        raise InputError(MALFORMED.format(kind=FORM, why=str(error).rstrip("."))) from None
    except BaseException:
        form.close()
        raise
    finally:
        reader.close()
    return form


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what the disk refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise StorageError(DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else NOT_TAKEN) from error


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield a body as it comes; raises InputError where somebody hangs up."""
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise InputError(CUT_OFF) from None


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """Yield a body in pieces that are worth a thread; the network's own have up to 64 KB."""
    block = bytearray()
    async for piece in _pieces(request):
        block += piece
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


async def _whole(request: Request, most: int) -> bytes:
    body = bytearray()
    async for piece in _pieces(request):
        body += piece
        if len(body) > most:
            raise TooLargeError(TOO_LONG.format(name="text", most=most / 1e6))
    return bytes(body)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(MALFORMED.format(kind=JSON, why=error)) from None
    if not isinstance(found, dict):
        raise InputError(MALFORMED.format(kind=JSON, why="it is no object"))
    return found


class _Reader:
    """Puts the parts of a form where they belong, while they arrive."""

    def __init__(self, form: Form, limit: int) -> None:
        self._form = form
        self._limits = {FILE: limit, TRANSCRIPT: LARGEST}
        self._parts = 0
        self._ended = False
        self._header = bytearray()
        self._value = bytearray()
        self._name = ""
        self._size = 0
        self._text = bytearray()
        self._out: BinaryIO | None = None

    def callbacks(self) -> Any:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._taking(self._header),
            "on_header_value": self._taking(self._value),
            "on_header_end": self._header_ended,
            "on_headers_finished": self._open,
            "on_part_data": self._take,
            "on_part_end": self._end,
            "on_end": self._all,
        }

    def check_end(self) -> None:
        """Raise InputError when the body ended before its last part."""
        if not self._ended:
            raise InputError(MALFORMED.format(kind=FORM, why="it ends before its last part does"))

    def close(self) -> None:
        """Close the file of a part that was cut short."""
        if self._out:
            with suppress(OSError):  # it tries once more to write what a full disk did not take
                self._out.close()

    @staticmethod
    def _taking(where: bytearray) -> Callable[[bytes, int, int], None]:
        def take(data: bytes, start: int, end: int) -> None:
            where.extend(data[start:end])

        return take

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise TooLargeError(TOO_MANY.format(most=MOST_PARTS))
        self._name, self._size, self._out = "", 0, None
        self._text.clear()

    def _header_ended(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, found = parse_options_header(bytes(self._value))
            self._name = _decoded(found.get(b"name", b""))
            self._form.names[self._name] = plain_name(_decoded(found.get(b"filename", b"")))
        self._header.clear()
        self._value.clear()

    def _open(self) -> None:
        if self._name in self._form.fields or self._name in self._form.files:
            raise InputError(f"The field “{self._name}” is there twice. Send it once.")
        if self._name in self._limits:
            assert self._form.folder is not None  # a form with parts has one
            path = self._form.folder / self._name  # never what the visitor calls it
            self._form.files[self._name] = path
            self._out = path.open("xb")

    def _take(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._out:
            if self._size > self._limits[self._name]:
                raise TooLargeError(TOO_LARGE.format(most=self._limits[self._name] / 1e6))
            self._out.write(data[start:end])
        elif self._size > LONGEST_FIELD:
            raise TooLargeError(TOO_LONG.format(name=self._name, most=LONGEST_FIELD / 1e6))
        else:
            self._text += data[start:end]

    def _end(self) -> None:
        if self._out:
            self._out.close()
            if not self._size:  # a form in a browser sends an empty file for none
                self._form.files.pop(self._name).unlink()
        else:
            self._form.fields[self._name] = _decoded(self._text)
        self._out = None

    def _all(self) -> None:
        self._ended = True


def plain_name(name: str) -> str:
    """Return a file's own name, without folders."""
    name = re.split(r"[/\\]", name)[-1].strip()
    return name[-LONGEST_NAME:] or NAMELESS


def _decoded(value: bytes | bytearray) -> str:
    return bytes(value).decode("utf-8", "replace")
