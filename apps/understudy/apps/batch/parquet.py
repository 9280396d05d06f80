"""Parquet by pyarrow, which is an extra; its errors become ours here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from understudy.core.errors import MissingExtraError, UserError

__all__ = ["citation_type", "library", "rows_of", "written"]

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


def written(path: Path, rows: Iterable[Mapping[str, Any]], columns: Callable[[Any], Any]) -> None:
    """Write results, some at a time. Raises `MissingExtraError`, `OSError`.

    Args:
        path: of the file.
        rows: with a value for every column.
        columns: gives the schema, by pyarrow.
    """
    arrow, parquet = library()
    schema = columns(arrow)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        coming = iter(rows)
        while some := list(islice(coming, ROWS)):
            writer.write_table(arrow.Table.from_pylist(some, schema=schema))


def citation_type(arrow: Any) -> Any:
    """A citation."""
    text, whole = arrow.string(), arrow.int64()
    return arrow.struct(
        [
            *((name, text) for name in ("kind", "document", "title", "location")),
            ("start", whole),
            ("end", whole),
            ("quote", text),
            ("score", arrow.float64()),
        ]
    )


def library() -> tuple[Any, Any]:
    """Pyarrow and its part for Parquet. Raises `MissingExtraError`."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "batch") from error
    return pyarrow, parquet
