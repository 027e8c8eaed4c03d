"""What the operator writes: the statuses of both kinds and the spec of a TransferStage, bounded everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

Schema = dict[str, Any]

_NAME: Final = 253  # the longest name of an object
_DECIMAL: Final = r"^-?[0-9]{1,16}(\.[0-9]{1,16})?([eE][+-]?[0-9]{1,3})?$"
_DIGEST: Final = "^[0-9a-f]{64}$"


def text(longest: int, description: str = "", **more: Any) -> Schema:
    """A string."""
    return _described(description, {"type": "string", "maxLength": longest, **more})


def choice(values: Sequence[str], description: str = "") -> Schema:
    """One of some words."""
    return _described(description, {"type": "string", "enum": list(values)})


def number(description: str = "", least: int = 0, **more: Any) -> Schema:
    """An integer."""
    return _described(description, {"type": "integer", "format": "int64", "minimum": least, **more})


def time(description: str = "") -> Schema:
    """A time in RFC 3339."""
    return _described(description, {"type": "string", "format": "date-time", "maxLength": 64})


def mapping(description: str, required: Sequence[str] = (), /, **properties: Schema) -> Schema:
    """An object with fields of its own."""
    needed = {"required": list(required)} if required else {}
    return _described(description, {"type": "object", **needed, "properties": properties})


def values(description: str, most: int, of: Schema) -> Schema:
    """An object whose keys are names."""
    return _described(description, {"type": "object", "maxProperties": most, "additionalProperties": of})


def entries(description: str, most: int, of: Schema, keys: Sequence[str] = ()) -> Schema:
    """A list: a map by keys, or atomic."""
    kind: Schema = {"x-kubernetes-list-type": "atomic"}
    if keys:
        kind = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
    return _described(description, {"type": "array", "maxItems": most, **kind, "items": of})


def _described(description: str, schema: Schema) -> Schema:
    return {"description": description, **schema} if description else schema


def _decimal(description: str) -> Schema:
    return text(36, description, pattern=_DECIMAL)


def _digest(description: str) -> Schema:
    return text(64, description, pattern=_DIGEST)


def _conditions(summary: str) -> Schema:
    condition = mapping(
        "A condition, as Kubernetes has it.",
        ["type", "status", "reason", "message"],
        type=text(316, pattern="^[A-Za-z][A-Za-z0-9./_-]*$"),
        status=choice(["True", "False", "Unknown"]),
        reason=text(1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
        message=text(32_768),
        lastTransitionTime=time(),
        observedGeneration=number(),
    )
    return entries(summary, 16, condition, ["type"])


def experiment_status() -> Schema:
    """The status of a TransferExperiment."""
    counts = {
        "total": "All.",
        "succeeded": "Done, the cached ones too.",
        "cached": "Done without having been run for this experiment.",
        "running": "An attempt is under way.",
        "queued": "An attempt waits in a queue of Kueue.",
        "pending": "Not begun.",
        "failed": "Given up.",
        "blocked": "A stage that it needs has failed.",
    }
    result = mapping(
        "The scores of a model, intermediate and target, over languages and seeds.",
        ["model", "intermediate", "target", "score"],
        model=text(63),
        intermediate=text(63),
        target=text(63),
        score=_decimal("XTREME's: the mean over the languages, in percent."),
        delta=_decimal("Against the same model and seeds with `none`."),
        gap=_decimal("English minus the mean of the other languages."),
        worst=text(64, "The language with the lowest score, and that score."),
        seeds=number("How many have scores."),
    )
    return mapping(
        "What has become of it. The operator writes it.",
        observedGeneration=number("The generation of the spec that this was written for."),
        conditions=_conditions("`Succeeded` is the summary; its message says why it goes no further."),
        startTime=time("When it was accepted; from then on its grid only grows."),
        completionTime=time("When its last stage ended."),
        activeSeconds=number("How long it was active before `activeSince`, without suspensions."),
        activeSince=time("From when on it is active."),
        plan=mapping(
            "The stages that were accepted.",
            name=text(_NAME, "The ConfigMap that holds them."),
            stages=number("How many."),
            generation=number("Of the spec that they cover."),
        ),
        lookup=mapping(
            "What the store was asked for.",
            plan=text(_NAME, "The plan whose stages the store has answered for."),
        ),
        counts=mapping(
            "Stages by where they stand.", (), **{name: number(what) for name, what in counts.items()}
        ),
        progressPercent=number("Of all stages.", maximum=100),
        estimatedRemainingSeconds=number("Until the last stage ends, by what stages of its kind have taken."),
        gpuHours=mapping(
            "What its stages have cost.",
            spent=_decimal("By attempts that it has paid for."),
            saved=_decimal("By attempts that another has paid for, and what the store had."),
        ),
        results=entries("The table so far.", 256, result, ["model", "intermediate", "target"]),
        resultsTruncated=number("Rows of the table that are left out here; the report has them."),
        best=text(320, "The highest score of the first target, with what gave it."),
        report=mapping(
            "The page of tables and tests.",
            state=text(32),
            path=text(1024, "Where it is in the store."),
            message=text(1024, "Why it could not be written."),
        ),
    )


def stage_spec() -> Schema:
    """The spec of a TransferStage."""
    key = _digest("")
    return {
        **mapping(
            "One node of an experiment's graph. The operator writes it.",
            ["key", "kind", "store", "stage"],
            key=_digest("The content hash: equal keys are one stage."),
            kind=choice(["prepare", "train", "evaluate"], "What it does."),
            store=text(63, "The store of the administrator's list that its output lies in."),
            parents=values("Role -> key of the stage that it begins from.", 512, key),
            parentStages=entries("Their names.", 512, text(_NAME)),
            stage=text(102_400, "STAGE.json, as the trainer reads it."),
            title=text(1024, "What it is called."),
            tasks=entries("What is prepared, trained or evaluated.", 128, text(63)),
        ),
        "x-kubernetes-validations": [
            {"rule": "self == oldSelf", "message": "must not change: a stage is what its key says"}
        ],
    }


def stage_status(placement: Schema) -> Schema:
    """The status of a TransferStage. `placement` is the schema of `spec.resources` of an experiment."""
    attempt = mapping(
        "The last attempt.",
        ["number"],
        number=number("From 1; never used again."),
        startedAt=time("When it was admitted."),
        experiment=text(_NAME, "Who pays for it."),
        experimentUID=text(64),
        gpus=number("Of all its pods together."),
        queueName=text(_NAME, "Kueue's LocalQueue."),
        placement={**placement, "description": "What it was given, frozen when it was admitted."},
    )
    usage = mapping(
        "What an experiment has paid.",
        ["experimentUID", "gpuSeconds"],
        experiment=text(_NAME),
        experimentUID=text(64),
        gpuSeconds=number(),
    )
    failure = mapping(
        "How the last attempt without an output ended.",
        ["attempt", "reason"],
        attempt=number(),
        exitCode=number(),
        reason=text(1024),
        message=text(4096),
        log=text(1024, "The last of what it said."),
        progressPercent=number(maximum=100),
        parent=_digest("The key of the stage whose output it missed: that one runs again first."),
    )
    metric = mapping("", ["name", "value"], name=text(128), value=text(64))
    progress = mapping(
        "What its pod tells. The progress server writes it.",
        (),
        attempt=number("The attempt that it is of."),
        percent=number(maximum=100),
        estimatedRemainingSeconds=number(),
        metrics=entries("", 32, metric, ["name"]),
        lastUpdatedTime=time(),
    )
    languages = values("", 256, _decimal(""))
    return mapping(
        "What has become of it. The operator writes it.",
        state=choice(["Pending", "Active", "Waiting", "Succeeded", "Failed"], "Where it stands."),
        reason=text(1024, "Why it goes no further, in a word."),
        message=text(4096, "Why it goes no further."),
        conditions=_conditions("`Succeeded` is the summary."),
        attempt=attempt,
        failures=number("Attempts that count against the limit."),
        resumes=number("Attempts that were interrupted by others."),
        stalledResumes=number("Of these the last in a row that made no progress."),
        retryAfter=time("No attempt begins before it."),
        weightsDropped={
            "description": "Its weights were dropped since (spec.store.keep): it runs again where they are needed.",
            "type": "boolean",
        },
        cached={"description": "It was done before it was asked for here.", "type": "boolean"},
        scores=values("Task -> metric -> language -> score in percent.", 64, values("", 32, languages)),
        score=text(256, "Each task's main score, the mean over its languages."),
        outputsDigest=_digest("Over the SHA-256 of every file of its output."),
        completedAt=time("When it succeeded or was given up."),
        usage=entries("Who has paid how much for it.", 32, usage, ["experimentUID"]),
        lastFailure=failure,
        progress=progress,
    )
