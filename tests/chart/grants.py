"""What the operator needs to be allowed, each right with the place in its code that needs it."""

from __future__ import annotations

from collections.abc import Mapping

from chart.rendering import NAME
from xstilts_operator.progress.protocol import CA_CONFIG_MAP

WATCH = {"list": "controller.py: the full lists", "watch": "watching.py"}
ADOPT = {"create": "reconcile/", "get": "gateway.py: what is there under the name already"}
GRANTS: Mapping[str, Mapping[str, str]] = {
    "xstilts.dev/transferexperiments": {
        **WATCH,
        "get": "gateway.py: after a conflict",
        "delete": "reconcile/ttl.py",
    },
    "xstilts.dev/transferexperiments/status": {"patch": "client.py: apply_status"},
    "xstilts.dev/transferstages": {
        **WATCH,
        **ADOPT,
        "patch": "client.py: set_owners",
        # where an API server enforces owners' permissions (OwnerReferencesPermissionEnforcement)
        "delete": "client.py: set_owners, which only who may delete is let do",
    },
    "xstilts.dev/transferstages/status": {"patch": "client.py: apply_status; progress/cluster.py"},
    "batch/jobs": {**WATCH, **ADOPT, "delete": "reconcile/stage.py, reconcile/companions.py"},
    "/pods": {**WATCH, "delete": "reconcile/stage.py"},
    "/persistentvolumeclaims": {"get": "claims.py: whether a store's claim will do"},
    "/services": {**WATCH, **ADOPT},
    "/configmaps": {**WATCH, **ADOPT},
    f"/configmaps/{CA_CONFIG_MAP}": {"patch": "progress/cluster.py: the public certificates"},
    "/events": {"create": "events.py: an apply that makes one", "patch": "events.py"},
}
KUEUE: Mapping[str, Mapping[str, str]] = {"kueue.x-k8s.io/workloads": WATCH}
LEASE: Mapping[str, Mapping[str, str]] = {
    "coordination.k8s.io/leases": {"create": "lease.py"},
    f"coordination.k8s.io/leases/{NAME}-operator": {"get": "lease.py", "update": "lease.py"},
}


def needed(*tables: Mapping[str, Mapping[str, str]]) -> set[tuple[str, str]]:
    return {(resource, verb) for table in tables for resource, verbs in table.items() for verb in verbs}
