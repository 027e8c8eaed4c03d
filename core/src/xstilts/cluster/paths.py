"""Where the API server has what the commands read, and the labels that they find it by."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

GROUP: Final = "xstilts.dev"
API_VERSION: Final = f"{GROUP}/v1alpha1"
STAGE_LABEL: Final = f"{GROUP}/stage"
ATTEMPT_LABEL: Final = f"{GROUP}/attempt"
KIND_LABEL: Final = f"{GROUP}/kind"
EXPERIMENT_LABEL: Final = f"{GROUP}/experiment"
MANAGED: Final = "app.kubernetes.io/managed-by=xstilts"
GPU: Final = "nvidia.com/gpu"


def experiments(namespace: str | None, name: str = "") -> str:
    """TransferExperiments; of all namespaces for None."""
    return _in(f"/apis/{API_VERSION}", namespace, "transferexperiments", name)


def stages(namespace: str | None, name: str = "") -> str:
    """TransferStages; of all namespaces for None."""
    return _in(f"/apis/{API_VERSION}", namespace, "transferstages", name)


def core(namespace: str | None, plural: str, name: str = "") -> str:
    """What is of Kubernetes' own core group: pods, events, configmaps."""
    return _in("/api/v1", namespace, plural, name)


def batch(namespace: str, name: str = "") -> str:
    """Jobs."""
    return _in("/apis/batch/v1", namespace, "jobs", name)


def _in(prefix: str, namespace: str | None, plural: str, name: str) -> str:
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
    return f"{prefix}{place}/{plural}" + (f"/{quote(name, safe='')}" if name else "")
