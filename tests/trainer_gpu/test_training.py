"""Training on a simulated GPU: every tensor is where it must be, and the CPU waits once a step."""

from __future__ import annotations

import json

import pytest
import torch
from tests.trainer_models.conftest import FAMILIES, random_batch, tiny_model, tiny_tokenizer
from tests.trainer_stages.test_continued_pretraining import pretraining_stage  # noqa: F401 - a fixture
from tests.trainer_stages.test_lora import ENCODER, TEXT
from tests.trainer_stages.test_text_to_text import ADAFACTOR, Interrupted, TextBench, with_text

from xstilts.stage import Pooling, Precision, Stage, TrainSpec
from xstilts.task import TaskType
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.heads import HeadSpec, make_head
from xstilts_trainer.stages import run_stage
from xstilts_trainer.training import loop
from xstilts_trainer.training.group import Group
from xstilts_trainer.training.optimiser import clip_gradients

TYPES = (TaskType.CLASSIFICATION, TaskType.MULTIPLE_CHOICE, TaskType.TAGGING, TaskType.SPAN_QA)
LOSS = "reads a number (loop.py: value = read_loss())"
LOSSES = "reads a number (group.py: values = torch.stack(losses).tolist())"

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype")


def waits(bench, stage, gpu) -> tuple[int, list[str]]:
    """The steps of a training, and where the CPU waited in them: not on the model's ways to the device and back."""
    steps = json.loads((bench.run(stage) / "training.json").read_text())["steps"]
    return steps, [wait for wait in gpu.waits if "(train.py" not in wait]


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_a_step_waits_for_its_loss_alone(either, gpu, type_):
    stage = either.train_stage(type_, epochs=1, select=False)
    steps, waited = waits(either, stage, gpu)
    assert waited == [LOSS] * steps
    environment = either.store.lookup(stage.key).environment
    assert environment["precision"] == "bf16"
    assert bool(environment["packed"]) is not isinstance(either, TextBench)


def test_so_does_one_in_micro_batches(either, gpu, monkeypatch):
    monkeypatch.setattr(loop, "fitting_rows", lambda _model, _batches, rows, **_more: rows // 2)
    steps, waited = waits(either, either.train_stage(TaskType.TAGGING, epochs=1, select=False), gpu)
    assert set(waited) == {LOSSES, LOSS}  # one batch is no larger than its parts
    assert len(waited) == steps


def test_so_does_one_of_adapters_in_fp32(either, gpu):
    lora = TEXT if isinstance(either, TextBench) else ENCODER
    stage = either.train_stage(
        TaskType.CLASSIFICATION, epochs=1, select=False, lora=lora, precision=Precision.FP32
    )
    steps, waited = waits(either, stage, gpu)
    assert waited == [LOSS] * steps


def test_so_does_one_on_masked_text_or_spans(request, either, gpu, tmp_path):
    if isinstance(either, TextBench):
        stage = with_text(either, tmp_path)
    else:
        stage = request.getfixturevalue("pretraining_stage")()
    spec = TrainSpec.model_validate(stage.spec).model_copy(update={"selection": ()})
    steps, waited = waits(either, Stage.of(stage.kind, spec), gpu)
    assert waited == [LOSS] * steps


def test_so_does_one_of_adafactor_but_the_first(either, gpu):
    """transformers makes its state on the CPU."""
    stage = either.train_stage(TaskType.CLASSIFICATION, epochs=1, select=False, **ADAFACTOR)
    steps, waited = waits(either, stage, gpu)
    assert waited[waited.index(LOSS) :] == [LOSS] * steps


@pytest.mark.parametrize("type_", TYPES, ids=str)
@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_a_padded_step_of_every_encoder(gpu, model_type, type_):
    """transformers alone waits in it, once and at its beginning: it asks whether anything is padding, or copies a number."""
    encoder = tiny_model(model_type, "EncoderModel" if model_type == "mt5" else "Model")
    labels = ("a", "b", "c") if type_ in {TaskType.CLASSIFICATION, TaskType.TAGGING} else ()
    head = make_head(HeadSpec("task", type_, labels, Pooling.MEAN), encoder.config, 1)
    model = EncoderModel(Backbone(encoder, tiny_tokenizer(), FAMILIES[model_type]), {"task": head})
    model.to("cuda").train()
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    batch = random_batch(3, 2, 9) if type_ is TaskType.MULTIPLE_CHOICE else random_batch(3, 9)
    names = ("start_positions", "end_positions") if type_ is TaskType.SPAN_QA else ("labels",)
    shape = (3, 9) if type_ is TaskType.TAGGING else (3,)
    gpu.waits.clear()
    Group().loss(model, Precision.BF16).backward(
        "task", {**batch, **{name: torch.ones(shape).long() for name in names}}
    )
    clip_gradients(list(model.parameters()), 1.0)
    optimiser.step()
    (wait,) = gpu.waits
    assert wait.endswith("(encoder_model.py: outputs = encoder(**_taken(backbone, inputs)))")


def test_a_checkpoint_is_taken_up_on_the_device(either, gpu, capsys):
    stage = either.train_stage(TaskType.CLASSIFICATION, epochs=2, select=False)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, either.store, Interrupted(1))
    either.run(stage)
    assert "continuing after step 1 of" in capsys.readouterr().err


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_dev_is_scored_and_the_best_epoch_kept(bench, gpu, type_):
    stage = bench.train_stage(type_, epochs=2)
    dev = json.loads((bench.run(stage) / "dev.json").read_text())
    assert (dev["best"], len(dev["epochs"])) == (1, 2)
