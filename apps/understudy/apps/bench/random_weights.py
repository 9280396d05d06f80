"""A planner that learned nothing: a GGUF's shape and tokenizer with seeded noise for weights."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from understudy.apps.starter.export import quantize

__all__ = ["copy_keys", "with_random_weights"]

WRITTEN = ("general.architecture", "general.name", "general.file_type", "general.quantization_version")
"""Keys that are set here, or by the writer and llama.cpp."""


def with_random_weights(source: Path, target: Path, seed: int) -> None:
    """Write a copy of a GGUF whose matrices are normal noise of each one's own spread, quantized as the original is.

    Vectors (the norms' gains) stay as they are.
    """
    reader = gguf.GGUFReader(source)
    full = target.with_suffix(".f32.gguf")
    writer = gguf.GGUFWriter(full, reader.fields["general.architecture"].contents())
    writer.add_name("random weights")
    copy_keys(reader, writer)
    rng = np.random.default_rng(seed)
    for tensor in reader.tensors:
        weights = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if weights.ndim > 1:
            weights = rng.normal(0.0, weights.std(), weights.shape).astype(np.float32)
        writer.add_tensor(tensor.name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    quantize(full, target, int(reader.fields["general.file_type"].contents()))
    full.unlink()


def copy_keys(reader: gguf.GGUFReader, writer: gguf.GGUFWriter, *but: str) -> None:
    """The tokenizer, sizes, chat template and profile, without some."""
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in (*WRITTEN, *but):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
