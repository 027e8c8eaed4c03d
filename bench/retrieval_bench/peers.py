"""What is measured beside: faiss, and google-research/xtreme's mining with it. Neither is a part of the project."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

from torch import Tensor


def by_faiss(queries: Tensor, candidates: Tensor, k: int) -> None:
    """The k nearest candidates of each query by faiss's exact search."""
    import faiss  # noqa: PLC0415 - where it is not, everything else is measured

    index = faiss.IndexFlatIP(candidates.shape[1])
    index.add(candidates.numpy())
    index.search(queries.numpy(), k)


def mine_bitext(
    script: Path, sources: Tensor, targets: Tensor, texts: Sequence[Sequence[str]], k: int
) -> set[tuple[str, str]]:
    """The pairs of texts that it writes, with retrieval "max", margin "ratio" and no threshold: its way for BUCC."""
    module = _loaded(script)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        files = [Path(folder) / name for name in ("sources", "targets", "pairs")]
        for file, side in zip(files, texts, strict=False):
            file.write_text("".join(f"{text}\n" for text in side), encoding="utf-8")
        # it scales the vectors in place, to the length that they have
        module.mine_bitext(sources.numpy(), targets.numpy(), *map(str, files), neighborhood=k)
        lines = files[2].read_text(encoding="utf-8").splitlines()
    return {(source, target) for _, source, target in (line.split("\t") for line in lines)}


@cache
def _loaded(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("utils_retrieve", script)
    if spec is None or spec.loader is None:
        raise SystemExit(f"--mine-bitext: must be the path of utils_retrieve.py, was {script}")
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # its `is not "bwd"`
        spec.loader.exec_module(module)
    return module
