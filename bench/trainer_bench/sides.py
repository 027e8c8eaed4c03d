"""The two sides: the project's own loop and transformers' Trainer, on the same model, rows and recipe.

The real e5-small is trained on the MNLI slice as examples/xnli-small-cpu.yaml has it: batches of 32, fp32.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
)
from transformers import Trainer as HuggingFaceTrainer

from xstilts.plan import plan
from xstilts.spec import load_experiment
from xstilts.stage import Stage, TrainSpec
from xstilts.store import Store, store_root
from xstilts_trainer.progress import Progress
from xstilts_trainer.stages.forms import open_training
from xstilts_trainer.stages.sources import Sources, fetch_sources
from xstilts_trainer.training.feed import Feed, StepBatch
from xstilts_trainer.training.group import Group
from xstilts_trainer.training.interrupts import Interrupts
from xstilts_trainer.training.loop import Trainer

EXPERIMENT = Path(__file__).resolve().parents[2] / "examples" / "xnli-small-cpu.yaml"


@dataclass
class Ours:
    """The project's own loop on the training of the target after `none`."""

    stage: Stage
    spec: TrainSpec
    sources: Sources
    name: str = "xstilts"

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        """Train for some steps; useful tokens and seconds."""
        with tempfile.TemporaryDirectory() as folder:
            trainer, feed = self.trainer(steps, seed, Path(folder), Progress(counts=False))
            began = time.perf_counter()
            trainer.run(Interrupts())
            return feed.tokens, time.perf_counter() - began

    def trainer(self, steps: int, seed: int, folder: Path, progress: Progress) -> tuple[Trainer, CountedFeed]:
        """What trains for some steps, from the checkpoint in a folder where there is one; and its feed."""
        training = open_training(self.spec, self.sources)
        spec = self.spec.model_copy(update={"seed": seed})
        tasks = Feed(spec, training.sets, training.features.pieces, training.prepare)
        model, _ = training.with_text(tasks)
        feed = CountedFeed(tasks, steps)
        trainer = Trainer(
            model,
            feed,  # type: ignore[arg-type] # it is a feed in all that the loop asks of one
            self.spec.hyperparameters.model_copy(update={"epochs": 1}),
            seed=seed,
            validate=None,
            checkpoints=folder,
            keep=lambda: None,
            settings={},
            progress=progress,
            group=Group(),
        )
        return trainer, feed


@dataclass
class CountedFeed:
    """The first steps of a feed, whose tokens are counted."""

    feed: Feed
    steps_per_epoch: int
    tokens: int = 0

    def batch(self, step: int) -> StepBatch:
        """The batch of a step."""
        chosen = self.feed.batch(step)
        self.tokens += int(chosen.batch["attention_mask"].sum())
        return chosen


@dataclass
class Theirs:
    """transformers' Trainer; `options` are those of its arguments that are not its defaults."""

    model: Path
    rows: list[dict[str, Any]]
    recipe: dict[str, Any]
    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        """Train for some steps; useful tokens and seconds."""
        with tempfile.TemporaryDirectory() as folder:
            trainer, collator = self.trainer(steps, seed, Path(folder))
            began = time.perf_counter()
            trainer.train()
            return collator.tokens, time.perf_counter() - began

    def trainer(
        self, steps: int, seed: int, folder: Path, callbacks: Sequence[TrainerCallback] = ()
    ) -> tuple[HuggingFaceTrainer, CountedCollator]:
        """What trains for some steps and writes into a folder; and its collator."""
        tokenizer = AutoTokenizer.from_pretrained(self.model, local_files_only=True)
        rows = [
            {
                **tokenizer(row["premise"], row["hypothesis"], truncation=True, max_length=128),
                "labels": row["label"],
            }
            for row in self.rows
        ]
        collator = CountedCollator(DataCollatorWithPadding(tokenizer))
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            seed=seed,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **self.recipe,
            **self.options,
        )
        torch.manual_seed(seed)  # of the new head
        trainer = HuggingFaceTrainer(
            model=AutoModelForSequenceClassification.from_pretrained(
                self.model, num_labels=3, dtype=torch.float32, local_files_only=True
            ),
            args=arguments,
            train_dataset=rows,  # type: ignore[arg-type] # a list is all that it needs
            data_collator=collator,
            callbacks=[*callbacks],
        )
        trainer.remove_callback(PrinterCallback)  # the standard output is the figures' alone
        return trainer, collator


@dataclass
class CountedCollator:
    """A collator whose tokens are counted."""

    collate: DataCollatorWithPadding
    tokens: int = 0

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        """The batch of some rows."""
        batch: dict[str, Tensor] = self.collate(rows)
        self.tokens += int(batch["attention_mask"].sum())
        return batch


def settings() -> tuple[Ours, Theirs, Theirs]:
    """What is measured; all of them read the same files."""
    experiment = load_experiment(EXPERIMENT)
    planned = next(
        one
        for one in plan(experiment).stages
        if one.group == "train target" and {cell.model for cell in one.labels} == {"e5-12"}
        if {cell.intermediate for cell in one.labels} == {"none"}
    )
    spec = TrainSpec.model_validate(planned.stage.spec)
    store = Store.open(
        store_root(None, experiment.spec.store.name), experiment.metadata.namespace or "default"
    )
    sources = fetch_sources(planned.stage, spec, store)
    (data,) = spec.data
    file = next(sources.folders[data.role].glob("train.en.jsonl"))
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    recipe = spec.hyperparameters
    theirs = {
        "per_device_train_batch_size": recipe.batch_size,
        "learning_rate": float(recipe.learning_rate),
        "warmup_steps": float(recipe.warmup_ratio),
        "weight_decay": float(recipe.weight_decay),
    }
    return (
        Ours(planned.stage, spec, sources),
        Theirs(sources.model, rows, theirs, "transformers' Trainer"),
        Theirs(
            sources.model,
            rows,
            theirs,
            "transformers' Trainer, grouped by length",
            {"train_sampling_strategy": "group_by_length"},
        ),
    )
