"""Our own loop and transformers' Trainer on the same model and data, in turn.

The real e5-small is trained on the MNLI slice as examples/xnli-small-cpu.yaml has it (batches of 32, fp32): by our own
loop, by transformers' Trainer with its defaults, and by it with batches grouped by length. A run is 50 steps, which is one
pool of batches for both samplers; a token is useful where it is no padding. Models and data are read before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench.operator_bench.figure import Figure, as_json, as_table, plain, times_peer
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    TrainingArguments,
)
from transformers import Trainer as HuggingFaceTrainer
from transformers.utils import logging as transformers_logging

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
TIMES_DEFAULT, TIMES_GROUPED = 2.5, 1.4
WARM_UP = 3  # steps of a first run that is not counted


@dataclass
class Ours:
    """The project's own loop on the training of the target after `none`."""

    stage: Stage
    spec: TrainSpec
    sources: Sources
    name: str = "xstilts"

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        """Train for some steps; useful tokens and seconds."""
        training = open_training(self.spec, self.sources)
        spec = self.spec.model_copy(update={"seed": seed})
        tasks = Feed(spec, training.sets, training.features.pieces, training.prepare)
        model, _ = training.with_text(tasks)
        feed = _Cut(tasks, steps)
        with tempfile.TemporaryDirectory() as checkpoints:
            trainer = Trainer(
                model,
                feed,  # type: ignore[arg-type] # it is a feed in all that the loop asks of one
                self.spec.hyperparameters.model_copy(update={"epochs": 1}),
                seed=seed,
                validate=None,
                checkpoints=Path(checkpoints),
                keep=lambda: None,
                settings={},
                progress=Progress(counts=False),
                group=Group(),
            )
            began = time.perf_counter()
            trainer.run(Interrupts())
            return feed.tokens, time.perf_counter() - began


@dataclass
class _Cut:
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
        tokenizer = AutoTokenizer.from_pretrained(self.model, local_files_only=True)
        rows = [
            {
                **tokenizer(row["premise"], row["hypothesis"], truncation=True, max_length=128),
                "labels": row["label"],
            }
            for row in self.rows
        ]
        collator = _Counted(DataCollatorWithPadding(tokenizer))
        with tempfile.TemporaryDirectory() as folder:
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
            trainer = HuggingFaceTrainer(
                model=AutoModelForSequenceClassification.from_pretrained(
                    self.model, num_labels=3, dtype=torch.float32, local_files_only=True
                ),
                args=arguments,
                train_dataset=rows,  # type: ignore[arg-type] # a list is all that it needs
                data_collator=collator,
            )
            began = time.perf_counter()
            trainer.train()
            return collator.tokens, time.perf_counter() - began


@dataclass
class _Counted:
    """A collator whose tokens are counted."""

    collate: DataCollatorWithPadding
    tokens: int = 0

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
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


def measured(
    run: Callable[[int, int], tuple[int, float]], steps: int, seeds: Iterator[int]
) -> Iterator[float]:
    """Useful tokens a second, run by run."""
    run(min(WARM_UP, steps), 0)
    for seed in seeds:
        tokens, seconds = run(steps, seed)
        yield tokens / seconds


def figures(runs: int, steps: int) -> list[Figure]:
    """Measure, each setting in turn in every run."""
    chosen = settings()
    rates: dict[str, list[float]] = {one.name: [] for one in chosen}
    series = [(one.name, measured(one.run, steps, iter(range(1, runs + 1)))) for one in chosen]
    for run in range(runs):
        for name, of_setting in series:
            rates[name].append(next(of_setting))
            print(f"run {run + 1}: {name}: {rates[name][-1]:.0f} tokens/s", file=sys.stderr, flush=True)
    ours, default, grouped = (median(rates[one.name]) for one in chosen)
    spread = "runs: " + "; ".join(
        f"{name} {', '.join(f'{rate:.0f}' for rate in of_setting)}" for name, of_setting in rates.items()
    )
    unit = "tokens/s"
    return [
        times_peer("training, beside transformers' Trainer", ours, unit, default, TIMES_DEFAULT, spread),
        times_peer("training, beside it grouped by length", ours, unit, grouped, TIMES_GROUPED),
        *sgemm(),
    ]


def sgemm() -> Iterator[Figure]:
    """The limit: what one product of large fp32 matrices reaches by each of torch's two libraries."""
    size, products = 2048, 5
    left, right = torch.randn(size, size), torch.randn(size, size)

    def rate(product: Callable[[], Tensor]) -> float:
        product()
        began = time.perf_counter()
        for _ in range(products):
            product()
        return products * 2 * size**3 / (time.perf_counter() - began) / 1e9

    yield plain("sgemm by MKL", rate(lambda: left @ right), "GFLOP/s")
    onednn = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 - the only way to it
    yield plain("sgemm by oneDNN", rate(lambda: onednn(left, right, None, "none", [], "")), "GFLOP/s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50, help="of a run")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()
    measured_figures = figures(options.runs, options.steps)
    print(as_json(measured_figures) if options.json else as_table(measured_figures))


if __name__ == "__main__":
    main()
