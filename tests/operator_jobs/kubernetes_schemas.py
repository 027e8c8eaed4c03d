"""Objects held against Kubernetes' own strict schemas, and against its restricted Pod Security Standard."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

VERSION = "1.34.0"
FILES = {"Job": "job-batch-v1", "Service": "service-v1", "ConfigMap": "configmap-v1"}


@cache
def _registry() -> Registry[Any]:
    return Resource.from_contents(_read("_definitions")) @ Registry()


@cache
def _validator(kind: str) -> Draft202012Validator:
    schema = _read(FILES[kind])
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _registry())


def _read(name: str) -> Any:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}-local-strict"
    return json.loads((folder / f"{name}.json").read_bytes())


def assert_valid(body: dict[str, Any]) -> None:
    """The object has no unknown field, and none of a wrong type."""
    problems = [f"{error.json_path}: {error.message}" for error in _validator(body["kind"]).iter_errors(body)]
    assert not problems


def assert_restricted(pod: dict[str, Any]) -> None:
    """The pod's spec passes https://kubernetes.io/docs/concepts/security/pod-security-standards/, level restricted."""
    for field in ("hostNetwork", "hostPID", "hostIPC", "ephemeralContainers", "initContainers"):
        assert field not in pod
    allowed = {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected"}
    for volume in pod["volumes"]:
        assert set(volume) - {"name"} <= allowed
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context.get("runAsUser") != 0
    assert context["seccompProfile"]["type"] in {"RuntimeDefault", "Localhost"}
    assert not {"seLinuxOptions", "sysctls", "windowsOptions", "supplementalGroups"} & set(context)
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert not {"privileged", "procMount", "seLinuxOptions", "runAsUser"} & set(security)
        assert not any("hostPort" in port for port in container.get("ports", ()))
        assert "lifecycle" not in container
