"""A pickle runs what its author wants when it is read. None ever is: weights are safetensors, and theirs alone."""

from __future__ import annotations

import ast
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from xstilts.errors import DataError
from xstilts.stage import Family

pytestmark = (
    pytest.mark.slow
)  # torch, which is imported where it is needed: seconds for who runs the fast tests alone

REPOSITORY = Path(__file__).resolve().parents[2]


def load(folder: Path) -> object:
    """A model of a folder, as the trainer loads it."""
    from xstilts_trainer.models.backbone import load_backbone

    return load_backbone(folder, Family.BERT)


def weights_of(model: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(model / "model.safetensors")


def save(weights: dict[str, Any], file: Path) -> None:
    from safetensors.torch import save_file

    save_file(weights, file, {"format": "pt"})


class Trap:
    """What makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self._file,))


@pytest.fixture
def sprung(tmp_path: Path) -> Iterator[Path]:
    """The file that a trap makes; whatever a test does, it must not be there at its end."""
    file = tmp_path / "sprung"
    yield file
    assert not file.exists(), "a pickle has been executed"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder, whole and sound."""
    from transformers import BertModel

    from trainer_models.conftest import tiny_config, tiny_tokenizer

    folder = tmp_path / "model"
    BertModel(tiny_config("bert")).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    assert load(folder)
    return folder


def trap(file: Path, sprung: Path) -> None:
    """A checkpoint as torch.save writes it, with a trap in it."""
    import torch

    torch.save({"embeddings": Trap(sprung)}, file)


def test_the_trap_works(tmp_path: Path) -> None:
    import torch

    trap(tmp_path / "x.bin", tmp_path / "made")
    torch.load(tmp_path / "x.bin", weights_only=False)
    assert (tmp_path / "made").exists()
    (tmp_path / "made").unlink()
    pickle.loads(pickle.dumps(Trap(tmp_path / "made")))  # noqa: S301 - it is the test's own
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt", "weights.pkl"])
def test_a_model_that_is_a_pickle_is_refused(model: Path, sprung: Path, name: str) -> None:
    (model / "model.safetensors").unlink()
    trap(model / name, sprung)
    with pytest.raises(DataError, match=f"found {name}; a pickle is never read"):
        load(model)


def test_pickles_beside_a_model_are_left_alone(model: Path, sprung: Path) -> None:
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "tokenizer.pkl", "heads.pkl"):
        trap(model / name, sprung)
    assert load(model)


def test_a_pickle_under_the_name_of_safetensors_is_refused(model: Path, sprung: Path) -> None:
    trap(model / "model.safetensors", sprung)
    with pytest.raises(DataError, match="must hold whole safetensors files"):
        load(model)


def sharded(model: Path, place: str, write: Callable[[Path], None]) -> None:
    """The model with an index that says that all of its weights lie in one file, which is written."""
    names = weights_of(model).keys()
    write(model / place)
    (model / "model.safetensors").unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, place)}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("place", ["pytorch_model.bin", "../elsewhere.bin"])
def test_an_index_that_names_a_pickle_is_refused(model: Path, sprung: Path, place: str) -> None:
    sharded(model, place, lambda file: trap(file, sprung))
    with pytest.raises(DataError, match="must name safetensors files of its own folder, named"):
        load(model)


def test_an_index_that_leads_out_of_its_folder_is_refused(model: Path) -> None:
    """Beside it lie, in a shared volume, other namespaces' models."""
    weights = weights_of(model)
    sharded(model, "../model-other.safetensors", lambda file: save(weights, file))
    with pytest.raises(DataError, match="must name safetensors files of its own folder, named"):
        load(model)


def test_an_index_of_its_own_shards_is_read(model: Path) -> None:
    weights = weights_of(model)
    name = "model-00001-of-00001.safetensors"
    sharded(model, name, lambda file: save(weights, file))
    assert load(model)


@pytest.mark.parametrize("weights", ["adapter_model.safetensors", "adapter_model.bin"])
def test_a_folder_that_sends_to_another_model_is_refused(model: Path, sprung: Path, weights: str) -> None:
    """As an adapter's does: its base is any folder that its configuration names."""
    other = model.with_name("other")
    model.rename(other)
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        shutil.copyfile(other / name, model / name)
    said = {"peft_type": "LORA", "base_model_name_or_path": str(other), "r": 1, "target_modules": ["query"]}
    (model / "adapter_config.json").write_text(json.dumps(said))
    trap(model / weights, sprung)
    with pytest.raises(DataError, match=r"adapter_config\.json must not be there"):
        load(model)


FORBIDDEN = {
    "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "torch.load", "numpy.load", "np.load",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle", "eval", "exec",
}  # fmt: skip


def dangerous(tree: ast.AST) -> Iterator[str]:
    """Names of what reads a pickle or runs a text, and what would run a model's own code."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name in FORBIDDEN)
            case ast.ImportFrom(module=str(module)):
                yield from ([module] if module in FORBIDDEN else [])
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN:
                yield name
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if f"{owner}.{name}" in FORBIDDEN:
                yield f"{owner}.{name}"
            case ast.Attribute(attr=name) if "_object" in name and name.rpartition("_object")[2] in {
                "",
                "_list",
            }:
                yield name  # of torch.distributed: pickles between processes
            case ast.keyword(arg="trust_remote_code" | "allow_pickle", value=value) if not (
                isinstance(value, ast.Constant) and value.value is False
            ):
                yield "trust_remote_code or allow_pickle"


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "torch.load(f)",
        "eval('1')",
        "f(trust_remote_code=True)",
        "np.load(f, allow_pickle=x)",
        "dist.gather_object(x)",
    ],
)
def test_what_is_dangerous_is_found(text: str) -> None:
    assert list(dangerous(ast.parse(text)))


@pytest.mark.parametrize("part", ["core", "operator", "trainer"])
def test_no_code_reads_pickles_or_runs_texts(part: str) -> None:
    files = sorted((REPOSITORY / part / "src").rglob("*.py"))
    assert len(files) > 20
    found = {str(file): list(dangerous(ast.parse(file.read_text(encoding="utf-8")))) for file in files}
    assert not {file: names for file, names in found.items() if names}
