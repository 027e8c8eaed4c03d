"""A folder as a stream: whole or refused, every byte checked, and the program of a pod as a process of this machine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from xstilts.errors import StoreError
from xstilts.stage import Stage
from xstilts.store import Store
from xstilts.store.stream import PROGRAM, copy_out, pack, unpack
from xstilts.store.wanted import Found, find, parse

FILES = {"train.en.jsonl": b'{"a": 1}\n', "a/b/größe *.bin": bytes(range(256)) * 1000, "empty": b""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", FILES)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


def stream_of(folder: Path) -> bytes:
    out = io.BytesIO()
    pack({name: folder / name for name in sorted(FILES)}, out)
    return out.getvalue()


def test_a_stream_gives_back_the_folder_and_what_was_read(folder: Path, tmp_path: Path) -> None:
    out = io.BytesIO()
    written = pack({name: folder / name for name in FILES} | {"bytes": b"more"}, out)
    read = unpack(io.BytesIO(out.getvalue()), tmp_path / "out")
    assert contents(tmp_path / "out") == FILES | {"bytes": b"more"}
    assert read == written
    assert read["bytes"].size == 4


@pytest.mark.parametrize("kept", [0, 100, 5000, 150_000, -10_240])
def test_a_stream_that_ends_too_early_is_refused(folder: Path, tmp_path: Path, kept: int) -> None:
    with pytest.raises(StoreError, match="must be whole"):
        unpack(io.BytesIO(stream_of(folder)[:kept]), tmp_path / "out")


def test_a_byte_that_has_changed_on_the_way_is_found_and_its_file_named(folder: Path, tmp_path: Path) -> None:
    stream = stream_of(folder).replace(b'{"a": 1}', b'{"a": 2}')
    with pytest.raises(StoreError, match=r"train\.en\.jsonl: must come as it was sent"):
        unpack(io.BytesIO(stream), tmp_path / "out")


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", ".hidden", "a\\b"])
def test_no_file_of_a_stream_lands_outside_its_folder(tmp_path: Path, name: str) -> None:
    out = io.BytesIO()
    pack({name: b"x"}, out)
    with pytest.raises(StoreError, match="must"):
        unpack(io.BytesIO(out.getvalue()), tmp_path / "deep" / "out")
    assert contents(tmp_path) == {}


def test_a_link_in_a_stream_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(StoreError, match="must be a plain file"):
        unpack(io.BytesIO(out.getvalue()), tmp_path)


class Program:
    """What a pod runs, on a store in a folder."""

    def __init__(self, root: Path) -> None:
        self._environment = os.environ | {"XSTILTS_STORE": str(root), "XSTILTS_NAMESPACE": "team"}
        self.store = Store.open(str(root), "team")

    def __call__(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, *PROGRAM[1:], *arguments]
        return subprocess.run(command, input=given, capture_output=True, check=False, env=self._environment)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "store")


def test_the_program_puts_what_comes_and_fetches_it_again(
    program: Program, folder: Path, tmp_path: Path
) -> None:
    digest = program.store.reference("task", folder).digest
    done = program("put", "task", digest, given=stream_of(folder))
    assert (done.returncode, done.stderr) == (0, b"")
    reference = json.loads(done.stdout)["reference"]
    assert reference == f"store://task@sha256:{digest}"
    assert program.store.latest("task") == program.store.reference("task", folder)
    for what in ("store://task", reference):
        fetched = program("fetch", what)
        unpack(io.BytesIO(fetched.stdout), tmp_path / what[-4:])
        assert contents(tmp_path / what[-4:]) == FILES


def test_the_program_ends_at_the_end_of_the_stream_although_its_input_stays_open(
    program: Program, folder: Path
) -> None:
    digest = program.store.reference("task", folder).digest
    command = [sys.executable, *PROGRAM[1:], "put", "task", digest]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=program._environment
    ) as process:
        assert process.stdin is not None
        process.stdin.write(stream_of(folder))
        process.stdin.flush()
        assert process.wait(timeout=60) == 0


def test_the_program_puts_nothing_that_is_not_what_was_meant(program: Program, folder: Path) -> None:
    done = program("put", "task", "0" * 64, given=stream_of(folder))
    assert (done.returncode, done.stdout) == (64, b"")
    assert done.stderr.startswith(b"error: stream: must hold the folder of digest 0000")
    assert program("put", "task", "0" * 64, given=stream_of(folder)[:3000]).returncode == 64
    assert list(program.store.inputs()) == []


def test_what_is_not_there_is_said_by_name(program: Program) -> None:
    for what in ("store://task", f"store://task@sha256:{'1' * 64}", "0" * 64, "12345678", "grid"):
        done = program("fetch", what)
        assert (done.returncode, done.stdout) == (64, b"")
        assert done.stderr.startswith(b"error: ")
    with pytest.raises(StoreError, match="must be an experiment or reports/EXPERIMENT"):
        parse("../etc")


def test_artifacts_and_reports_are_found_by_the_names_that_people_give_them(
    store: Store, make_stage: Callable[[str], Stage], tmp_path: Path
) -> None:
    one, other = make_stage("org/one"), make_stage("org/other")
    for stage in (one, other):
        with store.write(stage, {}) as draft:
            write(draft.path, {"model.bin": stage.key.encode(), "deep/config.json": b"{}"})
    store.write_report("grid", {"report.html": "<html>", "scores.csv": b"a,b"})
    for what, expected in {
        one.key: {"model.bin": one.key.encode(), "deep/config.json": b"{}"},
        other.key[:12]: {"model.bin": other.key.encode(), "deep/config.json": b"{}"},
        "grid": {"report.html": b"<html>", "scores.csv": b"a,b"},
        "reports/grid": {"report.html": b"<html>", "scores.csv": b"a,b"},
        "reports/grid/scores.csv": {"scores.csv": b"a,b"},
    }.items():
        out = tmp_path / what.replace("/", "-")
        copy_out(find(store, parse(what)), out)
        assert contents(out) == expected
    with pytest.raises(StoreError, match=r"must hold page\.html, holds report\.html, scores\.csv"):
        find(store, parse("reports/grid/page.html"))


def test_a_copy_that_is_not_what_the_manifest_says_is_refused(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    found = find(store, parse(str(store.put("task", folder))))
    damaged = Found(found.title, {**found.files, "train.en.jsonl": b"other"}, found.entries)
    with pytest.raises(StoreError, match=r"train\.en\.jsonl: must come as it was sent"):
        copy_out(damaged, tmp_path / "out")
