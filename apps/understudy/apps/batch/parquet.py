"""Parquet by pyarrow, which is an extra; its errors become ours here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from understudy.apps.batch.columns import COLUMNS
from understudy.core.errors import MissingExtraError, UserError

__all__ = ["rows_of", "written"]

ROWS = 1000
"""Of a row group."""


def rows_of(path: Path) -> tuple[Sequence[str], Iterator[Mapping[str, Any]]]:
    """The columns of a file and its rows. Raises `UserError`: it is damaged; `MissingExtraError`."""
    arrow, parquet = library()
    try:
        file = parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise UserError(f"{path}: is no Parquet file, or damaged ({str(error).splitlines()[0]})") from error

    def rows() -> Iterator[Mapping[str, Any]]:
        try:
            for batch in file.iter_batches(ROWS):
                yield from batch.to_pylist()
        except (arrow.ArrowException, OSError) as error:
            raise UserError(f"{path}: is damaged ({str(error).splitlines()[0]}); write it anew") from error

    return file.schema_arrow.names, rows()


def written(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write results, some at a time. Raises `MissingExtraError`, `OSError`."""
    arrow, parquet = library()
    schema = schema_of(arrow)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        coming = iter(rows)
        while some := list(islice(coming, ROWS)):
            writer.write_table(arrow.Table.from_pylist(some, schema=schema))


def schema_of(arrow: Any) -> Any:
    """The columns of results; steps have fields of their own kinds, so they are JSON."""
    text, number, whole = arrow.string(), arrow.float64(), arrow.int64()
    citation = arrow.struct(
        [
            *((name, text) for name in ("kind", "document", "title", "location")),
            ("start", whole),
            ("end", whole),
            ("quote", text),
            ("score", number),
        ]
    )
    side = arrow.struct([(name, whole) for name in ("evaluated", "reused", "forced", "generated")])
    expert = arrow.struct([("input", whole), ("output", whole)])
    kinds = {
        "version": whole,
        "confidence": number,
        "cost_usd": number,
        "latency_s": number,
        "answers": arrow.list_(text),
        "citations": arrow.list_(citation),
        "tokens": arrow.struct([("small", side), ("expert", expert)]),
    }
    return arrow.schema([(name, kinds.get(name, text)) for name in COLUMNS])


def library() -> tuple[Any, Any]:
    """Pyarrow and its part for Parquet. Raises `MissingExtraError`."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "batch") from error
    return pyarrow, parquet
