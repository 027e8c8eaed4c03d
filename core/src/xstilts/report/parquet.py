"""Tables as Apache Parquet: one row group, plain encoding, no compression.

The format's own description is apache/parquet-format (README.md, src/main/thrift/parquet.thrift); its structures are written
in Thrift's compact protocol. Written here, since the library for it is larger than all that the report needs beside it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

Value = str | int | float | bool | None

_MAGIC: Final = b"PAR1"
_INT64, _DOUBLE, _BYTES, _BOOLEAN = 2, 5, 6, 0  # Type
_OPTIONAL, _UTF8, _PLAIN, _RLE = 1, 0, 0, 3  # FieldRepetitionType, ConvertedType, Encoding
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12  # of the compact protocol


def to_parquet(rows: Sequence[Mapping[str, Value]], columns: Mapping[str, type]) -> bytes:
    """A file with these columns, in their order; None is a null.

    Args:
        rows: column -> value; a column that is left out is null.
        columns: name -> str, int, float or bool.
    """
    body = bytearray(_MAGIC)
    chunks = []
    for name, kind in columns.items():
        values = [row.get(name) for row in rows]
        offset = len(body)
        page = _page(values, kind)
        body += page
        chunks.append(_column_chunk(name, kind, len(values), offset, len(page)))
    schema = [_group(len(columns)), *(_leaf(name, kind) for name, kind in columns.items())]
    size = len(body) - len(_MAGIC)
    row_group = _struct({1: _list(_STRUCT, chunks), 2: _i64(size), 3: _i64(len(rows))})
    footer = _struct(
        {
            1: _i32(1),
            2: _list(_STRUCT, schema),
            3: _i64(len(rows)),
            4: _list(_STRUCT, [row_group]),
            6: _binary(b"xstilts"),
        }
    )
    return bytes(body) + footer + struct.pack("<I", len(footer)) + _MAGIC


def _page(values: Sequence[Value], kind: type) -> bytes:
    """A data page: which values are there (run-length encoded definition levels), then those that are."""
    levels = _levels([value is not None for value in values])
    content = (
        struct.pack("<I", len(levels)) + levels + _plain([one for one in values if one is not None], kind)
    )
    header = _struct({1: _i32(len(values)), 2: _i32(_PLAIN), 3: _i32(_RLE), 4: _i32(_RLE)})
    return _struct({1: _i32(0), 2: _i32(len(content)), 3: _i32(len(content)), 5: (_STRUCT, header)}) + content


def _levels(there: Sequence[bool]) -> bytes:
    """Runs of equal levels, each with its length: the RLE half of Parquet's hybrid encoding."""
    encoded = bytearray()
    start = 0
    for index in range(1, len(there) + 1):
        if index == len(there) or there[index] != there[start]:
            encoded += _varint((index - start) << 1) + bytes([there[start]])
            start = index
    return bytes(encoded)


def _plain(values: Sequence[Value], kind: type) -> bytes:
    if kind is str:
        texts = [str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if kind is bool:
        bits = bytearray((len(values) + 7) // 8)
        for index, value in enumerate(values):
            bits[index // 8] |= bool(value) << (index % 8)
        return bytes(bits)
    return struct.pack(f"<{len(values)}{'q' if kind is int else 'd'}", *values)


def _column_chunk(name: str, kind: type, count: int, offset: int, size: int) -> bytes:
    meta = _struct(
        {
            1: _i32(_type(kind)),
            2: _list(_I32, [_zigzag(_PLAIN), _zigzag(_RLE)]),
            3: _list(_BINARY, [_varint(len(name.encode())) + name.encode()]),
            4: _i32(0),
            5: _i64(count),
            6: _i64(size),
            7: _i64(size),
            9: _i64(offset),
        }
    )
    return _struct({2: _i64(offset), 3: (_STRUCT, meta)})


def _group(children: int) -> bytes:
    return _struct({4: _binary(b"schema"), 5: _i32(children)})


def _leaf(name: str, kind: type) -> bytes:
    fields = {1: _i32(_type(kind)), 3: _i32(_OPTIONAL), 4: _binary(name.encode())}
    return _struct(fields | ({6: _i32(_UTF8)} if kind is str else {}))


def _type(kind: type) -> int:
    return {str: _BYTES, int: _INT64, float: _DOUBLE, bool: _BOOLEAN}[kind]


def _struct(fields: Mapping[int, tuple[int, bytes]]) -> bytes:
    """Fields by their number, ascending, each with its type; then a stop."""
    encoded = bytearray()
    last = 0
    for number, (kind, content) in fields.items():
        encoded += bytes([(number - last) << 4 | kind]) + content
        last = number
    return bytes(encoded) + b"\0"


def _list(kind: int, items: Sequence[bytes]) -> tuple[int, bytes]:
    count = len(items)
    head = bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + _varint(count)
    return _LIST, head + b"".join(items)


def _i32(value: int) -> tuple[int, bytes]:
    return _I32, _zigzag(value)


def _i64(value: int) -> tuple[int, bytes]:
    return _I64, _zigzag(value)


def _binary(value: bytes) -> tuple[int, bytes]:
    return _BINARY, _varint(len(value)) + value


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
