"""From a plan and a store to results: reads the evaluate artifacts that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from xstilts.catalogue import CATALOGUE
from xstilts.catalogue.overlap import Relation, relation
from xstilts.plan import Plan
from xstilts.results.departures import departures
from xstilts.results.rates import chosen_rates
from xstilts.results.rows import Answers, Evaluation, IntermediateTraits, Results, ScoreRow
from xstilts.spec import Experiment
from xstilts.spec.intermediates import IntermediateSpec
from xstilts.stage import EvaluateSpec, Kind, Stage
from xstilts.store import Store

SCORES = "scores.json"  # task -> metric -> language -> decimal in percent
CHANCE = "chance.json"  # task -> language -> decimal in percent
DEV = "dev.json"  # of a training: score, a decimal in percent or null
ANSWERS = "answers.json"  # task -> language -> right: a digit an item, clusters: a number an item, shared: see Answers


@dataclass(frozen=True)
class Numbers:
    """What an evaluate stage has given: scores and chance in the form of their files (see SCORES, CHANCE).

    `answers` are by task and language. `dev` is the score on English dev of the target's training that it evaluates, in percent.
    """

    scores: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    chance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    answers: Mapping[str, Mapping[str, Answers]] = field(default_factory=dict)
    dev: float | None = None


_NOTHING = Numbers()
_Clusters = dict[tuple[int, ...], tuple[int, ...]]  # each under itself


@dataclass(frozen=True)
class _Artifact:
    """An evaluate stage and its numbers; there are none where it has not run."""

    spec: EvaluateSpec
    seeded: bool
    numbers: Numbers

    def rows(self, cell: Evaluation) -> Iterator[ScoreRow]:
        """The scores of a cell, sorted by metric and language."""
        for metric, languages in sorted(self.numbers.scores.get(cell.target, {}).items()):
            for language, value in sorted(languages.items()):
                yield ScoreRow(
                    cell.model, cell.intermediate, cell.target, cell.seed, language, metric, float(value)
                )


def rows(plan: Plan, store: Store) -> list[ScoreRow]:
    """The scores that are in the store, in the order of the experiment file.

    Raises:
        StoreError: an artifact is damaged; it has been set aside.
    """
    read = _artifacts(plan, _from_store(plan, store))
    return [row for cell, artifact in read.items() for row in artifact.rows(cell)]


def gather(experiment: Experiment, plan: Plan, store: Store) -> Results:
    """The results of an experiment, as far as its evaluations are in the store.

    Raises:
        StoreError: an artifact is damaged; it has been set aside.
    """
    results = results_of(experiment, plan, _from_store(plan, store))
    return replace(results, rates=chosen_rates(plan, store))


def stored_scores(plan: Plan, store: Store) -> dict[str, Mapping[str, Mapping[str, Mapping[str, str]]]]:
    """The scores of a plan's evaluations that are in the store, by their keys.

    Raises:
        StoreError: an artifact is damaged; it has been set aside.
    """
    return {
        planned.key: json.loads(store.read_bytes(planned.key, SCORES))
        for planned in plan.of_kind(Kind.EVALUATE)
        if (manifest := store.lookup(planned.key)) is not None and SCORES in manifest.files
    }


def results_of(experiment: Experiment, plan: Plan, numbers: Mapping[str, Numbers]) -> Results:
    """The results of an experiment, from the numbers of its evaluations by their keys: of those that have any."""
    read = _artifacts(plan, numbers)
    data = {use.task.name: use for artifact in read.values() for use in artifact.spec.data}
    pretrained = {model.name: model.pretrained for model in experiment.spec.models}
    return Results(
        experiment=plan.name,
        models={cell.model: artifact.spec.model.family for cell, artifact in read.items()},
        intermediates=tuple(dict.fromkeys(cell.intermediate for cell in read)),
        targets={cell.target: data[cell.target].task.metric for cell in read},
        untrained=tuple(
            dict.fromkeys(cell.target for cell, artifact in read.items() if artifact.spec.retrieval)
        ),
        rows=tuple(row for cell, artifact in read.items() for row in artifact.rows(cell)),
        missing=tuple(cell for cell, artifact in read.items() if cell.target not in artifact.numbers.scores),
        chance={
            target: {language: float(value) for language, value in languages.items()}
            for artifact in read.values()
            for target, languages in artifact.numbers.chance.items()
        },
        answers={
            cell: artifact.numbers.answers[cell.target]
            for cell, artifact in read.items()
            if cell.target in artifact.numbers.answers
        },
        relations=_relations(experiment, {name: use.languages for name, use in data.items()}),
        traits={
            one.name: IntermediateTraits(one.tasks, _variant(one)) for one in experiment.spec.intermediates
        },
        dev={
            cell: artifact.numbers.dev for cell, artifact in read.items() if artifact.numbers.dev is not None
        },
        pretrained=pretrained,
        from_files=tuple(
            name
            for name in data
            if {name, _trained_on(name)} & {task.name for task in experiment.spec.tasks if task.data}
        ),
        departures=departures(plan, pretrained),
    )


def _trained_on(target: str) -> str:
    entry = CATALOGUE.get(target)
    return target if entry is None or entry.trains_on is None else entry.trains_on


def _artifacts(plan: Plan, numbers: Mapping[str, Numbers]) -> dict[Evaluation, _Artifact]:
    """Every cell of the grid, in the order of the experiment file; the seeds of a deterministic one are one."""
    artifacts = {
        planned.key: _Artifact(
            EvaluateSpec.model_validate(planned.stage.spec),
            _seeded(plan, planned.stage),
            numbers.get(planned.key, _NOTHING),
        )
        for planned in plan.of_kind(Kind.EVALUATE)
    }
    found = {}
    for cell in plan.cells():
        artifact = artifacts[plan.evaluate_key(cell)]
        seed = cell.seed if artifact.seeded else None
        found[Evaluation(cell.model, cell.intermediate, cell.target, seed)] = artifact
    return found


def _seeded(plan: Plan, stage: Stage) -> bool:
    """Whether a seed decides an evaluation: a stage of the plan has trained its checkpoint."""
    return any(plan.by_key[parent].stage.kind is Kind.TRAIN for parent in stage.parents.values())


def _from_store(plan: Plan, store: Store) -> dict[str, Numbers]:
    known: _Clusters = {}
    return {
        planned.key: _numbers(planned.stage, plan, store, known) for planned in plan.of_kind(Kind.EVALUATE)
    }


def _numbers(stage: Stage, plan: Plan, store: Store, known: _Clusters) -> Numbers:
    manifest = store.lookup(stage.key)

    def content(name: str) -> Any:
        there = manifest is not None and name in manifest.files
        return json.loads(store.read_bytes(stage.key, name)) if there else {}

    dev = None if manifest is None else _dev(stage, plan, store)
    answers = {
        task: {language: _answers(one, known) for language, one in languages.items()}
        for task, languages in content(ANSWERS).items()
    }
    return Numbers(content(SCORES), content(CHANCE), answers, dev)


def _answers(one: Mapping[str, Any], known: _Clusters) -> Answers:
    """Of one language. Clusters, which are most of it and the same in all evaluations of a test set, are held once."""
    clusters = tuple(one["clusters"])
    return Answers(one["right"], known.setdefault(clusters, clusters), one.get("shared", False))


def _dev(stage: Stage, plan: Plan, store: Store) -> float | None:
    """The English dev score of the target's training that an evaluation is of; after a sweep that of the best rate."""
    scores = []
    for parent in stage.parents.values():
        trained = plan.by_key[parent].stage
        if trained.kind is Kind.TRAIN and trained.spec["phase"] == "target":
            trained_once = store.record(parent)
            if trained_once is None or DEV not in trained_once.manifest.files:
                return None
            scores.append(json.loads(store.read_bytes(parent, DEV)).get("score"))
    known = [float(score) for score in scores if score is not None]
    return max(known) if known else None


def _variant(intermediate: IntermediateSpec) -> str:
    """What an intermediate has beside its tasks, in words; nothing where nothing."""
    continued, translated = intermediate.continued_pretraining, intermediate.translated_to or ()
    parts = [f"continued {continued.objective}"] if continued else []
    return ", ".join(parts + ([f"translated to {' '.join(translated)}"] if translated else []))


def _relations(
    experiment: Experiment, targets: Mapping[str, tuple[str, ...]]
) -> dict[tuple[str, str, str], Relation]:
    return {
        (intermediate.name, target, language): relation(
            intermediate.tasks, target, language, translated_to=intermediate.translated_to or ()
        )
        for intermediate in experiment.spec.intermediates
        for target, languages in targets.items()
        for language in languages
    }
