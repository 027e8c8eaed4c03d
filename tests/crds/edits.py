"""Edits of experiments that have begun: what may be done, and what looks like it and may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crds.manifests import ABSENT, COMMIT, FULL, SMALL, Case, Spec, having, put


def growth() -> Iterator[Case]:
    """What may be done to FULL once it has begun, and what looks like it and may not."""

    def grown(field: str, *more: Any) -> Spec:
        return having(FULL, **{field: [*FULL[field], *more]})

    yield Case("nothing", FULL)
    yield Case(
        "a model", grown("models", {"name": "more", "pretrained": "google/mt5-base", "form": "EncoderHead"})
    )
    yield Case("an intermediate", grown("intermediates", {"name": "qqp", "tasks": ["qqp"]}))
    yield Case("a target", grown("targets", {"task": "pawsx"}))
    yield Case("a seed", grown("seeds", 3))
    yield Case("a task", grown("tasks", {"name": "squad", "data": "store://squad"}))
    yield Case("a task that is used already", grown("tasks", {"name": "mnli", "data": "store://mnli"}))
    yield Case("a commit", having(FULL, dataRevisions={**FULL["dataRevisions"], "a/b": COMMIT}))
    yield Case("another commit", having(FULL, dataRevisions={"nyu-mll/glue": "f" * 40}))
    yield Case("the first commit is gone", having(FULL, dataRevisions={"a/b": COMMIT}))
    for field, index in {"models": 0, "tasks": 1, "intermediates": 0, "targets": 1, "seeds": 0}.items():
        yield Case(f"{field} in another order", having(FULL, **{field: FULL[field][::-1]}))
        yield Case(f"{field} without one", put(FULL, (field, index), ABSENT))
    resources = {"gpus": 8, "nodes": 2}
    yield Case("stageResources", put(FULL, ("models", 0, "stageResources"), resources))
    yield Case("no stageResources", put(FULL, ("models", 0, "stageResources"), ABSENT))
    yield Case("new stageResources", put(FULL, ("models", 1, "stageResources"), resources))
    yield Case("languages in another order", put(FULL, ("tasks", 1, "languages"), ["de", "en"]))
    yield Case("labels in another order", put(FULL, ("tasks", 2, "labels"), ["autumn", "spring"]))
    yield Case("a decimal spelt otherwise", put(FULL, ("training", "defaults", "learningRate"), "0.00001"))
    rates = ("training", "overrides", 1, "sweep", "learningRate")
    yield Case("rates in another order", put(FULL, rates, ["2e-5", "1e-5"]))
    yield Case("other rates", put(FULL, rates, ["2e-5"]))
    layers = ("models", 1, "lora", "targetModules")
    yield Case("layers in another order", put(FULL, layers, ["attention.self.value", "query"]))
    yield Case("another rank", put(FULL, ("models", 1, "lora", "rank"), 4))
    yield Case("no adapters", put(FULL, ("models", 1, "lora"), ABSENT))
    yield Case("splits.train left out", put(FULL, ("tasks", 1, "splits", "train"), ABSENT))
    yield Case("baseline left out", put(FULL, ("baseline",), ABSENT))


def defaults() -> Iterator[Case]:
    """What may be done to SMALL once it has begun: writing out what it leaves out, and what is not that."""
    yield Case(
        "defaults",
        having(SMALL, baseline=True, training={}, analysis={}, store={}, tasks=[], intermediates=[]),
    )
    yield Case(
        "defaults below", having(SMALL, training={"overrides": []}, store={"name": "default", "keep": "All"})
    )
    yield Case(
        "analysis", having(SMALL, analysis={"primary": ["transferGap", "meanZeroShot"], "correction": "Holm"})
    )
    yield Case("empty hyperparameters", having(SMALL, training={"defaults": {}}))
    yield Case("another store", having(SMALL, store={"name": "other"}))
    yield Case("keep", having(SMALL, store={"keep": "Scores"}))
    yield Case(
        "no baseline", having(SMALL, baseline=False, intermediates=[{"name": "mnli", "tasks": ["mnli"]}])
    )
    yield Case("a task that is used already", having(SMALL, tasks=[{"name": "xnli", "data": "store://xnli"}]))
    yield Case("a task that is not", having(SMALL, tasks=[{"name": "pawsx", "data": "store://pawsx"}]))
