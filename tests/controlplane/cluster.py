"""A cluster that tests talk to: its kubeconfig, kubectl, and kubeconfigs of other users."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from controlplane.build import command


class Cluster:
    """A cluster reached by `kubeconfig` (an administrator's); `folder` takes files that are made for it."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.kubeconfig = kubeconfig
        self.folder = folder

    def kubectl(
        self, *arguments: str | Path, stdin: str | None = None, kubeconfig: Path | None = None
    ) -> str:
        """What `kubectl ARGUMENTS` writes to stdout.

        Raises:
            RuntimeError: kubectl failed; the message is what it wrote to stderr.
        """
        done = subprocess.run(
            [self.kubectl_program, "--kubeconfig", kubeconfig or self.kubeconfig, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,  # where kubectl finds no configuration of this user
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    @property
    def kubectl_program(self) -> Path:
        """The kubectl that fits this cluster."""
        found = shutil.which("kubectl")
        return Path(found) if found else command("kubectl")

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects on the server's side, as kubectl does."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=_manifest(objects))

    def create(self, *objects: Mapping[str, Any]) -> None:
        """Create objects, with the status that they carry where their kind allows it (a Node's)."""
        self.kubectl("create", "-f", "-", stdin=_manifest(objects))

    def apply_crds(self, *files: Path) -> None:
        """Apply the CRDs of `files` and wait until they are served."""
        if files:
            arguments = [part for path in files for part in ("-f", str(path.resolve()))]
            self.kubectl("apply", "--server-side", "--force-conflicts", *arguments)
            self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *arguments)

    def service_account_kubeconfig(
        self, namespace: str, name: str, *, audiences: Sequence[str] = (), lifetime: str = "24h"
    ) -> Path:
        """A kubeconfig with a token of the ServiceAccount, which must exist."""
        asked = [f"--audience={each}" for each in audiences]
        token = self.kubectl(
            "create", "token", name, "-n", namespace, f"--duration={lifetime}", *asked
        ).strip()
        server = self._described()
        return write_kubeconfig(
            self.folder / f"{namespace}-{name}.kubeconfig",
            server=server["server"],
            authority=base64.b64decode(server["certificate-authority-data"]),
            user={"token": token},
            namespace=namespace,
        )

    def _described(self) -> dict[str, str]:
        config = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        described: dict[str, str] = config["clusters"][0]["cluster"]
        return described


def _manifest(objects: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def write_kubeconfig(
    path: Path, *, server: str, authority: bytes, user: Mapping[str, str], namespace: str = "default"
) -> Path:
    """Write a kubeconfig of one context, complete in itself and readable by this user alone; its path."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {
                "name": "test",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": "test", "user": dict(user)}],
        "contexts": [
            {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}
        ],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
