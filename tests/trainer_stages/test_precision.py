"""bf16: what is multiplied is rounded, what is kept and summed is not."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from xstilts.stage import Form, Precision, TrainSpec
from xstilts.task import TaskType
from xstilts_trainer.precision import computed_in, in_fp32, precision_of
from xstilts_trainer.stages import run_stage
from xstilts_trainer.stages.forms import open_training
from xstilts_trainer.stages.sources import fetch_sources
from xstilts_trainer.training.feed import Feed
from xstilts_trainer.training.group import Group

from .conftest import RECIPE
from .test_text_to_text import Interrupted, TextBench, tiny_mt5  # noqa: F401 - a fixture

TYPES = (TaskType.CLASSIFICATION, TaskType.MULTIPLE_CHOICE, TaskType.TAGGING, TaskType.SPAN_QA)


@pytest.fixture(params=list(Form), ids=str)
def either(request, bench, tmp_path):
    """A bench of each form."""
    if request.param is Form.ENCODER_HEAD:
        return bench
    return TextBench(tmp_path / "texts", request.getfixturevalue("tiny_mt5"))


def test_a_stage_is_computed_as_it_asks_or_as_its_device_is_best_at(monkeypatch):
    for asked in Precision:
        assert precision_of(RECIPE.model_copy(update={"precision": asked})) is asked
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision_of(RECIPE) is Precision.FP32
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for able, best in ((True, Precision.BF16), (False, Precision.FP32)):
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda *, including_emulation, able=able: able or including_emulation,
        )
        assert precision_of(RECIPE) is best


def test_products_are_rounded_within_and_not_without():
    left, right = torch.full((2, 2), 1 + 2**-10), torch.eye(2)
    exact = left @ right
    with computed_in(Precision.BF16):
        rounded = left @ right
        with in_fp32():
            assert torch.equal(left @ right, exact)
    assert rounded.dtype == torch.bfloat16
    assert not torch.equal(rounded.float(), exact)
    with computed_in(Precision.FP32):
        assert torch.equal(left @ right, exact)


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_losses_and_gradients_are_fp32_and_near_those_of_fp32(either, type_):
    stage = either.train_stage(type_, dropout="0")
    spec = TrainSpec.model_validate(stage.spec)
    training = open_training(spec, fetch_sources(stage, spec, either.store))
    tasks = Feed(spec, training.sets, training.features.pieces, training.prepare)
    model, feed = training.with_text(tasks)
    chosen = feed.batch(0)
    found = {}
    for precision in Precision:
        model.zero_grad()
        loss = Group().loss(model.train(), precision).backward(chosen.task, chosen.batch)()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
        found[precision] = loss, torch.cat([one.flatten() for one in gradients.values()])
    exact, rounded = found[Precision.FP32], found[Precision.BF16]
    assert rounded[0] == pytest.approx(exact[0], rel=0.01)
    assert rounded[0] != exact[0]
    assert torch.cosine_similarity(rounded[1], exact[1], dim=0) > 0.999


def opened(bench):
    """A model that is to be trained to classify, in evaluation mode, and a batch."""
    stage = bench.train_stage(TaskType.CLASSIFICATION)
    spec = TrainSpec.model_validate(stage.spec)
    training = open_training(spec, fetch_sources(stage, spec, bench.store))
    feed = Feed(spec, training.sets, training.features.pieces, training.prepare)
    model, _ = training.with_text(feed)
    return model.eval(), feed.batch(0)


def test_logits_are_not_rounded(bench):
    """Rounded ones would tie."""
    model, chosen = opened(bench)
    with computed_in(Precision.BF16):
        logits = model.logits(chosen.task, chosen.batch)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


def test_logits_of_text_are_not_rounded_where_they_decide(tmp_path, tiny_mt5):  # noqa: F811 - the fixture
    """A label is chosen by them; in training they are rounded as every product is."""
    model, chosen = opened(TextBench(tmp_path, tiny_mt5))
    with torch.no_grad(), computed_in(Precision.BF16):
        hidden = model.decode(model.encode(chosen.batch), model.start(len(chosen.rows), torch.device("cpu")))
        logits, rounded = model.logits(hidden), model.train().logits(hidden)
        with in_fp32():
            exact = model.seq2seq.lm_head(hidden.float())
    assert logits.dtype == rounded.dtype == torch.float32
    assert torch.equal(logits, exact)
    assert torch.equal(rounded, rounded.bfloat16().float())


def test_near_labels_do_not_tie(tmp_path, tiny_mt5):  # noqa: F811 - the fixture
    """Two answers of one piece whose vectors in the head are equal but for what bf16 rounds away."""
    model, chosen = opened(TextBench(tmp_path, tiny_mt5))
    with torch.no_grad():
        model.seq2seq.lm_head.weight[11] = model.seq2seq.lm_head.weight[10] * (1 + 2**-12)
    answers = [torch.tensor([piece]) for piece in (10, 11)]
    with torch.no_grad(), computed_in(Precision.BF16):
        scores = model.score(chosen.batch, answers)
    assert (scores[:, 0] != scores[:, 1]).all()


def test_a_stage_in_bf16_says_so_and_answers_in_fp32(either):
    stage = either.train_stage(TaskType.CLASSIFICATION, epochs=1, precision=Precision.BF16)
    assert stage.key != either.train_stage(TaskType.CLASSIFICATION, epochs=1).key
    folder = either.run(stage)
    weights = load_file(folder / "encoder/model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    recipe = either.recipe.model_copy(update={"max_length": 40, "precision": Precision.BF16})
    evaluate = either.evaluate_stage(TaskType.CLASSIFICATION, parent=stage.key, hyperparameters=recipe)
    either.run(evaluate)
    assert [either.store.lookup(one.key).environment["precision"] for one in (stage, evaluate)] == [
        "bf16"
    ] * 2


def test_without_asking_nothing_is_another(bench):
    """On a CPU; and the key is that of before there was a choice."""
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    assert "precision" not in stage.spec["hyperparameters"]
    bench.run(stage)
    able = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    expected = "bf16" if able else "fp32"
    assert bench.store.lookup(stage.key).environment["precision"] == expected


def test_an_interrupted_training_in_bf16_ends_with_the_same_bytes(bench, tiny_encoder, tmp_path):
    broken, undisturbed = (type(bench)(tmp_path / name, tiny_encoder) for name in ("broken", "undisturbed"))
    stages = [
        one.train_stage(TaskType.CLASSIFICATION, epochs=2, precision=Precision.BF16)
        for one in (broken, undisturbed)
    ]
    for steps in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            run_stage(stages[0], broken.store, Interrupted(steps))
    broken.run(stages[0])
    undisturbed.run(stages[1])
    assert len({one.store.lookup(stages[0].key).outputs_digest for one in (broken, undisturbed)}) == 1


def test_bf16_learns(bench):
    stage = bench.train_stage(TaskType.CLASSIFICATION, precision=Precision.BF16)
    bench.run(stage)
    recipe = RECIPE.model_copy(update={"precision": Precision.BF16})
    evaluate = bench.evaluate_stage(TaskType.CLASSIFICATION, parent=stage.key, hyperparameters=recipe)
    scores = json.loads((bench.run(evaluate) / "scores.json").read_text())
    assert float(scores["colours"]["accuracy"]["de"]) > 90
