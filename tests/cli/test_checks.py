"""`xstilts doctor`: what it says of clusters that lack something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from xstilts.cluster.checks import Verdict, cluster_checks
from xstilts.cluster.client import DeniedError, NotFoundError
from xstilts.spec import StageResources, parse_experiment

EXPERIMENT = parse_experiment(
    """
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: a}
spec:
  models: [{name: base, pretrained: FacebookAI/xlm-roberta-base}]
  targets: [{task: xnli}]
  seeds: [1]
  queueName: gpus
  resources: {gpus: 4}
"""
)
API = "/apis/xstilts.dev/v1alpha1"
QUEUES = "/apis/kueue.x-k8s.io/v1beta2/namespaces/ml/localqueues"
LEASES = "/apis/coordination.k8s.io/v1/leases"


def node(name, gpus, **spec):
    return {
        "metadata": {"name": name},
        "spec": spec,
        "status": {
            "allocatable": {"nvidia.com/gpu": str(gpus)},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(gpus, phase="Running"):
    container = {"resources": {"requests": {"nvidia.com/gpu": str(gpus)}}}
    return {"spec": {"containers": [container]}, "status": {"phase": phase}}


def lease(age_seconds):
    renewed = (datetime.now(UTC) - timedelta(seconds=age_seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "metadata": {
            "name": "nlp-xstilts-operator",
            "namespace": "system",
            "labels": {"app.kubernetes.io/managed-by": "xstilts"},
        },
        "spec": {"holderIdentity": "operator-0", "renewTime": renewed},
    }


def queue(name, active="True"):
    conditions = [{"type": "Active", "status": active, "message": "stopped"}]
    return {"metadata": {"name": name}, "status": {"pendingWorkloads": 2, "conditions": conditions}}


WELL = {
    "/version": {"gitVersion": "v1.34.4"},
    API: {"resources": [{"kind": "TransferExperiment"}, {"kind": "TransferStage"}]},
    "/api/v1/namespaces/ml": {"status": {"phase": "Active"}},
    "/api/v1/nodes": {"items": [node("a", 8), node("b", 2), node("c", 8, unschedulable=True)]},
    "/api/v1/pods": {"items": [pod(3), pod(5, "Succeeded")]},
    "/api/v1/namespaces/ml/persistentvolumeclaims": {
        "items": [{"metadata": {"name": "store"}, "status": {"phase": "Bound"}}]
    },
    f"{API}/namespaces/ml/transferexperiments": {"items": []},
    QUEUES: {"items": [queue("gpus")]},
}


class Cluster:
    """Answers from a table; what is not in it is not there."""

    context, server = "test", "https://test"

    def __init__(self, changes, *, allowed=True):
        # the Lease has just been renewed, however long ago this module was read
        self._answers = WELL | {LEASES: {"items": [lease(3)]}} | changes
        self._allowed = allowed

    def get(self, path, **_):
        answer = self._answers.get(path)
        if answer is None:
            raise NotFoundError("nothing")
        if answer == "denied":
            raise DeniedError("no")
        return answer

    def call(self, method, path, body):
        return {"status": {"allowed": self._allowed}}


def found(changes=None, **options):
    return {one.name: one for one in cluster_checks(Cluster(changes or {}, **options), "ml", EXPERIMENT)}


def test_a_cluster_that_is_well():
    checks = found()
    assert {one.verdict for one in checks.values()} == {Verdict.OK}
    assert checks["GPUs"].found == "10 on 2 of 2 nodes that are ready, 7 of them free"
    assert checks["queue"].found == "gpus (2 wait, 0 admitted)"


@pytest.mark.parametrize(
    ("name", "changes", "verdict", "said"),
    [
        ("CRDs", {API: None}, Verdict.FAILED, "is not served"),
        (
            "CRDs",
            {API: {"resources": [{"kind": "TransferStage"}]}},
            Verdict.FAILED,
            "TransferExperiment is missing",
        ),
        ("namespace", {"/api/v1/namespaces/ml": None}, Verdict.FAILED, "ml is not there"),
        ("operator", {LEASES: {"items": [lease(600)]}}, Verdict.FAILED, "its Lease is not renewed any more"),
        ("operator", {LEASES: {"items": []}}, Verdict.FAILED, "none runs"),
        ("GPUs", {"/api/v1/nodes": {"items": [node("b", 2)]}}, Verdict.FAILED, "the file asks for 4 on one"),
        ("GPUs", {"/api/v1/nodes": "denied"}, Verdict.WARNING, "you may not look at the nodes"),
        ("nodes", {"/api/v1/nodes": {"items": []}}, Verdict.FAILED, "no node is ready"),
        ("queue", {QUEUES: None}, Verdict.FAILED, "Kueue is not here"),
        ("queue", {QUEUES: {"items": [queue("cpus")]}}, Verdict.FAILED, "is not in ml"),
        ("queue", {QUEUES: {"items": [queue("gpus", "False")]}}, Verdict.WARNING, "not active: stopped"),
        (
            "store",
            {"/api/v1/namespaces/ml/persistentvolumeclaims": {"items": [{"metadata": {"name": "s"}}]}},
            Verdict.WARNING,
            "s is unknown",
        ),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(name, changes, verdict, said):
    check = found(changes)[name]
    assert (check.verdict, said in check.found) == (verdict, True), check
    assert check.remedy or verdict is Verdict.WARNING


@pytest.mark.parametrize(
    ("own", "field", "asked"),
    [
        (8, "spec.models[1].stageResources", 8),
        (1, "spec.resources", 4),  # the other model's
    ],
)
def test_the_gpus_of_a_models_own_stages_are_looked_at(own, field, asked):
    spec = EXPERIMENT.spec
    model = spec.models[0].model_copy(update={"name": "large", "stage_resources": StageResources(gpus=own)})
    experiment = EXPERIMENT.model_copy(
        update={"spec": spec.model_copy(update={"models": (*spec.models, model)})}
    )
    cluster = Cluster({"/api/v1/nodes": {"items": [node("b", 2)]}})
    (check,) = (one for one in cluster_checks(cluster, "ml", experiment) if one.name == "GPUs")
    assert check.found.endswith(f"the file asks for {asked} on one")
    assert check.remedy == f"ask for at most 2 in {field}.gpus; more of one stage need {field}.nodes"


def test_rights_that_are_lacking():
    check = found(allowed=False)["your rights"]
    assert check.verdict is Verdict.FAILED
    assert check.found.startswith("you may not: create transferexperiments, ")
