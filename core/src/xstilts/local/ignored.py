"""What an experiment asks of a cluster and a local run does not do: said, not passed over in silence."""

from __future__ import annotations

from xstilts.spec import Experiment


def ignored_fields(experiment: Experiment) -> list[str]:
    """The paths of the fields that are set and mean nothing here."""
    spec = experiment.spec
    resources = spec.resources
    said: dict[str, object] = {
        "spec.queueName": spec.queue_name,
        "spec.parallelism": spec.parallelism,
        "spec.budget": spec.budget,
        "spec.suspend": spec.suspend,
        "spec.retryFailedAt": spec.retry_failed_at,
        "spec.activeDeadlineSeconds": spec.active_deadline_seconds,
        "spec.ttlSecondsAfterFinished": spec.ttl_seconds_after_finished,
        "spec.resources.gpus": resources.gpus,
        "spec.resources.memory": resources.memory,
        "spec.resources.nodes": resources.nodes > 1,
        "spec.resources.nodeSelector": resources.node_selector,
        "spec.resources.tolerations": resources.tolerations,
        "spec.resources.priorityClassName": resources.priority_class_name,
        "spec.resources.runtimeClassName": resources.runtime_class_name,
    }
    said |= {
        f"spec.models[{index}].stageResources": model.stage_resources
        for index, model in enumerate(spec.models)
    }
    return [field for field, value in said.items() if value]
