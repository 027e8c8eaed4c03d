"""The headless Service of an attempt of several nodes: by it the pods find the first of them."""

from __future__ import annotations

from typing import Final

from xstilts_operator.actions import Object, Reference, Resource
from xstilts_operator.api import owner_reference
from xstilts_operator.jobs.stage import Attempt
from xstilts_operator.names import ATTEMPT_LABEL, STAGE_LABEL

RENDEZVOUS_PORT: Final = 29_500  # of the trainer's first process


def stage_service(attempt: Attempt, job: str) -> Object:
    """The Service, controlled by the attempt's Job (its UID), with which it goes; addresses are published before pods are ready."""
    owner = Reference(Resource.JOB, attempt.stage.namespace, attempt.name, job)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": attempt.name,
            "namespace": attempt.stage.namespace,
            "labels": attempt.labels,
            "ownerReferences": [owner_reference(owner, controller=True)],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {STAGE_LABEL: attempt.stage.name, ATTEMPT_LABEL: str(attempt.number)},
            "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT}],
        },
    }
