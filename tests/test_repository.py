"""What holds for the tree as a whole."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

LOCKS = ("core", "operator", "trainer", "dev", "build", "models", "uv", "go", "docs", "audit")


def tracked(repository: Path, *patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=repository, capture_output=True, text=True, check=True
    )
    return [repository / name for name in listed.stdout.split("\0") if name]


def requirements(lock: Path) -> dict[str, str]:
    """Package -> its requirement with hashes."""
    entries = re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").strip())
    return {re.split(r"[=\s]", entry, maxsplit=1)[0]: entry for entry in entries}


@pytest.mark.parametrize("name", LOCKS)
def test_locks_pin_every_package_by_hash_and_record_no_host(repository: Path, name: str) -> None:
    lock = repository / "locks" / f"{name}.txt"
    assert requirements(lock)
    for entry in requirements(lock).values():
        assert re.match(r"[\w.\[\]-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry
    assert not re.search(r"https?://|file:|-e |--index|--find-links", lock.read_text(encoding="utf-8"))


def test_each_distribution_installs_only_what_is_its_own(repository: Path) -> None:
    of = {name: requirements(repository / "locks" / f"{name}.txt").keys() for name in LOCKS}
    assert not of["core"] & {"torch", "transformers", "datasets", "kopf", "kubernetes"}
    assert not of["operator"] & {"torch", "transformers", "datasets"}
    assert not of["trainer"] & {"kopf", "kubernetes"}
    assert of["operator"] >= {"kopf", "kubernetes", "prometheus-client"}
    assert of["trainer"] >= {"torch", "transformers", "datasets"}


def test_one_version_of_a_package_everywhere(repository: Path) -> None:
    everything = requirements(repository / "locks" / "dev.txt")
    for name in ("core", "operator", "trainer"):
        for package, entry in requirements(repository / "locks" / f"{name}.txt").items():
            version = re.search(r"==(\S+)", entry)
            assert version
            assert f"=={version[1]}" in everything[package]


def test_the_operators_folder_is_no_package(repository: Path) -> None:
    """It would shadow the standard library's module `operator`."""
    assert not (repository / "operator" / "__init__.py").exists()


def test_nothing_is_left_for_later_and_no_data_is_carried(repository: Path) -> None:
    me = Path(__file__)
    for path in tracked(repository, "*.py", "*.md", "*.yaml", "*.sh", "Makefile"):
        if path != me:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\b(TODO|FIXME)\b", text), path
    assert not tracked(repository, "*.parquet", "*.safetensors", "*.bin", "uv.lock")


def test_no_module_is_more_than_a_reader_holds_at_once(repository: Path) -> None:
    for path in tracked(repository, "core/*.py", "operator/*.py", "trainer/*.py", "scripts/*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
