"""What the Jobs of lookups and reports share: the operator's image, the plan's ConfigMap, no GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from xstilts_operator.actions import Object, Reference
from xstilts_operator.jobs.job import job
from xstilts_operator.jobs.pod import Container, Volume, pod_template
from xstilts_operator.names import (
    EXPERIMENT_LABEL,
    KIND_LABEL,
    MANAGED_BY,
    MANAGER,
    PLAN_LABEL,
    companion_name,
)
from xstilts_operator.plans import PLAN_FILE
from xstilts_operator.settings import Settings, StoreSettings

_PLAN_FOLDER: Final = "/etc/xstilts/plan"


def companion_job(
    experiment: Reference,
    plan: str,
    kind: str,
    role: str,
    store: StoreSettings,
    settings: Settings,
    *,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str | Object] | None = None,
    annotations: Mapping[str, str] | None = None,
    volumes: Sequence[Volume] = (),
    pods: int | None = None,
    parallel: int = 1,
    queue: str | None = None,
) -> Object:
    """The Job of `python -m xstilts_operator.<kind> PLAN …`, controlled by the experiment (with its UID).

    `role` ends the Job's name; `queue` is Kueue's, which may manage Jobs without a GPU too.
    """
    labels = {
        MANAGED_BY: MANAGER,
        KIND_LABEL: kind,
        EXPERIMENT_LABEL: experiment.name,
        PLAN_LABEL: plan,
    }
    template = pod_template(
        Container(
            name=kind,
            image=settings.images.operator,
            command=(
                "python",
                "-m",
                f"xstilts_operator.{kind}",
                f"{_PLAN_FOLDER}/{PLAN_FILE}",
                *arguments,
            ),
            environment={"XSTILTS_PLAN": plan, **(environment or {})},
            cpu=settings.pods.companion_cpu,
            memory=settings.pods.companion_memory,
        ),
        namespace=experiment.namespace,
        store=store,
        pods=settings.pods,
        images=settings.images,
        labels=labels,
        annotations=annotations,
        volumes=[Volume("plan", _PLAN_FOLDER, {"configMap": {"name": plan}}), *volumes],
    )
    return job(
        experiment,
        companion_name(plan, role),
        labels,
        template,
        pods=pods,
        parallel=parallel,
        ttl_seconds=settings.pods.job_ttl_seconds,
        queue=queue,
    )
