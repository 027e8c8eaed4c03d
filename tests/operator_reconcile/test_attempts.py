"""How an attempt has ended, by exit codes and conditions, and what becomes of its stage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from xstilts.stage import Result, StageFailure
from xstilts_operator.reconcile.attempts import POD_GRACE_SECONDS, Outcome, Verdict, gpu_seconds, judge
from xstilts_operator.reconcile.ending import OTHERS, backoff, ended, paid
from xstilts_operator.reconcile.rollup import percent as percent_of
from xstilts_operator.reconcile.standing import Standing
from xstilts_operator.settings import AttemptSettings
from xstilts_operator.tolerant import stamp
from xstilts_operator.views import AttemptView, JobView, PodView, StageState, StageView, Work, view_pod
from xstilts_operator.views.stage import USAGE_LIMIT, Progress

KEY = "k" * 64
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RESULT = Result(key=KEY, outputs_digest="d" * 64).model_dump_json(by_alias=True)
JOB = JobView(
    name="train-1", uid="job", attempt=1, owner="stage", created=NOW, started=NOW, ended=NOW + timedelta(seconds=90),
    complete=False, failed=True, reason="", message="", pods=1, suspended=False, deleting=False,
)  # fmt: skip
DONE = replace(JOB, complete=True, failed=False)


def pod(code: int | None, index: int = 0, seconds: int = 60, **changes) -> PodView:
    plain = PodView(
        name=f"train-1-{index}", uid=f"pod-{index}", deleting=False, job="train-1", attempt=1, index=index,
        over=True, exit_code=code, answer="", disrupted=False, reason="", message="", began=NOW,
        finished=NOW + timedelta(seconds=seconds), stuck=False,
    )  # fmt: skip
    return replace(plain, **changes)


def verdict(job: JobView, *pods: PodView, seen: bool = False, ended_for: float = 999.0) -> str | None:
    outcome = judge(KEY, job, pods, disruption_seen=seen, ended_for=ended_for)
    return outcome and outcome.verdict.value


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([pod(1)], "failed"),
        ([pod(137, reason="OOMKilled")], "failed"),
        ([pod(42)], "interrupted"),
        ([pod(64)], "invalid"),
        ([pod(143, disrupted=True)], "interrupted"),
        ([pod(1, disrupted=True)], "interrupted"),
        ([pod(None, disrupted=True)], "interrupted"),
        ([pod(143, deleting=True)], "interrupted"),  # somebody has deleted the pod
        ([], "interrupted"),  # it is gone: somebody has deleted it, or its node
    ],
)
def test_exit_codes_of_one_pod(pods, expected):
    assert verdict(JOB, *pods) == expected


@pytest.mark.parametrize("name", ["stage", "lookup", "report"])
def test_a_container_that_somebody_has_put_beside_ours_answers_nothing(name):
    """The kubelet tells containers in the order of their names."""
    beside = {"name": "a-sidecar", "state": {"terminated": {"exitCode": 0, "message": "bye"}}}
    ours = {"name": name, "state": {"terminated": {"exitCode": 64, "message": "no"}}}
    status = {"phase": "Failed", "containerStatuses": [beside, ours]}
    ended = view_pod({"metadata": {}, "status": status})
    assert (ended.exit_code, ended.answer) == (64, "no")


def test_a_container_that_runs_has_its_volumes_whatever_a_condition_says():
    since = "2026-01-01T00:00:00Z"
    said = {"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": since}
    waits, runs = {"waiting": {"reason": "ContainerCreating"}}, {"running": {"startedAt": since}}
    views = [
        view_pod({"status": {"conditions": [said], "containerStatuses": [{"name": "stage", "state": state}]}})
        for state in (waits, runs)
    ]
    assert [view.unprepared is None for view in views] == [False, True]


KILLED = [{"name": "stage", "state": {"terminated": {"exitCode": 137}}}]
SAVED = [{"name": "stage", "state": {"terminated": {"exitCode": 42}}}]
DISRUPTED = [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}]


@pytest.mark.parametrize(
    ("message", "status", "expected"),
    [
        ("The node was low on resource: memory. ", {"containerStatuses": KILLED, "conditions": DISRUPTED}, "interrupted"),
        ("Pod was rejected: The node had condition: [DiskPressure]. ", {}, "interrupted"),
        ('Usage of EmptyDir volume "scratch" exceeds the limit "50Gi". ', {"containerStatuses": KILLED}, "failed"),
        ('Usage of EmptyDir volume "scratch" exceeds the limit "50Gi". ', {"containerStatuses": SAVED}, "failed"),
    ],
)  # fmt: skip
def test_a_pod_is_evicted_by_the_need_of_its_node_or_by_its_own_excess(message, status, expected):
    """As the kubelet's eviction manager writes them: only the first kind has the condition, and the second never ran."""
    evicted = view_pod(
        {"metadata": {}, "status": {"phase": "Failed", "reason": "Evicted", "message": message, **status}}
    )
    outcome = judge(KEY, JOB, [evicted], disruption_seen=False, ended_for=0)
    assert outcome is not None
    assert outcome.verdict == expected
    assert message in outcome.message


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([pod(1), pod(64, 1)], "invalid"),  # any rank's word that nothing else will help
        ([pod(1), pod(143, 1, disrupted=True)], "interrupted"),  # the peers of a lost node fail with it
        ([pod(1), pod(42, 1, deleting=True)], "failed"),  # the Job controller has stopped the other
        ([pod(1)], "failed"),  # and by now it is gone
        ([pod(42), pod(1, 1)], "interrupted"),
        ([pod(0), pod(1, 1)], "failed"),
    ],
)
def test_exit_codes_of_two_nodes(pods, expected):
    assert verdict(replace(JOB, pods=2), *pods) == expected


def test_a_disruption_that_was_seen_counts_though_the_pod_is_gone():
    assert verdict(replace(JOB, pods=2), pod(1), seen=True) == "interrupted"


def test_pods_that_may_still_come_are_waited_for():
    assert verdict(JOB, ended_for=POD_GRACE_SECONDS - 1) is None
    assert verdict(DONE, ended_for=POD_GRACE_SECONDS - 1) is None
    assert verdict(replace(JOB, pods=2), pod(64, 1), ended_for=0) == "invalid"  # no need to


def test_success_is_a_result_of_this_stage():
    other = Result(key="o" * 64, outputs_digest="d" * 64).model_dump_json(by_alias=True)
    error = Result(key=KEY, error=StageFailure(message="no")).model_dump_json(by_alias=True)
    assert verdict(DONE, pod(0, answer=RESULT)) == "succeeded"
    for answer in ("", "{", other, error, RESULT[:-5]):
        assert verdict(DONE, pod(0, answer=answer)) == "failed"
    assert verdict(replace(DONE, pods=2), pod(0, answer=RESULT), pod(0, 1)) == "succeeded"
    assert verdict(replace(DONE, pods=2), pod(0), pod(0, 1, answer=RESULT)) == "failed"


def test_a_result_that_is_gone_with_its_pod_is_nobodys_failure():
    """A node was drained while no operator ran: the stage had done its work."""
    assert verdict(DONE) == "interrupted"
    assert verdict(replace(DONE, pods=2), pod(0, 1)) == "interrupted"


def test_a_failure_is_told_in_the_words_of_the_stage():
    said = Result(key=KEY, error=StageFailure(field="xnli.tsv: row 3", message="must be a label"))
    outcome = judge(
        KEY, JOB, [pod(64, answer=said.model_dump_json(by_alias=True))], disruption_seen=False, ended_for=0
    )
    assert outcome == Outcome(Verdict.INVALID, "InvalidStage", "xnli.tsv: row 3: must be a label", 64)
    log = judge(KEY, JOB, [pod(1, answer="x" * 5000)], disruption_seen=False, ended_for=0)
    assert log is not None
    assert log.message == "exit code 1"
    assert len(log.log) == 1024


def test_a_parent_that_was_missed_is_remembered_whichever_pod_has_told():
    error = StageFailure(field="parents.model", message="was damaged", parent="a" * 64)
    said = Result(key=KEY, error=error).model_dump_json(by_alias=True)
    two = replace(JOB, pods=2)
    outcome = judge(KEY, two, [pod(1), pod(1, 1, answer=said)], disruption_seen=False, ended_for=0)
    assert outcome == Outcome(
        Verdict.FAILED, "ParentDamaged", "parents.model: was damaged", 1, parent="a" * 64
    )
    stage = ended(ACTIVE, outcome, worked=60, charge=0, settings=LIMITS, now=NOW)
    assert (stage.failures, stage.last_failure.parent) == (1, "a" * 64)
    garbage = said.replace("a" * 64, "no key")
    assert verdict(JOB, pod(1, answer=garbage)) == "failed"


def test_every_pod_pays_for_as_long_as_it_worked():
    attempt = AttemptView(1, NOW, "grid", "uid", gpus=4)
    two = replace(JOB, pods=2)
    later = NOW + timedelta(seconds=90)
    assert gpu_seconds(attempt, JOB, [pod(0)], later) == 240
    assert gpu_seconds(attempt, two, [pod(0, seconds=10), pod(0, 1, seconds=60)], later) == 140
    assert gpu_seconds(attempt, two, [pod(0, seconds=60)], later) == 240  # the other is gone
    assert gpu_seconds(attempt, JOB, [pod(0, finished=None)], later) == 360  # it runs
    due = NOW + timedelta(seconds=30)
    assert gpu_seconds(attempt, JOB, [pod(0, finished=None, due=due)], later) == 120  # or its node is lost
    collected = {
        "phase": "Failed",
        "containerStatuses": [{"name": "stage", "state": {"running": {"startedAt": stamp(NOW)}}}],
    }
    lost = view_pod({"metadata": {"deletionTimestamp": stamp(due)}, "status": collected})
    assert gpu_seconds(attempt, JOB, [lost], later) == 120  # which Kubernetes says in the end
    assert gpu_seconds(attempt, JOB, [], later) == 360  # all are gone: as long as the Job
    assert gpu_seconds(attempt, JOB, [pod(0, began=None)], later) == 0  # it never worked
    assert gpu_seconds(attempt, None, [], later) == 0
    gone = Work(NOW, NOW + timedelta(seconds=30))
    assert gpu_seconds(attempt, None, [], later, [gone]) == 120  # with its Job
    assert gpu_seconds(attempt, JOB, [pod(0)], later, [gone]) == 360  # another has come after it
    assert gpu_seconds(replace(attempt, gpus=0), JOB, [pod(0)], later) == 0


LIMITS = AttemptSettings()
ACTIVE = StageView(
    "team", "train", key=KEY, state=StageState.ACTIVE, attempt=AttemptView(1, NOW, "grid", "uid", 1)
)


def after(stage: StageView, verdict: Verdict, *, worked: int = 60, percent: int | None = None) -> StageView:
    outcome = Outcome(verdict, "Because", "of this", 1)
    stage = replace(stage, state=StageState.ACTIVE, percent=percent, told=stage.number)
    return ended(stage, outcome, worked=worked, charge=60, settings=LIMITS, now=NOW)


def test_failures_are_counted_and_back_off():
    stage, waits = ACTIVE, []
    for _ in range(LIMITS.max_failures - 1):
        stage = after(stage, Verdict.FAILED)
        assert stage.state is StageState.WAITING
        waits.append((stage.retry_after - NOW).total_seconds())
    assert waits == [10, 20]
    stage = after(stage, Verdict.FAILED)
    assert (stage.state, stage.failures) == (StageState.FAILED, 3)
    assert backoff(60, LIMITS) == timedelta(seconds=300)


def test_what_is_wrong_fails_at_once():
    stage = after(ACTIVE, Verdict.INVALID)
    assert (stage.state, stage.failures, stage.completed) == (StageState.FAILED, 0, NOW)


def test_interruptions_are_not_counted_but_capped():
    stage = ACTIVE
    for number in range(LIMITS.max_resumes):
        stage = after(stage, Verdict.INTERRUPTED, worked=3600)
        assert (stage.state, stage.failures, stage.resumes) == (StageState.WAITING, 0, number + 1)
    stage = after(stage, Verdict.INTERRUPTED, worked=3600)
    assert (stage.state, stage.reason) == (StageState.FAILED, "TooManyResumes")


def test_interruptions_without_progress_end_soon():
    stage, waits = ACTIVE, []
    for _ in range(LIMITS.stalled_resumes):
        stage = after(stage, Verdict.INTERRUPTED)
        assert stage.state is StageState.WAITING
        waits.append((stage.retry_after - NOW).total_seconds())
    assert waits == [10, 20, 40]  # what refuses pods for a moment may refuse them all
    moved = after(stage, Verdict.INTERRUPTED, percent=7)
    assert (moved.state, moved.stalled, moved.retry_after) == (StageState.WAITING, 0, None)
    assert after(moved, Verdict.INTERRUPTED, percent=7).stalled == 1
    stage = after(stage, Verdict.INTERRUPTED)
    assert (stage.state, stage.reason) == (StageState.FAILED, "NoProgress")


def test_what_an_attempt_before_has_told_is_not_taken_for_this_ones():
    early = replace(ACTIVE, percent=100, remaining=7, told=1)
    second = replace(early, attempt=replace(ACTIVE.attempt, number=2))
    standing = {KEY: Standing.RUNNING}
    assert percent_of(standing, {KEY: early}) == 100
    assert percent_of(standing, {KEY: second}) == 0
    assert (early.progress, second.progress) == (Progress(100, 7), Progress())

    def interrupted(stage: StageView) -> StageView:
        outcome = Outcome(Verdict.INTERRUPTED, "Because", "of this", 1)
        return ended(stage, outcome, worked=60, charge=60, settings=LIMITS, now=NOW)

    silent = interrupted(second)
    assert (silent.stalled, silent.last_failure.percent) == (1, None)
    third = replace(
        silent, state=StageState.ACTIVE, attempt=replace(ACTIVE.attempt, number=3), percent=20, told=3
    )
    moved = interrupted(third)
    assert (moved.stalled, moved.last_failure.percent) == (0, 20)
    fourth = replace(moved, state=StageState.ACTIVE, attempt=replace(ACTIVE.attempt, number=4))
    assert interrupted(fourth).last_failure.percent == 20, "where it goes on from, though it has told nothing"


def test_charges_add_up_whoever_pays():
    stage = ACTIVE
    for number in range(100):
        payer = AttemptView(number + 1, NOW, f"grid-{number}", f"uid-{number}", 1)
        stage = paid(replace(stage, attempt=payer), 10)
    assert len(stage.usage) == USAGE_LIMIT
    assert sum(one.gpu_seconds for one in stage.usage) == 1000
    assert stage.usage[-1].experiment_uid == "uid-99"
    assert OTHERS in {one.experiment_uid for one in stage.usage}
    assert paid(stage, 5).usage[-1].gpu_seconds == 15
