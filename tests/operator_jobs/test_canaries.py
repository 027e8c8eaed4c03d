"""What a person writes surfaces in a pod at declared places, and nowhere else: every leaf has a token of its own."""

from __future__ import annotations

import json
import re

import pytest

from operator_jobs.canaries import EVERYTHING, MANIFESTS, leaves, schema_leaves, surfaces
from operator_jobs.kubernetes_schemas import assert_restricted, assert_valid
from xstilts.plan.placement import placement
from xstilts.spec import parse_experiment
from xstilts.stage import Kind
from xstilts_operator.actions import Reference, Resource
from xstilts_operator.jobs import Attempt, lookup_job, report_job, stage_job, stage_service
from xstilts_operator.names import STAGE_ANNOTATION
from xstilts_operator.plans import accept, config_map

UID = "5f1c2d3e-0000-4000-8000-000000000001"
STORES = {"canary-store": {"claim": "experiments"}}
PROGRESS = {"address": "https://xstilts-progress.xstilts.svc:8443"}
POD = r"\.spec\.template\.spec"
CONTAINER = rf"{POD}\.containers\[\]"
METADATA = r"(\.spec\.template)?\.metadata"
# Enumerations and switches hold no token, and `en` and the like are no tokens either.
NO_TOKEN = {"Equal", "NoExecute", "yes", "no", "en", "plain", 2, 7, *map(bool, range(2))}

# Leaf of the manifest -> where its value may stand in a stage's Job, beside the stage itself.
DECLARED = {
    r"\.metadata\.name": [rf"{METADATA}\.labels\.xstilts\.dev/experiment"],
    r"\.metadata\.namespace": [
        r"\.metadata\.namespace",
        rf"{CONTAINER}\.env\[\]\.value",
        rf"{POD}\.volumes\[\]\.projected\.sources\[\]\.serviceAccountToken\.audience",
    ],
    r"\.spec\.queueName": [r"\.metadata\.labels\.kueue\.x-k8s\.io/queue-name"],
    r"\.spec\.(resources|models\[\]\.stageResources)\.gpus": [
        rf"{CONTAINER}\.resources\.(requests|limits)\.nvidia\.com/gpu",
        rf"{CONTAINER}\.env\[\]\.value",
    ],
    r"\.spec\.(resources|models\[\]\.stageResources)\.cpu": [
        rf"{CONTAINER}\.resources\.requests\.cpu",
        rf"{CONTAINER}\.env\[\]\.value",
    ],
    r"\.spec\.(resources|models\[\]\.stageResources)\.memory": [
        rf"{CONTAINER}\.resources\.(requests|limits)\.memory"
    ],
    r"\.spec\.(resources|models\[\]\.stageResources)\.nodes": [
        r"\.spec\.(completions|parallelism)",
        rf"{CONTAINER}\.env\[\]\.value",
    ],
    r"\.spec\.resources\.nodeSelector\..*": [rf"{POD}\.nodeSelector\..*"],
    r"\.spec\.resources\.tolerations\[\]\..*": [rf"{POD}\.tolerations\[\]\..*"],
    r"\.spec\.resources\.priorityClassName": [rf"{POD}\.priorityClassName"],
    r"\.spec\.resources\.runtimeClassName": [rf"{POD}\.runtimeClassName"],
}
STAGE_TEXT = rf"\.spec\.template\.metadata\.annotations\.{re.escape(STAGE_ANNOTATION)}"
# In a lookup's or report's Job: its own name and the plan's hold the experiment's.
COMPANION = {
    r"\.metadata\.name": [
        r"\.metadata\.(name|ownerReferences\[\]\.name)",
        rf"{METADATA}\.labels\.xstilts\.dev/(experiment|plan)",
        rf"{CONTAINER}\.env\[\]\.value",
        rf"{POD}\.volumes\[\]\.configMap\.name",
    ],
    r"\.metadata\.namespace": [r"\.metadata\.namespace", rf"{CONTAINER}\.env\[\]\.value"],
    r"\.spec\.queueName": [r"\.metadata\.labels\.kueue\.x-k8s\.io/queue-name"],
}


def tokens(manifest):
    """The leaves of the manifest that hold a token, and the keys of its free mappings."""
    for path, value in leaves({"metadata": manifest["metadata"], "spec": manifest["spec"]}):
        key = path.endswith("#")
        if (key and "canary" in value) or (not key and value not in NO_TOKEN and value is not None):
            yield path.rstrip("#"), value


def undeclared(manifest, body, declared, always=()):
    """Where a token stands and is not declared to."""
    for leaf, token in tokens(manifest):
        places = [
            *always,
            *(one for key, many in declared.items() if re.fullmatch(key, leaf) for one in many),
        ]
        for path in surfaces(token, body):
            if not any(re.fullmatch(rf"{place}#?", path) for place in places):
                yield f"{leaf} = {token!r} at {path}"


def made_of(manifest, configured):
    """The Jobs and Services of all stages, and the Jobs of the lookup and the report."""
    settings = configured(stores=STORES, progress=PROGRESS)
    experiment = parse_experiment(json.dumps(manifest))
    document = accept(experiment, UID, settings.images.trainer)
    texts, store = document.texts(), settings.stores["canary-store"]
    stages, services = [], []
    for stage in document.stages.values():
        attempt = Attempt(
            stage=Reference(Resource.STAGE, document.namespace, stage.name, "stage-uid"),
            kind=stage.kind,
            text=texts[stage.key],
            number=1,
            payer=document.name,
            placement=placement(experiment.spec, stage.kind, document.models(stage)),
            queue=experiment.spec.queue_name,
        )
        stages.append(stage_job(attempt, store, settings))
        services.append(stage_service(attempt, "job-uid"))
    owner = Reference(Resource.EXPERIMENT, document.namespace, document.name, UID)
    plan = config_map(document, UID)["metadata"]["name"]
    outputs = {stage.key: "d" * 64 for stage in document.of_kind(Kind.EVALUATE)}
    trainings = [stage.key for stage in document.of_kind(Kind.TRAIN)]
    started, queue = "2026-01-31T08:00:00Z", experiment.spec.queue_name
    companions = [
        lookup_job(owner, plan, document, store, settings, queue),
        report_job(owner, plan, outputs, started, store, settings, queue),
        report_job(owner, plan, outputs, started, store, settings, queue, drops=trainings),
    ]
    return stages, services, companions


def test_every_leaf_has_a_token():
    paths = {
        re.sub(r"(?<=(labels|Vector)\.).*", "*", path)
        for manifest in MANIFESTS.values()
        for path, _ in leaves(manifest)
        if not path.endswith("#")
    }
    free = ("metadata.labels", "metadata.annotations", "spec.dataRevisions", "spec.resources.nodeSelector")
    named = {
        next((f".{mapping}.*" for mapping in free if path.startswith(f".{mapping}.")), path) for path in paths
    }
    assert named == schema_leaves()
    values = [str(token) for path, token in tokens(EVERYTHING) if not path.startswith(".spec.targets")]
    unique = [one for one in values if values.count(one) == 1]
    assert len(unique) > 60


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_stages_job_shows_what_is_declared_and_no_more(name, configured):
    manifest = MANIFESTS[name]
    stages, services, _ = made_of(manifest, configured)
    assert len(stages) > 10
    for job in stages:
        assert not list(undeclared(manifest, job, DECLARED, [STAGE_TEXT]))
    name_and_home = {key: [r"\.metadata\.(namespace|labels\..*)"] for key in list(DECLARED)[:2]}
    for service in services:
        assert not list(undeclared(manifest, service, name_and_home))


def test_every_declared_place_is_used(configured):
    """So that the list above is no longer than it must be."""
    stages, _, companions = made_of(EVERYTHING, configured)
    for declared, bodies in ((DECLARED, stages), (COMPANION, companions)):
        seen = {
            (leaf, path.rstrip("#"))
            for leaf, token in tokens(EVERYTHING)
            for body in bodies
            for path in surfaces(token, body)
        }
        for leaves_, places in declared.items():
            for place in places:
                assert any(
                    re.fullmatch(leaves_, leaf) and re.fullmatch(place, path) for leaf, path in seen
                ), (leaves_, place)


@pytest.mark.parametrize("name", MANIFESTS)
def test_lookups_and_reports_show_names_alone(name, configured):
    manifest = MANIFESTS[name]
    for job in made_of(manifest, configured)[2]:
        assert not list(undeclared(manifest, job, COMPANION))
        assert_restricted(job["spec"]["template"]["spec"])
        assert_valid(job)


def test_variables_that_show_what_a_person_wrote_are_these(configured):
    shown = set()
    for job in made_of(EVERYTHING, configured)[0]:
        for variable in job["spec"]["template"]["spec"]["containers"][0]["env"]:
            if any(next(surfaces(token, variable), None) for _, token in tokens(EVERYTHING)):
                shown.add(variable["name"])
    assert shown == {
        "KUBEFLOW_TRAINER_SERVER_URL",
        "OMP_NUM_THREADS",
        "XSTILTS_MASTER",
        "XSTILTS_NAMESPACE",
        "XSTILTS_NODES",
        "XSTILTS_RANKS_PER_NODE",
    }
