"""Train: a model on one task or a mix; the best epoch by dev score is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from xstilts.stage import Stage, TrainSpec
from xstilts.store import Store
from xstilts_trainer.environment import describe_environment, describe_gpu, describe_hardware, device
from xstilts_trainer.evaluation.predict import mean_score, predict
from xstilts_trainer.memory import has_own_memory
from xstilts_trainer.models.packing import pays_on, set_packed
from xstilts_trainer.precision import precision_of
from xstilts_trainer.progress import Progress
from xstilts_trainer.stages.forms import Training, open_training
from xstilts_trainer.stages.sources import DEV, fetch_sources
from xstilts_trainer.training.feed import Feed
from xstilts_trainer.training.group import Group
from xstilts_trainer.training.interrupts import deferred_interrupts
from xstilts_trainer.training.loop import Trainer, Validate
from xstilts_trainer.training.optimiser import learning_rate
from xstilts_trainer.training.record import dev_record, loss_curve, task_records
from xstilts_trainer.training.selection import DevScores


def train(
    spec: TrainSpec,
    stage: Stage,
    store: Store,
    folder: Path,
    progress: Progress,
    group: Group,
    until_written: ExitStack,
) -> dict[str, Any]:
    """Write the model (`encoder/` and what its form has beside), `dev.json` and `training.json`.

    After a sweep also `selection.json`. Returns what the manifest records.

    All processes of the group end with the same weights, and rank 0 alone writes them.

    All data is read and checked before the first step. From then on signals are deferred: to the next step, and after the
    last one to the closing of `until_written`. What is left takes less time than to save and read it all once more.

    Raises:
        UserError: the spec, a parent or the data is wrong, or the loss is not finite.
        KeyboardInterrupt: asked to end; a checkpoint is saved.
    """
    sources = fetch_sources(stage, spec, store)
    precision = precision_of(spec.hyperparameters).lower()
    training = open_training(spec, sources)
    tasks = Feed(spec, training.sets, training.features.pieces, training.prepare)
    trained, feed = training.with_text(tasks)
    set_packed(trained.packable, packed=pays_on(device()))  # a checkpoint keeps its own form
    trainer = Trainer(
        trained.to(device()),
        feed,
        spec.hyperparameters,
        seed=spec.seed,
        validate=_validator(training) if spec.selection else None,
        checkpoints=store.checkpoint_dir(stage.key),
        keep=lambda: store.keep_checkpoints(stage.key),
        settings={
            **describe_environment()["versions"],
            # Another model's kernels sum in another order: what two of them have trained no machine can repeat, and
            # the manifest would name the last alone. Drivers hold no kernels.
            **describe_gpu(),
            "device": device().type,  # a table cut on a CPU does not fit the whole one of a GPU
            "precision": precision,
            "embeddingRows": training.embedding_rows,
            "processes": group.size,
        },
        progress=progress,
        group=group,
        probe=has_own_memory(device()),
    )
    trainer.run(until_written.enter_context(deferred_interrupts()))
    if group.rank > 0:
        return {}
    trained.cpu()
    recipe = spec.hyperparameters
    rates = (learning_rate(recipe, step, trainer.steps) for step in range(trainer.kept_steps))
    training.save(folder, [1 - rate * float(recipe.weight_decay) for rate in rates])
    sources.write_choice(folder)
    _write_json(folder / DEV, dev_record(trainer.state.epochs, training.sets))
    record = {
        "steps": trainer.steps,
        "stepsPerEpoch": feed.steps_per_epoch,
        "stepsKept": trainer.kept_steps,
        "textStepsPerEpoch": feed.steps_per_epoch - tasks.steps_per_epoch,
        "paddingShare": f"{tasks.padding_share(trained.packed_tasks):.4f}",
        "tasks": task_records(training.sets),
        "loss": loss_curve(trainer.state.losses),
    }
    _write_json(folder / "training.json", record)
    # a continued run keeps its checkpoint's threads
    hardware = {**describe_hardware(torch.get_num_threads(), group.size), "processes": group.size}
    return {
        "seed": spec.seed,
        "hardware": hardware,
        "precision": precision,
        "microBatch": trainer.micro_batch,
        "packed": sorted(trained.packed_tasks),
        "sources": dict(sources.digests),
    }


def _validator(training: Training) -> Validate:
    def validate(check: Callable[[], None]) -> DevScores:
        inference = training.inference(lambda _count: check())
        return {
            name: mean_score(predict(inference, name, of_task.dev), of_task.dev[0].task.metric)
            for name, of_task in sorted(training.sets.items())
        }

    return validate


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
