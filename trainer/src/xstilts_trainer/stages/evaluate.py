"""Evaluate: one checkpoint on all tasks that it serves, in every language, in one process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from xstilts.errors import Problem, SpecError
from xstilts.scoring import write_predictions
from xstilts.stage import EvaluateSpec, Stage, TaskData
from xstilts.store import Store
from xstilts.task import TaskType
from xstilts_trainer.data.examples import Corpora, RetrievalExample
from xstilts_trainer.environment import describe_hardware, device, threads
from xstilts_trainer.evaluation.alignment import count_probed, probe_layers
from xstilts_trainer.evaluation.predict import Predictions, mean_score, predict
from xstilts_trainer.evaluation.retrieve import Sentences, count_texts, load_sentences, predict_pairs
from xstilts_trainer.evaluation.test_sets import load_test_sets
from xstilts_trainer.memory import LARGER, enough_memory
from xstilts_trainer.models.backbone import load_backbone
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.folders import encoder_folder
from xstilts_trainer.precision import precision_of
from xstilts_trainer.progress import Progress
from xstilts_trainer.result import SCORES
from xstilts_trainer.retrieval.embeddings import BATCH_SIZE
from xstilts_trainer.stages.forms import Trained, open_trained
from xstilts_trainer.stages.sources import Sources, fetch_sources

Outcome: TypeAlias = dict[str, dict[str, Predictions]]  # task -> language -> predictions
Layers: TypeAlias = dict[str, dict[str, list[dict[str, Any]]]]  # task -> language -> what each layer knows
ALIGNMENT = "alignment.json"
WITHOUT_HEAD = (TaskType.RETRIEVAL, TaskType.MINING)


def evaluate(
    spec: EvaluateSpec, stage: Stage, store: Store, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Write `predictions/<task>/…`, `scores.json`, `chance.json` and `answers.json`; returns what the manifest records.

    `alignment.json` tells of each layer, for the tasks that are probed (see `evaluation.alignment`).
    After a sweep `selection.json` says which learning rate is evaluated, and the dev scores of all.

    `answers.json` says of every item of a task of right and wrong answers which it was (1 or 0), and of which cluster the
    item is: what intervals are made from. Retrieval's clusters are those of English sentences, which languages `share`.

    Raises:
        UserError: the spec, a parent or the data is wrong.
        KeyboardInterrupt: asked to end.
    """
    sources = fetch_sources(stage, spec, store)
    by_vectors = [data for data in spec.data if data.task.type in WITHOUT_HEAD]
    by_heads = [data for data in spec.data if data.task.type not in WITHOUT_HEAD]
    outcome: Outcome = {}
    if by_heads:
        outcome |= _predict_by_heads(spec, by_heads, sources, progress)
    if by_vectors:
        found, layers = _predict_by_vectors(spec, by_vectors, sources, progress)
        outcome |= found
        if layers:
            _write_json(folder / ALIGNMENT, layers)
    _write(folder, spec, outcome)
    sources.write_choice(folder)
    recipe = spec.hyperparameters
    return {
        "hardware": describe_hardware(threads(), processes=1),
        **({"precision": precision_of(recipe).lower()} if recipe else {}),
        "sources": dict(sources.digests),
    }


def _predict_by_heads(
    spec: EvaluateSpec, wanted: Sequence[TaskData], sources: Sources, progress: Progress
) -> Outcome:
    """What a checkpoint says of the tasks that it was trained on."""
    recipe = spec.hyperparameters
    if recipe is None:
        raise SpecError(Problem("spec.hyperparameters", "must be there where a head answers"))
    model = open_trained(spec.model, sources.model, recipe)
    heads = [_head(model, data) for data in wanted]
    sets = [
        load_test_sets(data, sources.folders[data.role], partial(model.encode, head))
        for head, data in zip(heads, wanted, strict=True)
    ]
    count = _Count(progress, sum(len(test_set.encoded.features) for of_task in sets for test_set in of_task))
    inference = model.inference(count)
    outcome: Outcome = {}
    for head, of_task in zip(heads, sets, strict=True):
        task = of_task[0].task
        outcome[task.name] = predict(inference, head, of_task)
        count.scores[task.name] = mean_score(outcome[task.name], task.metric)
    return outcome


def _predict_by_vectors(
    spec: EvaluateSpec, wanted: Sequence[TaskData], sources: Sources, progress: Progress
) -> tuple[Outcome, Layers]:
    """What an encoder finds without a head, and of the tasks that are probed what each of its layers knows."""
    if spec.retrieval is None:
        raise SpecError(Problem("spec.retrieval", "must be there where sentences are retrieved"))
    sentences = {data.task.name: load_sentences(data, sources.folders[data.role]) for data in wanted}
    backbone = load_backbone(encoder_folder(sources.model), spec.model.family)
    EncoderModel(backbone, {}).to(device())
    probed = {name: _parallel(name, sentences) for name in spec.probed or ()}
    texts = sum(count_texts(held) + len(held) for held in sentences.values())
    count = _Count(progress, texts + sum(map(count_probed, probed.values())))
    outcome: Outcome = {}
    for data in wanted:
        name = data.task.name
        outcome[name] = {}
        with enough_memory(f"task {name}", BATCH_SIZE, LARGER):
            for language, predictions in predict_pairs(backbone, sentences[name], spec.retrieval, count):
                outcome[name][language] = predictions
                count.scores[name] = mean_score(outcome[name], data.task.metric)
                count(1)
    layers: Layers = {}
    for name, held in probed.items():
        with enough_memory(f"layers, task {name}", BATCH_SIZE, LARGER):
            layers[name] = {
                language: [layer.to_json() for layer in of_language]
                for language, of_language in probe_layers(backbone, held, spec.retrieval, count)
            }
    return outcome, layers


def _parallel(
    name: str, sentences: Mapping[str, Mapping[str, Sentences]]
) -> dict[str, list[RetrievalExample]]:
    """The pairs of sentences of a task, by language."""
    held = sentences.get(name, {})
    pairs = {language: of for language, of in held.items() if not isinstance(of, Corpora)}
    if not pairs:
        there = ", ".join(sorted(sentences))
        raise SpecError(
            Problem("spec.probed", f"must name tasks of type Retrieval of the stage ({there}), was {name}")
        )
    return {language: list(of) for language, of in pairs.items()}


def _head(model: Trained, data: TaskData) -> str:
    name = data.head or data.task.name
    if name not in model.heads:
        there = ", ".join(sorted(model.heads)) or "none"
        raise SpecError(
            Problem(f"{data.task.name}: head", f"must be a head of the model ({there}), was {name}")
        )
    return name


class _Count:
    """Counts what is done and tells it, with the scores so far."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self.scores: dict[str, float] = {}

    def __call__(self, done: int) -> None:
        """So many more are done."""
        self._done += done
        self._progress.update(self._done / self._total, self.scores)


def _write(folder: Path, spec: EvaluateSpec, outcome: Outcome) -> None:
    scores: dict[str, dict[str, dict[str, str]]] = {}
    guesses: dict[str, dict[str, str]] = {}
    answers: dict[str, dict[str, dict[str, Any]]] = {}
    for task in (data.task for data in spec.data):
        for language, predictions in sorted(outcome[task.name].items()):
            write_predictions(folder / "predictions", task.name, language, task.metric, predictions.submitted)
            for name, value in predictions.scores(task.metric, language).items():
                scores.setdefault(task.name, {}).setdefault(name, {})[language] = repr(value)
            if predictions.chance is not None:
                guesses.setdefault(task.name, {})[language] = repr(predictions.chance)
            if predictions.clusters is not None:
                pairs = zip(predictions.gold, predictions.predicted, strict=True)
                right = "".join("1" if gold == predicted else "0" for gold, predicted in pairs)
                answers.setdefault(task.name, {})[language] = {
                    "right": right,
                    "clusters": predictions.clusters,
                    **({"shared": True} if predictions.shared else {}),
                }
    _write_json(folder / SCORES, scores)
    _write_json(folder / "chance.json", guesses)
    if answers:
        (folder / "answers.json").write_text(json.dumps(answers, sort_keys=True) + "\n", encoding="utf-8")


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
