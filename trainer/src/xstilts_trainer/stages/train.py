"""Train: an encoder and new heads on one task or a mix; the best epoch by dev score is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xstilts.errors import Problem, SpecError
from xstilts.stage import Form, Stage, TrainSpec
from xstilts.store import Store
from xstilts_trainer.data.batches import Batch
from xstilts_trainer.data.pieces import PieceTokenizer
from xstilts_trainer.environment import describe_environment, describe_hardware, device
from xstilts_trainer.evaluation.forward import Forward
from xstilts_trainer.evaluation.predict import mean_score, predict
from xstilts_trainer.models.backbone import Backbone, load_backbone
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.folders import encoder_folder
from xstilts_trainer.models.heads import HeadSpec, make_head
from xstilts_trainer.models.masked_lm import load_masked_lm
from xstilts_trainer.progress import Progress
from xstilts_trainer.stages.lengths import check_length
from xstilts_trainer.stages.sources import DEV, Sources, fetch_sources
from xstilts_trainer.training.embedding_rows import EmbeddingRows
from xstilts_trainer.training.feed import Feed
from xstilts_trainer.training.group import Group, Trainable
from xstilts_trainer.training.loop import AnyFeed, Trainer, Validate
from xstilts_trainer.training.masking import Masking
from xstilts_trainer.training.optimiser import learning_rate
from xstilts_trainer.training.record import dev_record, loss_curve, task_records
from xstilts_trainer.training.selection import DevScores
from xstilts_trainer.training.task_data import TrainingSet, load_training_sets, token_ids
from xstilts_trainer.training.text_feed import (
    InterleavedFeed,
    TasksAndText,
    TextFeed,
    load_text,
    text_steps,
)


def train(
    spec: TrainSpec, stage: Stage, store: Store, folder: Path, progress: Progress, group: Group
) -> dict[str, Any]:
    """Write `encoder/`, `heads/`, `heads.json`, `dev.json` and `training.json`; returns what the manifest records.

    All processes of the group end with the same weights, and rank 0 alone writes them.

    All data is read and checked before the first step.

    Raises:
        UserError: the spec, a parent or the data is wrong, or the loss is not finite.
        KeyboardInterrupt: asked to end; a checkpoint is saved.
    """
    _refuse_what_is_not_built(spec)
    sources = fetch_sources(stage, spec, store)
    backbone = load_backbone(
        encoder_folder(sources.model), spec.model.family, pooling=spec.model.pooling, seed=spec.seed
    )
    check_length(backbone.config, spec.hyperparameters)
    pieces = PieceTokenizer(backbone.tokenizer)
    sets = load_training_sets(spec, sources.folders, pieces)
    model = _make_model(spec, backbone, sets)
    rows = _cut_embedding(spec, model, sets)

    def prepare(batch: Batch) -> Batch:
        renumbered = rows.renumber(batch) if rows else batch
        return {name: tensor.to(device()) for name, tensor in renumbered.items()}

    tasks = Feed(spec, sets, pieces, prepare)
    trained, feed = _with_text(spec, sources, model, tasks, pieces, prepare)
    trainer = Trainer(
        trained.to(device()),
        feed,
        spec.hyperparameters,
        seed=spec.seed,
        validate=_validator(spec, model, sets, pieces, prepare),
        checkpoints=store.checkpoint_dir(stage.key),
        keep=lambda: store.keep_checkpoints(stage.key),
        settings={  # a table cut on a CPU does not fit the whole one of a GPU
            **describe_environment()["versions"],
            "device": device().type,
            "embeddingRows": len(rows) if rows else None,
            "processes": group.size,
        },
        progress=progress,
        group=group,
    )
    trainer.run()
    if group.rank > 0:
        return {}
    trained.cpu()
    if rows:
        recipe = spec.hyperparameters
        rates = (learning_rate(recipe, step, trainer.steps) for step in range(trainer.kept_steps))
        rows.restore([1 - rate * float(recipe.weight_decay) for rate in rates])
    model.save(folder)
    _write_json(folder / DEV, dev_record(trainer.state.epochs, sets))
    training = {
        "steps": trainer.steps,
        "stepsPerEpoch": feed.steps_per_epoch,
        "stepsKept": trainer.kept_steps,
        "textStepsPerEpoch": feed.steps_per_epoch - tasks.steps_per_epoch,
        "paddingShare": f"{tasks.padding_share():.4f}",
        "tasks": task_records(sets),
        "loss": loss_curve(trainer.state.losses),
    }
    _write_json(folder / "training.json", training)
    # a continued run keeps its checkpoint's threads
    hardware = {**describe_hardware(torch.get_num_threads()), "processes": group.size}
    return {"seed": spec.seed, "hardware": hardware, "sources": dict(sources.digests)}


def _refuse_what_is_not_built(spec: TrainSpec) -> None:
    """What experiments and plans know already and this trainer does not do yet: said before anything is loaded."""
    if spec.model.form is not Form.ENCODER_HEAD:
        raise SpecError(
            Problem("spec.model.form", f"must be EncoderHead, this trainer has no {spec.model.form} yet")
        )
    pretraining = spec.continued_pretraining
    if pretraining is not None and pretraining.objective != "MLM":
        raise SpecError(
            Problem(
                "spec.continuedPretraining.objective",
                f"must be MLM, this trainer has no {pretraining.objective} yet",
            )
        )


def _make_model(spec: TrainSpec, backbone: Backbone, sets: dict[str, TrainingSet]) -> EncoderModel:
    heads = {
        name: make_head(HeadSpec.of(of_task.task, spec.model.pooling), backbone.config, spec.seed)
        for name, of_task in sorted(sets.items())
    }
    model = EncoderModel(backbone, heads)
    if spec.hyperparameters.dropout is not None:
        model.set_dropout(float(spec.hyperparameters.dropout))
    return model


def _with_text(
    spec: TrainSpec,
    sources: Sources,
    model: EncoderModel,
    tasks: Feed,
    pieces: PieceTokenizer,
    prepare: Callable[[Batch], Batch],
) -> tuple[Trainable, AnyFeed]:
    """The model and its feed, with masked text among the tasks' batches where pretraining is continued."""
    pretraining = spec.continued_pretraining
    if pretraining is None:
        return model, tasks
    recipe = spec.hyperparameters
    steps = text_steps(tasks.steps_per_epoch, Decimal(pretraining.ratio))
    tokenizer = model.backbone.tokenizer
    text = TextFeed(
        pretraining,
        load_text(pretraining, sources.folders, pieces, recipe.max_length),
        pieces,
        Masking(
            float(pretraining.masked),
            tokenizer.mask_token_id,
            tokenizer.all_special_ids,
            model.backbone.config.vocab_size,
        ),
        batch_size=recipe.batch_size,
        batches=steps * recipe.epochs,
        seed=spec.seed,
        prepare=prepare,
    )
    head = load_masked_lm(model.backbone, encoder_folder(sources.model), spec.seed)
    return TasksAndText(model, head), InterleavedFeed(tasks, text, steps, spec.seed)


def _cut_embedding(
    spec: TrainSpec, model: EncoderModel, sets: dict[str, TrainingSet]
) -> EmbeddingRows | None:
    """Cut the embedding table where that changes no bit and saves time.

    AdamW treats each row alone, and Adafactor does not; a language-model head gives every row a gradient.
    """
    table = model.encoder.get_input_embeddings()
    if spec.hyperparameters.optimizer != "AdamW" or spec.continued_pretraining or device().type != "cpu":
        return None
    if not isinstance(table, nn.Embedding) or not EmbeddingRows.is_exact(table):
        return None
    return EmbeddingRows(model, table, token_ids(sets.values()))


def _validator(
    spec: TrainSpec,
    model: EncoderModel,
    sets: dict[str, TrainingSet],
    pieces: PieceTokenizer,
    prepare: Callable[[Batch], Batch],
) -> Validate | None:
    if not spec.selection:
        return None

    def validate(check: Callable[[], None]) -> DevScores:
        forward = Forward(model, pieces, spec.hyperparameters.batch_size, prepare, lambda _count: check())
        return {
            name: mean_score(
                predict(forward, name, of_task.dev, spec.hyperparameters), of_task.dev[0].task.metric
            )
            for name, of_task in sorted(sets.items())
        }

    return validate


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
