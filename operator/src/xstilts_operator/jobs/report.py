"""The Job that writes an experiment's page and tables, once every evaluation has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from xstilts.canonical import canonical_json, digest
from xstilts_operator.actions import Object, Reference
from xstilts_operator.answers import PREFIX
from xstilts_operator.jobs.companion import companion_job
from xstilts_operator.jobs.pod import annotation_file
from xstilts_operator.names import DROPS_ANNOTATION, OUTPUTS_ANNOTATION, companion_name
from xstilts_operator.settings import Settings, StoreSettings

REPORT: Final = "report"
_FOLDER: Final = "/etc/xstilts/outputs"
_FILE: Final = "OUTPUTS.json"
_DROPS_FOLDER: Final = "/etc/xstilts/drops"
_DROPS_FILE: Final = "DROPS.json"


def report_name(plan: str, outputs: Mapping[str, str]) -> str:
    """The Job's name: another set of evaluations, or other outputs, is another report."""
    return companion_name(plan, _role(outputs))


def report_job(
    experiment: Reference,
    plan: str,
    outputs: Mapping[str, str],
    started: str,
    store: StoreSettings,
    settings: Settings,
    queue: str | None = None,
    drops: Sequence[str] = (),
) -> Object:
    """The report over the evaluations that succeeded.

    Args:
        experiment: which controls it.
        plan: the name of the plan's ConfigMap.
        outputs: key -> outputs digest of every evaluation that succeeded.
        started: status.startTime of the experiment: what is older was in the store before.
        store: the experiment's.
        settings: the administrator's.
        queue: the experiment's Kueue queue.
        drops: keys of the trainings that give up their weights once it is written.
    """
    said = {key[:PREFIX]: outputs_digest[:PREFIX] for key, outputs_digest in outputs.items()}
    dropped = {DROPS_ANNOTATION: canonical_json([key[:PREFIX] for key in drops]).decode()} if drops else {}
    return companion_job(
        experiment,
        plan,
        REPORT,
        _role(outputs),
        store,
        settings,
        arguments=(f"{_FOLDER}/{_FILE}", *((f"{_DROPS_FOLDER}/{_DROPS_FILE}",) if drops else ())),
        environment={"XSTILTS_STARTED": started},
        annotations={OUTPUTS_ANNOTATION: canonical_json(said).decode(), **dropped},
        volumes=[
            annotation_file("outputs", _FOLDER, _FILE, OUTPUTS_ANNOTATION),
            *(annotation_file("drops", _DROPS_FOLDER, _DROPS_FILE, one) for one in dropped),
        ],
        queue=queue,
    )


def _role(outputs: Mapping[str, str]) -> str:
    return f"{REPORT}-{digest(dict(outputs))[:8]}"
