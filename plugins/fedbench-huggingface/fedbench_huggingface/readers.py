"""Files of every format as Arrow tables, a few rows at a time."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from fedbench_huggingface.files import FORMATS

ROWS = 64
"""Rows that are read at a time; images may lie in them."""

BLOCK = 2**24
"""Bytes of text that are parsed at a time: more than a row has."""


def read(path: Path) -> Iterator[pa.Table]:
    """Read a table's rows, a few at a time; the first of them may be none.

    Raises what the readers of pyarrow and datasets raise.
    """
    return map(_plain, READERS[FORMATS[path.suffix.lower()]](path))


def _parquet(path: Path) -> Iterator[pa.Table]:
    source = pq.ParquetFile(path)
    yield source.schema_arrow.empty_table()
    for batch in source.iter_batches(batch_size=ROWS):
        yield pa.Table.from_batches([batch])


def _arrow(path: Path) -> Iterator[pa.Table]:
    with pa.memory_map(str(path)) as source:
        try:
            table = pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            table = pa.ipc.open_stream(source).read_all()
        yield from _pieces(table)


def _csv(path: Path) -> Iterator[pa.Table]:
    """All cells are texts: a CSV has no types, and a caption of digits is one."""
    settings = {
        "read_options": pa.csv.ReadOptions(block_size=BLOCK),
        "parse_options": pa.csv.ParseOptions(
            delimiter="\t" if path.suffix.lower() == ".tsv" else ",", newlines_in_values=True
        ),
    }
    names = pa.csv.open_csv(path, **settings).schema.names
    texts = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    with pa.csv.open_csv(path, **settings, convert_options=texts) as source:
        yield source.schema.empty_table()
        for batch in source:
            yield from _pieces(pa.Table.from_batches([batch]))


def _jsonl(path: Path) -> Iterator[pa.Table]:
    options = pa.json.ReadOptions(block_size=BLOCK)
    table = pa.json.read_json(path, options)
    schema = pa.schema([field.with_type(_undated(field.type)) for field in table.schema])
    if schema != table.schema:
        table = pa.json.read_json(path, options, pa.json.ParseOptions(explicit_schema=schema))
    return _pieces(table)


def _undated(kind: pa.DataType) -> pa.DataType:
    """The type with texts in place of the dates that pyarrow takes some texts for."""
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_undated(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_undated(field.type)) for field in kind])
    return kind


def _json(path: Path) -> Iterator[pa.Table]:
    rows = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it is no list of objects, one a row")
    names = dict.fromkeys(name for row in rows for name in row)
    return _pieces(pa.table({name: _array(name, [row.get(name) for row in rows]) for name in names}))


def _array(name: str, cells: list[Any]) -> pa.Array:
    try:
        return pa.array(cells)
    except pa.ArrowException as error:
        raise ValueError(f"column {name!r} has values of several types: {error}") from error


def _webdataset(path: Path) -> Iterator[pa.Table]:
    """Samples of a tar; what its ``json`` files hold are columns ``json.NAME``."""
    with tempfile.TemporaryDirectory() as unused, _same_environment():
        samples = datasets.load_dataset(
            "webdataset", data_files=[str(path)], split="train", streaming=True, cache_dir=unused
        )
        for name, feature in samples.features.items():
            if isinstance(feature, datasets.Image):
                samples = samples.cast_column(name, datasets.Image(decode=False))
        schema = pa.schema([field for field in samples.features.arrow_schema if field.name != "__url__"])
        yield _flat(schema.empty_table())
        # As rows: of one file, datasets makes Arrow tables whose columns are in several orders.
        rows = iter(samples)
        while some := list(islice(rows, ROWS)):
            yield _flat(pa.Table.from_pylist(some, schema=schema))


@contextmanager
def _same_environment() -> Iterator[None]:
    """Take back variables that are set in the block: a library that datasets imports sets one."""
    before = set(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - before:
            del os.environ[name]


def _flat(table: pa.Table) -> pa.Table:
    """The table with a column ``json.NAME`` for each field of a column ``json``."""
    columns = {name: table[name] for name in table.column_names}
    if "json" in columns and pa.types.is_struct(columns["json"].type):
        inner = pa.table({"json": columns.pop("json")}).flatten()
        columns |= {name: inner[name] for name in inner.column_names}
    return pa.table(columns)


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """The rows of a table that is in memory or memory-mapped, a few at a time."""
    yield table.slice(0, 0)
    for start in range(0, len(table), ROWS):
        yield table.slice(start, ROWS)


def _plain(table: pa.Table) -> pa.Table:
    """The table with values in place of dictionaries and of class numbers, which files need not share."""
    features = datasets.Features.from_arrow_schema(table.schema)
    columns = {}
    for field in table.schema:
        column, feature = table[field.name], features[field.name]
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        if isinstance(feature, datasets.ClassLabel):
            column = pa.array(
                [None if cell is None or cell < 0 else feature.int2str(cell) for cell in column.to_pylist()],
                pa.string(),
            )
        columns[field.name] = column
    return pa.table(columns)


READERS: Mapping[str, Callable[[Path], Iterator[pa.Table]]] = {
    "parquet": _parquet,
    "arrow": _arrow,
    "csv": _csv,
    "jsonl": _jsonl,
    "json": _json,
    "webdataset": _webdataset,
}
"""How each format is read."""
