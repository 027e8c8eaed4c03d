"""What sweeps of learning rates have come to, from the `selection.json` of what began from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from xstilts.plan import Plan, PlannedStage
from xstilts.results.rows import ChosenRate, Results
from xstilts.stage import Stage
from xstilts.store import Store

SELECTION = "selection.json"  # learningRate, and of all candidates learningRate, dev (a decimal) and stage
SWEPT = "model."  # begins the roles of the trainings that a stage chooses from
RATE_COLUMNS: Final[Mapping[str, type]] = {
    "model": str,
    "intermediate": str,
    "phase": str,
    "tasks": str,
    "seed": int,
    "learning_rate": str,
    "dev": float,
    "chosen": bool,
}
"""Of the tidy form: see `tried_rates`."""


def chosen_rates(plan: Plan, store: Store) -> tuple[ChosenRate, ...]:
    """The choices of a plan's sweeps, as far as something that begins from them is in the store.

    They are in the order of the file's models and intermediates; then intermediate before target, by tasks and seed.

    Raises:
        StoreError: an artifact is damaged; it has been set aside.
    """
    chosen: dict[frozenset[str], list[ChosenRate]] = {}
    for planned in plan.stages:
        trained = _swept(planned.stage)
        if trained and trained not in chosen:
            found = store.record(planned.key)
            if found is not None and SELECTION in found.manifest.files:
                selection = json.loads(store.read_bytes(planned.key, SELECTION))
                chosen[trained] = list(_of_names(plan.by_key[min(trained)], selection))
    models, intermediates = (
        list(dict.fromkeys(getattr(cell, name) for cell in plan.cells()))
        for name in ("model", "intermediate")
    )
    return tuple(
        sorted(
            (one for of_sweep in chosen.values() for one in of_sweep),
            key=lambda one: (
                models.index(one.model),
                intermediates.index(one.intermediate),
                one.phase,  # `intermediate` is before `target` by its letters too
                one.tasks,
                one.seed,
            ),
        )
    )


def _swept(stage: Stage) -> frozenset[str]:
    """The trainings that a stage chooses from."""
    return frozenset(key for role, key in stage.parents.items() if role.startswith(SWEPT))


def _of_names(trained: PlannedStage, selection: Mapping[str, Any]) -> Iterator[ChosenRate]:
    """A choice, once for each model and intermediate that its trainings, of which one is given, are of."""
    spec = trained.stage.spec
    for model, intermediate in sorted({(cell.model, cell.intermediate) for cell in trained.labels}):
        yield ChosenRate(
            model=model,
            intermediate=intermediate,
            phase=spec["phase"],
            tasks=tuple(dict.fromkeys(data["task"]["name"] for data in spec["data"])),
            seed=spec["seed"],
            learning_rate=selection["learningRate"],
            dev={one["learningRate"]: float(one["dev"]) for one in selection["candidates"]},
        )


def rates_document(results: Results) -> list[dict[str, Any]]:
    """The choices for JSON: each with the runner-up, whether it is at the edge (else null), and all dev scores."""
    return [
        {
            "model": one.model,
            "intermediate": one.intermediate,
            "phase": one.phase,
            "tasks": list(one.tasks),
            "seed": one.seed,
            "learning_rate": one.learning_rate,
            "runner_up": one.runner_up,
            "edge": one.edge or None,
            "dev": dict(one.dev),
        }
        for one in results.rates
    ]


def tried_rates(results: Results) -> list[dict[str, str | int | float | bool | None]]:
    """Every rate that was tried, tidy: one dev score a row, and whether its rate was chosen."""
    return [
        {
            "model": one.model,
            "intermediate": one.intermediate,
            "phase": one.phase,
            "tasks": " ".join(one.tasks),
            "seed": one.seed,
            "learning_rate": rate,
            "dev": score,
            "chosen": rate == one.learning_rate,
        }
        for one in results.rates
        for rate, score in one.dev.items()
    ]
