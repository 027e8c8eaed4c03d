"""The Job of an attempt: what it runs, on what, and that no experiment can make it more than that."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operator_jobs.kubernetes_schemas import assert_restricted, assert_valid
from operator_jobs.placements import NAMES, PLACEMENTS
from xstilts.spec import Resources
from xstilts.stage import Family, HubSource, Kind, PrepareModelSpec, Stage
from xstilts_operator.actions import Reference, Resource
from xstilts_operator.jobs import Attempt, lookup_job, stage_job, stage_service
from xstilts_operator.names import ATTEMPT_LABEL, KIND_LABEL, STAGE_ANNOTATION, STAGE_LABEL, stage_name
from xstilts_operator.plans import accept
from xstilts_operator.progress import protocol
from xstilts_operator.settings import STORE_MOUNT

SPEC = PrepareModelSpec(source=HubSource(repository="org/model", revision="0" * 40), family=Family.XLMR)
STAGE = Stage.of(Kind.PREPARE, SPEC)
ADDRESS = "https://xstilts-progress.xstilts.svc:8443"


def attempt_of(kind=Kind.TRAIN, placement=None, number=1, **changes):
    name = stage_name(STAGE.key, kind, "default")
    fields = {
        "stage": Reference(Resource.STAGE, "team", name, "stage-uid"),
        "kind": kind,
        "text": STAGE.to_json().decode(),
        "number": number,
        "payer": "grid",
        "placement": placement or Resources(),
    }
    return Attempt(**fields | changes)


def pod_of(job):
    return job["spec"]["template"]["spec"]


def container_of(job):
    (container,) = pod_of(job)["containers"]
    return container


def environment_of(job):
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container_of(job)["env"]}


def volumes_of(job):
    return {volume["name"]: volume for volume in pod_of(job)["volumes"]}


def mounts_of(job):
    return {mount["name"]: mount for mount in container_of(job)["volumeMounts"]}


def make_job(configured, attempt, store="default", **changes):
    configuration = configured(**changes)
    return stage_job(attempt, configuration.stores[store], configuration)


def test_an_attempt_runs_the_trainer_and_nothing_else(configured):
    job = make_job(configured, attempt_of())
    container = container_of(job)
    assert container["command"] == ["python", "-m", "xstilts_trainer", "/etc/xstilts/STAGE.json"]
    assert container["name"] == "stage"
    assert container["image"] == "registry.example/trainer:1"
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert not {"args", "lifecycle", "workingDir", "livenessProbe"} & set(container)


def test_a_job_never_retries(configured):
    job = make_job(configured, attempt_of(number=4))
    assert job["metadata"]["name"] == f"{stage_name(STAGE.key, Kind.TRAIN, 'default')}-4"
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    assert spec["ttlSecondsAfterFinished"] == 86_400
    assert pod_of(job)["restartPolicy"] == "Never"
    assert pod_of(job)["terminationGracePeriodSeconds"] == 300
    assert "suspend" not in spec
    assert "completions" not in spec
    (owner,) = job["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferStage",
        "name": stage_name(STAGE.key, Kind.TRAIN, "default"),
        "uid": "stage-uid",
        "controller": True,
    }


def test_the_stage_travels_with_the_pod(configured):
    job = make_job(configured, attempt_of())
    template = job["spec"]["template"]
    assert json.loads(template["metadata"]["annotations"][STAGE_ANNOTATION])["key"] == STAGE.key
    (item,) = volumes_of(job)["stage"]["downwardAPI"]["items"]
    assert item == {
        "path": "STAGE.json",
        "fieldRef": {"fieldPath": f"metadata.annotations['{STAGE_ANNOTATION}']"},
    }
    assert mounts_of(job)["stage"] == {"name": "stage", "mountPath": "/etc/xstilts", "readOnly": True}


def test_resources_are_requested_and_memory_and_gpus_limited(configured):
    placement = Resources(gpus=2, cpu=6, memory="32Gi")
    job = make_job(configured, attempt_of(placement=placement))
    assert container_of(job)["resources"] == {
        "requests": {"cpu": "6", "memory": "32Gi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "32Gi", "nvidia.com/gpu": "2"},
    }
    assert volumes_of(job)["shared-memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": str(16 * 2**30)}
    environment = environment_of(job)
    assert (environment["OMP_NUM_THREADS"], environment["XSTILTS_RANKS_PER_NODE"]) == ("6", "2")
    assert "NVIDIA_VISIBLE_DEVICES" not in environment


def test_a_pod_without_gpus_sees_none(configured):
    job = make_job(configured, attempt_of(Kind.PREPARE))
    assert environment_of(job)["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert container_of(job)["resources"]["limits"] == {"memory": "8Gi"}


def test_a_claim_is_mounted(configured):
    job = make_job(configured, attempt_of(number=3))
    environment = environment_of(job)
    assert environment["XSTILTS_STORE"] == STORE_MOUNT
    assert (environment["XSTILTS_NAMESPACE"], environment["XSTILTS_ATTEMPT"]) == ("team", "3")
    assert volumes_of(job)["store"]["persistentVolumeClaim"] == {"claimName": "experiments"}
    assert mounts_of(job)["store"]["mountPath"] == STORE_MOUNT
    assert "envFrom" not in container_of(job)


def test_a_bucket_has_its_keys_from_the_administrators_secret(configured):
    job = make_job(configured, attempt_of(), store="bucket")
    assert environment_of(job)["XSTILTS_STORE"] == "s3://bucket/team"
    assert container_of(job)["envFrom"] == [{"secretRef": {"name": "s3-keys"}}]
    assert "store" not in volumes_of(job)


@pytest.mark.parametrize("kind", [Kind.PREPARE, Kind.TRAIN, Kind.EVALUATE])
def test_preparations_alone_speak_to_the_hub(kind, configured):
    hub = {"endpoint": "https://mirror.example", "tokenSecret": "hub"}
    environment = environment_of(make_job(configured, attempt_of(kind), hub=hub))
    if kind is Kind.PREPARE:
        assert environment["HF_ENDPOINT"] == "https://mirror.example"
        assert environment["HF_TOKEN"] == {"secretKeyRef": {"name": "hub", "key": "token", "optional": True}}
    else:
        assert not {"HF_ENDPOINT", "HF_TOKEN"} & set(environment)


def test_a_stage_reports_its_progress_with_a_token_for_that_alone(configured):
    attempt = attempt_of()
    name = attempt.stage.name
    job = make_job(configured, attempt, progress={"address": ADDRESS})
    environment = environment_of(job)
    assert environment[protocol.URL_VARIABLE] == protocol.url(ADDRESS, "team", name)
    token, bundle = volumes_of(job)["progress"]["projected"]["sources"]
    assert token["serviceAccountToken"]["audience"] == protocol.audience("team", name)
    assert bundle["configMap"]["optional"] is True
    folder = mounts_of(job)["progress"]["mountPath"]
    assert environment[protocol.TOKEN_VARIABLE] == f"{folder}/{token['serviceAccountToken']['path']}"
    assert environment[protocol.CA_VARIABLE] == f"{folder}/{bundle['configMap']['items'][0]['path']}"


def test_without_a_progress_server_a_pod_has_no_token(configured):
    job = make_job(configured, attempt_of())
    assert "serviceAccountToken" not in json.dumps(job)
    assert pod_of(job)["automountServiceAccountToken"] is False
    assert not [name for name in environment_of(job) if name.startswith("KUBEFLOW")]


def test_several_nodes_are_an_indexed_job_whose_pods_find_the_first(configured):
    attempt = attempt_of(placement=Resources(gpus=4, nodes=3))
    job = make_job(configured, attempt)
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert pod_of(job)["subdomain"] == attempt.name
    environment = environment_of(job)
    assert environment["XSTILTS_NODES"] == "3"
    assert environment["XSTILTS_MASTER"] == f"{attempt.name}-0.{attempt.name}.team.svc"
    assert "job-completion-index" in environment["XSTILTS_NODE_RANK"]["fieldRef"]["fieldPath"]
    service = stage_service(attempt, "job-uid")
    assert_valid(service)
    assert service["metadata"]["name"] == attempt.name
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", attempt.name, "job-uid")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    selector = service["spec"]["selector"]
    assert selector.items() <= spec["template"]["metadata"]["labels"].items()
    assert selector[ATTEMPT_LABEL] == "1"


def test_a_queue_begins_the_job(configured):
    job = make_job(configured, attempt_of(queue="gpus"))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert job["spec"]["suspend"] is True


EVERY_POD = {
    "labels": {"team": "nlp", STAGE_LABEL: "another"},
    "annotations": {"karpenter.sh/do-not-disrupt": "true", STAGE_ANNOTATION: "{}"},
    "nodeSelector": {"pool": "nlp"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "environment": {"HTTPS_PROXY": "http://proxy:3128", "XSTILTS_STORE": "/"},
}


def test_what_the_administrator_says_of_every_pod(configured):
    asked = {
        "nodeSelector": {"pool": "mine", "gpu": "h100"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    }
    attempt = attempt_of(placement=Resources.model_validate(asked))
    job = make_job(
        configured, attempt, pods={**EVERY_POD, "placement": {"nodeSelectorKeys": ["pool", "gpu"]}}
    )
    metadata, pod = job["spec"]["template"]["metadata"], pod_of(job)
    assert metadata["labels"] == {"team": "nlp", **attempt.labels}
    assert metadata["annotations"] == {"karpenter.sh/do-not-disrupt": "true", STAGE_ANNOTATION: attempt.text}
    assert pod["nodeSelector"] == {"pool": "nlp", "gpu": "h100"}
    assert [one["key"] for one in pod["tolerations"]] == ["gpu", "dedicated"]
    assert environment_of(job)["HTTPS_PROXY"] == "http://proxy:3128"
    assert environment_of(job)["XSTILTS_STORE"] == STORE_MOUNT


def test_it_holds_for_lookups_too_which_no_experiment_places(configured, make):
    settings, document = configured(pods=EVERY_POD), accept(make(), "uid", "trainer:1")
    owner = Reference(Resource.EXPERIMENT, "team", "grid", "uid")
    pod = pod_of(lookup_job(owner, "plan", document, settings.stores["default"], settings))
    assert pod["nodeSelector"] == {"pool": "nlp"}
    assert pod["tolerations"] == [{"key": "dedicated", "operator": "Exists"}]


def test_the_administrators_account_user_and_pull_secrets_are_the_pods(configured):
    pods = {"serviceAccount": "stages", "user": 4711, "graceSeconds": 60}
    images = {"trainer": "t:1", "operator": "o:1", "pullPolicy": "Always", "pullSecrets": ["pull"]}
    pod = pod_of(make_job(configured, attempt_of(), pods=pods, images=images))
    assert (pod["serviceAccountName"], pod["terminationGracePeriodSeconds"]) == ("stages", 60)
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["securityContext"]["fsGroup"] == 4711
    assert pod["containers"][0]["imagePullPolicy"] == "Always"
    free = pod_of(make_job(configured, attempt_of(), pods={"user": None}))
    assert not {"runAsUser", "fsGroup"} & set(free["securityContext"])
    assert_restricted(free)


JOBS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([Kind.PREPARE, Kind.TRAIN, Kind.EVALUATE]),
        "placement": PLACEMENTS,
        "number": st.integers(1, 9999),
        "queue": st.none() | NAMES,
    }
)


@pytest.mark.slow
@given(said=JOBS, bucket=st.booleans())
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_every_placement_gives_a_job_of_known_fields(said, bucket, configured):
    progress = {"address": ADDRESS}
    assert_valid(
        make_job(configured, attempt_of(**said), "bucket" if bucket else "default", progress=progress)
    )


@given(said=JOBS, bucket=st.booleans(), progress=st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_every_placement_gives_a_restricted_pod(said, bucket, progress, configured):
    attempt, placement, kind = attempt_of(**said), said["placement"], said["kind"]
    job = make_job(
        configured,
        attempt,
        "bucket" if bucket else "default",
        progress={"address": ADDRESS} if progress else {},
    )
    pod = pod_of(job)
    assert_restricted(pod)
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["serviceAccountName"] == "default"
    container = container_of(job)
    assert container["image"] == "registry.example/trainer:1"
    assert container["command"][:3] == ["python", "-m", "xstilts_trainer"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    resources = container["resources"]
    assert {name: resources["requests"][name] for name in resources["limits"]} == resources["limits"]
    written = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert written <= {"/tmp", "/dev/shm", STORE_MOUNT}
    labels = job["metadata"]["labels"]
    assert labels[STAGE_LABEL] == attempt.stage.name
    assert labels[KIND_LABEL] == kind.value
    assert job["spec"]["template"]["metadata"]["labels"].items() <= labels.items()
    index = f"-{placement.nodes - 1}"
    assert len(job["metadata"]["name"] + index) <= 63
