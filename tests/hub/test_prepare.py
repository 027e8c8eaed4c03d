"""Preparation from the hub, through the trainer's own entry, against a local server that speaks its protocol."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xstilts.model import Model
from xstilts.stage import (
    DataFile,
    Family,
    HubSource,
    Kind,
    PrepareDataSpec,
    PrepareModelSpec,
    Result,
    Slice,
    Stage,
)
from xstilts.store import Manifest, Store

_specification = importlib.util.spec_from_file_location(
    "hub_server", Path(__file__).with_name("hub_server.py")
)
assert _specification is not None
assert _specification.loader is not None
hub_server = importlib.util.module_from_spec(_specification)
sys.modules[_specification.name] = hub_server
_specification.loader.exec_module(hub_server)

pytestmark = pytest.mark.slow

WEIGHTS = bytes(range(256)) * 4000
MODEL = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": WEIGHTS,
    "tokenizer.json": b"{}",
    "pytorch_model.bin": b"a pickle that nobody may fetch",
    "README.md": b"# A model",
    "2_Dense/model.safetensors": b"a part of another library's form of the model",
}
CONFIGS = """---
configs:
- config_name: mnli
  data_files:
  - {split: train, path: mnli/train-*}
---
"""
LINES = """---
configs:
- config_name: default
  data_files:
  - {split: validation, path: rows.jsonl}
---
"""
COMMIT_NOBODY_HAS = "0123456789" * 4


@pytest.fixture
def hub() -> Iterator[Any]:
    with hub_server.Hub() as server:
        yield server


class Trainer:
    """Runs a preparation as a process, with the hub's caches in the test's folder."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.environment = {
            **os.environ,
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",
            "HF_HUB_ETAG_TIMEOUT": "2",
            "XSTILTS_STORE": str(folder / "store"),
            "XSTILTS_RESULT": str(folder / "result.json"),
            "OMP_NUM_THREADS": "1",
        }
        self.environment.pop("HF_TOKEN", None)
        self.store = Store.open(str(folder / "store"))

    def run(
        self, spec: Model, largest_file: int = resource.RLIM_INFINITY, **environment: str
    ) -> tuple[int, Stage, Result]:
        """Run it; a file that becomes larger than so many bytes is an error of the disk."""
        stage = Stage.of(Kind.PREPARE, spec)
        file = self.folder / "STAGE.json"
        file.write_bytes(stage.to_json())
        process = subprocess.run(
            [sys.executable, "-m", "xstilts_trainer", str(file)],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file)),
        )
        assert "Traceback" not in process.stderr, process.stderr
        result = Result.model_validate_json((self.folder / "result.json").read_bytes())
        return process.returncode, stage, result

    def manifest(self, stage: Stage) -> Manifest:
        manifest = self.store.lookup(stage.key)
        assert manifest is not None
        return manifest


@pytest.fixture
def trainer(tmp_path: Path, hub: Any) -> Trainer:
    return Trainer(tmp_path, hub.url)


def model(repository: str, revision: str | None, unpinned: str | None = None) -> PrepareModelSpec:
    source = HubSource(repository=repository, revision=revision)
    return PrepareModelSpec(source=source, family=Family.BERT, unpinned=unpinned)


def parquet(rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer)
    return buffer.getvalue()


def test_a_pinned_model_is_fetched_at_its_commit_without_its_pickle(hub: Any, trainer: Trainer) -> None:
    repository = hub.models["group/model"] = hub_server.Repository.of(MODEL)
    commit = repository.branches["main"]
    repository.push({**MODEL, "model.safetensors": b"moved on"})
    code, stage, result = trainer.run(model("group/model", commit))
    assert code == 0, result.error
    folder = trainer.store.fetch(stage.key)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert set(trainer.manifest(stage).files) == {"config.json", "model.safetensors", "tokenizer.json"}
    assert trainer.manifest(stage).environment["source"] == {"repository": "group/model", "commit": commit}
    assert not any("pytorch_model.bin" in request for request in hub.requests)

    hub.requests.clear()
    code, _, again = trainer.run(model("group/model", commit))
    assert (code, again.outputs_digest) == (0, result.outputs_digest)
    assert not hub.requests, "a stage that is in the store asks nobody"


def test_what_others_have_brought_into_the_cache_stays_there(
    hub: Any, trainer: Trainer, tmp_path: Path
) -> None:
    """A library that takes whole repositories: its files, folders and pickles are no part of the model."""
    repository = hub.models["group/model"] = hub_server.Repository.of(MODEL)
    spec = model("group/model", repository.branches["main"])
    fetch = "import sys; from huggingface_hub import snapshot_download as fetch; fetch(*sys.argv[1:])"
    subprocess.run(
        [sys.executable, "-c", fetch, "group/model"], env=trainer.environment, check=True, capture_output=True
    )
    cached = {path.name for path in (tmp_path / "hf").rglob("snapshots/*/*")}
    assert {"pytorch_model.bin", "README.md", "2_Dense"} <= cached
    code, stage, result = trainer.run(spec)
    assert code == 0, result.error
    assert set(trainer.manifest(stage).files) == {"config.json", "model.safetensors", "tokenizer.json"}
    fresh = Trainer(tmp_path / "fresh", hub.url)
    assert fresh.run(spec)[2].outputs_digest == result.outputs_digest


@pytest.mark.parametrize("whole", [True, False])
def test_without_the_hub_a_model_is_what_the_cache_has_whole(
    hub: Any, trainer: Trainer, *, whole: bool
) -> None:
    """Of what others have brought there the hub alone knows whether it is all."""
    repository = hub.models["group/model"] = hub_server.Repository.of(MODEL)
    commit = repository.branches["main"]
    fetch = (
        "import sys; from huggingface_hub import hf_hub_download, snapshot_download\n"
        "name, commit, *files = sys.argv[1:]\n"
        "[hf_hub_download(name, file, revision=commit) for file in files] or snapshot_download(name, revision=commit)"
    )
    files = () if whole else ("config.json", "model.safetensors")
    arguments = [sys.executable, "-c", fetch, "group/model", commit, *files]
    subprocess.run(arguments, env=trainer.environment, check=True, capture_output=True)
    code, stage, result = trainer.run(model("group/model", commit), HF_ENDPOINT="http://127.0.0.1:9")
    if whole:
        assert code == 0, result.error
        assert set(trainer.manifest(stage).files) == {"config.json", "model.safetensors", "tokenizer.json"}
    else:
        assert code == 1
        assert result.error is not None
        assert "the hub did not answer" in result.error.message


def test_an_unpinned_model_is_what_main_is_now_and_says_which(hub: Any, trainer: Trainer) -> None:
    repository = hub.models["group/model"] = hub_server.Repository.of(MODEL)
    commit = repository.push({**MODEL, "model.safetensors": b"moved on"})
    code, stage, _ = trainer.run(model("group/model", None, unpinned="unpinned:default/quick"))
    assert code == 0
    assert trainer.manifest(stage).environment["source"]["commit"] == commit


def test_a_dropped_connection_continues_where_it_was(hub: Any, trainer: Trainer) -> None:
    large = WEIGHTS * 25  # the library writes 10 MB at a time: what it has written it does not ask for again
    repository = hub.models["group/model"] = hub_server.Repository.of({**MODEL, "model.safetensors": large})
    hub.drop_after["model.safetensors"] = [len(large) * 4 // 5]
    code, stage, result = trainer.run(model("group/model", repository.branches["main"]))
    assert code == 0, result.error
    assert (trainer.store.fetch(stage.key) / "model.safetensors").read_bytes() == large
    assert hub.sent["model.safetensors"] < len(large), "the second request asked only for the rest"


@pytest.mark.parametrize(
    ("repository", "revision", "token", "code", "sentence"),
    [
        ("group/none", COMMIT_NOBODY_HAS, None, 64, "is not on the hub, or not readable without a token"),
        ("group/model", COMMIT_NOBODY_HAS, None, 64, f"has no commit {COMMIT_NOBODY_HAS}"),
        ("group/gated", None, None, 64, "is gated: accept its terms"),
        ("group/gated", None, "wrong", 64, "is gated: accept its terms"),
        ("group/gated", None, "right", 0, ""),
        ("group/model", None, hub_server.REVOKED, 64, "must be readable, the hub answered 401: set HF_TOKEN"),
        ("group/pickle", None, None, 64, "must hold safetensors weights"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_sentence(
    hub: Any,
    trainer: Trainer,
    repository: str,
    revision: str | None,
    token: str | None,
    code: int,
    sentence: str,
) -> None:
    hub.models["group/model"] = hub_server.Repository.of(MODEL)
    hub.models["group/gated"] = hub_server.Repository.of(MODEL, gated_token="right")
    hub.models["group/pickle"] = hub_server.Repository.of(
        {name: body for name, body in MODEL.items() if not name.endswith(".safetensors")}
    )
    environment = {} if token is None else {"HF_TOKEN": token}
    ended, _, result = trainer.run(model(repository, revision, unpinned="unpinned:default/x"), **environment)
    assert ended == code
    if sentence:
        assert result.error is not None
        assert repository in result.error.field + result.error.message
        assert sentence in result.error.message


def test_a_hub_that_does_not_answer_is_worth_another_try(trainer: Trainer) -> None:
    code, _, result = trainer.run(
        model("group/model", COMMIT_NOBODY_HAS), HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_ETAG_TIMEOUT="1"
    )
    assert code == 1
    assert result.error is not None
    assert "the hub did not answer" in result.error.message


def test_a_data_set_becomes_the_files_that_put_would_have_put(hub: Any, trainer: Trainer) -> None:
    import datasets

    features = datasets.Features(
        {
            "premise": datasets.Value("string"),
            "hypothesis": datasets.Value("string"),
            "label": datasets.Value("int64"),
            "tags": datasets.List(datasets.ClassLabel(names=["O", "B-LOC"])),
        }
    )
    rows = [
        {"premise": "It rains.", "hypothesis": "It is wet.", "label": 0, "tags": [0, 1]},
        {"premise": "नमस्ते", "hypothesis": "…", "label": -1, "tags": [1, 1]},
        {"premise": "Two", "hypothesis": "Three", "label": 2, "tags": [0]},
    ]
    table = datasets.Dataset.from_list(rows, features=features)
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    lines = [
        {"id": "english-1", "language": "en", "sentence": "a"},
        {"id": "finnish-1", "language": "fi", "sentence": "b"},
        {"id": "english-2", "language": "fi", "sentence": "c"},
    ]
    repository = hub.datasets["group/data"] = hub_server.Repository.of(
        {
            "README.md": CONFIGS.encode(),
            "mnli/train-00000-of-00002.parquet": buffer.getvalue(),
            "mnli/train-00001-of-00002.parquet": buffer.getvalue(),
        }
    )
    commit = repository.branches["main"]
    hub.datasets["group/lines"] = hub_server.Repository.of(
        {
            "README.md": LINES.encode(),
            "rows.jsonl": "".join(json.dumps(line) + "\n" for line in lines).encode(),
        }
    )
    lines_commit = hub.datasets["group/lines"].branches["main"]

    def piece(**options: Any) -> Slice:
        return Slice(repository="group/lines", revision=lines_commit, split="validation", **options)

    train = Slice(
        repository="group/data",
        revision=commit,
        config="mnli",
        split="train",
        drop_label=-1,
        rename={"premise": "text"},
    )
    english = piece(id_prefix="english-")
    finnish = piece(language_column="language", language_value="fi")
    spec = PrepareDataSpec(
        task="own",
        files=(
            DataFile(split="train", language="en", slices=(train, train)),
            DataFile(split="validation", language="en", slices=(english,)),
            DataFile(split="validation", language="fi", slices=(finnish,)),
        ),
    )
    code, stage, result = trainer.run(spec)
    assert code == 0, result.error
    folder = trainer.store.fetch(stage.key)
    made = pq.read_table(folder / "train.en.parquet").to_pylist()
    assert [row["text"] for row in made] == ["It rains.", "Two"] * 4
    assert made[0]["tags"] == ["O", "B-LOC"]
    assert [r["sentence"] for r in pq.read_table(folder / "validation.en.parquet").to_pylist()] == ["a", "c"]
    assert [r["sentence"] for r in pq.read_table(folder / "validation.fi.parquet").to_pylist()] == ["b", "c"]
    environment = trainer.manifest(stage).environment
    assert environment["sources"] == [
        {"repository": "group/data", "commit": commit},
        {"repository": "group/lines", "commit": lines_commit},
    ]
    assert environment["files"]["train.en"] == {"rows": 8, "droppedWithoutLabel": 4}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"config": "nothing", "split": "train"}, "cannot be read"),
        ({"config": "mnli", "split": "nothing"}, "cannot be read"),
        (
            {"config": "mnli", "split": "train", "rename": {"sentence": "text"}, "drop_label": -1},
            "must have label, sentence among its columns",
        ),
        (
            {"config": "mnli", "split": "train", "language_column": "premise", "language_value": "xx"},
            "must have rows at this commit",
        ),
    ],
)
def test_a_slice_that_is_not_there_is_named(
    hub: Any, trainer: Trainer, options: dict[str, Any], sentence: str
) -> None:
    files = {"README.md": CONFIGS.encode(), "mnli/train-0.parquet": parquet([{"premise": "a"}])}
    commit = hub_server.commit_of(files)
    hub.datasets["group/data"] = hub_server.Repository.of(files)
    piece = Slice(repository="group/data", revision=commit, **options)
    spec = PrepareDataSpec(task="own", files=(DataFile(split="train", language="en", slices=(piece,)),))
    code, _, result = trainer.run(spec)
    assert code == 64
    assert result.error is not None
    assert sentence in result.error.message


@pytest.mark.parametrize("config", [None, "other"])
def test_without_the_hub_no_rows_are_those_of_another_commit(
    hub: Any, trainer: Trainer, config: str | None
) -> None:
    """The data sets' library takes the last that it has seen of a name, whatever commit is asked for."""
    lines = {"README.md": card(data_files="rows.jsonl"), "rows.jsonl": b'{"sentence": "old"}'}
    repository = hub.datasets["group/data"] = hub_server.Repository.of(lines)
    old = repository.branches["main"]
    new = repository.push({**lines, "rows.jsonl": b'{"sentence": "new"}'})

    def spec(commit: str, config: str | None = None) -> PrepareDataSpec:
        piece = Slice(repository="group/data", revision=commit, config=config, split="train")
        return PrepareDataSpec(task="own", files=(DataFile(split="train", language="en", slices=(piece,)),))

    assert trainer.run(spec(old))[0] == 0
    code, _, result = trainer.run(
        spec(new, config), HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_ETAG_TIMEOUT="1"
    )
    assert code == 1
    assert result.error is not None
    assert "the hub did not answer" in result.error.message


@pytest.mark.parametrize("where", ["download", "table"])
def test_a_disk_that_takes_no_more_is_worth_another_try(hub: Any, trainer: Trainer, where: str) -> None:
    rows = [{"premise": "a" * 1000, "label": number} for number in range(2000)]  # small as parquet
    files = {"README.md": CONFIGS.encode(), "mnli/train-0.parquet": parquet(rows)}
    hub.datasets["group/data"] = hub_server.Repository.of(files)
    commit = hub_server.commit_of(files)
    piece = Slice(repository="group/data", revision=commit, config="mnli", split="train")
    spec = PrepareDataSpec(task="own", files=(DataFile(split="train", language="en", slices=(piece,)),))
    size = len(files["mnli/train-0.parquet"])
    code, _, result = trainer.run(spec, largest_file=size // 2 if where == "download" else 10 * size)
    assert code == 1
    assert result.error is not None
    assert "group/data" in result.error.field
    assert "must be kept on this machine's disk, cannot be: " in result.error.message
    assert "File too large" in result.error.message


def test_a_damaged_file_says_how(hub: Any, trainer: Trainer) -> None:
    rows = json.dumps({"sentence": "a"}).encode() + b"\n"
    code, result = one_file(
        hub, trainer, {"README.md": card(data_files="rows.jsonl"), "rows.jsonl": rows + b"{no"}
    )
    assert code == 64
    assert result.error is not None
    assert "cannot be read at commit" in result.error.message
    assert "JSON" in result.error.message


CANARY = "another namespace's row"


def card(**config: Any) -> bytes:
    return f"---\nconfigs: {json.dumps([{'config_name': 'default', **config}])}\n---\n".encode()


def one_file(hub: Any, trainer: Trainer, files: dict[str, bytes]) -> tuple[int, Result]:
    """Prepare the split train of a data set whose commit of these files is no longer the newest."""
    repository = hub.datasets["group/data"] = hub_server.Repository.of(files)
    commit = repository.branches["main"]
    repository.push({**files, "rows.jsonl": json.dumps({"sentence": CANARY}).encode()})
    piece = Slice(repository="group/data", revision=commit, split="train")
    spec = PrepareDataSpec(task="own", files=(DataFile(split="train", language="en", slices=(piece,)),))
    code, _, result = trainer.run(spec)
    return code, result


@pytest.mark.parametrize("named", ["absolute", "relative", "folder", "archive", "another commit"])
def test_a_card_that_names_other_files_than_its_own_is_refused(
    hub: Any, trainer: Trainer, tmp_path: Path, named: str
) -> None:
    foreign = tmp_path / "team-b" / "rows.jsonl"
    foreign.parent.mkdir()
    foreign.write_text(json.dumps({"sentence": CANARY}) + "\n")
    with zipfile.ZipFile(foreign.with_suffix(".zip"), "w") as archive:
        archive.write(foreign, "rows.jsonl")
    paths = {
        "absolute": str(foreign),
        "relative": "../" * 20 + str(foreign)[1:],
        "folder": "*.jsonl",
        "archive": f"zip://rows.jsonl::{foreign.with_suffix('.zip')}",
        "another commit": "hf://datasets/group/data@main/rows.jsonl",
    }
    config = {"data_files": [{"split": "train", "path": paths[named]}]}
    if named == "folder":
        config["data_dir"] = str(foreign.parent)
    files = {"README.md": card(**config), "rows.jsonl": b'{"sentence": "its own"}\n'}
    code, result = one_file(hub, trainer, files)
    assert result.error is not None
    assert code == 64
    if named == "another commit":
        assert "must be the repository's own" in result.error.message
        assert paths[named] in result.error.message
    assert not [file for file in held(tmp_path / "store") if CANARY.encode() in file.read_bytes()]


def held(store: Path) -> list[Path]:
    return [file for file in store.rglob("*") if file.is_file()]
