"""LoRA adapters beside a loaded model, and the proof that one does what it did when it was accepted.

Loading alone proves little: llama.cpp also takes an adapter of another model of the same shape, or one that changes
nothing.
"""

from __future__ import annotations

import ctypes
import hashlib
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np

from understudy.core.adapters import ADAPTER_BASE_KEY, Probe
from understudy.core.errors import AdapterError

if TYPE_CHECKING:
    from understudy.agents.engine import Engine

__all__ = ["Adapter", "checked", "load_adapter", "measure"]

PROBE = "Question: which figure does the report give for the year before, and on which page does it stand?"
WATCHED = 32
"""How many logits a probe keeps: the greatest."""
TOLERANCE = 0.1
"""By how much a probe's logits may be off on another machine or build, as a share of what the adapter changes."""


class Adapter:
    """An adapter in llama.cpp's memory. Once nothing refers to it, its engine frees it before the next step.

    Args:
        path: its GGUF.
        handle: llama.cpp's pointer.
        discarded: where the pointer goes in the end.
    """

    def __init__(self, path: Path, handle: Any, discarded: list[Any]) -> None:
        with path.open("rb") as file:
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.name = meta(handle, "general.name") or path.stem
        self.base = meta(handle, ADAPTER_BASE_KEY)
        self.handle = handle
        weakref.finalize(self, discarded.append, handle)


def load_adapter(engine: Engine, path: Path, base: str, recorded: Probe | None = None) -> Adapter:
    """Load one for a base with this digest, which must be the one that it was probed on. Raises `AdapterError`."""
    if not path.is_file():
        raise AdapterError(f"{path}: there is no such adapter")
    handle = llama_cpp.llama_adapter_lora_init(engine.model, str(path).encode())
    if not handle:
        raise AdapterError(f"{path}: llama.cpp can't load this adapter beside {engine.path.name}; is it made for it?")
    adapter = Adapter(path, handle, engine.discarded)
    meant = adapter.base or (base if recorded is None else recorded.base)
    if meant != base:
        raise AdapterError(
            f"{path} was trained on the model {meant[:12]}, not on {engine.path.name} ({base[:12]}): "
            "use that model, or refine this one"
        )
    return adapter


def meta(handle: Any, key: str) -> str:
    """One of an adapter's text keys, "" where it has none."""
    buffer = ctypes.create_string_buffer(512)
    length = llama_cpp.llama_adapter_meta_val_str(handle, key.encode(), buffer, 512)
    return "" if length < 0 else buffer.value.decode("utf-8", errors="replace")


def measure(engine: Engine, adapter: Adapter, base: str, recorded: Probe | None = None) -> Probe:
    """The logits after a probe without and with an adapter, at the places of a recorded probe if there is one."""
    tokens = tuple(engine.tokenize(PROBE, control=False)) if recorded is None else recorded.tokens
    plain, adapted = (logits_under(engine, worn, tokens) for worn in (None, adapter))
    ids = tuple(np.argsort(-adapted)[:WATCHED].tolist()) if recorded is None else recorded.ids
    return Probe(
        adapter=adapter.digest,
        base=base,
        tokens=tokens,
        ids=ids,
        base_logits=tuple(plain[list(ids)].tolist()),
        logits=tuple(adapted[list(ids)].tolist()),
    )


def logits_under(engine: Engine, adapter: Adapter | None, tokens: Sequence[int]) -> Any:
    """The logits `[vocabulary]` after some tokens."""
    engine.wear(adapter)
    return engine.logits_after(list(tokens))


def checked(found: Probe, recorded: Probe | None, path: Path) -> Probe:
    """A measured probe, if it shows that the adapter works, and works as recorded. Raises `AdapterError`."""
    logits = np.array(found.logits)
    effect = float(np.abs(logits - np.array(found.base_logits)).mean())
    if not effect > 1e-5 * float(np.abs(logits).max()):
        raise AdapterError(f"{path}: this adapter changes nothing; it was not trained, or llama.cpp left it out")
    if recorded is None:
        return found
    if recorded.adapter != found.adapter:
        raise AdapterError(
            f"{path} is not the file that was accepted: {found.adapter[:12]}, not {recorded.adapter[:12]}"
        )
    off = float(np.abs(logits - np.array(recorded.logits)).mean())
    if not off <= TOLERANCE * effect:
        raise AdapterError(
            f"{path} does not do what its card says: a probe's logits are off by {off:.3g} of {effect:.3g}"
        )
    return found
