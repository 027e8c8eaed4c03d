"""Several processes at one stage, and processes that are killed: real ones, on a folder and on an S3 server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from xstilts.errors import UnavailableError

pytestmark = pytest.mark.slow


def work(*arguments: object) -> None:
    worker = Path(__file__).parent / "worker.py"
    subprocess.run([sys.executable, worker, *map(str, arguments)], check=True, timeout=110)


def test_of_many_processes_exactly_one_computes(shared_place, tmp_path, make_stage):
    log = tmp_path / "log"
    work("race", shared_place.root, "org/race", log)
    assert len(log.read_text().splitlines()) == 1
    store, stage = shared_place.store(), make_stage("org/race")
    assert store.lookup(stage.key) is not None
    assert store.fetch(stage.key).is_dir()
    assert shared_place.set_aside() == {}


def test_writers_that_ask_nobody_do_no_harm(shared_place, make_stage):
    work("unlocked", shared_place.root, "org/unlocked")
    store, stage = shared_place.store(), make_stage("org/unlocked")
    folder = store.fetch(stage.key)
    marks = {(folder / f"part-{number}/file").read_bytes()[1000:] for number in range(3)}
    assert len(marks) == 1, "all files are of one writer"
    reasons = [text for path, text in shared_place.set_aside().items() if path.endswith("set-aside.json")]
    assert len(reasons) in {3, 4}, "the writers with other outputs than the first"


def test_the_lock_of_a_killed_process_is_taken_over(shared_place, tmp_path):
    log = tmp_path / "log"
    work("killed", shared_place.root, "org/killed", log)
    times = json.loads(log.read_text())
    assert times["killed"] < times["taken"] < times["killed"] + 15


@pytest.mark.parametrize("shared_place", ["s3"], indirect=True)
def test_an_owner_that_was_frozen_finds_its_lease_gone(shared_place, make_stage):
    store, stage = shared_place.store(), make_stage("org/frozen")
    with (
        store.lock(stage.key),
        pytest.raises(UnavailableError, match="another one has taken over"),
        store.write(stage, {}) as draft,
    ):
        be_late(draft.path, shared_place, f"default/locks/{stage.key}")
    assert store.lookup(stage.key) is None


def be_late(draft, place, lease):
    (draft / "late").write_text("late")
    place.write(f"{lease}/{len(place.files(lease)) + 1:08d}", b"another's")


@pytest.mark.parametrize("shared_place", ["s3"], indirect=True)
def test_what_a_killed_reader_has_left_goes_with_the_next(shared_place, tmp_path, make_stage):
    work("read", shared_place.root, "org/read")
    copies = tmp_path / "cache/xstilts/store"
    assert any(path.is_file() and path.suffix != ".lock" for path in copies.rglob("*"))
    copy = shared_place.store().fetch(make_stage("org/read").key)
    assert [path for path in copies.iterdir() if path.suffix != ".lock"] == [copy]


def test_killed_at_any_point_it_is_whole_or_not_there_and_can_be_written_again(shared_place, tmp_path):
    log = tmp_path / "log"
    work("interrupted", shared_place.root, "org/interrupted", log)
    points = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(points) > 5
    assert all(point["whole"] for point in points)
    seen = [point["seen"] for point in points]
    assert not seen[0]
    assert seen[-1]
    assert seen == sorted(seen), "from one point on the artifact is there"


def test_killed_while_weights_go_or_come_back_the_artifact_is_never_half_there(shared_place, tmp_path):
    log = tmp_path / "log"
    work("dropped", shared_place.root, "org/dropped", log)
    points = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(point["there"] and point["well"] for point in points)
    for act, first in (("drop", True), ("take back", False)):
        whole = [point["whole"] for point in points if point["act"] == act]
        assert len(whole) > 3
        assert whole[0] is first
        assert whole[-1] is not first
        assert whole == sorted(whole, reverse=first), "from one point on it is the other"
    assert shared_place.set_aside() == {}
