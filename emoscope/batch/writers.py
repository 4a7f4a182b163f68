"""The finished file: Parquet, CSV or JSON lines, written batch by batch, and read back for what is done."""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from emoscope.cells import harmless, plain

if TYPE_CHECKING:
    import pyarrow as pa

GROUP = 65_536  # rows in a row group of Parquet: fewer make it slow to read, more cost memory
GROUP_BYTES = 64_000_000
DIGITS = 6  # decimals of embeddings and probabilities in text files; Parquet and .npy hold every bit

KEYS = ("id", "path", "weights", "error")  # what tells rows apart, which model answered, and whether it did

Tables = Iterable["pa.Table"]


class Format(NamedTuple):
    """How a finished file is written, and how it is read back to see what is done."""

    write: Callable[[Path, Path | None, Tables, "pa.Schema"], None]  # (file, earlier file or None, tables, columns)
    columns: Callable[[Path], list[str]]
    rows: Callable[[Path], Iterator[dict[str, str]]]  # with at least `KEYS`


def write_parquet(file: Path, earlier: Path | None, tables: Tables, columns: "pa.Schema") -> None:
    """Write Parquet with large row groups; an earlier file's rows come first."""
    from pyarrow import parquet

    with parquet.ParquetWriter(file, columns, compression="zstd") as writer:
        for table in _grouped(_with_earlier(earlier, tables), columns):
            writer.write_table(table)


def _with_earlier(earlier: Path | None, tables: Tables) -> "Iterator[pa.Table]":
    import pyarrow as pa
    from pyarrow import parquet

    if earlier is not None:
        with parquet.ParquetFile(earlier) as before:
            for batch in before.iter_batches(batch_size=1024):
                yield pa.Table.from_batches([batch])
    yield from tables


def _grouped(tables: Tables, columns: "pa.Schema") -> "Iterator[pa.Table]":
    import pyarrow as pa

    group: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        group.append(table.select(columns.names))
        rows, size = rows + table.num_rows, size + table.nbytes
        if rows >= GROUP or size >= GROUP_BYTES:
            yield pa.concat_tables(group)
            group, rows, size = [], 0, 0
    if group:
        yield pa.concat_tables(group)


def columns_of_parquet(file: Path) -> list[str]:
    """Return the names of the columns."""
    from pyarrow import parquet

    return list(parquet.read_schema(file).names)


def rows_of_parquet(file: Path) -> Iterator[dict[str, str]]:
    """Yield `KEYS` of every row."""
    from pyarrow import parquet

    with parquet.ParquetFile(file) as found:
        for batch in found.iter_batches(columns=list(KEYS)):
            yield from batch.to_pylist()


def write_csv(file: Path, earlier: Path | None, tables: Tables, columns: "pa.Schema") -> None:
    """Write a table for spreadsheets; no cell can become a formula."""
    with _continued(file, earlier) as out:
        writer = csv.writer(out)
        if earlier is None:
            writer.writerow(columns.names)
        for table in tables:
            writer.writerows([_cell(row[name]) for name in columns.names] for row in table.to_pylist())


def _continued(file: Path, earlier: Path | None) -> TextIO:
    """Open a new text file, that begins as a copy of an earlier one if there is one."""
    if earlier is not None:
        shutil.copyfile(earlier, file)
    return file.open("w" if earlier is None else "a", encoding="utf-8", newline="")


def _cell(value: Any) -> Any:
    """Return what stands in a cell: texts are made harmless, warnings become one text, arrays JSON."""
    if isinstance(value, list):
        if value and not isinstance(value[0], str):
            return _json(value)
        value = " ".join(value)
    return harmless(value) if isinstance(value, str) else value


def columns_of_csv(file: Path) -> list[str]:
    """Return the names of the columns."""
    with file.open(encoding="utf-8", newline="") as lines:
        return next(csv.reader(lines))


def rows_of_csv(file: Path) -> Iterator[dict[str, str]]:
    """Yield every row as texts."""
    limit = csv.field_size_limit(2**31 - 1)  # an embedding is longer than what `csv` takes for a mistake
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                yield {name: plain(text) for name, text in row.items()}
    finally:
        csv.field_size_limit(limit)


def write_jsonl(file: Path, earlier: Path | None, tables: Tables, columns: "pa.Schema") -> None:
    """Write one JSON object per line."""
    with _continued(file, earlier) as out:
        for table in tables:
            out.writelines(f"{_json({name: row[name] for name in columns.names})}\n" for row in table.to_pylist())


def _json(value: Any) -> str:
    return json.dumps(_rounded(value), ensure_ascii=False, allow_nan=False)


def _rounded(value: Any) -> Any:
    """Round the numbers of arrays, which have seven digits at most; single numbers stay as they are."""
    if isinstance(value, dict):
        return {name: _rounded(entry) if isinstance(entry, list) else entry for name, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def columns_of_jsonl(file: Path) -> list[str]:
    """Return the names of the columns; they are in every line."""
    return list(next(rows_of_jsonl(file)))


def rows_of_jsonl(file: Path) -> Iterator[dict[str, str]]:
    """Yield every row."""
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


FORMATS: dict[str, Format] = {
    ".parquet": Format(write_parquet, columns_of_parquet, rows_of_parquet),
    ".csv": Format(write_csv, columns_of_csv, rows_of_csv),
    ".jsonl": Format(write_jsonl, columns_of_jsonl, rows_of_jsonl),
}
