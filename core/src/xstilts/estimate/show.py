"""An estimate for people and for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from xstilts.estimate.cost import Estimate, Measured, StageEstimate
from xstilts.estimate.disk import CHECKPOINTS
from xstilts.estimate.hardware import GIB, Speed
from xstilts.estimate.memory import Fits, Memory
from xstilts.estimate.ranges import Range, total

GROUPS = {
    "prepare": "fetched from the hub",
    "train intermediate": "intermediate models",
    "train target": "target models",
    "evaluate": "evaluations",
}


def to_json(estimate: Estimate) -> dict[str, Any]:
    """An estimate as JSON: its form is in docs/how-to/estimate.md."""
    return {
        "accelerator": {
            "name": estimate.accelerator.name,
            "memoryBytes": estimate.accelerator.memory,
            "speeds": [
                {
                    "precision": speed.precision.lower(),
                    "peakFlops": speed.peak,
                    "utilisation": _worst_last(speed.utilisation),
                }
                for speed in estimate.speeds
            ],
        },
        "unit": unit(estimate),
        "price": None
        if estimate.price is None
        else {"perHour": str(estimate.price.per_hour), "currency": estimate.price.currency},
        "groups": {group: _sums(estimate, group) for group in GROUPS if group in estimate.groups},
        "total": _sums(estimate, None),
        "budget": _budget(estimate),
        "assumed": list(estimate.assumed),
        "stages": [_stage(one) for one in estimate.stages],
        "measured": [
            {
                "key": one.key,
                "seconds": round(one.seconds, 1),
                "predicted": one.predicted.to_json(1),
                "ratio": round(_ratio([one]), 3),
            }
            for one in estimate.measured
        ],
    }


def to_text(estimate: Estimate) -> str:
    """An estimate as lines of text."""
    return "\n".join(_lines(estimate))


def summary(estimate: Estimate) -> str:
    """What will be spent, in one line."""
    hours, known = estimate.to_run(), _known(estimate, None)
    parts = [
        f"{_three(hours, known)} {unit(estimate)} on {estimate.accelerator.name} (low / likely / high)",
        f"{known(estimate.naive().likely)} without sharing",
    ]
    cost = estimate.cost(hours)
    if cost is not None:
        parts.append(f"{_three(cost, known)} {_currency(estimate)}".strip())
    parts.append(f"{_disk(estimate, None)} of disk")
    return ", ".join(parts)


def remarks(estimate: Estimate) -> Iterator[str]:
    """What one should know of an estimate: budget, memory, what is in no sum, and what was assumed."""
    budget = _budget(estimate)
    if budget is not None:
        yield _budget_words(estimate, budget)
    yield from _memory(estimate)
    unknown = estimate.unknown()
    if unknown:
        why = ", ".join(f"{reason} ({count})" for reason, count in sorted(unknown.items()))
        yield f"not estimated, and in no sum: {sum(unknown.values())} stages: {why}"
    if estimate.assumed:
        yield f"taken to be as large as the catalogue says, since their files were not read: {', '.join(estimate.assumed)}"


def unit(estimate: Estimate) -> str:
    """What is counted: hours of a GPU, or on a CPU of a stage."""
    return "hours" if estimate.accelerator.is_cpu else "GPU-hours"


def number(value: float) -> str:
    """A number as people read it, with two digits where it is small."""
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}" if value else "0"


def _lines(estimate: Estimate) -> Iterator[str]:
    speeds = " and ".join(_speed(speed) for speed in estimate.speeds)
    thread = " a thread" if estimate.accelerator.is_cpu else ""
    yield f"{unit(estimate)} on {estimate.accelerator.name}, by {speeds}{thread}:"
    yield _row("", ("low", "likely", "high", "not run", "naive", *_cost_title(estimate), "disk"))
    for group, title in GROUPS.items():
        if group in estimate.groups:
            yield _row(title, _cells(estimate, group))
    yield _row("in all", _cells(estimate, None))
    yield from remarks(estimate)
    peak = max((one.working for one in estimate.stages if one.runs and one.working is not None), default=0.0)
    if peak:
        yield f"while a training runs, up to {CHECKPOINTS} checkpoints lie beside it: {_bytes(peak)} together"
    yield from _measured(estimate)


def _speed(speed: Speed) -> str:
    best, likely, worst = (round(100 * value) for value in _parts(speed.utilisation))
    return f"{worst} to {best} % (likely {likely}) of its {speed.peak / 1e12:,.3g} {speed.precision.lower()} TFLOPS"


def _cells(estimate: Estimate, group: str | None) -> Sequence[str]:
    disk = _disk(estimate, group)
    if group == "prepare":
        return ("-", "-", "-", "-", "-", *(("-",) if estimate.price else ()), disk)
    known = _known(estimate, group)
    hours = estimate.to_run(group)
    cost = estimate.cost(hours)
    return (
        *(known(value) for value in _parts(hours)),
        number(estimate.saved(group).likely),
        known(estimate.naive(group).likely),
        *(() if cost is None else (known(cost.likely),)),
        disk,
    )


def _known(estimate: Estimate, group: str | None) -> Callable[[float], str]:
    """How a sum is written: with a + where something is not in it, and as ? where nothing is."""
    computing = [one for one in estimate.members(group) if one.runs and one.devices]
    missing = sum(bool(one.unknown) for one in computing)
    if missing and missing == len(computing):
        return lambda _value: "?"
    return lambda value: number(value) + ("+" if missing else "")


def _disk(estimate: Estimate, group: str | None) -> str:
    writing = [one for one in estimate.members(group) if one.runs]
    missing = sum(one.disk is None for one in writing)
    if missing and missing == sum(one.disk != 0 for one in writing):  # a report's 0 is no knowledge
        return "?"
    return _bytes(estimate.disk(group)) + ("+" if missing else "")


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<22}" + "".join(f"{cell:>10}" for cell in cells)


def _cost_title(estimate: Estimate) -> tuple[str, ...]:
    return () if estimate.price is None else (_currency(estimate) or "cost",)


def _currency(estimate: Estimate) -> str:
    return estimate.price.currency if estimate.price else ""


def _parts(value: Range) -> tuple[float, float, float]:
    return value.low, value.likely, value.high


def _three(value: Range, written: Callable[[float], str]) -> str:
    return " / ".join(map(written, _parts(value)))


def _bytes(value: float) -> str:
    for size, name in ((1e9, "GB"), (1e6, "MB")):
        if value >= size:
            return f"{number(value / size)} {name}"
    return f"{number(value / 1e3)} kB" if value else "0"


def _worst_last(utilisation: Range) -> dict[str, float]:
    """Of a utilisation, what gives the low estimate, the likely and the high one."""
    return utilisation.to_json(2)


def _sums(estimate: Estimate, group: str | None) -> dict[str, Any]:
    hours = estimate.to_run(group)
    naive = estimate.naive(group)
    cost, naive_cost = estimate.cost(hours), estimate.cost(naive)
    return {
        "toRun": hours.to_json(),
        "notRun": estimate.saved(group).to_json(),
        "fromNothing": estimate.from_nothing(group).to_json(),
        "naive": naive.to_json(),
        "cost": None if cost is None else cost.to_json(2),
        "naiveCost": None if naive_cost is None else naive_cost.to_json(2),
        "diskBytes": round(estimate.disk(group)),
        "unknown": estimate.unknown(group),
    }


def _stage(one: StageEstimate) -> dict[str, Any]:
    return {
        "key": one.planned.key,
        "devices": one.devices,
        "seconds": None if one.unknown else one.seconds.to_json(1),
        "diskBytes": None if one.disk is None else round(one.disk),
        "memory": one.memory.to_json() if one.memory else None,
        "runs": one.runs,
        "unknown": one.unknown,
    }


def _budget(estimate: Estimate) -> dict[str, Any] | None:
    if estimate.budget is None or estimate.accelerator.is_cpu:
        return None
    hours = estimate.to_run()
    return {
        "gpuHours": estimate.budget,
        "likelyExceeds": hours.likely > estimate.budget,
        "highExceeds": hours.high > estimate.budget,
    }


def _budget_words(estimate: Estimate, budget: Mapping[str, Any]) -> str:
    hours = estimate.to_run()
    if budget["likelyExceeds"]:
        said = f"the likely {number(hours.likely)} exceed it: stages will be left undone"
    elif budget["highExceeds"]:
        said = f"the likely {number(hours.likely)} are within it, the high {number(hours.high)} exceed it"
    else:
        said = f"the high {number(hours.high)} are within it"
    return f"budget of {estimate.budget:,} GPU-hours: {said}"


def _memory(estimate: Estimate) -> Iterator[str]:
    """The trainings whose batches do not fit whole, by model: of each the one that lacks most."""
    lacking: dict[tuple[str, int], list[tuple[Memory, StageEstimate]]] = {}
    for one in estimate.stages:
        if one.memory is not None and one.runs and one.memory.fits is not Fits.YES:
            name = ", ".join(sorted({cell.model for cell in one.planned.labels}))
            lacking.setdefault((name, one.devices), []).append((one.memory, one))
    for (name, devices), those in lacking.items():
        memory, one = max(those, key=lambda of: (list(Fits).index(of[0].fits), of[0].needed.likely))
        gpus = f"{devices} GPU{'' if devices == 1 else 's'}"
        intermediates = ", ".join(sorted({cell.intermediate for cell in one.planned.labels}))
        yield (
            f"memory: {name} on {gpus} {memory.fits} ({one.planned.group}, {intermediates}): {_memory_words(memory)}"
        )


def _memory_words(memory: Memory) -> str:
    there = f"of {memory.there / GIB:,.0f}"
    if memory.fits is Fits.PARTS:
        needed = memory.needed
        will = "will" if needed.likely > memory.there else "may"
        return (
            f"a batch of {memory.batch} likely needs {needed.likely / GIB:,.0f} GiB a GPU, the longest"
            f" {needed.high / GIB:,.0f}, {there}; it {will} be computed in parts, about {memory.rows}"
            f" row{'' if memory.rows == 1 else 's'} at a time, with the same loss"
        )
    row = memory.row
    return (
        f"even a row at a time likely needs {row.likely / GIB:,.1f} GiB a GPU, the longest row {row.high / GIB:,.1f}, {there};"
        " a GPU that has more helps, or a smaller maxLength"
    )


def _measured(estimate: Estimate) -> Iterator[str]:
    """Predicted and measured, of the stages that are there."""
    if not estimate.measured:
        return
    yield ""
    on = "" if estimate.accelerator.is_cpu else " (on GPUs whose kind manifests do not tell)"
    yield f"seconds of stages that are there{on}:"
    yield _row("", ("stages", "low", "likely", "high", "measured", "ratio"))
    for group, title in GROUPS.items():
        members = [one for one in estimate.measured if one.group == group]
        if members:
            yield _measured_row(title, members)
    yield _measured_row("in all", estimate.measured)


def _measured_row(title: str, members: Sequence[Measured]) -> str:
    predicted = total(one.predicted for one in members)
    took = sum(one.seconds for one in members)
    cells = (str(len(members)), *map(number, _parts(predicted)), number(took), f"{_ratio(members):.2f}")
    return _row(title, cells)


def _ratio(members: Sequence[Measured]) -> float:
    """Measured over likely."""
    return sum(one.seconds for one in members) / sum(one.predicted.likely for one in members)
