"""An experiment -> its stages. Pure: the same file gives the same keys on any machine.

For every model, intermediate and seed there is one checkpoint: the pretrained model (`none`), or what an
intermediate training made of it. Every task that targets train on is trained from it once, and one evaluate stage
scores all targets that a checkpoint serves (XQuAD and MLQA share SQuAD's). Retrieval targets are scored on the
checkpoint itself; that of the pretrained model knows no seed and is one stage for all of them.

No name of a model, an intermediate or the experiment stands in a spec, and whatever has no order is sorted: so
equal content has equal keys, and an experiment that grows keeps its trainings. (An evaluate stage becomes another
when a target is added that its checkpoint serves too.)

With a sweep, a training is one stage a learning rate, and what follows has all of them as parents, in roles
`model.<learning rate>`: it begins from the one with the highest English dev score (see `xstilts.stage.TrainSpec`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from xstilts.catalogue.recipes import recipe_version
from xstilts.plan.hyperparameters import Trained, candidates
from xstilts.plan.model import Cell, Naive, Plan, PlannedStage
from xstilts.plan.models import ResolvedModel
from xstilts.plan.resolve import Resolved, ResolvedIntermediate, resolve
from xstilts.plan.sources import Origin, is_unpinned
from xstilts.plan.tasks import ResolvedTask, english_rows, scored_rows
from xstilts.spec import Experiment, Training
from xstilts.stage import EvaluateSpec, Hyperparameters, InputRef, Kind, ReportSpec, Stage, TrainSpec

Sources = Mapping[str, Origin]  # by role
Tuned = tuple[Hyperparameters, ...]  # of one training: more than one with a sweep


def plan(
    experiment: Experiment, mark: str | None = None, watch: Callable[[PlannedStage], None] | None = None
) -> Plan:
    """Plan an experiment.

    Args:
        experiment: what is asked for.
        mark: what stands in the keys of sources that have no commit or digest, beginning with `unpinned:`. None is
            made of the experiment's name, so that a file has one plan; on a cluster it holds the experiment's UID.
        watch: is shown every training and evaluation as soon as it is made, with the cells that it is made for; one
            that turns out to be there already, too. What it raises ends the planning: a plan can be given up before
            all of it is made.

    Raises:
        SpecError: it cannot run, or it names a path (`xstilts run` makes inputs of the store of them first); all
            problems together.
    """
    grid = _Grid(resolve(experiment, mark), experiment.spec.training, watch)
    for model in grid.resolved.models:
        for intermediate in grid.resolved.intermediates:
            for seed in experiment.spec.seeds:
                grid.grow(model, intermediate, seed)
    grid.add(report_stage(grid.evaluations.values(), swept=bool(grid.swept)), grid.evaluations)
    return Plan(
        name=experiment.metadata.name,
        namespace=experiment.metadata.namespace or "default",
        stages=grid.planned(),
        evaluations=grid.evaluations,
        naive=Naive(**grid.naive),
    )


def report_stage(evaluations: Iterable[str], *, swept: bool = False) -> Stage:
    """The report over some evaluate stages, given by their keys: all of a plan's, or those that succeeded.

    `swept` says whether the plan has a sweep, whose choices the report then holds.
    """
    parents = {f"evaluate.{index}": key for index, key in enumerate(sorted(set(evaluations)))}
    return Stage.of(Kind.REPORT, ReportSpec(rates=swept or None), parents)


class _Grid:
    """Collects stages, each once, with the cells that need it."""

    def __init__(
        self, resolved: Resolved, training: Training, watch: Callable[[PlannedStage], None] | None
    ) -> None:
        self.resolved = resolved
        self.training = training
        self.watch = watch
        self.stages: dict[str, Stage] = {}
        self.labels: dict[str, set[Cell]] = {}
        self.swept: set[str] = set()
        self.evaluations: dict[Cell, str] = {}
        self.naive = {"intermediate": 0, "target": 0, "evaluate": 0}

    def grow(self, model: ResolvedModel, intermediate: ResolvedIntermediate, seed: int) -> None:
        """Add the stages of one model, intermediate and seed: a checkpoint and all targets."""
        row = {
            target.task.name: Cell(model.name, intermediate.name, target.task.name, seed)
            for target in self.resolved.targets
        }
        checkpoint: Sources = {"model": model.origin}
        if intermediate.rows:
            tuned = self._tune_intermediate(model, intermediate)
            checkpoint = self._train_intermediate(model, intermediate, tuned, seed, cells=list(row.values()))
            self.naive["intermediate"] += len(tuned) * len(row)
        evaluations: dict[Cell, str] = {}
        for (source, tuned), targets in self._served(model).items():
            cells = [row[target.task.name] for target in targets]
            if source is None:
                stage = self._evaluate(model, checkpoint, targets, None, cells)
            else:
                task = self.resolved.tasks[source]
                trained = self._train_target(model, checkpoint, task, tuned, seed, cells=cells)
                stage = self._evaluate(model, trained, targets, tuned[0], cells)
                self.naive["target"] += len(tuned) * len(cells)
            evaluations.update(dict.fromkeys(cells, stage.key))
        self.evaluations.update((cell, evaluations[cell]) for cell in row.values())
        self.naive["evaluate"] += len(row)

    def add(self, stage: Stage, cells: Iterable[Cell]) -> Stage:
        """Add a stage, once, or further cells to the one that is there."""
        stage = self.stages.setdefault(stage.key, stage)
        self.labels.setdefault(stage.key, set()).update(cells)
        return stage

    def planned(self) -> tuple[PlannedStage, ...]:
        """The stages in the order in which they were added, parents first, each marked if it is not pinned."""
        unpinned: set[str] = set()
        for key, stage in self.stages.items():
            if _is_unpinned(stage) or unpinned & set(stage.parents.values()):
                unpinned.add(key)
        return tuple(
            PlannedStage(
                stage=stage,
                labels=frozenset(self.labels[key]),
                unpinned=key in unpinned,
                swept=key in self.swept,
            )
            for key, stage in self.stages.items()
        )

    def _served(self, model: ResolvedModel) -> dict[tuple[str | None, Tuned], list[ResolvedTask]]:
        """The targets by what is trained for them: a task and hyperparameters, or nothing."""
        served: dict[tuple[str | None, Tuned], list[ResolvedTask]] = {}
        for target in self.resolved.targets:
            tuned = () if target.trains_on is None else self._tune_target(model, target, target.trains_on)
            served.setdefault((target.trains_on, tuned), []).append(target)
        return served

    def _tune_target(self, model: ResolvedModel, target: ResolvedTask, source: str) -> Tuned:
        trained = Trained(
            model=model.name,
            family=model.use.family,
            phase="target",
            tasks=(self.resolved.tasks[source].task,),
            names={target.task.name, source},
        )
        return candidates(self.training, trained)

    def _tune_intermediate(self, model: ResolvedModel, intermediate: ResolvedIntermediate) -> Tuned:
        tasks = [rows.data.task for rows in intermediate.rows]
        trained = Trained(
            model=model.name,
            family=model.use.family,
            phase="intermediate",
            tasks=tasks,
            names={tasks[0].name} if len(tasks) == 1 else (),
            continued_mlm=intermediate.continued is not None
            and intermediate.continued.spec.objective == "MLM",
        )
        return candidates(self.training, trained)

    def _train_intermediate(
        self,
        model: ResolvedModel,
        intermediate: ResolvedIntermediate,
        tuned: Tuned,
        seed: int,
        *,
        cells: Sequence[Cell],
    ) -> Sources:
        specs = [
            TrainSpec(
                recipe_version=recipe_version(model.use.form, [rows.data.task for rows in intermediate.rows]),
                phase="intermediate",
                model=model.use,
                data=tuple(rows.data for rows in intermediate.rows),
                mixing=intermediate.mixing,
                selection=tuple(rows.selection for rows in intermediate.rows),
                continued_pretraining=intermediate.continued.spec if intermediate.continued else None,
                hyperparameters=one,
                lora=model.lora,
                seed=seed,
            )
            for one in tuned
        ]
        return self._train(specs, {"model": model.origin, **intermediate.sources}, cells)

    def _train_target(
        self,
        model: ResolvedModel,
        checkpoint: Sources,
        task: ResolvedTask,
        tuned: Tuned,
        seed: int,
        *,
        cells: Sequence[Cell],
    ) -> Sources:
        rows = english_rows(task)
        specs = [
            TrainSpec(
                recipe_version=recipe_version(model.use.form, [task.task]),
                phase="target",
                model=model.use,
                data=(rows.data,),
                selection=(rows.selection,),
                hyperparameters=one,
                lora=model.lora,
                seed=seed,
            )
            for one in tuned
        ]
        return self._train(specs, {**checkpoint, **rows.sources}, cells)

    def _train(self, specs: Sequence[TrainSpec], sources: Sources, cells: Sequence[Cell]) -> Sources:
        trained = [self._stage(Kind.TRAIN, spec, sources, cells) for spec in specs]
        if len(trained) == 1:
            return {"model": trained[0]}
        self.swept.update(stage.key for stage in trained)
        return {
            f"model.{spec.hyperparameters.learning_rate}": stage
            for spec, stage in zip(specs, trained, strict=True)
        }

    def _evaluate(
        self,
        model: ResolvedModel,
        checkpoint: Sources,
        targets: Sequence[ResolvedTask],
        hyperparameters: Hyperparameters | None,
        cells: Sequence[Cell],
    ) -> Stage:
        targets = sorted(targets, key=lambda target: target.task.name)
        probed = tuple(target.task.name for target in targets if target.task.name in self.resolved.probed)
        spec = EvaluateSpec(
            recipe_version=recipe_version(model.use.form, [target.task for target in targets]),
            model=model.use,
            data=tuple(scored_rows(target) for target in targets),
            hyperparameters=hyperparameters,
            retrieval=model.retrieval if hyperparameters is None else None,
            probed=probed or None,
        )
        sources = {**checkpoint, **{target.role: target.origin for target in targets}}
        return self._stage(Kind.EVALUATE, spec, sources, cells)

    def _stage(
        self, kind: Kind, spec: TrainSpec | EvaluateSpec, sources: Sources, cells: Sequence[Cell]
    ) -> Stage:
        """Make a stage of a spec and its sources: inputs of the store, or stages that are then its parents."""
        inputs = {role: origin for role, origin in sources.items() if isinstance(origin, InputRef)}
        parents = {
            role: self.add(origin, cells).key for role, origin in sources.items() if isinstance(origin, Stage)
        }
        stage = Stage.of(kind, spec.model_copy(update={"inputs": inputs}), parents)
        if self.watch is not None:
            self.watch(PlannedStage(stage=stage, labels=frozenset(cells)))
        return self.add(stage, cells)


def _is_unpinned(stage: Stage) -> bool:
    """Whether a stage itself reads something that is named without its commit or digest."""
    inputs = stage.spec.get("inputs", {}).values()
    return "unpinned" in stage.spec or any(is_unpinned(reference["digest"]) for reference in inputs)
