"""An experiment and the catalogue -> everything that its stages are made of, with nothing left open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xstilts.catalogue import CATALOGUE
from xstilts.errors import SpecError
from xstilts.plan.corpora import Continued, continued_pretraining
from xstilts.plan.models import ResolvedModel, resolve_model
from xstilts.plan.sources import Hub, Origin, paths
from xstilts.plan.tasks import ResolvedTask, Rows, english_rows, resolve_task, translated_rows
from xstilts.spec import Experiment, IntermediateSpec, TaskSpec
from xstilts.spec.checks import check
from xstilts.spec.fields import BASELINE
from xstilts.stage import Mixing


@dataclass(frozen=True)
class ResolvedIntermediate:
    """A recipe of phase (ii); `none`, the baseline, has no rows.

    `rows` are sorted by task, so that the order of a mix decides nothing.
    """

    name: str
    rows: tuple[Rows, ...] = ()
    mixing: Mixing | None = None
    continued: Continued | None = None

    @property
    def sources(self) -> dict[str, Origin]:
        """Where everything that it reads comes from, by role."""
        read = {role: origin for rows in self.rows for role, origin in rows.sources.items()}
        return {**read, **self.continued.sources} if self.continued else read


@dataclass(frozen=True)
class Resolved:
    """An experiment without open questions.

    `tasks` holds the targets and what they train on, by name; `probed` are the targets that are probed at every layer.
    """

    models: tuple[ResolvedModel, ...]
    intermediates: tuple[ResolvedIntermediate, ...]
    targets: tuple[ResolvedTask, ...]
    tasks: Mapping[str, ResolvedTask]
    probed: frozenset[str]


def resolve(experiment: Experiment, mark: str | None = None) -> Resolved:
    """Resolve an experiment; `mark` is its mark for what is not pinned, if not its own.

    Raises:
        SpecError: it cannot run, or it names a path of a machine; all problems together.
    """
    problems = [*check(experiment), *paths(experiment)]
    if problems:
        raise SpecError(*problems)
    spec, hub = experiment.spec, Hub.of(experiment, mark)
    said = {task.name: task for task in spec.tasks}
    named = dict.fromkeys(_named(experiment))
    tasks = {name: resolve_task(said.get(name, TaskSpec(name=name)), hub) for name in named}
    targets = tuple(tasks[target.task] for target in spec.targets)
    retrieves = any(target.trains_on is None for target in targets)
    baseline = (ResolvedIntermediate(name=BASELINE),) if spec.baseline else ()
    return Resolved(
        models=tuple(resolve_model(model, hub, retrieves=retrieves) for model in spec.models),
        intermediates=baseline + tuple(_intermediate(one, tasks, hub) for one in spec.intermediates),
        targets=targets,
        tasks=tasks,
        probed=frozenset(target.task for target in spec.targets if target.probe_layers),
    )


def _named(experiment: Experiment) -> Iterator[str]:
    """The tasks whose rows are read, some of them several times."""
    for intermediate in experiment.spec.intermediates:
        yield from intermediate.tasks
    for target in experiment.spec.targets:
        yield target.task
        entry = CATALOGUE.get(target.task)
        if entry is not None and entry.trains_on is not None:
            yield entry.trains_on


def _intermediate(
    said: IntermediateSpec, tasks: Mapping[str, ResolvedTask], hub: Hub
) -> ResolvedIntermediate:
    mixed = [tasks[name] for name in sorted(said.tasks)]
    if said.translated_to is None:
        rows = [english_rows(task) for task in mixed]
    else:
        rows = [translated_rows(task, said.translated_to, hub) for task in mixed]
    wish = said.continued_pretraining
    return ResolvedIntermediate(
        name=said.name,
        rows=tuple(rows),
        mixing=_mixing(said) if len(mixed) > 1 else None,
        continued=continued_pretraining(wish, hub) if wish else None,
    )


def _mixing(said: IntermediateSpec) -> Mixing:
    return Mixing(**said.mixing.model_dump(by_alias=False)) if said.mixing else Mixing()
