"""`spec.store.keep` in `xstilts run`: what goes when, what stays for others, and what comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from io import StringIO
from pathlib import Path

import pytest
from click.testing import Result as Answer
from rich.console import Console
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.errors import StoreError
from xstilts.local.inputs import pin_inputs
from xstilts.local.process import Outcome, Progress, StageProcess
from xstilts.local.run import Ended, LocalRun
from xstilts.plan import plan
from xstilts.spec import load_experiment
from xstilts.stage import Kind, Result, Stage, StageFailure
from xstilts.store import Store, Use
from xstilts.store.folder import Folder

STORE = ".xstilts/default"
PLACES = {"en": ("river", "mountain"), "de": ("Fluss", "Berg")}


def run(*arguments: str) -> Answer:
    return CliRunner().invoke(app, arguments)


def experiment(folder: Path, encoder: Path, name: str, keep: str, *targets: str) -> str:
    tasks = "\n".join(
        f"    - {{name: {task}, type: Classification, labels: [water, land], data: ./places, languages: [en, de]}}"
        for task in ("warm", "near", "far")
    )
    (folder / f"{name}.yaml").write_text(
        f"""
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {{name: {name}}}
spec:
  models: [{{name: e5, pretrained: {encoder}, family: E5}}]
  tasks:
{tasks}
  intermediates: [{{name: warm, tasks: [warm]}}]
  baseline: false
  targets: [{", ".join(f"{{task: {target}}}" for target in targets)}]
  seeds: [1]
  training: {{defaults: {{epochs: 1, batchSize: 8, maxLength: 16}}}}
  resources: {{cpu: 1}}
  store: {{keep: {keep}}}
""",
        encoding="utf-8",
    )
    return f"{name}.yaml"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XSTILTS_STORE", raising=False)
    places = tmp_path / "places"
    places.mkdir()
    for split in ("train", "validation", "test"):
        for language in ("en", "de") if split == "test" else ("en",):
            words = zip(PLACES[language], ("water", "land"), strict=True)
            rows = [{"text": word, "label": label} for word, label in words]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (places / f"{split}.{language}.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


def weights(folder: Path) -> int:
    """How many trainings have theirs in the store."""
    return len(list((folder / STORE / "default").glob("*/encoder/model.safetensors")))


def trained(folder: Path) -> dict[str, str]:
    """The key of each task's training."""
    store = Store.open(str(folder / STORE))
    found = {}
    for key in list(store.keys()):
        record = store.record(key)
        if record is not None and record.manifest.kind.value == "train":
            spec = record.manifest.stage.spec
            found[spec["data"][0]["task"]["name"]] = key
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_weights_go_as_they_are_needed_no_more_and_come_back_as_they_were(
    workplace: Path, encoder_dir: Path
) -> None:
    file = experiment(workplace, encoder_dir, "tiny", "Scores", "near")
    ended = run("run", file)
    assert ended.exit_code == 0, ended.stderr
    assert "is ignored here" not in ended.stderr
    assert re.search(r"dropped the weights of 2 trainings, \d+ [kM]B", ended.stderr)
    assert weights(workplace) == 0
    digests = {
        task: Store.open(str(workplace / STORE)).record(key) for task, key in trained(workplace).items()
    }
    assert digests.keys() == {"warm", "near"}
    assert all(one.dropped and not one.left for one in digests.values())

    again = run("run", file)
    assert again.exit_code == 0
    assert "0 stages to run" in again.stderr
    assert "dropped" not in again.stderr
    assert again.stdout.splitlines()[:-1] == ended.stdout.splitlines()[:-1], "the same table"
    planned = json.loads(run("plan", file, "-o", "json").stdout)
    assert all(stage["cached"] for stage in planned["stages"] if stage["kind"] != "report")
    assert planned["estimate"]["total"]["diskBytes"] == 0
    refused = run("fetch", trained(workplace)["near"], "out", "--store", STORE)
    assert refused.exit_code == 64
    assert "they were dropped, as spec.store.keep let them go" in refused.stderr
    collected = run("gc", file)
    assert "train" not in collected.stdout, "a stage without its weights is still the experiment's"

    grown = experiment(workplace, encoder_dir, "tiny", "Scores", "near", "far")
    planned = json.loads(run("plan", grown, "-o", "json").stdout)
    waiting = {
        stage["key"] for stage in planned["stages"] if not stage["cached"] and stage["kind"] == "train"
    }
    assert trained(workplace)["warm"] in waiting, "what the new target begins from must run again"
    assert trained(workplace)["near"] not in waiting
    more = run("run", grown)
    assert more.exit_code == 0, more.stderr
    assert "3 stages to run" in more.stderr
    assert weights(workplace) == 0
    store = Store.open(str(workplace / STORE))
    assert store.record(trained(workplace)["warm"]).manifest == digests["warm"].manifest
    assert not list((workplace / STORE / "default").glob("set-aside/*"))


class Played(StageProcess):
    """A stage whose outputs are made of its key, in this process: what is tested is what goes and what comes back."""

    def __init__(self, stage: Stage, *, root: str, namespace: str, threads: int, log: Path) -> None:
        super().__init__(stage, root=root, namespace=namespace, threads=threads, log=log)
        self.store = Store.open(root, namespace)

    async def run(self, on_progress: Callable[[Progress], None]) -> Outcome:
        ran.append(self.stage.key)
        try:
            for parent in self.stage.parents.values():
                self.store.fetch(parent)
            with self.store.write(self.stage, {}) as draft:
                for path, text in outputs(self.stage).items():
                    (draft.path / path).parent.mkdir(exist_ok=True)
                    (draft.path / path).write_text(text)
        except StoreError as error:
            failure = StageFailure(message=str(error))
            return Outcome(1, Result(key=self.stage.key, error=failure), 0)
        for act in after.pop(self.stage.key, ()):
            act()
        digest = draft.manifest.outputs_digest
        return Outcome(0, Result(key=self.stage.key, outputs_digest=digest), 0)


ran: list[str] = []
after: dict[str, list[Callable[[], object]]] = {}  # key -> what happens just before its stage ends


def outputs(stage: Stage) -> dict[str, str]:
    if stage.kind is Kind.TRAIN:
        return {"encoder/model.safetensors": stage.key + salt[0], "dev.json": '{"score": "50"}'}
    return {"scores.json": "{}"}


salt = [""]


@pytest.fixture
def played(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    ran.clear()
    after.clear()
    salt[0] = ""
    encoder = workplace / "encoder"
    encoder.mkdir()
    (encoder / "config.json").write_text("{}")
    monkeypatch.setattr("xstilts.local.run.StageProcess", Played)
    return encoder


def play(file: str, parallelism: int = 1) -> tuple[Ended, dict[str, str]]:
    """Run an experiment; what it has come to, and its trainings by their task."""
    ran.clear()
    console = Console(file=StringIO())
    local = LocalRun(Store.open(STORE), STORE, console=console, folder=Path("results"))
    ended = local.run(load_experiment(Path(file)), Path(), parallelism=parallelism)
    trainings = {one.stage.spec["data"][0]["task"]["name"]: one.key for one in ended.plan.of_kind(Kind.TRAIN)}
    return ended, trainings


def kept(trainings: dict[str, str]) -> set[str]:
    store = Store.open(STORE)
    return {task for task, key in trainings.items() if store.lookup(key)}


@pytest.mark.parametrize(
    ("keep", "stay"),
    [("All", {"warm", "near", "far"}), ("Intermediate", {"warm"}), ("Scores", set())],
)
def test_what_stays_is_what_keep_says_and_a_second_run_does_nothing(
    played: Path, keep: str, stay: set[str]
) -> None:
    file = experiment(Path(), played, "tiny", keep, "near", "far")
    ended, trainings = play(file)
    assert ended.complete
    assert len(ran) == 5
    assert kept(trainings) == stay
    assert ended.dropped == 3 - len(stay)
    again, _ = play(file)
    assert (again.complete, ran, again.dropped) == (True, [], 0)
    assert kept(trainings) == stay


def test_no_key_depends_on_what_is_kept(played: Path) -> None:
    store = Store.open(STORE)
    keys = {
        keep: [one.key for one in plan(pin_inputs(load_experiment(Path(file)), Path(), store)).stages]
        for keep in ("All", "Intermediate", "Scores")
        for file in [experiment(Path(), played, "tiny", keep, "near", "far")]
    }
    assert keys["All"] == keys["Intermediate"] == keys["Scores"]


def test_weights_go_while_the_run_goes_on(played: Path) -> None:
    file = experiment(Path(), played, "tiny", "Scores", "near", "far")
    planned = plan(pin_inputs(load_experiment(Path(file)), Path(), Store.open(STORE)))
    trainings = {one.stage.spec["data"][0]["task"]["name"]: one.key for one in planned.of_kind(Kind.TRAIN)}
    seen = []
    for one in planned.of_kind(Kind.EVALUATE):
        after[one.key] = [lambda: seen.append(kept(trainings))]
    play(file)
    first, last = seen
    assert "warm" in first, "the other target begins from it, or is there already"
    assert len(first & {"near", "far"}) >= 1
    assert len(last & {"near", "far"}) == 1, "the other one has gone by then"


def test_a_new_cell_makes_what_it_begins_from_run_again(played: Path) -> None:
    _, first = play(experiment(Path(), played, "tiny", "Scores", "near"))
    recorded = Store.open(STORE).record(first["warm"])
    ended, trainings = play(experiment(Path(), played, "tiny", "Scores", "near", "far"))
    assert ended.complete
    assert [key for key in ran if key in trainings.values()] == [first["warm"], trainings["far"]]
    assert kept(trainings) == set()
    assert Store.open(STORE).record(first["warm"]).manifest == recorded.manifest


def test_other_weights_than_the_recorded_ones_are_an_error_that_names_both(played: Path) -> None:
    _, first = play(experiment(Path(), played, "tiny", "Scores", "near"))
    recorded = Store.open(STORE).record(first["warm"]).manifest.outputs_digest
    salt[0] = "another machine"
    ended, _ = play(experiment(Path(), played, "tiny", "Scores", "near", "far"))
    (failure,) = ended.failures
    assert re.search(
        rf"outputsDigest: must be {recorded}, .* was [0-9a-f]{{64}}; what was made", failure.reason
    )
    assert Store.open(STORE).record(first["warm"]).manifest.outputs_digest == recorded


def test_what_another_experiment_keeps_or_still_needs_stays(played: Path) -> None:
    play(experiment(Path(), played, "every", "All", "near"))
    _, trainings = play(experiment(Path(), played, "scores", "Scores", "near", "far"))
    assert kept(trainings) == {"warm", "near"}
    listed = CliRunner().invoke(app, ["gc", "scores.yaml", "--yes"]).stdout
    assert re.search(r"^experiment .* every$", listed, re.MULTILINE)
    play("scores.yaml")
    assert kept(trainings) == set()


def test_what_an_unfinished_experiment_needs_stays_until_it_has_ended(played: Path) -> None:
    open_file = experiment(Path(), played, "open", "Scores", "near", "far")
    pinned = pin_inputs(load_experiment(Path(open_file)), Path(), Store.open(STORE))
    stages = [one.stage for one in plan(pinned).stages if one.stage.kind is not Kind.REPORT]
    Store.open(STORE).note_use(Use.of("open", "Scores", stages))
    _, trainings = play(experiment(Path(), played, "tiny", "Scores", "near"))
    assert kept(trainings) == {"warm"}, "far begins from it"
    _, trainings = play(open_file)
    assert kept(trainings) == set()


@pytest.mark.parametrize("times", [1, 99])
def test_what_could_not_be_dropped_is_tried_again_and_said_where_it_stays(
    played: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    file = experiment(Path(), played, "tiny", "Scores", "near")
    refusals = iter(range(times))
    erase = Folder.erase

    def refuse(self: Folder, folder: str, paths: Collection[str]) -> None:
        if next(refusals, None) is not None:
            raise OSError("the disk is read-only")
        erase(self, folder, paths)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "erase", refuse)
        ended, trainings = play(file)
    assert ended.complete
    assert ended.kept_by == ("" if times == 1 else "the disk is read-only")
    assert kept(trainings) <= {"warm"}
    records = [Store.open(STORE).record(key) for key in trainings.values()]
    assert any(one.left for one in records) is (times > 1)
    again, _ = play(file)
    assert (ran, again.kept_by) == ([], "")
    records = [Store.open(STORE).record(key) for key in trainings.values()]
    assert not any(one.left or one.whole for one in records)


def test_the_commands_tell_of_a_stage_without_its_weights_as_of_one_that_is_done(played: Path) -> None:
    file = experiment(Path(), played, "tiny", "Scores", "near")
    _, trainings = play(file)
    planned = json.loads(run("plan", file, "-o", "json").stdout)
    assert all(stage["cached"] for stage in planned["stages"] if stage["kind"] != "report")
    assert "artifact" not in run("gc", file).stdout
    refused = run("fetch", trainings["near"], "out", "--store", STORE)
    assert refused.exit_code == 64
    assert "they were dropped, as spec.store.keep let them go" in refused.stderr
    grown = json.loads(
        run("plan", experiment(Path(), played, "tiny", "Scores", "near", "far"), "-o", "json").stdout
    )
    cached = {stage["key"] for stage in grown["stages"] if stage["cached"]}
    assert trainings["warm"] not in cached, "the new target begins from it"
    assert trainings["near"] in cached
