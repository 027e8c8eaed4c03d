"""What a cluster must have for experiments: asked piece by piece, each with what to do where it is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from xstilts.cluster import paths
from xstilts.cluster.client import Client, DeniedError, NotFoundError, Object
from xstilts.cluster.reading import condition, moment
from xstilts.errors import UserError
from xstilts.spec import Experiment, ExperimentSpec

_LEASE_SECONDS: Final = 60  # an operator that runs renews it far more often
_ENDED: Final = ("Succeeded", "Failed")
_RIGHTS: Final = (
    ("create", paths.GROUP, "transferexperiments"),
    ("patch", paths.GROUP, "transferexperiments"),
    ("list", paths.GROUP, "transferstages"),
    ("list", "", "pods"),
    ("get", "", "pods/log"),
    ("list", "", "events"),
    ("get", "", "configmaps"),
)


class Verdict(StrEnum):
    """How a check has ended."""

    OK = "ok"
    WARNING = "warning"  # it may do without, or could not be looked at
    FAILED = "FAILED"


@dataclass(frozen=True)
class Check:
    """A check: what was looked at, how it is, and what to do where that is not well."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """As `-o json` has it."""
        said = {"name": self.name, "verdict": self.verdict.value, "found": self.found}
        return said | ({"remedy": self.remedy} if self.remedy else {})


def cluster_checks(client: Client, namespace: str, experiment: Experiment | None) -> Iterator[Check]:
    """All checks, in order; what stands in the way of the later ones ends them. `experiment`: one that is to run."""
    try:
        version = client.get("/version")
    except UserError as error:
        yield Check("cluster", Verdict.FAILED, str(error), "choose another --context, or start it")
        return
    yield Check(
        "cluster", Verdict.OK, f"{client.context} at {client.server}, Kubernetes {version.get('gitVersion')}"
    )
    crds = _crds(client)
    yield crds
    served = crds.verdict is not Verdict.FAILED
    asked: dict[str, Callable[[], Check]] = {
        "namespace": lambda: _namespace(client, namespace),
        **({"your rights": lambda: _rights(client, namespace)} if served else {}),
        **({"operator": lambda: _operator(client, namespace)} if served else {}),
        "GPUs": lambda: _gpus(client, experiment),
        "store": lambda: _stores(client, namespace),
        "queue": lambda: _queue(client, namespace, experiment),
    }
    for name, check in asked.items():
        try:
            yield check()
        except UserError as error:  # mostly what this user may not look at: the other checks say more
            yield Check(name, Verdict.WARNING, f"could not be looked at: {error}")


def _crds(client: Client) -> Check:
    install = "install the operator and its CRDs: docs/installation.md"
    try:
        served = client.get(f"/apis/{paths.API_VERSION}")
    except NotFoundError:
        return Check("CRDs", Verdict.FAILED, f"{paths.API_VERSION} is not served", install)
    kinds = {one["kind"] for one in served.get("resources", ())}
    missing = {"TransferExperiment", "TransferStage"} - kinds
    if missing:
        return Check("CRDs", Verdict.FAILED, f"{', '.join(sorted(missing))} is missing", install)
    return Check("CRDs", Verdict.OK, f"TransferExperiment and TransferStage of {paths.API_VERSION}")


def _namespace(client: Client, namespace: str) -> Check:
    try:
        found = client.get(f"/api/v1/namespaces/{namespace}")
    except DeniedError:
        return Check("namespace", Verdict.WARNING, f"{namespace}: you may not look whether it is there")
    except NotFoundError:
        remedy = f"kubectl create namespace {namespace}, or name another one with -n"
        return Check("namespace", Verdict.FAILED, f"{namespace} is not there", remedy)
    phase = (found.get("status") or {}).get("phase", "")
    verdict = Verdict.OK if phase == "Active" else Verdict.FAILED
    return Check(
        "namespace", verdict, f"{namespace} is {phase}", "" if verdict is Verdict.OK else "name another one"
    )


def _rights(client: Client, namespace: str) -> Check:
    lacking = []
    for verb, group, resource in _RIGHTS:
        plural, _, subresource = resource.partition("/")
        asked = {
            "namespace": namespace,
            "verb": verb,
            "group": group,
            "resource": plural,
            **({"subresource": subresource} if subresource else {}),
        }
        answer = client.call(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": asked},
            },
        )
        if not (answer.get("status") or {}).get("allowed"):
            lacking.append(f"{verb} {resource}")
    if not lacking:
        return Check("your rights", Verdict.OK, f"all that the commands need in {namespace}")
    remedy = "ask who looks after the cluster for them"
    verdict = Verdict.FAILED if "create transferexperiments" in lacking else Verdict.WARNING
    return Check("your rights", verdict, f"you may not: {', '.join(lacking)}", remedy)


def _operator(client: Client, namespace: str) -> Check:
    """Whether one renews its Lease; where those cannot be read, whether it looks at what is in the namespace."""
    label, _, manager = paths.MANAGED.partition("=")
    try:
        leases = client.get("/apis/coordination.k8s.io/v1/leases")["items"]
    except DeniedError:
        try:
            leases = client.get(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")["items"]
        except UserError:
            return _seen(client, namespace)
    own = [one for one in leases if (one["metadata"].get("labels") or {}).get(label) == manager]
    now = datetime.now(UTC)
    remedy = "look at its pod: kubectl get pods -A -l app.kubernetes.io/name=xstilts; docs/installation.md"
    for lease in own:
        spec = lease.get("spec") or {}
        renewed = moment(spec.get("renewTime"))
        if spec.get("holderIdentity") and renewed and (now - renewed).total_seconds() < _LEASE_SECONDS:
            where = lease["metadata"]["namespace"]
            return Check("operator", Verdict.OK, f"{spec['holderIdentity']} runs in namespace {where}")
    if own:
        return Check("operator", Verdict.FAILED, "none runs: its Lease is not renewed any more", remedy)
    seen = _seen(client, namespace)
    return seen if seen.verdict is Verdict.OK else Check("operator", Verdict.FAILED, "none runs", remedy)


def _seen(client: Client, namespace: str) -> Check:
    listed = client.get(paths.experiments(namespace))["items"]
    behind = [
        one["metadata"]["name"]
        for one in listed
        if (one.get("status") or {}).get("observedGeneration") != one["metadata"]["generation"]
    ]
    if behind:
        return Check(
            "operator", Verdict.FAILED, f"none has looked at {', '.join(behind[:3])}", "is it running?"
        )
    if listed:
        return Check(
            "operator", Verdict.OK, f"one has looked at all {len(listed)} experiments of {namespace}"
        )
    return Check(
        "operator", Verdict.WARNING, "you may not look at its Lease, and no experiment is here to tell"
    )


def _gpus(client: Client, experiment: Experiment | None) -> Check:
    wanted, field = _gpus_asked(experiment.spec) if experiment else (0, "")
    try:
        nodes = client.get("/api/v1/nodes")["items"]
    except DeniedError:
        return Check("GPUs", Verdict.WARNING, "you may not look at the nodes")
    ready = [one for one in nodes if condition(one, "Ready").get("status") == "True" and not _cordoned(one)]
    has = {one["metadata"]["name"]: _gpus_of((one.get("status") or {}).get("allocatable")) for one in ready}
    total, most = sum(has.values()), max(has.values(), default=0)
    used, told = _gpus_used(client)
    free = f", {max(0, total - used)} of them free" if told and total else ""
    found = f"{total} on {sum(bool(one) for one in has.values())} of {len(ready)} nodes that are ready{free}"
    if not ready:
        return Check(
            "nodes", Verdict.FAILED, "no node is ready", "wait for one, or ask who looks after the cluster"
        )
    if wanted > most:
        nodes_field = f"{field.removesuffix('gpus')}nodes"
        remedy = f"ask for at most {most} in {field}; more of one stage need {nodes_field}"
        return Check("GPUs", Verdict.FAILED, f"{found}; the file asks for {wanted} on one", remedy)
    if not total:
        remedy = "install the GPUs' device plugin, or set spec.resources.gpus to 0 to train on CPUs"
        return Check("GPUs", Verdict.WARNING, f"no node of {len(ready)} has {paths.GPU}", remedy)
    return Check("GPUs", Verdict.OK, found)


def _gpus_asked(spec: ExperimentSpec) -> tuple[int, str]:
    """The most that a stage asks for on one node, and the field that says so: a model's own, else that of all."""
    asked = [
        (own.gpus, f"spec.models[{index}].stageResources.gpus")
        if (own := model.stage_resources) and own.gpus is not None
        else (spec.resources.gpus, "spec.resources.gpus")
        for index, model in enumerate(spec.models)
    ]
    return max(asked, key=lambda one: one[0])


def _gpus_used(client: Client) -> tuple[int, bool]:
    try:
        pods = client.get("/api/v1/pods", fieldSelector="spec.nodeName!=")["items"]
    except DeniedError:
        return 0, False
    used = 0
    for pod in pods:
        if (pod.get("status") or {}).get("phase") not in _ENDED:
            containers = pod["spec"].get("containers", ())
            used += sum(_gpus_of((one.get("resources") or {}).get("requests")) for one in containers)
    return used, True


def _stores(client: Client, namespace: str) -> Check:
    """What the operator's own claims are is the administrator's; a claim that is not bound stops every pod."""
    try:
        claims = client.get(paths.core(namespace, "persistentvolumeclaims"))["items"]
    except DeniedError:
        return Check("store", Verdict.WARNING, "you may not look at volume claims")
    unbound = [
        f"{one['metadata']['name']} is {(one.get('status') or {}).get('phase', 'unknown')}"
        for one in claims
        if (one.get("status") or {}).get("phase") != "Bound"
    ]
    refused = _store_refused(client, namespace)
    if refused:
        return Check("store", Verdict.FAILED, refused, "name one of that list in spec.store.name")
    if unbound:
        remedy = "a store on such a claim cannot be used: kubectl describe pvc says why"
        return Check("store", Verdict.WARNING, f"claims: {', '.join(unbound)}", remedy)
    if not claims:
        return Check(
            "store",
            Verdict.OK,
            f"no volume claim in {namespace}: its store must be an object store (values: stores)",
        )
    return Check(
        "store", Verdict.OK, f"claims: {', '.join(one['metadata']['name'] for one in claims)}, all bound"
    )


def _store_refused(client: Client, namespace: str) -> str:
    try:
        listed = client.get(paths.experiments(namespace))["items"]
    except UserError:
        return ""
    said = (condition(one) for one in listed)
    return next((one["message"] for one in said if one.get("reason", "").startswith("Store")), "")


def _queue(client: Client, namespace: str, experiment: Experiment | None) -> Check:
    wanted = experiment.spec.queue_name if experiment else None
    try:
        queues = client.get(f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{namespace}/localqueues")["items"]
    except NotFoundError:
        if wanted:
            remedy = "install Kueue and switch it on in the operator's values, or leave spec.queueName out"
            return Check(
                "queue", Verdict.FAILED, f"the file asks for {wanted!r}, and Kueue is not here", remedy
            )
        return Check("queue", Verdict.OK, "no Kueue: experiments run without queues")
    except DeniedError:
        return Check("queue", Verdict.WARNING, "you may not look at LocalQueues")
    names = [one["metadata"]["name"] for one in queues]
    stopped = [_queue_words(one) for one in queues if condition(one, "Active").get("status") == "False"]
    if wanted and wanted not in names:
        remedy = f"name one of them in spec.queueName ({', '.join(names) or 'there is none'})"
        return Check(
            "queue", Verdict.FAILED, f"the file asks for {wanted!r}, which is not in {namespace}", remedy
        )
    if stopped:
        return Check("queue", Verdict.WARNING, "; ".join(stopped), "ask who looks after Kueue")
    return Check(
        "queue",
        Verdict.OK,
        "; ".join(map(_queue_words, queues)) or f"Kueue, with no LocalQueue in {namespace}",
    )


def _queue_words(queue: Object) -> str:
    status = queue.get("status") or {}
    said = condition(queue, "Active")
    waits = f"{status.get('pendingWorkloads', 0)} wait, {status.get('admittedWorkloads', 0)} admitted"
    inactive = f", not active: {said.get('message', '')}" if said.get("status") == "False" else ""
    return f"{queue['metadata']['name']} ({waits}{inactive})"


def _gpus_of(quantities: Mapping[str, Any] | None) -> int:
    said = str((quantities or {}).get(paths.GPU, "0"))
    return int(said) if said.isdigit() else 0


def _cordoned(node: Object) -> bool:
    return (node.get("spec") or {}).get("unschedulable") is True
