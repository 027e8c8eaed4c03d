"""Good manifests: what they become, and that writing and reading them again changes nothing."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xstilts.catalogue import CATALOGUE, INTERMEDIATES, TARGETS
from xstilts.errors import SpecError
from xstilts.spec import (
    Experiment,
    Override,
    is_hub_id,
    is_path,
    is_unpinned_input,
    load_experiment,
    parse_experiment,
    store_input,
)
from xstilts.spec.document import parse_document
from xstilts.stage import Family, Form, InputRef, Pooling
from xstilts.store.layout import INPUT_NAME
from xstilts.task import TaskType

DIGEST = "0123456789abcdef" * 4
COMMIT = "0123456789" * 4

EVERYTHING = f"""\
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata:
  name: everything
  namespace: research
  labels: {{app.kubernetes.io/part-of: xstilts, team: nlp}}
  annotations: {{example.org/note: "free text: ü"}}
spec:
  models:
    - {{name: small, pretrained: "store://e5-small@sha256:{DIGEST}", family: E5, pooling: Mean, layer: -1, prefix: "query: "}}
    - {{name: xlmr, pretrained: FacebookAI/xlm-roberta-large, revision: "{COMMIT}", form: EncoderHead,
       stageResources: {{gpus: 2, cpu: 8, memory: 64Gi, nodes: 2}}}}
    - {{name: local, pretrained: ./model, family: BERT}}
  tasks:
    - {{name: ccg, data: "store://ccg@sha256:{DIGEST}"}}
    - {{name: xnli, data: ../xnli, splits: {{test: test_from_dev}}, languages: [en, de]}}
    - {{name: months, type: Classification, labels: [spring, autumn], data: ./months, languages: [en, fi, "no"]}}
  intermediates:
    - {{name: mnli, tasks: [mnli]}}
    - {{name: two, tasks: [ccg, mnli, months], mixing: {{strategy: Temperature, temperature: "2.0", examplesCap: 1000}}}}
    - {{name: mnli-mlm, tasks: [mnli], continuedPretraining: {{objective: MLM, ratio: "0.20", corpus: wikipedia, languages: [ar, sw]}}}}
    - {{name: mnli-de, tasks: [mnli], translatedTo: [de]}}
  targets: [{{task: xnli}}, {{task: months}}, {{task: tatoeba}}]
  seeds: [1, 2]
  training:
    defaults: {{learningRate: 1.0E-05, epochs: 2, batchSize: 32, maxLength: 128, maxExamples: 1000, warmupRatio: "0.1",
      weightDecay: "0", optimizer: AdamW}}
    overrides: [{{match: {{phase: target, task: xnli, model: xlmr}}, learningRate: "3e-5"}}]
  analysis: {{primary: [transferGap], correction: BH}}
  store: {{name: experiments, keep: Intermediate}}
  resources: {{gpus: 1, cpu: 4, memory: 32Gi, nodeSelector: {{gpu: h100}}, priorityClassName: low,
    tolerations: [{{key: gpu, operator: Exists, effect: NoExecute, tolerationSeconds: 60}}]}}
  queueName: gpu-queue
  parallelism: 8
  budget: {{gpuHours: 200}}
  suspend: false
  retryFailedAt: 2026-01-31T08:00:00Z
  activeDeadlineSeconds: 604800
  ttlSecondsAfterFinished: 0
""".replace("1.0E-05", '"1.0E-05"')


def test_everything():
    spec = parse_experiment(EVERYTHING).spec
    assert [model.family for model in spec.models] == [Family.E5, None, Family.BERT]
    assert spec.models[0].pooling is Pooling.MEAN
    assert spec.models[0].prefix == "query: "
    assert spec.models[1].form is Form.ENCODER_HEAD
    assert spec.tasks[1].splits is not None
    assert (spec.tasks[1].splits.train, spec.tasks[1].splits.test) == ("train", "test_from_dev")
    assert spec.tasks[2].type is TaskType.CLASSIFICATION
    assert spec.tasks[2].languages == ("en", "fi", "no")
    assert spec.intermediates[1].mixing is not None
    assert spec.intermediates[1].mixing.temperature == "2"
    assert spec.training.base.learning_rate == "1e-5"
    assert spec.training.overrides[0].match.task == "xnli"
    assert spec.retry_failed_at == datetime(2026, 1, 31, 8, tzinfo=UTC)


def test_defaults(manifest):
    spec = parse_experiment(manifest()).spec
    assert spec.baseline is True
    assert (spec.resources.gpus, spec.resources.cpu, spec.resources.nodes) == (0, 2, 1)
    assert (spec.store.name, spec.store.keep) == ("default", "All")
    assert spec.analysis.primary == ("meanZeroShot", "transferGap")
    assert spec.training.base == Override()


def test_a_bare_learning_rate_is_a_default(manifest):
    bare = parse_experiment(manifest(training="{learningRate: '1e-5', defaults: {epochs: 2}}"))
    full = parse_experiment(manifest(training="{defaults: {learningRate: '0.00001', epochs: 2}}"))
    assert bare.spec.training.base == full.spec.training.base


def test_one_value_however_it_is_written(manifest):
    first, *others = [
        parse_experiment(manifest(training=f"{{learningRate: '{one}'}}"))
        for one in ("1e-5", "1E-05", "0.00001", "0.000010", ".00001")
    ]
    assert all(other == first for other in others)


def test_frozen(manifest):
    experiment = parse_experiment(manifest())
    with pytest.raises(ValidationError, match="frozen"):
        experiment.spec.suspend = True


def test_sources():
    uri = f"store://e5-small@sha256:{DIGEST}"
    assert store_input(uri, "mark") == InputRef(name="e5-small", digest=DIGEST)
    assert str(store_input(uri, "mark")) == uri
    assert store_input("./e5-small", "mark") is None
    assert store_input(f"{uri}0", "mark") is None
    assert store_input("store://e5-small", "mark") == InputRef(name="e5-small", digest="mark/e5-small")
    assert is_unpinned_input("store://e5-small")
    assert not is_unpinned_input(uri)
    assert not is_unpinned_input("./e5-small")
    assert [is_path(source) for source in ("./m", "../m", "/m", "a/m", uri)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert [is_hub_id(source) for source in ("google/mt5-base", "./m", "mt5-base", "a/b/c", uri)] == [
        True, False, False, False, False,
    ]  # fmt: skip


@given(st.from_regex(r"[A-Za-z0-9._-]{1,130}", fullmatch=True))
def test_an_input_has_the_name_that_the_store_gives(name):
    in_store = INPUT_NAME.fullmatch(name) is not None
    assert (store_input(f"store://{name}@sha256:{DIGEST}", "mark") is not None) is in_store


# Any valid experiment, written and read again, is the same.

names = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(lambda name: name != "none")
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
stores = st.builds("store://{}@sha256:{}".format, names, digests)
rates = st.sampled_from(["1e-5", "0.00003", "5E-6", ".001", "1"])
languages = st.lists(
    st.sampled_from(["ar", "de", "no", "sw", "zh", "yo", "zh-Hant"]), min_size=1, max_size=4, unique=True
)
words = st.text(st.characters(exclude_categories=["C"], include_characters=" \u2028"), max_size=8)


def some(strategy: st.SearchStrategy[Any], least: int = 0, by: Any = None) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, min_size=least, max_size=4, unique_by=by or str)


def mapping(
    required: dict[str, Any], optional: dict[str, Any] | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional or {})


by_name = lambda entry: entry["name"]  # noqa: E731 - a key function
models = mapping(
    {
        "name": names,
        "pretrained": stores | st.just("google/mt5-base") | st.just("./m"),
        "family": st.just("MT5"),
    },
    {"prefix": words, "layer": st.integers(-8, 8), "form": st.sampled_from(["EncoderHead", "TextToText"])},
)
own_tasks = mapping(
    {
        "name": names.map("own-{}".format),
        "data": stores,
        "type": st.just("Tagging"),
        "labels": st.lists(
            st.sampled_from(["yes", "1", "null", "1e5", "O", "ü", "a: b", "#"]), min_size=2, unique=True
        ),
        "languages": languages,
    }
)
overrides = {
    "epochs": st.integers(1, 9),
    "learningRate": rates,
    "warmupRatio": st.sampled_from(["0", "0.10", "1e-1"]),
    "optimizer": st.just("Adafactor"),
}


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    tasks = draw(some(own_tasks, by=by_name))
    own = [task["name"] for task in tasks]
    usable = [
        name for name in (*INTERMEDIATES, *own) if name not in CATALOGUE or not CATALOGUE[name].unavailable
    ]
    intermediates = mapping({"name": names, "tasks": some(st.sampled_from(usable), 1)})
    targets = [name for name in (*TARGETS, *own) if name not in CATALOGUE or not CATALOGUE[name].unavailable]
    spec = mapping(
        {
            "models": some(models, 1, by=by_name),
            "tasks": st.just(tasks),
            "intermediates": some(intermediates, by=by_name),
            "targets": some(st.sampled_from(targets), 1).map(
                lambda names: [{"task": name} for name in names]
            ),
            "seeds": st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5, unique=True),
        },
        {
            "training": mapping({}, {"defaults": mapping({}, overrides)}),
            "resources": mapping(
                {}, {"nodeSelector": st.dictionaries(names, st.sampled_from(["", "no", "1"]), max_size=3)}
            ),
            "suspend": st.booleans(),
            "retryFailedAt": st.integers(946_684_800, 32_503_679_999).map(
                lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat()
            ),
        },
    )
    return {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": draw(mapping({"name": names}, {"annotations": st.dictionaries(names, words, max_size=3)})),
        "spec": draw(spec),
    }  # fmt: skip


class QuotingDumper(yaml.SafeDumper):
    """YAML with every string in quotes: YAML 1.1's rules for plain ones differ between writers and readers."""


QuotingDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(manifests())
def test_round_trip(manifest):
    experiment = parse_experiment(json.dumps(manifest, ensure_ascii=False))
    plain = experiment.model_dump(mode="json")
    short = experiment.model_dump(mode="json", exclude_unset=True)
    assert parse_experiment(yaml.dump(plain, Dumper=QuotingDumper, allow_unicode=True)) == experiment
    assert parse_experiment(yaml.dump(short, Dumper=QuotingDumper, sort_keys=False)) == experiment
    assert Experiment.model_validate(plain) == experiment


# Whatever a file holds, it is an experiment or a SpecError.


def reads_or_refuses(text: str) -> None:
    with suppress(SpecError):
        parse_experiment(text)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("bytes") / "any.yaml"


@settings(max_examples=200)
@given(content=st.binary() | st.text().map(str.encode))
def test_any_bytes(file, content):
    file.write_bytes(content)
    with pytest.raises(SpecError):
        load_experiment(file)


@settings(max_examples=300)
@given(st.text())
def test_any_text(text):
    reads_or_refuses(text)


@settings(max_examples=300)
@given(st.text("&*<>[]{}:,-?|!#%@'\"\\ \n\tab01.", max_size=60))
def test_anything_like_yaml(text):
    reads_or_refuses(text)
    reads_or_refuses(f"apiVersion: {text}\nkind: x")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | rates,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.just("name"), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, item in below for place in places(item, (*path, step)))]


@settings(max_examples=100)
@given(st.data())
def test_any_value_anywhere(data):
    document = parse_document(EVERYTHING, "everything").value
    *above, last = data.draw(st.sampled_from([place for place in places(document) if place]))
    inner = document
    for step in above:
        inner = inner[step]
    inner[last] = data.draw(anything)
    reads_or_refuses(json.dumps(document))
