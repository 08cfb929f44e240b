"""The OpenVINO graph against a forward pass of BERT written in plain numpy, and against what words mean."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from assets.embedder import (
    DIMENSION,
    MAX_TOKENS,
    Embedder,
    EmbedderError,
    Precision,
    batches,
    model_folder,
    read_safetensors,
)

TEXTS = [
    "How do I reset my password?",
    "The parcel arrived two weeks late and the box was crushed.",
    "app crashes",
    "",
    "Ünïcödé, emoji 🎉 and right-to-left: مرحبا بالعالم",
    "The invoice shows the wrong amount. " * 60,
]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(Precision.F32)


def plain_numpy(texts: list[str]) -> NDArray[np.float32]:
    """BERT, mean over tokens, unit length: one text at a time, no padding, float64, written apart from the product."""
    folder = model_folder()
    config = json.loads((folder / "config.json").read_text())
    with (folder / "model.safetensors").open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    w = {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"]).astype(np.float64)
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    heads = config["num_attention_heads"]

    def norm(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = x - x.mean(-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return centred / scale * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
        # Abramowitz and Stegun 7.1.26, off by less than 1.5e-7.
        t = 1 / (1 + 0.3275911 * np.abs(x))
        series = 0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
        return np.sign(x) * (1 - t * series * np.exp(-(x**2)))

    rows = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        x = (
            w["embeddings.word_embeddings.weight"][ids]
            + w["embeddings.position_embeddings.weight"][: len(ids)]
            + w["embeddings.token_type_embeddings.weight"][0]
        )
        x = norm(x, "embeddings.LayerNorm")
        for layer in range(config["num_hidden_layers"]):
            name = f"encoder.layer.{layer}"
            q, k, v = (
                dense(x, f"{name}.attention.self.{part}").reshape(len(ids), heads, -1).transpose(1, 0, 2)
                for part in ("query", "key", "value")
            )
            scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            context = scores / scores.sum(-1, keepdims=True) @ v
            attended = dense(context.transpose(1, 0, 2).reshape(len(ids), -1), f"{name}.attention.output.dense")
            x = norm(x + attended, f"{name}.attention.output.LayerNorm")
            inner = dense(x, f"{name}.intermediate.dense")
            inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
            x = norm(x + dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        mean = x.mean(0)
        rows.append(mean / np.linalg.norm(mean))
    return np.asarray(rows, dtype=np.float32)


def test_float32_equals_a_plain_forward_pass(embedder: Embedder) -> None:
    cosines = (embedder.encode(TEXTS) * plain_numpy(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.9999


def test_bfloat16_stays_close_to_a_plain_forward_pass() -> None:
    cosines = (Embedder(Precision.BF16).encode(TEXTS) * plain_numpy(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.99


def test_rows_are_unit_vectors_in_the_order_given(embedder: Embedder) -> None:
    many = [f"{text} {number}" for number in range(40) for text in TEXTS]
    together = embedder.encode(many)
    assert together.shape == (len(many), DIMENSION)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for place in (0, 5, 77, len(many) - 1):
        assert float(together[place] @ embedder.encode([many[place]])[0]) > 0.9999


def test_nothing_in_gives_no_rows(embedder: Embedder) -> None:
    assert embedder.encode([]).shape == (0, DIMENSION)


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("I cannot log in", "My password is not accepted", "The parcel is late"),
        ("the shipment never arrived", "my package is lost in the mail", "the app drains my battery"),
        ("I was charged twice", "duplicate payment on my credit card", "the camera shows a black picture"),
        ("cancel my subscription", "I want to end my plan", "how do I pair the hub with the camera"),
    ],
)
def test_what_means_the_same_is_nearer_than_what_does_not(embedder: Embedder, text: str, near: str, far: str) -> None:
    query, same, other = embedder.encode([text, near, far])
    assert float(query @ same) > float(query @ other) + 0.15


def test_text_beyond_the_window_changes_nothing(embedder: Embedder) -> None:
    window = "late parcel " * MAX_TOKENS
    first, second = embedder.encode([window, window + "password"])
    assert float(first @ second) > 0.99999


@pytest.mark.parametrize(
    "text",
    ["x" * 10_000_000, "word " * 200_000, "\x00\x01", "[SEP] [CLS] [PAD]", "\ud800 broken", "🎉" * 5_000, " " * 50_000],
    ids=["one word", "many words", "control", "special tokens", "surrogate", "emoji", "blank"],
)
def test_hostile_text_still_gives_a_unit_vector(embedder: Embedder, text: str) -> None:
    (vector,) = embedder.encode([text])
    assert np.isfinite(vector).all()
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-5


def test_special_tokens_in_a_text_are_read_as_text(embedder: Embedder) -> None:
    plain, written = embedder.encode(["refund", "[PAD] [PAD] [PAD] refund"])
    assert float(plain @ written) < 0.999


def test_batches_hold_every_text_once_within_the_budget() -> None:
    lengths = [3, 250, 250, 17, 90, 4, 4, 256, 1, 60]
    found = list(batches(lengths, budget=512))
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    for batch in found:
        width = max(lengths[place] for place in batch)
        assert len(batch) == 1 or len(batch) * width <= 512


def test_token_spans_tell_where_each_token_stands(embedder: Embedder) -> None:
    text = "Refund  for Zoë, please"
    pieces = [text[start:end] for start, end in embedder.token_spans(text)]
    assert "".join(pieces) == text.replace(" ", "")


def test_a_model_is_opened_by_its_id_and_no_other() -> None:
    assert Embedder.named("all-MiniLM-L6-v2@f32").model_id == "all-MiniLM-L6-v2@f32"
    with pytest.raises(EmbedderError, match="embedding model unknown: other-model@f32"):
        Embedder.named("other-model@f32")
    with pytest.raises(EmbedderError, match="embedding model unknown"):
        Embedder.named("all-MiniLM-L6-v2@int4")


def test_cut_off_weights_are_refused_in_a_sentence(tmp_path: Path) -> None:
    whole = (model_folder() / "model.safetensors").read_bytes()
    broken = tmp_path / "model.safetensors"
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EmbedderError, match="embedding weights broken"):
        read_safetensors(broken)
    broken.write_bytes(whole[:4_000])
    with pytest.raises(EmbedderError, match="ends inside its header"):
        read_safetensors(broken)
