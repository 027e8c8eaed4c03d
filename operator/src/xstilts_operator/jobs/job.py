"""The one Job: it never retries, and replaces no pod; whether to try again is the operator's decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xstilts_operator.actions import Object, Reference
from xstilts_operator.api import owner_reference
from xstilts_operator.names import QUEUE_LABEL


def job(
    owner: Reference,
    name: str,
    labels: Mapping[str, str],
    template: Object,
    *,
    pods: int | None,
    parallel: int = 1,
    ttl_seconds: int,
    queue: str | None,
) -> Object:
    """A Job, controlled by the object that it is made for.

    Args:
        owner: with its UID; the Job is in its namespace.
        name: of the Job.
        labels: of the Job.
        template: of its pods.
        pods: an Indexed Job of so many; None: one pod without an index.
        parallel: how many of them run at once.
        ttl_seconds: how long it stays once it has ended.
        queue: Kueue's, which begins the Job when it has room: so it is made suspended.
    """
    spec: dict[str, Any] = {
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": ttl_seconds,
        "template": template,
    }
    if pods is not None:
        spec |= {"completionMode": "Indexed", "completions": pods, "parallelism": min(pods, parallel)}
    if queue is not None:
        spec["suspend"] = True
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": {**labels, **({QUEUE_LABEL: queue} if queue is not None else {})},
            "ownerReferences": [owner_reference(owner, controller=True)],
        },
        "spec": spec,
    }
