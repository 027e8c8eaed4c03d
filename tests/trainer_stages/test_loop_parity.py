"""The loop against a plain one of torch and transformers on the same batches: the same weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from transformers import get_linear_schedule_with_warmup

from xstilts.stage import Family, TrainSpec
from xstilts.task import TaskType
from xstilts_trainer.data.encode import HeadFeatures
from xstilts_trainer.data.pieces import PieceTokenizer
from xstilts_trainer.models.backbone import load_backbone
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.heads import HeadSpec, make_head
from xstilts_trainer.stages.sources import fetch_sources
from xstilts_trainer.training.feed import Feed
from xstilts_trainer.training.task_data import load_training_sets


@pytest.mark.parametrize("type_", [TaskType.CLASSIFICATION, TaskType.TAGGING], ids=str)
def test_a_stage_ends_where_a_plain_loop_ends(bench, type_):
    stage = bench.train_stage(type_, dropout="0", select=False, learning_rate="1e-3")
    artifact = bench.run(stage)

    spec = TrainSpec.model_validate(stage.spec)
    sources = fetch_sources(stage, spec, bench.store)
    backbone = load_backbone(sources.model, Family.XLMR)
    pieces = PieceTokenizer(backbone.tokenizer)
    sets = load_training_sets(spec, sources.folders, HeadFeatures(pieces, spec.hyperparameters))
    ((name, of_task),) = sets.items()
    head = make_head(HeadSpec.of(of_task.task, spec.model.pooling), backbone.config, spec.seed)
    model = EncoderModel(backbone, {name: head}).eval()  # no dropout
    feed = Feed(spec, sets, pieces, lambda batch: batch)
    steps = spec.hyperparameters.epochs * feed.steps_per_epoch
    plain = [p for n, p in model.named_parameters() if "bias" in n or "LayerNorm" in n]
    decayed = [p for n, p in model.named_parameters() if not ("bias" in n or "LayerNorm" in n)]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0}], lr=1e-3
    )
    schedule = get_linear_schedule_with_warmup(optimiser, -(-steps // 10), steps)
    for step in range(steps):
        model.loss(name, feed.batch(step).batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()

    trained = load_file(artifact / "encoder/model.safetensors") | load_file(
        artifact / f"heads/{name}.safetensors"
    )
    expected = dict(model.encoder.named_parameters()) | dict(head.named_parameters())
    assert trained.keys() == expected.keys()
    for weight, value in expected.items():
        if weight.endswith("key.bias"):
            continue  # softmax forgets it: its gradient is rounding noise, which Adam blows up to whole steps
        torch.testing.assert_close(trained[weight], value.detach(), rtol=0, atol=2e-5, msg=weight)
