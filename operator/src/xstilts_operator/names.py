"""How the operator's resources are called, labelled and found: names are pure functions of what a resource is for.

So two operators, or one that was killed and started again, make the same resource and not another.
"""

from __future__ import annotations

import re
from typing import Final

from xstilts.canonical import digest
from xstilts.stage import Kind

GROUP: Final = "xstilts.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

MANAGED_BY: Final = (
    "app.kubernetes.io/managed-by"  # on every object that the operator makes: watches select by it
)
MANAGER: Final = "xstilts"  # the label's value, and the field manager of the operator's writes
PROGRESS_MANAGER: Final = "xstilts-progress"  # the field manager of status.progress alone

STAGE_LABEL: Final = f"{GROUP}/stage"  # on Jobs, pods and Services of a stage: the TransferStage's name
ATTEMPT_LABEL: Final = f"{GROUP}/attempt"  # on Jobs and pods of a stage: the attempt's number
KIND_LABEL: Final = (
    f"{GROUP}/kind"  # on TransferStages, Jobs and pods: the stage's kind, or lookup, or report
)
EXPERIMENT_LABEL: Final = f"{GROUP}/experiment"  # on lookup and report Jobs and plans: the experiment's name; on attempts: the payer's
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"  # on Jobs: the LocalQueue of Kueue, which may set it too
STAGE_ANNOTATION: Final = (
    f"{GROUP}/stage.json"  # on pods of a stage: the stage itself, which the trainer reads as a file
)
OUTPUTS_ANNOTATION: Final = f"{GROUP}/outputs.json"  # on pods of a report: what it must find in the store
DROPS_ANNOTATION: Final = (
    f"{GROUP}/drops.json"  # on pods of a report: the trainings that give up their weights
)
PLAN_LABEL: Final = f"{GROUP}/plan"  # on lookup and report Jobs: the plan that they are about


_NAME: Final = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")


def is_name(text: str) -> bool:
    """Whether an object may be called so; whatever else stands in a status names nothing."""
    return _NAME.fullmatch(text) is not None


def stage_name(key: str, kind: Kind, store: str) -> str:
    """The TransferStage of a stage key in a store of the administrator's list: the same for every experiment."""
    return f"{kind}-{digest({'key': key, 'store': store})[:24]}"


def job_name(stage: str, attempt: int) -> str:
    """The Job of an attempt, and the headless Service of its pods."""
    return f"{stage}-{attempt}"


def plan_name(experiment: str, uid: str, content: str) -> str:
    """The ConfigMap that holds an experiment's plan. `content` is the digest of what it holds. At most 46 characters."""
    return f"{experiment[:28].rstrip('-')}-plan-{digest([uid, content])[:12]}"


def companion_name(plan: str, role: str) -> str:
    """The lookup or report Job of a plan. With a role of up to 15 characters it leaves room for a pod's index."""
    return f"{plan}-{role}"
