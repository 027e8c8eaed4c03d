"""Parquet files as the library for them reads them."""

from __future__ import annotations

import io

import pyarrow.parquet
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.report.parquet import to_parquet

COLUMNS = {"name": str, "count": int, "share": float, "flag": bool}
TYPES = ["string", "int64", "double", "bool"]

values = st.fixed_dictionaries(
    {
        "name": st.none() | st.text(),
        "count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "share": st.none() | st.floats(allow_nan=False),
        "flag": st.none() | st.booleans(),
    }
)


@settings(max_examples=50)
@given(st.lists(values, max_size=40))
def test_what_is_written_is_read(rows):
    table = pyarrow.parquet.read_table(io.BytesIO(to_parquet(rows, COLUMNS)))
    assert table.to_pylist() == rows
    assert [str(field.type) for field in table.schema] == TYPES


def test_many_columns_and_many_rows():
    rows = [{f"column {index}": number for index in range(20)} for number in range(5_000)]
    table = pyarrow.parquet.read_table(
        io.BytesIO(to_parquet(rows, {f"column {index}": int for index in range(20)}))
    )
    assert table.to_pylist() == rows


def test_equal_tables_are_equal_bytes():
    assert to_parquet([{"name": "a"}], COLUMNS) == to_parquet([{"name": "a"}], COLUMNS)
