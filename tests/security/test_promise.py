"""Creating a TransferExperiment grants strictly less than creating a Pod: held for generated experiments, one by one."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from security.promise import COMMANDS, breaches, jobs_of, skeleton
from security.specs import MANIFESTS
from xstilts.errors import SpecError
from xstilts.spec import Experiment, read_experiment
from xstilts_operator.settings import Settings

IMAGES = {"trainer": "registry.example/trainer:1", "operator": "registry.example/operator:1"}
STORES = {"default": {"claim": "experiments"}, "bucket": {"url": "s3://bucket/team", "secret": "s3-keys"}}
OPEN = Settings.parse(
    {
        "images": IMAGES,
        "stores": STORES,
        "pods": {"serviceAccount": "stages"},
        "hub": {"endpoint": "https://hub.example", "tokenSecret": "hub"},
        "progress": {"address": "https://xstilts.operators.svc:8443"},
        "kueue": True,
    }
)
NARROW = Settings.parse(
    {
        "images": {**IMAGES, "pullSecrets": ["pull"]},
        "stores": STORES,
        "pods": {
            "user": None,
            "placement": {"nodeSelectorKeys": [], "tolerationKeys": [], "priorityClassNames": [], "runtimeClassNames": []},
        },
    }
)  # fmt: skip
ADMINISTRATORS = {"open": OPEN, "narrow": NARROW}
KINDS = {"prepare", "train", "evaluate", "lookup", "report"}
PARTS, EACH = 20, 500  # 10,000


def held(number: int, of: int) -> tuple[int, set[str], set[str]]:
    """Hold the promise for so many generated experiments; how many it was, their pods' skeletons, and kinds."""
    skeletons: set[str] = set()
    kinds: set[str] = set()
    count = 0

    @seed(number)
    @settings(max_examples=of, database=None, suppress_health_check=list(HealthCheck))
    @given(MANIFESTS, st.sampled_from(list(ADMINISTRATORS)))
    def check(manifest: Any, administrator: str) -> None:
        nonlocal count
        said = ADMINISTRATORS[administrator]
        experiment = admitted(manifest)
        if experiment is None:
            return
        count += 1
        for job in jobs_of(experiment, said):
            assert not list(breaches(job, experiment, said))
            skeletons.add(administrator + skeleton(job))
            kinds.add(job["metadata"]["labels"]["xstilts.dev/kind"])

    check()
    return count, skeletons, kinds


def admitted(manifest: Any) -> Experiment | None:
    """The experiment, where it is one."""
    try:
        return read_experiment(manifest)
    except SpecError:
        return None


def test_a_few_experiments_get_less_than_a_pod() -> None:
    count, _, kinds = held(0, 20)
    assert count > 10
    assert kinds == KINDS


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_ten_thousand_experiments_get_less_than_a_pod(part: int) -> None:
    count, skeletons, kinds = held(part, EACH)
    assert count > EACH * 0.9
    assert kinds == KINDS
    # beside its placement a pod depends on the kind, store and administrator, and on whether it has GPUs or several nodes
    assert len(skeletons) <= 2 * 2 * (3 * 2 * 2 + 3)


def test_the_admission_policy_takes_the_commands_of_these_jobs_and_no_other(repository: Path) -> None:
    policy = (repository / "charts" / "xstilts" / "templates" / "admissionpolicy.yaml").read_text()
    commands = [json.loads(command) for command in re.findall(r'\["python", [^]]*\]', policy)]
    assert commands == [command for kind in COMMANDS.values() for command in kind]


def fixture() -> tuple[Experiment, Any]:
    """An experiment, and the Job of a training of it."""
    spec = {
        "models": [{"name": "own", "pretrained": "store://own", "family": "E5"}],
        "tasks": [{"name": "xnli", "data": "store://xnli"}, {"name": "mnli", "data": "store://mnli"}],
        "targets": [{"task": "xnli"}],
        "seeds": [1],
        "resources": {"nodeSelector": {"pool": "gpu"}},
    }
    manifest = {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": "grid", "namespace": "team"},
        "spec": spec,
    }
    experiment = read_experiment(manifest)
    jobs = jobs_of(experiment, OPEN)
    return experiment, next(job for job in jobs if job["metadata"]["labels"]["xstilts.dev/kind"] == "train")


def _set(path: str, value: Any) -> Any:
    """A change of the pod's spec: a path of keys and indexes, the last of a list as -1 after which one is appended."""

    def change(pod: Any) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in steps:
            pod = pod[step]
        if last == "+":
            pod.append(value)
        else:
            pod[last] = value

    return change


BROKEN = {
    "a folder of the node": _set("volumes/+", {"name": "x", "hostPath": {"path": "/"}}),
    "a Secret": _set("volumes/+", {"name": "x", "secret": {"secretName": "x"}}),
    "another claim": _set("volumes/+", {"name": "x", "persistentVolumeClaim": {"claimName": "x"}}),
    "another ConfigMap": _set("volumes/+", {"name": "x", "configMap": {"name": "x"}}),
    "a token of the account": _set(
        "volumes/+", {"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
    ),
    "the node's network": _set("hostNetwork", True),
    "the account's own token": _set("automountServiceAccountToken", True),
    "another account": _set("serviceAccountName", "admin"),
    "a node": _set("nodeName", "control-plane"),
    "another selector": _set("nodeSelector", {"pool": "control"}),
    "a taint": _set("tolerations", [{"operator": "Exists"}]),
    "a priority": _set("priorityClassName", "system-node-critical"),
    "a runtime": _set("runtimeClassName", "other"),
    "another image": _set("containers/0/image", "other"),
    "a shell": _set("containers/0/command", ["sh", "-c", "id"]),
    "arguments": _set("containers/0/args", ["x"]),
    "privileged": _set("containers/0/securityContext/privileged", True),
    "a root that is written": _set("containers/0/securityContext/readOnlyRootFilesystem", False),
    "a library": _set("containers/0/env/+", {"name": "LD_PRELOAD", "value": "/x"}),
    "a reference": _set("containers/0/env/0/value", "$(HF_TOKEN)"),
    "a Secret's key": _set(
        "containers/0/env/+", {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}}
    ),
    "a Secret's keys": _set("containers/0/envFrom", [{"secretRef": {"name": "x"}}]),
    "a mount": _set("containers/0/volumeMounts/+", {"name": "store", "mountPath": "/etc"}),
}


def test_a_sound_job_breaks_nothing() -> None:
    experiment, job = fixture()
    assert not list(breaches(job, experiment, OPEN))


@pytest.mark.parametrize("name", BROKEN)
def test_the_check_finds(name: str) -> None:
    """So that ten thousand that pass mean something."""
    experiment, job = fixture()
    broken = deepcopy(job)
    BROKEN[name](broken["spec"]["template"]["spec"])
    assert list(breaches(broken, experiment, OPEN))


@pytest.mark.parametrize("variable", ["XSTILTS_STORE", "XSTILTS_NAMESPACE"])
def test_the_check_finds_another_place_in_the_store(variable: str) -> None:
    experiment, job = fixture()
    broken = json.loads(json.dumps(job))
    (one,) = [
        each
        for each in broken["spec"]["template"]["spec"]["containers"][0]["env"]
        if each["name"] == variable
    ]
    one["value"] = "/"
    assert list(breaches(broken, experiment, OPEN))


def test_the_check_finds_a_stage_that_leads_out_of_the_namespace() -> None:
    experiment, job = fixture()
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    (name,) = annotations
    annotations[name] = re.sub('"split":"[a-z]+"', '"split":"../../other/train"', annotations[name])
    assert list(breaches(job, experiment, OPEN))
