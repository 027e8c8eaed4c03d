"""Nodes without a machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def fake_node(name: str, *, annotations: Mapping[str, str] | None = None, gpus: int = 1000) -> dict[str, Any]:
    """A ready Node with room for any test."""
    room = {"cpu": "10000", "memory": "100Ti", "pods": "100000", "nvidia.com/gpu": str(gpus)}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "played by a test"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": dict(annotations or {}),
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "status": {"capacity": room, "allocatable": room, "conditions": [ready]},
    }
