"""What a stage's kind does, behind one entry: `run_stage`."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from xstilts.errors import Problem, SpecError
from xstilts.stage import (
    EvaluateSpec,
    Kind,
    PrepareDataSpec,
    PrepareModelSpec,
    Stage,
    TrainSpec,
    stage_key,
)
from xstilts.store import Manifest, Store
from xstilts_trainer.environment import check_gpu, describe_environment, make_deterministic, threads
from xstilts_trainer.progress import Progress

if TYPE_CHECKING:
    from xstilts_trainer.training.group import Group


def read_stage(file: Path) -> Stage:
    """Read STAGE.json.

    Raises:
        SpecError: there is no such file, it is no stage of this schema, or its key is not that of its content.
    """
    try:
        stage = Stage.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SpecError(Problem(str(file), f"must be a file that can be read: {error.strerror}")) from None
    except ValidationError as error:
        raise _spec_error(error, "") from None
    expected = stage_key(stage.kind, stage.parents, stage.spec)
    if stage.key != expected:
        raise SpecError(
            Problem("key", f"must be the digest of the stage's content, {expected}, was {stage.key}")
        )
    return stage


def run_stage(stage: Stage, store: Store, progress: Progress, group: Group | None = None) -> Manifest:
    """Do a stage, or find that it is done; of two processes at one stage, one does it and the other waits.

    Args:
        stage: what to do.
        store: holds its parents, and gets its output.
        progress: is told how far it is.
        group: where several processes train together, which wait to hear whether there is work: this one is rank 0.

    Raises:
        UserError: the spec, its data or its parents are not what the stage needs.
        KeyboardInterrupt: asked to end; what was done is saved.
    """
    manifest = store.lookup(stage.key)
    if manifest is not None:
        _tell(group, work=False)
        return manifest
    with store.lock(stage.key):
        manifest = store.lookup(stage.key)
        _tell(group, work=manifest is None)
        if manifest is not None:
            return manifest
        began = time.monotonic()
        environment = describe_environment()
        with ExitStack() as until_written, store.write(stage, environment) as draft:
            try:
                environment |= _work(stage, store, draft.path, progress, group, until_written)
            except ValidationError as error:
                raise _spec_error(error, "spec.") from None
            environment["seconds"] = round(time.monotonic() - began, 3)
        return draft.manifest


def run_rank(stage: Stage, store: Store, progress: Progress) -> Manifest | None:
    """Do one process' part of a training that several share (see `xstilts_trainer.ranks`); None but for rank 0.

    Raises:
        UserError: as `run_stage`.
        KeyboardInterrupt: one of them was asked to end; what was done is saved.
    """
    make_deterministic(threads())
    from xstilts_trainer.training.group import joined_group  # noqa: PLC0415 - see _work

    with joined_group() as group:
        if group.rank == 0:
            return run_stage(stage, store, progress, group)
        if group.broadcast(value=False):
            with ExitStack() as until_written:
                _work(stage, store, Path(), progress, group, until_written)  # rank 0 alone writes
        return None


def _tell(group: Group | None, *, work: bool) -> None:
    if group is not None:
        group.broadcast(work)


def _work(
    stage: Stage,
    store: Store,
    folder: Path,
    progress: Progress,
    group: Group | None,
    until_written: ExitStack,
) -> dict[str, Any]:
    """Write the stage's outputs into a folder; returns what the manifest's environment says of them.

    What is to hold until the artifact is written is entered into `until_written`.

    The kinds are imported where they run: torch takes seconds, and a stage that is done needs none of it.
    """
    match stage.kind:
        case Kind.PREPARE if stage.spec.get("what") == "model":
            from xstilts_trainer.stages.prepare import prepare_model  # noqa: PLC0415

            return prepare_model(PrepareModelSpec.model_validate(stage.spec), folder)
        case Kind.PREPARE:
            from xstilts_trainer.stages.prepare import prepare_data  # noqa: PLC0415

            return prepare_data(PrepareDataSpec.model_validate(stage.spec), folder)
        case Kind.TRAIN:
            train_spec = TrainSpec.model_validate(stage.spec)
            check_gpu()
            make_deterministic(threads())
            from xstilts_trainer.stages.train import train  # noqa: PLC0415
            from xstilts_trainer.training.group import Group  # noqa: PLC0415

            return train(train_spec, stage, store, folder, progress, group or Group(), until_written)
        case Kind.EVALUATE:
            evaluate_spec = EvaluateSpec.model_validate(stage.spec)
            check_gpu()
            make_deterministic(threads())
            from xstilts_trainer.stages.evaluate import evaluate  # noqa: PLC0415

            return evaluate(evaluate_spec, stage, store, folder, progress)
        case Kind.REPORT:
            raise SpecError(Problem("kind", "must be prepare, train or evaluate: a report needs no trainer"))


def _spec_error(error: ValidationError, prefix: str) -> SpecError:
    """Each of pydantic's complaints by the path of its field."""
    return SpecError(
        *(
            Problem(
                f"{prefix}{'.'.join(map(str, detail['loc']))}", f"{detail['msg']}, was {detail['input']!r}"
            )
            for detail in error.errors()
        )
    )
