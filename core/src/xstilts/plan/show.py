"""A plan for people and for programs: what is trained, what the store already has, what sharing saves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from xstilts.plan.model import Plan, PlannedStage
from xstilts.plan.sources import is_unpinned
from xstilts.stage import Kind

_GROUPS = {
    "prepare": "fetched from the hub",
    "train intermediate": "intermediate models",
    "train target": "target models",
    "evaluate": "evaluations",
    "report": "report",
}


def to_json(plan: Plan, cached: Collection[str] = ()) -> dict[str, Any]:
    """A plan as JSON.

    `stages` come parents first, cached ones too; `labels` are the cells that need a stage. `counts` are by kind;
    `naive` is what there would be if every cell trained and evaluated its own models, and `saved` the difference.
    `trainings` splits the trainings by phase.
    """
    counts = plan.counts
    intermediate, target = counts["train intermediate"], counts["train target"]
    naive = {"train": plan.naive.intermediate + plan.naive.target, "evaluate": plan.naive.evaluate}
    planned = {"train": intermediate + target, "evaluate": counts["evaluate"]}
    return {
        "name": plan.name,
        "namespace": plan.namespace,
        "stages": [_stage(planned, cached) for planned in plan.stages],
        "counts": {kind.value: len(plan.of_kind(kind)) for kind in Kind},
        "naive": naive,
        "saved": {kind: naive[kind] - planned[kind] for kind in naive},
        "trainings": {
            "intermediate": {"planned": intermediate, "naive": plan.naive.intermediate},
            "target": {"planned": target, "naive": plan.naive.target},
        },
    }


def to_text(plan: Plan, cached: Collection[str] = ()) -> str:
    """A plan as lines of text: a summary, then the stages by kind, one line for those that differ in rate and seed alone."""
    lines = [_title(plan), "", *_summary(plan, cached)]
    for group in _GROUPS:
        members = [planned for planned in plan.stages if planned.group == group]
        if members and group != "report":
            lines += ["", f"{group}:", *_members(members, cached)]
    warning = unpinned_warning(plan)
    return "\n".join([*lines, "", warning] if warning else lines)


def unpinned_warning(plan: Plan) -> str:
    """What to say of the sources without a commit or digest; "" where all are pinned."""
    sources = sorted({source for planned in plan.stages for source in _unpinned_sources(planned.stage.spec)})
    if not sources:
        return ""
    return (
        f"warning: {_count(len(sources), 'source')} without a commit (marked * in a plan) or a digest: "
        f"{', '.join(sources)}. What depends on them is never shared with another experiment; `xstilts pin` writes "
        "commits and digests into the file."
    )


def _unpinned_sources(spec: Mapping[str, Any]) -> Iterator[str]:
    hub = (
        [spec["source"]]
        if "source" in spec
        else [rows for file in spec.get("files", ()) for rows in file["slices"]]
    )
    yield from (source["repository"] for source in hub if "revision" not in source)
    inputs = spec.get("inputs", {}).values()
    yield from (f"store://{reference['name']}" for reference in inputs if is_unpinned(reference["digest"]))


def _stage(planned: PlannedStage, cached: Collection[str]) -> dict[str, Any]:
    return {
        "key": planned.key,
        "kind": planned.stage.kind.value,
        "parents": sorted(planned.stage.parents.values()),
        "labels": [
            {"model": cell.model, "intermediate": cell.intermediate, "target": cell.target, "seed": cell.seed}
            for cell in sorted(planned.labels)
        ],
        "cached": planned.key in cached,
        "unpinned": planned.unpinned,
    }


def _title(plan: Plan) -> str:
    cells = plan.cells()
    sizes = {
        "model": len({cell.model for cell in cells}),
        "intermediate": len({cell.intermediate for cell in cells}),
        "target": len({cell.target for cell in cells}),
        "seed": len({cell.seed for cell in cells}),
    }
    counted = [_count(size, noun) for noun, size in sizes.items()]
    return f"{plan.name}: {' x '.join(counted)} = {_count(len(cells), 'cell')}"


def _count(size: int, noun: str) -> str:
    return f"{size} {noun}{'' if size == 1 else 's'}"


def _summary(plan: Plan, cached: Collection[str]) -> list[str]:
    naive = {
        "train intermediate": plan.naive.intermediate,
        "train target": plan.naive.target,
        "evaluate": plan.naive.evaluate,
    }
    rows = [("", "stages", "cached", "naive", "saved")]
    for group, count in plan.counts.items():
        there = sum(planned.key in cached for planned in plan.stages if planned.group == group)
        without = naive.get(group)
        saved = ("", "") if without is None else (str(without), str(without - count))
        rows.append((_GROUPS[group], str(count), str(there), *saved))
    return [f"{row[0]:<22}" + "".join(f"{value:>8}" for value in row[1:]) for row in rows]


def _members(members: Sequence[PlannedStage], cached: Collection[str]) -> list[str]:
    """One line for the stages that differ in rate and seed alone; for preparations, in nothing but the language."""
    alike: dict[tuple[str, str], list[PlannedStage]] = {}
    for planned in members:
        alike.setdefault((_describe(planned), _lora(planned)), []).append(planned)
    return [
        f"  {description}{_rates(group)}{lora}{_many(group)}{_state(group, cached)}"
        for (description, lora), group in alike.items()
    ]


def _describe(planned: PlannedStage) -> str:
    spec = planned.stage.spec
    if planned.stage.kind is Kind.PREPARE:
        what = spec["source"]["repository"] if spec["what"] == "model" else _files(spec)
        return f"{spec['what']} {what}{'*' if planned.unpinned else ''}"
    models = _names(cell.model for cell in planned.labels)
    intermediates = _names(cell.intermediate for cell in planned.labels)
    targets = _names(cell.target for cell in planned.labels)
    if planned.group == "train intermediate":
        return f"{models}  {intermediates}"
    return f"{models}  {intermediates} -> {targets}"


def _lora(planned: PlannedStage) -> str:
    spec = planned.stage.spec
    return f"  lora {spec['lora']['rank']}" if "lora" in spec else ""


def _rates(group: Sequence[PlannedStage]) -> str:
    if group[0].stage.kind is not Kind.TRAIN:
        return ""
    rates = {planned.stage.spec["hyperparameters"]["learningRate"] for planned in group}
    return f"  lr {', '.join(sorted(rates, key=float))}"


def _files(spec: dict[str, Any]) -> str:
    repositories = {piece["repository"] for file in spec["files"] for piece in file["slices"]}
    return f"{spec['task']} ({_count(len(spec['files']), 'file')} of {', '.join(sorted(repositories))})"


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def _many(group: Sequence[PlannedStage]) -> str:
    if group[0].stage.kind is Kind.PREPARE:
        return f"  x {len(group)} languages" if len(group) > 1 else ""
    seeds = len({cell.seed for planned in group for cell in planned.labels})
    return f"  x {seeds} seeds" if min(seeds, len(group)) > 1 else ""


def _state(group: Sequence[PlannedStage], cached: Collection[str]) -> str:
    there = sum(planned.key in cached for planned in group)
    if not there:
        return ""
    return "  cached" if there == len(group) else f"  {there} cached"
