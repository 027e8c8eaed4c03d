"""The experiments of a cluster's namespace, as the commands see and edit them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from xstilts.cluster import paths
from xstilts.cluster.client import MERGE, TABLE, Client, NotFoundError, Object
from xstilts.cluster.explain import Evidence, blamed, explain
from xstilts.cluster.plans import AcceptedPlan, numbers_of, read_plan
from xstilts.cluster.reading import (
    after_the_failures,
    experiment_standing,
    failed_reports,
    stage_standings,
)
from xstilts.errors import Problem, UnavailableError, UserError
from xstilts.plan import Plan, plan
from xstilts.plan.sources import UNPINNED
from xstilts.results import Results, results_of
from xstilts.spec import Experiment, read_experiment
from xstilts.standing import ExperimentStanding, Explanation, StageStanding, choose_stage

SET_BY_COMMANDS: Final = ("suspend", "retryFailedAt")  # of the spec; files seldom name them
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class ClusterPlace:
    """One namespace of a cluster."""

    def __init__(self, client: Client, namespace: str | None = None) -> None:
        self.client = client
        self.namespace = namespace or client.namespace

    @property
    def words(self) -> str:
        """What people call it."""
        return f"cluster {self.client.context}, namespace {self.namespace}"

    def names(self) -> list[str]:
        """The experiments that are there."""
        listed = self.client.get(paths.experiments(self.namespace))["items"]
        return sorted(one["metadata"]["name"] for one in listed)

    def standings(self, *, everywhere: bool = False) -> list[ExperimentStanding]:
        """All experiments (of all namespaces, if `everywhere`), without their stages."""
        listed = self.client.get(paths.experiments(None if everywhere else self.namespace))["items"]
        found = [experiment_standing(one, self._words(one)) for one in listed]
        return sorted(found, key=lambda one: (one.namespace, one.name))

    def standing(self, name: str) -> ExperimentStanding:
        """An experiment with its stages."""
        return self._standing(self.get(name))

    def get(self, name: str) -> Object:
        """A TransferExperiment.

        Raises:
            NotFoundError: there is none, or its kind is not known here.
        """
        try:
            return self.client.get(paths.experiments(self.namespace, name))
        except NotFoundError as error:
            raise self._not_found(name, error) from None

    def explain(self, name: str) -> Explanation:
        """The one reason why an experiment does not advance."""
        obj = self.get(name)
        standing = self._standing(obj)
        return explain(standing, obj, self._evidence(name, blamed(standing.stages)))

    def log(
        self, name: str, stage: str | None, *, tail: int, follow: bool
    ) -> tuple[StageStanding, Iterator[str]]:
        """A stage and the lines of its log: of its last attempt's pod, else what its status keeps of a failed one.

        Raises:
            UserError: no stage is called so, or it has said nothing.
        """
        chosen = choose_stage(name, self.standing(name).stages, stage)
        pods = self._pods(chosen.name)
        if pods:
            lines = self.client.lines(
                paths.core(self.namespace, "pods", pods[0]["metadata"]["name"]) + "/log",
                wait_seconds=None if follow else 60,
                tailLines=str(tail),
                **({"follow": "true"} if follow else {}),
            )
            try:
                return chosen, _chain(next(lines, None), lines)
            except UserError as error:  # the pod has not begun, or its node is gone
                refused: UserError | None = error
        else:
            refused = None
        kept = self._kept_log(chosen.name)
        if not kept:
            if refused:
                why = "; ".join(map(str, refused.problems))
                raise UnavailableError(
                    Problem(f"logs of {chosen.title}", f"must be readable on its node, are not: {why}")
                )
            raise UserError(
                Problem(
                    f"logs of {chosen.title}", f"must be there, are not: it is {chosen.state} and has no pod"
                )
            )
        return chosen, iter(kept[-tail:])

    def results(self, accepted: AcceptedPlan) -> Results:
        """The results of an experiment so far, from the statuses of its stages: they hold scores, and no answers."""
        listed = self.client.get(paths.stages(self.namespace), labelSelector=f"{paths.KIND_LABEL}=evaluate")[
            "items"
        ]
        return results_of(accepted.experiment, accepted.plan, numbers_of(accepted.plan, listed))

    def accepted(self, name: str) -> AcceptedPlan:
        """An experiment as the operator has accepted it, with its plan.

        Raises:
            UserError: nothing has been accepted yet.
        """
        plan = ((self.get(name).get("status") or {}).get("plan") or {}).get("name")
        if not plan:
            problem = f"must have been planned by the operator, is not; `xstilts explain {name}` says why"
            raise UserError(Problem(f"experiment {name}", problem))
        return read_plan(self.client.get(paths.core(self.namespace, "configmaps", plan)))

    def plan(self, name: str) -> Plan:
        """The plan of an experiment: the accepted one, or what the operator will make of it.

        Raises:
            UserError: it cannot be read, or the experiment cannot be planned.
        """
        obj = self.get(name)
        if ((obj.get("status") or {}).get("plan") or {}).get("name"):
            return self.accepted(name).plan
        return plan(experiment_of(obj), f"{UNPINNED}{obj['metadata']['uid']}")

    def finished(self, store: str) -> tuple[dict[str, tuple[float, int] | None], frozenset[str]]:
        """The stages of a store (its name) that this namespace has run or found, by key; and those whose weights were dropped.

        Of one that was paid for in GPU-seconds its seconds and GPUs, all attempts of it together.
        """
        found: dict[str, tuple[float, int] | None] = {}
        dropped = set()
        for one in self.client.get(paths.stages(self.namespace))["items"]:
            status = one.get("status") or {}
            if one["spec"].get("store") == store and status.get("state") == "Succeeded":
                paid = sum(use.get("gpuSeconds", 0) for use in status.get("usage") or ())
                gpus = (status.get("attempt") or {}).get("gpus", 0)
                found[one["spec"]["key"]] = (paid / gpus, gpus) if paid and gpus else None
                if status.get("weightsDropped"):
                    dropped.add(one["spec"]["key"])
        return found, frozenset(dropped)

    def create(self, manifest: Object, *, dry_run: bool = False) -> None:
        """Create an experiment; with `dry_run` the API server checks it and keeps nothing.

        Raises:
            ConflictError: one of this name is there.
            SpecError: the API server refuses it.
        """
        path = paths.experiments(self.namespace)
        try:
            self.client.call("POST", path, manifest, query=_dry(dry_run))
        except NotFoundError as error:
            raise self._not_found("", error) from None

    def replace_spec(self, manifest: Object, *, dry_run: bool = False) -> bool:
        """Give an experiment the spec that `edited_spec` makes of a manifest; False where it is that one already.

        Raises:
            SpecError: the API server refuses it: what has begun is frozen.
            ConflictError: it was changed meanwhile.
        """
        there = self.get(manifest["metadata"]["name"])
        path = paths.experiments(self.namespace, manifest["metadata"]["name"])
        body = {**there, "spec": edited_spec(there, manifest)}
        after = self.client.call("PUT", path, body, query=_dry(dry_run))
        return bool(after["spec"] != there["spec"])

    def suspend(self, name: str, *, suspended: bool) -> bool:
        """Set spec.suspend; False where it is so already."""
        there = self.get(name)
        if ((there.get("spec") or {}).get("suspend") is True) == suspended:
            return False
        self._patch(name, {"suspend": suspended})
        return True

    def retry_failed(self, name: str) -> list[StageStanding]:
        """Have the stages that failed tried again, and the report; returns them. Nothing is changed where there are none."""
        there = self.get(name)
        failed = [one for one in self._standing(there).stages if one.state.bad] + failed_reports(there)
        if failed:
            stages = self.client.get(paths.stages(self.namespace))["items"]
            self._patch(name, {"retryFailedAt": after_the_failures(there, stages).strftime(_TIME)})
        return failed

    def _patch(self, name: str, spec: dict[str, Any]) -> None:
        path = paths.experiments(self.namespace, name)
        self.client.call("PATCH", path, {"spec": spec}, content_type=MERGE)

    def _standing(self, obj: Object) -> ExperimentStanding:
        table = self.client.get(paths.stages(self.namespace), accept=TABLE, includeObject="Metadata")
        stages = stage_standings(table, obj["metadata"]["uid"])
        return experiment_standing(obj, self.words, sorted(stages, key=lambda one: (one.order, one.title)))

    def _evidence(self, name: str, stage: StageStanding | None) -> Evidence:
        """What can be found; what this user may not see is left out."""
        if stage is None:
            return Evidence(events=self._events(name))
        about = [name, stage.name]
        found: Object | None = None
        log = ""
        with suppress(UserError):
            found = self.client.get(paths.stages(self.namespace, stage.name))
            number = ((found.get("status") or {}).get("attempt") or {}).get("number")
            about += [f"{stage.name}-{number}"] if number else []
        with suppress(UserError):
            pods = self._pods(stage.name)
            about += [pod["metadata"]["name"] for pod in pods[:1]]
            if pods and _has_begun(pods[0]):
                path = paths.core(self.namespace, "pods", pods[0]["metadata"]["name"]) + "/log"
                said = [line for line in self.client.lines(path, tailLines="20") if line.strip()]
                log = said[-1] if said else ""
        # of its own Events and its Job's first: the experiment's tell only that it is so
        return Evidence(stage=found, events=self._events(*about[1:]) or self._events(name), log=log)

    def _events(self, *names: str) -> list[Object]:
        found: list[Object] = []
        for name in names:
            with suppress(UserError):
                listed = self.client.get(
                    paths.core(self.namespace, "events"), fieldSelector=f"involvedObject.name={name}"
                )
                found += listed["items"]
        return found

    def _pods(self, stage: str) -> list[Object]:
        """The pods of a stage's last attempt, the first node's first."""
        listed = self.client.get(
            paths.core(self.namespace, "pods"), labelSelector=f"{paths.STAGE_LABEL}={stage}"
        )["items"]

        def attempt(pod: Object) -> int:
            said = pod["metadata"]["labels"].get(paths.ATTEMPT_LABEL, "0")
            return int(said) if said.isdigit() else 0

        last = max(map(attempt, listed), default=0)
        return sorted(
            (pod for pod in listed if attempt(pod) == last), key=lambda pod: pod["metadata"]["name"]
        )

    def _kept_log(self, stage: str) -> list[str]:
        status = self.client.get(paths.stages(self.namespace, stage)).get("status") or {}
        text: str = (status.get("lastFailure") or {}).get("log", "")
        return text.splitlines()

    def _words(self, obj: Object) -> str:
        return f"cluster {self.client.context}, namespace {obj['metadata']['namespace']}"

    def _not_found(self, name: str, error: NotFoundError) -> UserError:
        if "could not find the requested resource" in str(error):
            return UnavailableError(
                Problem(
                    f"cluster {self.client.context}",
                    "must know TransferExperiments, does not; install the operator (docs/installation.md), and see "
                    "`xstilts doctor --cluster`",
                )
            )
        try:
            known = ", ".join(self.names()[:8]) or "none"
        except UserError:
            known = "unknown"
        return NotFoundError(
            Problem(
                f"experiment {name}",
                f"must be in {self.words}, is not (there: {known}); -n NAMESPACE, or `xstilts list -A`",
            )
        )


def experiment_of(obj: Object) -> Experiment:
    """A TransferExperiment as it stands, as an experiment.

    Raises:
        SpecError: it is none that can run.
    """
    written = {key: obj[key] for key in ("apiVersion", "kind", "spec")}
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace")}
    return read_experiment(written | {"metadata": metadata})


def edited_spec(there: Object, manifest: Object) -> Object:
    """The spec that a manifest makes of that of the TransferExperiment that is there.

    What commands have set of it stays where the manifest does not name it: else an edit would resume what is suspended.
    """
    kept = {field: there["spec"][field] for field in SET_BY_COMMANDS if field in there["spec"]}
    return {**kept, **manifest["spec"]}


def _has_begun(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Running", "Succeeded", "Failed"}


def _chain(first: str | None, rest: Iterator[str]) -> Iterator[str]:
    if first is not None:
        yield first
    yield from rest


def _dry(dry_run: bool) -> dict[str, str]:  # noqa: FBT001 - the command's own option
    return {"dryRun": "All"} if dry_run else {}
