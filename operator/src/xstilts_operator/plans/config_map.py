"""The immutable ConfigMap that holds a plan. Its name is made of the content, so that it cannot be exchanged for another."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from xstilts_operator.actions import Object, Reference, Resource
from xstilts_operator.api import owner_reference
from xstilts_operator.names import EXPERIMENT_LABEL, MANAGED_BY, MANAGER, plan_name
from xstilts_operator.plans.document import PlanDocument, unpack, unreadable

PLAN_FILE: Final = "plan.json.gz"  # the ConfigMap's key


def config_map(document: PlanDocument, uid: str) -> Object:
    """The ConfigMap that holds a plan, owned by its experiment."""
    owner = Reference(Resource.EXPERIMENT, document.namespace, document.name, uid)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": plan_name(document.name, uid, document.content),
            "namespace": document.namespace,
            "labels": {MANAGED_BY: MANAGER, EXPERIMENT_LABEL: document.name},
            "ownerReferences": [owner_reference(owner, controller=True)],
        },
        "immutable": True,
        "binaryData": {PLAN_FILE: base64.b64encode(document.packed).decode()},
    }


def thaw(obj: Object) -> PlanDocument:
    """The plan in a ConfigMap.

    Raises:
        PlanError: it holds no plan that this version can read, or not the one that it is named after.
    """
    try:
        metadata = obj["metadata"]
        packed = base64.b64decode(obj["binaryData"][PLAN_FILE], validate=True)
        owners = [(owner["name"], owner["uid"]) for owner in metadata["ownerReferences"]]
    except (KeyError, TypeError, binascii.Error):
        raise unreadable("it has no plan or no owner") from None
    document = unpack(
        packed, lambda content: metadata["name"] in {plan_name(*owner, content) for owner in owners}
    )
    if metadata["namespace"] != document.namespace or document.name not in {name for name, _ in owners}:
        raise unreadable("it holds another plan than its name says")
    return document
