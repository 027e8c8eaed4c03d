"""The API server and the manifest's models judge alike: any spec, and any edit of one that has begun."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import pytest
from kubernetes.aio.client import ApiException

from controlplane.api import Api
from crds.edits import defaults, growth
from crds.manifests import FULL, SMALL, Case, mutated, mutations, together
from crds.verdicts import expected_edit_problems, expected_problems, manifest, problems

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

STRICT = {"dryRun": "All", "fieldValidation": "Strict"}
AT_ONCE = 8
SPELLING = "a decimal spelt otherwise"  # the one edit that only the API server refuses: a rule sees strings


def experiments(namespace: str) -> str:
    return f"/apis/xstilts.dev/v1alpha1/namespaces/{namespace}/transferexperiments"


async def verdict(call: Any) -> str:
    """Why the API server refuses; empty where it does not."""
    try:
        await call
    except ApiException as error:
        if error.status not in {400, 422}:  # of the spec; anything else is no verdict
            raise
        return str(error.body)
    return ""


async def created(api: Api, namespace: str, spec: Any) -> str:
    return await verdict(api.create(experiments(namespace), manifest(spec), **STRICT))


async def judged(cases: Iterable[Case], judge: Any, expect: Any) -> list[str]:
    """The cases of which the API server says other than is expected."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> str:
        async with gate:
            said = await judge(case.spec)
        expected = expect(case.spec)
        if bool(said) == bool(expected):
            return ""
        return f"{case.name}\n    API server: {said or 'accepted'}\n    models: {expected or 'accepted'}"

    return [answer for answer in await asyncio.gather(*map(one, cases)) if answer]


async def test_the_two_specs_are_good(api: Api, namespace: str) -> None:
    for spec in (FULL, SMALL):
        assert problems(spec) == []
        assert await created(api, namespace, spec) == ""


@pytest.mark.parametrize("kind", ["any value in any field", "fields together", "several at random"])
async def test_a_spec(api: Api, namespace: str, kind: str) -> None:
    cases = {
        "any value in any field": lambda: mutations(FULL),
        "fields together": together,
        "several at random": lambda: (
            mutated(random.Random(seed), FULL, times=1 + seed % 6)  # noqa: S311 - cases, not secrets
            for seed in range(300)
        ),
    }[kind]()
    differ = await judged(cases, lambda spec: created(api, namespace, spec), expected_problems)
    assert not differ, f"{len(differ)} differ:\n" + "\n".join(differ[:40])


@pytest.mark.parametrize("begun", ["full", "small"])
async def test_an_edit_of_what_has_begun(api: Api, namespace: str, begun: str) -> None:
    old, by_hand = {"full": (FULL, growth), "small": (SMALL, defaults)}[begun]
    there = await api.create(experiments(namespace), manifest(old), fieldValidation="Strict")
    path = f"{experiments(namespace)}/parity"
    there = await api.patch(f"{path}/status", {"status": {"startTime": "2026-01-31T08:00:00Z"}})

    async def edited(spec: Any) -> str:
        return await verdict(api.replace(path, {**there, "spec": spec}, **STRICT))

    cases = [
        case
        for case in (*by_hand(), *mutations(old))
        if not problems(case.spec) and not expected_problems(case.spec)
    ]
    assert len(cases) > {"full": 200, "small": 10}[begun]
    differ = await judged(cases, edited, lambda spec: expected_edit_problems(old, spec))
    unlike = [one for one in differ if not one.startswith(SPELLING)]
    assert not unlike, f"{len(unlike)} differ:\n" + "\n".join(unlike[:40])
    assert len(differ) == {"full": 1, "small": 0}[begun]


async def test_anything_may_be_edited_before_it_has_begun(api: Api, namespace: str) -> None:
    there = await api.create(experiments(namespace), manifest(FULL), fieldValidation="Strict")
    assert (
        await verdict(api.replace(f"{experiments(namespace)}/parity", {**there, "spec": SMALL}, **STRICT))
        == ""
    )


async def test_what_a_refused_edit_says(api: Api, namespace: str) -> None:
    there = await api.create(experiments(namespace), manifest(SMALL), fieldValidation="Strict")
    path = f"{experiments(namespace)}/parity"
    there = await api.patch(f"{path}/status", {"status": {"startTime": "2026-01-31T08:00:00Z"}})
    spec = {**SMALL, "seeds": [2], "store": {"name": "other"}}
    said = await verdict(api.replace(path, {**there, "spec": spec}, **STRICT))
    assert "spec.seeds: Invalid value" in said
    assert "must keep every seed once the experiment has begun; make another experiment" in said
    assert "must not change once the experiment has begun" in said


async def test_a_name(api: Api, namespace: str) -> None:
    for name, good in (("a" * 63, True), ("a" * 64, False), ("a.b", False)):
        said = await verdict(api.create(experiments(namespace), manifest(SMALL, name), **STRICT))
        assert bool(said) is not good, said


async def test_a_stage_does_not_change(api: Api, namespace: str) -> None:
    stages = f"/apis/xstilts.dev/v1alpha1/namespaces/{namespace}/transferstages"
    spec = {
        "key": "0" * 64,
        "kind": "train",
        "store": "default",
        "stage": "{}",
        "parents": {},
        "title": "one",
    }
    stage = {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferStage",
        "metadata": {"name": "train-1"},
        "spec": spec,
    }
    there = await api.create(stages, stage, fieldValidation="Strict")
    assert await verdict(api.replace(f"{stages}/train-1", there, **STRICT)) == ""
    said = await verdict(
        api.replace(f"{stages}/train-1", {**there, "spec": {**spec, "title": "two"}}, **STRICT)
    )
    assert "must not change: a stage is what its key says" in said
