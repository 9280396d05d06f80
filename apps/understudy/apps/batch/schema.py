"""The schema that a command names as FILE:CLASS. To read it, the file is run: it is Python, and may do anything."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel

from understudy.agents.extraction.records import Extraction
from understudy.apps.command import located
from understudy.core.errors import UserError
from understudy.core.jobs import SchemaSource

__all__ = ["Loaded", "load_again", "load_schema"]


@dataclass(frozen=True)
class Loaded:
    """A schema, and where it was found."""

    extraction: Extraction[BaseModel]
    source: SchemaSource


def load_schema(named: str) -> Loaded:
    """The schema of `--schema`, run from its file. Raises `UserError`: it can't be, or can't be extracted.

    Args:
        named: FILE:CLASS, seen from the folder it was typed in, or MODULE:CLASS.
    """
    where, _, name = named.rpartition(":")
    if not where or not name.isidentifier():
        raise UserError(f"--schema {named}: name a file and a class in it, such as contract.py:Clauses")
    if where.endswith(".py"):
        where = str(located(where).expanduser().absolute())
    return loaded(where, name, read_source(where))


def load_again(source: SchemaSource) -> Loaded:
    """A job's schema, if its file is what it was when the job was begun: nothing else was allowed to run.

    Raises `UserError`.
    """
    where, _, name = source.name.rpartition(":")
    code = read_source(where)
    if hashlib.sha256(code).hexdigest() != source.sha256:
        raise UserError(
            f"{where} has changed since the job was begun; the same understudy batch command asks what is new in it"
        )
    return loaded(where, name, code)


def loaded(where: str, wanted: str, code: bytes) -> Loaded:
    """The class of a file or module. Raises `UserError`."""
    with errors_of(where):
        module = run_code(where, code) if where.endswith(".py") else importlib.import_module(where)
    found = getattr(module, wanted, None)
    if found is None:
        models = [n for n, v in vars(module).items() if is_model(v) and v.__module__ == module.__name__]
        raise UserError(f"--schema {where}: holds no class {wanted!r}; its models are {', '.join(models) or 'none'}")
    if not is_model(found):
        raise UserError(f"--schema {where}: {wanted!r} is no pydantic model; derive it from pydantic.BaseModel")
    source = SchemaSource(name=f"{where}:{wanted}", sha256=hashlib.sha256(code).hexdigest())
    return Loaded(Extraction(found), source)


def is_model(value: object) -> bool:
    """Whether it is a pydantic model, and not the base of all."""
    return isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel


def read_source(where: str) -> bytes:
    """What stands in a file, or in that of a module. Raises `UserError`."""
    path = where
    if not where.endswith(".py"):
        with errors_of(where):
            spec = importlib.util.find_spec(where)
        if spec is None or spec.origin is None:
            raise UserError(f"--schema {where}: there is no such module; a file is named with its ending .py")
        path = spec.origin
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"--schema {path}: can't be read ({error.strerror or error}); name a Python file") from error


def run_code(path: str, code: bytes) -> ModuleType:
    """The module that a file is, under a name of its own in `sys.modules`, where annotations are looked up."""
    module = ModuleType(f"understudy_schema_{hashlib.sha256(path.encode()).hexdigest()[:16]}")
    module.__file__ = path
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, path, "exec"), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


@contextmanager
def errors_of(where: str) -> Iterator[None]:
    """Whatever somebody's Python raises, as one line of ours."""
    try:
        yield
    except (Exception, SystemExit) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) else ""
        words = error.msg if isinstance(error, SyntaxError) else str(error)
        said = " ".join(f"{line}{type(error).__name__}: {words}".split())
        raise UserError(f"--schema {where}: {said}") from error
