"""Batches that do not fit into the device's memory: computed in parts, with the loss and the steps of the whole."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from xstilts.errors import SpecError
from xstilts.stage import Form, Mixing, Precision, Stage, TrainSpec
from xstilts.task import TaskType
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.masked_lm import MaskedLM
from xstilts_trainer.models.text_to_text import TextToText
from xstilts_trainer.stages import run_stage, train
from xstilts_trainer.stages.forms import open_training
from xstilts_trainer.stages.sources import fetch_sources
from xstilts_trainer.training import loop
from xstilts_trainer.training.checkpoint import load_checkpoint
from xstilts_trainer.training.feed import Feed
from xstilts_trainer.training.group import Group, micro_batches
from xstilts_trainer.training.micro_batches import fitting_rows
from xstilts_trainer.training.randomness import seed_torch

from .test_continued_pretraining import pretraining_stage  # noqa: F401 - a fixture
from .test_ranks import start
from .test_text_to_text import Interrupted, TextBench, tiny_mt5, with_text  # noqa: F401 - a fixture

TYPES = (TaskType.CLASSIFICATION, TaskType.MULTIPLE_CHOICE, TaskType.TAGGING, TaskType.SPAN_QA)
TOLD = "CUDA out of memory. Tried to allocate 2.00 GiB."
# without dropout, which is drawn anew for each part; and Adam makes no steps of gradients that are but rounding
EXACT = {"dropout": "0", "learning_rate": "1e-3", "adam_epsilon": "1e-3", "epochs": 2}


class Allocator:
    """A device that holds so many rows."""

    def __init__(self, monkeypatch) -> None:
        self.rows = sys.maxsize
        for model in (EncoderModel, MaskedLM, TextToText):
            monkeypatch.setattr(model, "loss", self._limited(model.loss))
        monkeypatch.setattr(train, "has_own_memory", lambda _device: True)

    def _limited(self, loss):
        def limited(model, *arguments):
            if len(arguments[-1]["input_ids"]) > self.rows:
                raise torch.OutOfMemoryError(TOLD)
            return loss(model, *arguments)

        return limited


@pytest.fixture
def allocator(monkeypatch) -> Allocator:
    return Allocator(monkeypatch)


@pytest.fixture(params=list(Form), ids=str)
def benches(request, tmp_path, tiny_encoder):
    """Two benches of a form."""
    if request.param is Form.ENCODER_HEAD:
        kind, model = type(request.getfixturevalue("bench")), tiny_encoder
    else:
        kind, model = TextBench, request.getfixturevalue("tiny_mt5")
    return kind(tmp_path / "parts", model), kind(tmp_path / "whole", model)


def micro_batch(bench, stage) -> int:
    return bench.store.lookup(stage.key).environment["microBatch"]


def curve(folder) -> list[float]:
    return [float(part["mean"]) for part in json.loads((folder / "training.json").read_text())["loss"]]


def assert_same_training(parts, whole) -> None:
    assert curve(parts) == pytest.approx(curve(whole), rel=1e-5)
    for path in sorted(whole.rglob("*.safetensors")):
        assert_close(load_file(parts / path.relative_to(whole)), load_file(path), atol=1e-5, rtol=0)


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_parts_train_as_the_whole(benches, allocator, type_):
    runs = []
    for bench, rows in zip(benches, (3, sys.maxsize), strict=True):
        allocator.rows = rows
        stage = bench.train_stage(type_, select=False, **EXACT)
        runs.append(bench.run(stage))
        assert micro_batch(bench, stage) == (
            2 if rows == 3 else TrainSpec.model_validate(stage.spec).hyperparameters.batch_size
        )
    assert_same_training(*runs)


def pretraining(make, bench, tmp_path) -> Stage:
    """A stage whose tasks' batches have corrupted text among them."""
    stage = with_text(bench, tmp_path) if isinstance(bench, TextBench) else make()
    spec = TrainSpec.model_validate(stage.spec)
    recipe = spec.hyperparameters.model_copy(update={**EXACT, "epochs": 1})
    return Stage.of(stage.kind, spec.model_copy(update={"hyperparameters": recipe}))


@pytest.mark.parametrize("form", list(Form), ids=str)
def test_text_in_parts(request, bench, allocator, pretraining_stage, tmp_path, form):  # noqa: F811 - the fixture
    """Masked language modelling, and span corruption."""
    if form is Form.TEXT_TO_TEXT:
        bench = TextBench(tmp_path / "texts", request.getfixturevalue("tiny_mt5"))
    stage = pretraining(pretraining_stage, bench, tmp_path)
    runs = []
    for rows in (3, sys.maxsize):
        allocator.rows = rows
        runs.append(shutil.copytree(bench.run(stage), tmp_path / str(rows)))
        assert (micro_batch(bench, stage) == 2) == (rows == 3)
        bench.store.remove(stage.key)
    assert_same_training(*runs)


def test_a_batch_that_fits_is_computed_as_without_a_probe(bench, tiny_encoder):
    digests = []
    for name in ("without", "with"):
        other = type(bench)(bench.root / name, tiny_encoder)
        stage = other.train_stage(TaskType.TAGGING, epochs=1)
        with pytest.MonkeyPatch.context() as patched:
            if name == "with":
                Allocator(patched).rows = 8
            other.run(stage)
        assert micro_batch(other, stage) == 8
        digests.append(other.store.lookup(stage.key).outputs_digest)
    assert digests[0] == digests[1]


def test_a_continued_run_keeps_the_number_that_was_found(bench, tiny_encoder, allocator):
    allocator.rows = 4
    undisturbed = type(bench)(bench.root / "undisturbed", tiny_encoder)
    stage = undisturbed.train_stage(TaskType.CLASSIFICATION, epochs=1, dropout="0.1")
    undisturbed.run(stage)
    assert bench.train_stage(TaskType.CLASSIFICATION, epochs=1, dropout="0.1").key == stage.key
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, bench.store, Interrupted(3))
    assert load_checkpoint(bench.store.checkpoint_dir(stage.key)).state["microBatch"] == 4
    allocator.rows = sys.maxsize  # a larger device
    bench.run(stage)
    manifests = [one.store.lookup(stage.key) for one in (bench, undisturbed)]
    assert [manifest.environment["microBatch"] for manifest in manifests] == [4, 4]
    assert manifests[0].outputs_digest == manifests[1].outputs_digest


def test_memory_that_runs_out_later_is_an_error(bench, allocator):
    """And no other number, which would be other bits."""
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    allocator.rows = 4
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, bench.store, Interrupted(3))
    allocator.rows = 3
    with pytest.raises(SpecError) as error:
        bench.run(stage)
    (problem,) = error.value.problems
    assert problem.field == "step 4, task colours"
    assert problem.message.startswith(
        "batches of 4 must fit into the GPU's memory, and do not: lower batchSize"
    )


def test_not_one_row_that_fits_is_an_error(bench, allocator):
    allocator.rows = 0
    with pytest.raises(SpecError) as error:
        bench.run(bench.train_stage(TaskType.CLASSIFICATION))
    assert str(error.value) == (
        "task colours: batches of 1 must fit into the GPU's memory, and do not: lower maxLength by an override of "
        f"spec.training, or use a GPU that has more ({TOLD})"
    )


def test_the_longest_batch_of_every_task_is_tried(bench):
    stage = bench.train_stage(TaskType.TAGGING, TaskType.SPAN_QA, mixing=Mixing(strategy="Uniform"))
    spec = TrainSpec.model_validate(stage.spec)
    training = open_training(spec, fetch_sources(stage, spec, bench.store))
    feed = Feed(spec, training.sets, training.features.pieces, training.prepare)
    longest = {chosen.task: chosen.batch["attention_mask"].sum(1).tolist() for chosen in feed.longest()}
    assert longest == {
        name: sorted(of_task.encoded.lengths.tolist(), reverse=True)[: spec.hyperparameters.batch_size]
        for name, of_task in training.sets.items()
    }


@pytest.mark.parametrize("optimizer", ["AdamW", "Adafactor"])
@pytest.mark.parametrize(("epochs", "select"), [(1, True), (2, True), (2, False)])
def test_the_trial_leaves_room_for_what_a_step_holds(
    bench, allocator, monkeypatch, optimizer, epochs, select
):
    """Beside gradients the optimiser's moments, and the best epoch's weights."""
    said = []

    def noted(*arguments, later, **more):
        said.append(later)
        return fitting_rows(*arguments, later=later, **more)

    monkeypatch.setattr(loop, "fitting_rows", noted)
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=epochs, select=select, optimizer=optimizer)
    bench.run(stage)
    assert said == [2 * (optimizer == "AdamW") + (epochs > 1 and select)]


def test_each_part_draws_its_own_dropout(bench):
    """A function of seed, step, process and part."""
    stage = bench.train_stage(TaskType.CLASSIFICATION, dropout="0.5")
    spec = TrainSpec.model_validate(stage.spec)
    training = open_training(spec, fetch_sources(stage, spec, bench.store))
    tasks = Feed(spec, training.sets, training.features.pieces, training.prepare)
    model, feed = training.with_text(tasks)
    chosen = feed.batch(0)
    twice = {name: tensor[:1].repeat(2, *[1] * (tensor.dim() - 1)) for name, tensor in chosen.batch.items()}
    drawn = []
    plain = model.loss

    def noted(*arguments):
        drawn.append(plain(*arguments))
        return drawn[-1]

    model.loss = noted
    for _ in range(2):
        seed_torch(1, "step", 0)
        Group().loss(model.train(), Precision.FP32).backward(chosen.task, twice, 1)
    losses = [loss.item() for loss in drawn]
    assert losses[:2] == losses[2:]
    assert losses[0] != losses[1]


def test_parts_are_rows_as_they_are_padded():
    batch = {"input_ids": torch.arange(10).view(5, 2), "labels": torch.arange(5)}
    for rows, sizes in ((None, [5]), (7, [5]), (5, [5]), (2, [2, 2, 1])):
        parts = micro_batches(batch, rows)
        assert [len(part["labels"]) for part in parts] == sizes
        assert all(torch.equal(torch.cat([part[name] for part in parts]), batch[name]) for name in batch)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_with_parts_train_as_one(bench, tiny_encoder, tmp_path):
    """The second process holds less than the first: both compute as many rows at a time."""
    changes = {**EXACT, "batch_size": 7, "mixing": Mixing(strategy="Uniform")}
    types = (TaskType.CLASSIFICATION, TaskType.TAGGING)
    stage = bench.train_stage(*types, **changes)
    alone = type(bench)(bench.root / "alone", tiny_encoder)
    assert alone.train_stage(*types, **changes).key == stage.key
    whole = alone.run(stage)
    (tmp_path / "sitecustomize.py").write_text(
        f"""
import os
if os.environ.get("XSTILTS_RANK"):
    import torch
    from xstilts_trainer import memory
    from xstilts_trainer.models.encoder_model import EncoderModel
    memory.has_own_memory = lambda _device: True
    rows, loss = 3 - int(os.environ["XSTILTS_RANK"]), EncoderModel.loss
    def limited(model, task, batch):
        if len(batch["input_ids"]) > rows:
            raise torch.OutOfMemoryError({TOLD!r})
        return loss(model, task, batch)
    EncoderModel.loss = limited
"""
    )
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    assert start(bench, stage, XSTILTS_RANKS_PER_NODE="2", PYTHONPATH=paths).wait() == 0
    assert micro_batch(bench, stage) == 2
    assert_same_training(bench.store.fetch(stage.key), whole)
