"""The one reason: which of all that a cluster tells is said."""

from __future__ import annotations

from typing import ClassVar

import pytest

from xstilts.cluster import paths
from xstilts.cluster.explain import Evidence, blamed, explain
from xstilts.cluster.place import ClusterPlace
from xstilts.cluster.reading import (
    after_the_failures,
    experiment_standing,
    stage_standings,
    stage_state,
)
from xstilts.standing import StageStanding, State

TABLE_COLUMNS = ("Name", "Kind", "State", "Percent", "ETA", "Score", "Title", "Age", "Attempt", "Reason")


def experiment(reason="", message="", status="Unknown", *, generation=1, seen=1, suspend=False, **more):
    conditions = (
        [{"type": "Succeeded", "status": status, "reason": reason, "message": message}] if reason else []
    )
    return {
        "metadata": {
            "name": "a",
            "namespace": "ml",
            "uid": "u",
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"suspend": suspend},
        "status": {"observedGeneration": seen, "conditions": conditions, **more} if seen else {},
    }


def said(obj, *stages, evidence=None):
    found = explain(experiment_standing(obj, "here", stages), obj, evidence or Evidence())
    return found.reason, found.remedy.partition(" ")[0] if found.remedy else "", found.advancing


def stage(state, reason="", title="train xnli"):
    return StageStanding(name="train-1", kind="train", title=title, state=state, reason=reason)


RUNNING = stage(State.RUNNING)


@pytest.mark.parametrize(
    ("obj", "stages", "expected"),
    [
        (experiment(seen=None), (), ("no operator has looked at it", "`xstilts", False)),
        (
            experiment("Running", "…", generation=2),
            (),
            ("no operator has looked at the last edit of it", "`xstilts", False),
        ),
        (experiment("Suspended", suspend=True), (), ("spec.suspend is true", "xstilts", False)),
        (experiment("Running", "1 runs"), (RUNNING,), ("1 runs", "", True)),
        (
            experiment("InvalidSpec", "spec.seeds: must …", "False"),
            (),
            ("spec.seeds: must …", "mend", False),
        ),
        (experiment("BudgetSpent", "is spent"), (RUNNING,), ("is spent", "raise", False)),
        (experiment("Queued", "waits in queue a"), (), ("waits in queue a", "nothing,", False)),
        (
            experiment("Completed", "all", "True", completionTime="2026-01-01T00:00:00Z"),
            (),
            ("it has come to its end: every stage is done", "", False),
        ),
    ],
)
def test_the_first_that_holds(obj, stages, expected):
    assert said(obj, *stages) == expected


def test_a_pod_that_cannot_start_is_told_in_its_own_words():
    obj = experiment("WaitingForStages", "train xnli: Unschedulable: …")
    hangs = stage(State.RUNNING, "Unschedulable")
    found = explain(
        experiment_standing(obj, "here", [hangs]),
        obj,
        Evidence(
            stage={
                "spec": {"title": "train xnli"},
                "status": {
                    "state": "Active",
                    "reason": "Unschedulable",
                    "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
                },
            },
            events=[
                event("Normal", "Scheduled", "a", "2026-01-02T00:00:00Z"),
                event("Warning", "FailedScheduling", "0/3 nodes", "2026-01-01T00:00:00Z"),
            ],
        ),
    )
    assert found.reason == "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    assert found.event == "FailedScheduling: 0/3 nodes (Pod p)"
    assert found.remedy.startswith("ask for less in spec.resources")


def event(kind, reason, message, time):
    return {
        "type": kind,
        "reason": reason,
        "message": message,
        "lastTimestamp": time,
        "involvedObject": {"kind": "Pod", "name": "p"},
    }


def test_who_is_blamed():
    failed, waits, blocked = (
        stage(State.FAILED),
        stage(State.WAITING, "BackingOff"),
        stage(State.BLOCKED, "ParentFailed"),
    )
    assert blamed([RUNNING, blocked, waits, failed]) is failed
    assert blamed([RUNNING, blocked, waits]) is waits
    assert blamed([RUNNING]) is None


def test_states_in_common_words():
    assert stage_state("Active", "Queued") is State.QUEUED
    assert stage_state("Succeeded", "Cached") is State.CACHED
    assert stage_state("Pending", "ParentFailed") is State.BLOCKED
    assert stage_state(None, None) is State.PENDING


def test_only_the_stages_that_it_owns():
    table = {
        "columnDefinitions": [{"name": name} for name in TABLE_COLUMNS],
        "rows": [
            {
                "cells": ["s", "train", "Active", 40, 30, None, "train xnli", "1m", 1, None],
                "object": {"metadata": {"ownerReferences": [{"uid": owner}]}},
            }
            for owner in ("u", "other")
        ],
    }
    (found,) = stage_standings(table, "u")
    assert (found.percent, found.eta_seconds, found.state) == (40, 30, State.RUNNING)


def transfer_stage(state, completed=None, owner="u"):
    said = {"completedAt": completed} if completed else {}
    return {"metadata": {"ownerReferences": [{"uid": owner}]}, "status": {"state": state, **said}}


def test_a_retry_is_dated_after_the_last_failure_by_the_operators_clock_and_never_back():
    stages = [
        transfer_stage("Failed", "2026-01-01T00:00:07Z"),
        transfer_stage("Failed", "2026-01-01T00:00:05Z"),
        transfer_stage("Succeeded", "2026-01-01T00:00:09Z"),
        transfer_stage("Failed", "2026-01-01T00:00:11Z", owner="another"),
        transfer_stage("Pending"),
        {"metadata": {}},
    ]
    obj = experiment()
    assert after_the_failures(obj, stages).isoformat() == "2026-01-01T00:00:08+00:00"
    obj["spec"]["retryFailedAt"] = "2026-01-01T00:00:10Z"
    assert after_the_failures(obj, stages).isoformat() == "2026-01-01T00:00:10+00:00"
    obj["status"] |= {"completionTime": "2026-01-01T00:40:00Z", "report": {"state": "Written"}}
    assert after_the_failures(obj, stages).isoformat() == "2026-01-01T00:00:10+00:00"
    obj["status"]["report"] = {"state": "Failed"}
    assert after_the_failures(obj, stages).isoformat() == "2026-01-01T00:40:01+00:00"


@pytest.mark.parametrize(("state", "times"), [("Failed", ["2026-01-01T00:40:01Z"]), ("Written", [])])
def test_a_report_that_has_failed_is_something_to_try_again(state, times):
    obj = experiment()
    obj["status"] |= {"completionTime": "2026-01-01T00:40:00Z", "report": {"state": state}}

    class Fake:
        context, namespace = "there", "team"
        patched: ClassVar = []

        def get(self, path, **_):
            if path == paths.experiments("team", obj["metadata"]["name"]):
                return obj
            return {"columnDefinitions": [], "rows": [], "items": []}

        def call(self, _verb, _path, body, **_):
            self.patched.append(body["spec"]["retryFailedAt"])

    client = Fake()
    tried = ClusterPlace(client).retry_failed(obj["metadata"]["name"])
    assert [one.kind for one in tried] == ["report"] * len(times)
    assert client.patched == times
