"""Files of rows: JSON lines, parquet, CSV and TSV, each row as a mapping, each fault with its row.

Rows are counted from 1; a header is not counted. A byte order mark at the start is left out. What a file holds of each
of `xstilts.plan.rows.SUFFIXES`:

- `.jsonl`: one JSON object a line.
- `.parquet`: a table; a column of class numbers (datasets' ClassLabel) holds integers.
- `.csv`: comma separated, quoted as RFC 4180 says, with a header; lists and mappings are JSON inside a cell.
- `.tsv`: tab separated, one row a line, no quoting, with a header; lists and mappings are JSON inside a cell.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.errors import DataError, Problem
from xstilts_trainer.data.rows import shown

TEXT_TABLES = (".csv", ".tsv")
ROWS_HELD = 1024  # of a parquet file, at a time: a row may be a long article

csv.field_size_limit(2**31 - 1)  # a cell may hold a long context; the default is 131,072 characters

Values = Mapping[str, Any]


def read_rows(path: Path, columns: Sequence[str] = ()) -> Iterator[Values | str]:
    """The rows of a file in order: a mapping for each, or a sentence that says why the row cannot be read.

    Args:
        path: a file with one of those suffixes.
        columns: the columns of a TSV that comes without a header (CCG); a first line that spells just these is one.

    Raises:
        DataError: the file as a whole cannot be read (not UTF-8, no parquet file, no header).
    """
    match path.suffix:
        case ".jsonl":
            return _json_rows(path)
        case ".parquet":
            return _parquet_rows(path)
        case ".csv":
            return _csv_rows(path)
        case ".tsv":
            return _tsv_rows(path, columns)
        case suffix:
            raise ValueError(f"unknown suffix {suffix!r}")


def _lines_of(path: Path) -> Iterator[str]:
    """The lines of a file with their ends, one after the other: a corpus may be larger than memory.

    Split at line feeds alone: a sentence may hold U+2028 and its like, which str.splitlines would cut at.

    Raises:
        DataError: it is not UTF-8.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            try:
                yield content.decode()
            except UnicodeDecodeError as error:
                byte = content[error.start]
                raise DataError(
                    Problem(f"{path.name}: line {number}", f"must be UTF-8, has the byte 0x{byte:02x}")
                ) from None


def _ends_off(lines: Iterable[str]) -> Iterator[str]:
    return (line.removesuffix("\n").removesuffix("\r") for line in lines)


def _json_rows(path: Path) -> Iterator[Values | str]:
    for line in _ends_off(_lines_of(path)):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            yield f"must be a JSON object, was {shown(line)} ({error.msg} at character {error.pos + 1})"
            continue
        except (RecursionError, ValueError):
            yield "must be a JSON object, is nested too deeply or holds a number of too many digits"
            continue
        yield value if isinstance(value, dict) else f"must be a JSON object, was {shown(value)}"


def _parquet_rows(path: Path) -> Iterator[Values | str]:
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(ROWS_HELD):
                yield from batch.to_pylist()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(Problem(path.name, f"must hold texts in UTF-8, has the byte 0x{byte:02x}")) from None
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault and not the file's
            raise
        raise DataError(Problem(path.name, f"must be a parquet file: {error}")) from error


def _csv_rows(path: Path) -> Iterator[Values | str]:
    # StringIO cuts a line at carriage returns too, which end the rows of some files
    lines = chain.from_iterable(io.StringIO(line, newline="") for line in _lines_of(path))
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise DataError(
            Problem(f"{path.name}: header", f"must be CSV quoted as RFC 4180 says: {error}")
        ) from None
    header = _header(path, header or [])
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            # What follows a broken quote cannot be told apart into rows.
            yield f"must be CSV quoted as RFC 4180 says, line {reader.line_num}: {error}"
            return
        if cells is None:
            return
        yield _mapped(header, cells)


def _tsv_rows(path: Path, columns: Sequence[str]) -> Iterator[Values | str]:
    rows: Iterator[list[str]] = (line.split("\t") for line in _ends_off(_lines_of(path)))
    first = next(rows, None)
    if columns:
        header = list(columns)
        rows = rows if first in (header, None) else chain([first], rows)
    else:
        header = _header(path, first or [])
    for cells in rows:
        yield _mapped(header, cells)


def _header(path: Path, names: list[str]) -> list[str]:
    if not any(names) or len(set(names)) != len(names):
        raise DataError(Problem(f"{path.name}: header", f"must name each column once, was {shown(names)}"))
    return names


def _mapped(header: list[str], cells: list[str]) -> Values | str:
    if len(cells) != len(header):
        return f"must have {len(header)} cells ({', '.join(header)}), has {len(cells)}"
    return dict(zip(header, cells, strict=True))
