"""Specs good and bad: one in which every field stands, what can be done to any field, and fields that need each other."""

from __future__ import annotations

import copy
import itertools
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

Spec = dict[str, Any]
Path = tuple[str | int, ...]

DIGEST: Final = "0123456789abcdef" * 4
COMMIT: Final = "0123456789" * 4
ABSENT: Final = object()
MOST: Final = int(os.environ.get("XSTILTS_TEST_VALUES", "7"))  # of about 70 a field: 1000 stands for all

FULL: Final[Spec] = {
    "models": [
        {
            "name": "small", "pretrained": f"store://e5-small@sha256:{DIGEST}", "family": "E5", "form": "EncoderHead",
            "pooling": "Mean", "layer": -1, "prefix": "query: ",
            "stageResources": {"gpus": 2, "cpu": 8, "memory": "64Gi", "nodes": 2},
        },
        {
            "name": "xlmr", "pretrained": "FacebookAI/xlm-roberta-large", "revision": COMMIT,
            "lora": {"rank": 8, "alpha": 16, "dropout": "0.1", "targetModules": ["query", "attention.self.value"]},
        },
    ],
    "tasks": [
        {"name": "ccg", "data": f"store://ccg@sha256:{DIGEST}"},
        {
            "name": "xnli", "data": f"store://xnli@sha256:{DIGEST}", "languages": ["en", "de"],
            "splits": {"train": "train", "validation": "dev", "test": "test_from_dev"},
        },
        {
            "name": "months", "type": "Classification", "labels": ["spring", "autumn"], "data": "store://months",
            "languages": ["en", "fi"],
        },
    ],
    "dataRevisions": {"nyu-mll/glue": COMMIT},
    "intermediates": [
        {"name": "mnli", "tasks": ["mnli"]},
        {
            "name": "two", "tasks": ["ccg", "mnli"],
            "mixing": {"strategy": "Temperature", "temperature": "2.0", "examplesCap": 1000},
        },
        {
            "name": "mnli-mlm", "tasks": ["mnli"], "translatedTo": ["de"],
            "continuedPretraining": {
                "objective": "MLM", "ratio": "0.20", "corpus": "wikipedia", "languages": ["ar", "sw"],
            },
        },
    ],
    "baseline": True,
    "targets": [{"task": "xnli"}, {"task": "months"}, {"task": "tatoeba", "probeLayers": True}],
    "seeds": [1, 2],
    "training": {
        "defaults": {
            "learningRate": "1.0E-05", "epochs": 2, "batchSize": 32, "maxLength": 128, "maxExamples": 1000,
            "warmupRatio": "0.1", "weightDecay": "0", "optimizer": "AdamW", "precision": "FP32",
        },
        "overrides": [
            {"match": {"phase": "target", "task": "xnli", "model": "xlmr"}, "learningRate": "3e-5"},
            {"match": {"phase": "target", "family": "XLMR"}, "sweep": {"learningRate": ["1e-5", "2e-5"]}},
        ],
    },
    "analysis": {"primary": ["transferGap"], "correction": "BH"},
    "store": {"name": "experiments", "keep": "Intermediate"},
    "resources": {
        "gpus": 1, "cpu": 4, "memory": "32Gi", "nodes": 1, "nodeSelector": {"example.org/gpu": "h100"},
        "priorityClassName": "low", "runtimeClassName": "nvidia",
        "tolerations": [
            {"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
            {"key": "team", "operator": "Equal", "value": "nlp"},
        ],
    },
    "queueName": "gpu-queue",
    "parallelism": 8,
    "budget": {"gpuHours": 200},
    "suspend": False,
    "retryFailedAt": "2026-01-31T08:00:00Z",
    "activeDeadlineSeconds": 604_800,
    "ttlSecondsAfterFinished": 0,
}  # fmt: skip

SMALL: Final[Spec] = {
    "models": [{"name": "base", "pretrained": "FacebookAI/xlm-roberta-base"}],
    "targets": [{"task": "xnli"}],
    "seeds": [1],
}

_OF_ANOTHER_TYPE: Final = (None, "text", "text-2", 7, True, 1.5, [], {}, ["text"])
_WORDS: Final = (
    "EncoderHead", "TextToText", "MT5", "BERT", "First", "Transformers", "Uniform", "Proportional", "SpanCorruption",
    "Adafactor", "intermediate", "Holm", "All", "Scores", "Equal", "Exists", "NoSchedule", "Retrieval", "SpanQA",
    "Tagging", "meanZeroShot",
)  # fmt: skip
_STRINGS: Final = (
    "", " ", "-text", "text-", "TEXT", "text.2", "text_2", "none", "en", "zh-Hant", "ü", "a\nb", "text\n", "x" * 64,
    "x" * 254, "x" * 5000, "./path", "/path", "../path", "a/b", "a//b", "store://a", "store://a/b",
    "store://a@sha256:00", "0", "1", "1e-3", ".5", "5.", "1e-99", "100", "101", "-1", "+1", "1_0", "1e999", "nan",
    "32Gi", "0Gi", "1Pi", "2026-02-30T08:00:00Z", "2026-01-31 08:00:00Z", "2026-01-31t08:00:00.5+23:59",
    "2026-01-31T08:00:00+24:00", "2026-01-31T24:00:00Z", "1999-12-31T23:59:59Z", COMMIT, "g" * 40,
)  # fmt: skip
_INTEGERS: Final = (
    -257,
    -1,
    0,
    1,
    2,
    63,
    64,
    65,
    1000,
    1001,
    65_537,
    2**32 - 1,
    2**32,
    10**9 + 1,
    2**63 - 1,
    -(2**63),
)


class Case(NamedTuple):
    """A spec, and what was done to make it."""

    name: str
    spec: Spec


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of everything below a value."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in below:
        yield (*path, step)
        yield from paths(item, (*path, step))


def get(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def put(spec: Spec, path: Path, value: Any) -> Spec:
    """The same spec with another value at a path, or without it."""
    spec = copy.deepcopy(spec)
    parent = get(spec, path[:-1])
    if value is ABSENT:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return spec


def values_for(value: Any) -> Iterator[Any]:
    """What may be put in the place of a value: other types, other values, too much, too little."""
    yield ABSENT
    yield from (other for other in _OF_ANOTHER_TYPE if other != value or type(other) is not type(value))
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, *_INTEGERS)
        case str():
            yield from (value + "x", value.upper(), *_WORDS, *_STRINGS)
        case list():
            yield from (
                value[:1],
                value[::-1],
                [*value, value[0]],
                [*value, "other"],
                [*value, 3],
                value * 150,
            )
            if isinstance(value[0], str):
                yield [f"x-{index}" for index in range(200)]
        case dict():
            yield {**value, "unknown": 1}
            yield {**value, "Bad Key": "text", "b" * 400: "text"}


def mutations(spec: Spec, most: int = MOST) -> Iterator[Case]:
    """Each field of a spec without a value, and with `most` of those that may be put in its place."""
    rng = random.Random(0)  # noqa: S311 - cases, not secrets
    for path in paths(spec):
        _, *others = values_for(get(spec, path))
        for value in (ABSENT, *rng.sample(others, min(most, len(others)))):
            yield Case(f"{show(path)} = {brief(value)}", put(spec, path, value))


def mutated(rng: random.Random, spec: Spec, times: int) -> Case:
    """Several fields at once with other values, most of them absent."""
    done = []
    for _ in range(times):
        everything = list(paths(spec))
        if not everything:
            break
        path = rng.choice(everything)
        value = ABSENT if rng.random() < 0.6 else rng.choice(list(values_for(get(spec, path))))
        spec = put(spec, path, value)
        done.append(f"{show(path)} = {brief(value)}")
    return Case("; ".join(done), spec)


def show(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def brief(value: Any) -> str:
    text = "absent" if value is ABSENT else repr(value)
    return text if len(text) < 60 else f"{text[:57]}…"


def having(spec: Spec, **fields: Any) -> Spec:
    """The same spec with other fields."""
    return {**copy.deepcopy(spec), **fields}


def _own(**fields: Any) -> Spec:
    task = {
        "name": "own",
        "data": "store://own",
        "languages": ["en"],
        "type": "Classification",
        "labels": ["a", "b"],
    }
    merged = {name: value for name, value in {**task, **fields}.items() if value is not ABSENT}
    return having(SMALL, tasks=[merged], targets=[{"task": "own"}])


def _mixed(tasks: Sequence[str] = ("mnli", "qqp"), **mixing: Any) -> Spec:
    return having(SMALL, intermediates=[{"name": "two", "tasks": list(tasks), "mixing": mixing}])


def _tolerating(**toleration: Any) -> Spec:
    return having(SMALL, resources={"tolerations": [toleration]})


def _pretraining(objective: str, **model: Any) -> Spec:
    return having(
        SMALL,
        models=[{"name": "own", "pretrained": "store://own", **model}],
        intermediates=[
            {
                "name": "more",
                "tasks": ["mnli"],
                "continuedPretraining": {
                    "objective": objective, "ratio": "0.5", "corpus": "store://text", "languages": ["sw"],
                },
            }
        ],
    )  # fmt: skip


def together() -> Iterator[Case]:
    """Fields that need or exclude each other, in every combination."""
    for cases in (_grids, _mixings, _own_tasks, _tolerations, _objectives, _trainings, _models_and_lists):
        for name, spec in cases():
            yield Case(name, spec)


def _grids() -> Iterator[tuple[str, Spec]]:
    for baseline, intermediates in itertools.product(
        (True, False), (None, [], [{"name": "mnli", "tasks": ["mnli"]}])
    ):
        said = {} if intermediates is None else {"intermediates": intermediates}
        yield f"baseline {baseline}, intermediates {intermediates}", having(SMALL, baseline=baseline, **said)
    for count, seeds in ((32, 64), (32, 65), (25, 63), (26, 63), (33, 1)):
        models = [{"name": f"m-{index}", "pretrained": "google/mt5-base"} for index in range(count)]
        many = [{"name": f"i-{index}", "tasks": ["mnli"]} for index in range(62)]
        spec = having(SMALL, models=models, intermediates=many, seeds=list(range(seeds)))
        yield f"{count} models x 63 x {seeds} seeds", spec
        swept = {"match": {"phase": "target"}, "sweep": {"learningRate": ["1e-5", "2e-5"]}}
        yield (
            f"{count} models x 63 x {seeds} seeds x 2 rates",
            having(spec, training={"overrides": [swept]}),
        )


def _mixings() -> Iterator[tuple[str, Spec]]:
    more = ({}, {"temperature": "2"}, {"examplesCap": 5}, {"temperature": "2", "examplesCap": 5})
    for strategy, said in itertools.product((None, "Proportional", "Uniform", "Temperature"), more):
        mixing = {"strategy": strategy, **said} if strategy else said
        yield f"mixing {mixing}", _mixed(**mixing)
    yield "mixing of one", _mixed(["mnli"])


def _own_tasks() -> Iterator[tuple[str, Spec]]:
    types = ("Retrieval", "MultipleChoice", "SpanQA", "Tagging", "Classification", ABSENT)
    for kind, labels in itertools.product(types, (["a", "b"], ABSENT)):
        yield f"own {brief(kind)} with labels {brief(labels)}", _own(type=kind, labels=labels)
    for field in ("data", "languages"):
        yield f"own without {field}", _own(**{field: ABSENT})
    for name in ("tatoeba", "bucc2018", "xnli", "own"):
        yield f"{name} probed", having(_own(), targets=[{"task": name, "probeLayers": True}])
    yield "splits without data", _own(data=ABSENT, splits={"test": "dev"})
    yield "labels twice", _own(labels=["a", "b", "a"])
    trained = [{"name": "x", "tasks": ["own"]}]
    yield "retrieval trained", having(_own(type="Retrieval", labels=ABSENT), intermediates=trained)
    yield "own trained", having(_own(), intermediates=trained)


def _tolerations() -> Iterator[tuple[str, Spec]]:
    more = ({}, {"key": "gpu"}, {"value": "yes"}, {"key": "gpu", "value": "yes"})
    for operator, said in itertools.product(({}, {"operator": "Exists"}, {"operator": "Equal"}), more):
        yield f"toleration {operator | said}", _tolerating(**operator, **said)
    for effect in ({}, {"effect": "NoExecute"}, {"effect": "NoSchedule"}):
        yield f"seconds of {effect}", _tolerating(operator="Exists", tolerationSeconds=5, **effect)


def _objectives() -> Iterator[tuple[str, Spec]]:
    forms = ({}, {"form": "EncoderHead"}, {"form": "TextToText"})
    for objective, form, family in itertools.product(("MLM", "SpanCorruption"), forms, ("E5", "MT5")):
        yield f"{objective} of {family} {form}", _pretraining(objective, family=family, **form)


def _trainings() -> Iterator[tuple[str, Spec]]:
    rates = {"learningRate": "1e-5"}
    for training in (
        rates, {"defaults": rates}, {"sweep": {"learningRate": ["1e-5", "2e-5"]}},
        {**rates, "defaults": rates}, {**rates, "sweep": {"learningRate": ["1e-5"]}},
        {"defaults": rates, "sweep": {"learningRate": ["1e-5"]}}, {"defaults": {"epochs": 1}, **rates},
        {"sweep": {"learningRate": ["1e-5", "0.00001"]}}, {"sweep": {"learningRate": []}},
        {"overrides": [{"match": {}, **rates}]}, {"overrides": [{"match": {"phase": "target"}}]},
        {"overrides": [{"match": {"model": "base"}, **rates}]}, {"overrides": [{"match": {"model": "other"}, **rates}]},
        {"overrides": [{"match": {"family": "XLMR"}, **rates}]}, {"overrides": [{"match": {"family": "MT5"}, **rates}]},
        {"overrides": [{"match": {"phase": "target"}, "sweep": {"learningRate": ["1e-5", "2e-5"]}}]},
        {"overrides": [{"match": {"phase": "target"}, **rates, "sweep": {"learningRate": ["1e-5"]}}]},
        {"overrides": [{"match": {"phase": "target"}, "sweep": {"learningRate": ["1e-5", "0.00001"]}}]},
        {**rates, "overrides": [{"match": {"phase": "target"}, "sweep": {"learningRate": ["1e-5"]}}]},
    ):  # fmt: skip
        yield f"training {training}", having(SMALL, training=training)


def _models_and_lists() -> Iterator[tuple[str, Spec]]:
    for pretrained in ("store://a", "google/mt5-base", "./a", "/a", ".a/b"):
        model = {"name": "base", "pretrained": pretrained, "family": "MT5", "revision": COMMIT}
        yield f"revision of {pretrained}", having(SMALL, models=[model])
    again = {
        "models": {"name": "base", "pretrained": "google/mt5-base"},
        "targets": {"task": "xnli"},
        "seeds": 1,
    }
    for field, entry in again.items():
        yield f"twice in {field}", having(SMALL, **{field: [*SMALL[field], entry]})
    yield "dataRevisions of a bad id", having(SMALL, dataRevisions={"no-slash": COMMIT})
    yield "nodeSelector of a bad key", having(SMALL, resources={"nodeSelector": {"a b": "c"}})
