"""The answers of lookups fit into a pod's last message, and are read by nobody but those whom they are for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.canonical import digest
from xstilts.stage import Kind
from xstilts_operator.actions import Reference, Resource
from xstilts_operator.answers import (
    Found,
    LookupAnswer,
    answer_size,
    failure,
    lookup_answer,
    read_answer,
    to_message,
)
from xstilts_operator.jobs import indexes, lookup_job, report_job, report_name
from xstilts_operator.jobs.lookup import ANSWER_BYTES
from xstilts_operator.names import OUTPUTS_ANNOTATION

OWNER = Reference(Resource.EXPERIMENT, "team", "grid", "uid")
LANGUAGES = st.dictionaries(st.from_regex(r"[a-z]{2}", fullmatch=True), st.just("99.99"), max_size=60)
FOUND = st.builds(
    lambda languages: Found(outputs_digest="d" * 64, scores={"xnli": {"accuracy": languages}}), LANGUAGES
)


@given(found=st.dictionaries(st.integers(0, 10**6).map(digest), FOUND, max_size=25))
def test_an_answer_fits_and_loses_no_stage(found):
    message = lookup_answer("grid-plan-0123", 3, found)
    assert len(message) <= 4096
    answer = read_answer(LookupAnswer, message.decode(), "grid-plan-0123")
    assert answer.index == 3
    assert answer.by_key(found).keys() == found.keys()
    for key, one in answer.by_key(found).items():
        assert one.outputs_digest == found[key].outputs_digest
        assert one.scores in ({}, found[key].scores)


def test_longest_scores_go_first():
    long = Found(outputs_digest="d" * 64, scores={"t": {"f1": {f"l{i}": "50.00" for i in range(300)}}})
    short = Found(outputs_digest="d" * 64, scores={"t": {"f1": {"en": "50.00"}}})
    message = lookup_answer("plan", 0, {"a" * 64: long, "b" * 64: short})
    found = json.loads(message)["found"]
    assert found["a" * 16]["scores"] == {}
    assert found["b" * 16]["scores"] == short.scores


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "log output", '{"schema": "xstilts.dev/lookup/v2", "plan": "p", "index": 0}'],
)
def test_what_is_no_answer_is_none(text):
    assert read_answer(LookupAnswer, text, "p") is None


def test_an_answer_about_another_plan_is_none():
    assert read_answer(LookupAnswer, lookup_answer("other", 0, {}).decode(), "plan") is None


@given(text=st.text(max_size=3000))
def test_a_failure_fits(text):
    answer = LookupAnswer(
        schema_="xstilts.dev/lookup/v1", plan="p" * 63, index=9999, error=failure(text, text)
    )
    assert len(to_message(answer)) <= 4096
    assert read_answer(LookupAnswer, to_message(answer).decode(), "p" * 63) == answer


def test_a_preparation_takes_a_bit_and_its_prefix_and_a_training_what_it_cost():
    assert answer_size(Kind.PREPARE, {}) == len('"0123456789abcdef":{},')
    assert answer_size(Kind.TRAIN, {}) == len('"0123456789abcdef":{"dropped":true,"gpuSeconds":999999999},')


@pytest.mark.parametrize("seeds", [1, 8, 64])
def test_as_many_indexes_as_answers_need_and_every_key_asked_once(seeds, accepted):
    document = accepted(seeds=list(range(seeds)))
    number = indexes(document)
    shares = [document.questions()[index::number] for index in range(number)]
    assert sorted(key for share in shares for key in share) == sorted(document.stages)
    sizes = [sum(document.stages[key].answer for key in share) for share in shares]
    assert max(sizes) <= ANSWER_BYTES
    assert number <= 2 + sum(sizes) // (ANSWER_BYTES // 2)


def test_a_lookup_is_an_indexed_job_on_the_plan(accepted, settings):
    document = accepted(seeds=list(range(40)))
    job = lookup_job(OWNER, "grid-plan-0123", document, settings.stores["default"], settings)
    number = indexes(document)
    assert number > 1
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] == number
    assert job["metadata"]["name"] == "grid-plan-0123-lookup"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["XSTILTS_INDEXES"] == str(number)
    assert environment["XSTILTS_PLAN"] == "grid-plan-0123"
    assert container["image"] == "registry.example/operator:1"
    assert container["command"][2:] == ["xstilts_operator.lookup", "/etc/xstilts/plan/plan.json.gz"]


def test_a_report_is_named_by_what_it_is_over(settings):
    outputs = {"a" * 64: "d" * 64, "b" * 64: "e" * 64}
    job = report_job(
        OWNER, "grid-plan", outputs, "2026-01-31T08:00:00Z", settings.stores["default"], settings
    )
    assert job["metadata"]["name"] == report_name("grid-plan", outputs)
    assert report_name("grid-plan", outputs) != report_name("grid-plan", {"a" * 64: "d" * 64})
    said = json.loads(job["spec"]["template"]["metadata"]["annotations"][OUTPUTS_ANNOTATION])
    assert said == {"a" * 16: "d" * 16, "b" * 16: "e" * 16}
