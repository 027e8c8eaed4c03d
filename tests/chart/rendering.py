"""The chart as Helm renders it, and the values that the tests render it with."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from controlplane.build import command

CHART = Path(__file__).resolve().parents[2] / "charts" / "xstilts"
RELEASE, NAMESPACE = "tried", "operators"
NAME = "tried-xstilts"
DIGEST = "sha256:" + "ab" * 32

Object = dict[str, Any]
Values = Mapping[str, Any]

STORES: Values = {
    "default": {"claim": "experiments", "sharing": "Nodes"},
    "bucket": {
        "url": "s3://bucket/experiments",
        "secret": "bucket-keys",
        "namespaces": ["team-a"],
    },
}
# Each is installed by somebody: small, wide, closed, watched over, and beside what an administrator makes by hand.
CASES: Mapping[str, Values] = {
    "defaults": {},
    "namespaces": {"scope": {"namespaces": ["team-a", "team-b"]}, "stores": STORES},
    "cluster-wide": {"scope": {"clusterWide": True}, "stores": STORES, "rbac": {"aggregate": True}},
    "everything": {
        "fullnameOverride": "transfer",
        "images": {
            "registry": "registry.example.com:5000/team",
            "operator": {"digest": DIGEST},
            "trainer": {"repository": "gpu/xstilts-trainer", "tag": "2.0"},
            "pullPolicy": "Always",
            "pullSecrets": ["registry-key"],
        },
        "scope": {"namespaces": ["team-a"]},
        "stores": STORES,
        "pods": {
            "user": None,
            "scratch": "1Ti",
            "companionCpu": 2,
            "graceSeconds": 600,
            "placement": {
                "nodeSelectorKeys": ["example.com/pool"],
                "tolerationKeys": [],
                "priorityClassNames": ["low"],
            },
            "labels": {"example.com/team": "nlp"},
            "annotations": {"karpenter.sh/do-not-disrupt": "true"},
            "nodeSelector": {"example.com/pool": "nlp"},
            "tolerations": [{"key": "dedicated", "value": "nlp", "effect": "NoSchedule"}],
            "environment": {"HTTPS_PROXY": "http://proxy.example.com:3128"},
        },
        "hub": {"endpoint": "https://hub.example.com", "tokenSecret": "hub", "tokenKey": "key"},
        "attempts": {"maxFailures": 1, "backoffSeconds": 0},
        "parallelism": 1_000_000,
        "ttlSecondsAfterFinished": 2_592_000,
        "kueue": True,
        "operator": {
            "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
            "nodeSelector": {"kubernetes.io/arch": "amd64"},
            "tolerations": [{"key": "control", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "system-cluster-critical",
            "podAnnotations": {"example.com/a": "true"},
            "podLabels": {"example.com/team": "nlp"},
        },
        "serviceAccount": {"annotations": {"example.com/role": "operator"}},
        "crds": {"keep": False},
        "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "monitoring"}},
        "prometheusRule": {
            "enabled": True,
            "labels": {"release": "monitoring"},
            "runbookUrl": "https://docs.example.com/runbooks.html",
        },
        "dashboards": {"enabled": True},
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
            ],
        },
        "admissionPolicy": {"enabled": True},
    },
    "by-hand": {
        "stores": STORES,
        "pods": {"serviceAccountName": "given"},
        "progress": {"enabled": False},
        "serviceAccount": {"create": False, "name": "given"},
        "rbac": {"create": False},
        "crds": {"enabled": False},
        "networkPolicy": {"enabled": True},
        "admissionPolicy": {"enabled": True},
    },
}


class HelmError(Exception):
    """Helm refused; the message is its own."""


HELM_4, HELM_3 = "helm", "helm3"


def helm(
    *arguments: str | Path,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    program: str = HELM_4,
) -> str:
    """What `helm ARGUMENTS` writes.

    Raises:
        HelmError: it failed.
    """
    done = subprocess.run(
        [command(program), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        raise HelmError(done.stderr)
    return done.stdout


def render(values: Values, *options: str, program: str = HELM_4, release: str = RELEASE) -> list[Object]:
    """The manifests of the chart, tests included."""
    text = helm(
        "template",
        release,
        CHART,
        "--namespace",
        NAMESPACE,
        "--values",
        "-",
        *options,
        stdin=json.dumps(values),
        program=program,
    )
    return [one for one in yaml.safe_load_all(text) if one is not None]


def of_kind(manifests: Sequence[Object], *kinds: str) -> list[Object]:
    """Those of these kinds."""
    return [one for one in manifests if one["kind"] in kinds]


def the(manifests: Sequence[Object], kind: str) -> Object:
    """The one of this kind."""
    (found,) = of_kind(manifests, kind)
    return found


def settings_text(manifests: Sequence[Object]) -> str:
    """The operator's settings file."""
    (text,) = (
        one["data"]["settings.yaml"]
        for one in of_kind(manifests, "ConfigMap")
        if "settings.yaml" in one["data"]
    )
    return str(text)
