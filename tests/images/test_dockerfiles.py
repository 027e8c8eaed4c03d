"""What the two Dockerfiles promise, read from their text: what they install, as whom they run, and what starts."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

IMAGES = {"operator": "xstilts_operator", "trainer": "xstilts_trainer"}
# What a part of torch would come as; nvidia-* and triton are its dependencies.
HEAVY = re.compile(r"^(torch|triton|nvidia|transformers|tokenizers|datasets|pyarrow|safetensors)\b")


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Instruction and argument, with continued lines joined."""
    text = "\n".join(line for line in dockerfile.read_text().splitlines() if not line.startswith("#"))
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(word, rest) for word, _, rest in (line.strip().partition(" ") for line in lines) if word]


def stages(dockerfile: Path) -> list[list[tuple[str, str]]]:
    """The instructions of each stage, its FROM first."""
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions(dockerfile):
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


@pytest.fixture(params=IMAGES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dockerfile(repository: Path, name: str) -> Path:
    return repository / f"Dockerfile.{name}"


def test_every_stage_is_from_the_one_base(dockerfile: Path) -> None:
    first = instructions(dockerfile)[0]
    assert first == ("ARG", "BASE_IMAGE=python:3.12-slim")
    assert [stage[0][1] for stage in stages(dockerfile)] == [
        "${BASE_IMAGE} AS dependencies",
        "${BASE_IMAGE} AS own",
        "dependencies",
    ]


def test_everything_of_others_is_installed_by_hash_and_as_wheels(dockerfile: Path, name: str) -> None:
    installs = [
        command
        for word, rest in instructions(dockerfile)
        if word == "RUN"
        for command in re.split(r"\s+&&\s+", rest)
        if re.search(r"\bpip\b.* (install|wheel)\b", command)
    ]
    assert installs
    for command in installs:
        of_others = "--require-hashes" in command and "--only-binary :all:" in command
        of_ours = "--no-index" in command and "--no-deps" in command
        assert of_others != of_ours, command
    locks = {lock for command in installs for lock in re.findall(r"-r (\S+)", command)}
    assert locks == {"/opt/venv/requirements.txt", "/locks/build.txt"}


def test_pips_configuration_is_a_secret_of_the_build(dockerfile: Path) -> None:
    """A mirror's password stays in no layer, and no host in the Dockerfile."""
    runs = [rest for word, rest in instructions(dockerfile) if word == "RUN" and "pip" in rest]
    from_outside = [rest for rest in runs if "--require-hashes" in rest]
    assert len(from_outside) == 2
    assert all(rest.startswith("--mount=type=secret,id=pip,target=/etc/pip.conf ") for rest in from_outside)


def test_the_last_stage_installs_nothing(dockerfile: Path) -> None:
    last = stages(dockerfile)[-1]
    assert {word for word, _ in last} == {"FROM", "ARG", "LABEL", "COPY", "ENV", "USER", "ENTRYPOINT"}
    copied = [rest for word, rest in last if word == "COPY"]
    assert copied == [
        "LICENSE /licenses/",
        "--from=own /opt/xstilts /opt/xstilts",
    ]


def test_the_builders_tools_go_with_the_step_that_brought_them(dockerfile: Path) -> None:
    """The last stage goes on from this one: what a later step removes would still be in its layers."""
    (install,) = (rest for word, rest in stages(dockerfile)[0] if word == "RUN")
    assert "&& rm -r /opt/build " in install


def test_dependencies_are_a_layer_of_the_lock_alone(dockerfile: Path, name: str) -> None:
    dependencies = next(stage for stage in stages(dockerfile) if stage[0][1].endswith(" AS dependencies"))
    assert [rest for word, rest in dependencies if word == "COPY"] == [
        f"locks/{name}.txt /opt/venv/requirements.txt"
    ]
    assert not any(word == "ARG" for word, _ in dependencies)


def test_it_runs_as_a_number_that_is_not_root(dockerfile: Path) -> None:
    """The kubelet can hold runAsNonRoot against a number only."""
    users = [rest for word, rest in stages(dockerfile)[-1] if word == "USER"]
    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[0])


def test_the_first_process_is_python_as_pods_start_it(dockerfile: Path, name: str) -> None:
    """Signals and exit codes reach it, and come from it, without a shell between."""
    entry = json.loads(next(rest for word, rest in stages(dockerfile)[-1] if word == "ENTRYPOINT"))
    assert entry == ["python", "-m", IMAGES[name]]


def test_only_tmp_is_written_to(dockerfile: Path) -> None:
    environment = dict(
        part.split("=", 1) for word, rest in stages(dockerfile)[-1] if word == "ENV" for part in rest.split()
    )
    assert environment["HOME"] == environment["TMPDIR"] == "/tmp"
    assert environment.get("HF_HOME", "/tmp/").startswith("/tmp/")
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert environment["PATH"].startswith("/opt/venv/bin:")


def test_the_labels_are_of_the_open_container_initiative(dockerfile: Path, name: str) -> None:
    label = next(rest for word, rest in stages(dockerfile)[-1] if word == "LABEL")
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', label))
    assert labels.keys() == {"title", "description", "licenses", "version", "revision", "base.name"}
    assert labels["title"] == f"xstilts-{name}"
    assert (labels["version"], labels["revision"]) == ("${VERSION}", "${REVISION}")


def test_the_version_is_the_distributions(dockerfile: Path, repository: Path, name: str) -> None:
    project = tomllib.loads((repository / name / "pyproject.toml").read_text())["project"]
    assert ("ARG", f"VERSION={project['version']}") in instructions(dockerfile)


def test_the_operators_image_holds_no_torch(repository: Path) -> None:
    packages = re.findall(r"^([\w.-]+)", (repository / "locks" / "operator.txt").read_text(), re.MULTILINE)
    assert "kopf" in packages
    assert not [package for package in packages if HEAVY.match(package)]
    own = {rest for word, rest in instructions(repository / "Dockerfile.operator") if word == "COPY"}
    assert not any("trainer" in rest for rest in own)


def test_what_is_copied_is_sent_to_the_builder(repository: Path) -> None:
    """The ignore file lets through what the Dockerfiles copy, and no more."""
    allowed = {
        line.removeprefix("!")
        for line in (repository / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        rest.split()[0]
        for name in IMAGES
        for word, rest in instructions(repository / f"Dockerfile.{name}")
        if word == "COPY" and not rest.startswith("--from")
    }
    assert allowed == copied
    assert all((repository / path).exists() for path in copied)
