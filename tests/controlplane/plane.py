"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager, and more when asked.

There is no kubelet: pods are played by `controlplane.player` or by kwok. `node` has one that runs them.
"""

from __future__ import annotations

import base64
import ssl
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from controlplane.build import command, share
from controlplane.certificates import Authority, Pair, service_account_keys
from controlplane.cluster import Cluster, write_kubeconfig
from controlplane.daemon import Daemon, free_ports
from controlplane.nodes import fake_node

ISSUER = "https://kubernetes.default.svc.cluster.local"
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "pod-garbage-collector-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "ttl-after-finished-controller",
)
# The tests' clients are many in one process each; the defaults (20 to 50 a second) would measure these limits.
_UNLIMITED = ("--kube-api-qps=1000", "--kube-api-burst=2000")
KWOK_STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")
_KWOK_NODE = {"kwok.x-k8s.io/node": "fake"}


class ControlPlane(Cluster):
    """A control plane whose files (data, certificates, logs) all lie in `folder`, which must be empty.

    Its processes end with `stop`, with the `with` block, and with this process, however that ends.
    """

    address = "127.0.0.1"  # of the API server
    hosts: tuple[str, ...] = (
        "127.0.0.1",
        "localhost",
        "kubernetes.default.svc",
    )  # that its certificate is for

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "admin.kubeconfig", folder)
        self._authority = Authority(folder / "certificates")
        self._admin = self._authority.issue("admin", organizations=["system:masters"])
        etcd_port, peer_port, self._port = free_ports(3)
        self.server = f"https://{self.address}:{self._port}"
        self.etcd_endpoint = f"http://127.0.0.1:{etcd_port}"
        self._write_kubeconfig(self.kubeconfig, self._admin)
        self.etcd = self._daemon(*self._etcd_argv(peer_port))
        self.apiserver = self._daemon(*self._apiserver_argv())
        self.controller_manager = self._daemon(*self._controller_manager_argv())
        self.others: list[Daemon] = []
        self._tls = ssl.create_default_context(cafile=self._authority.certificate)
        self._tls.load_cert_chain(*self._admin)

    @property
    def kubectl_program(self) -> Path:
        """The kubectl of this control plane's version."""
        return command("kubectl")

    def start(self) -> Self:
        """Start etcd, the API server and the controller manager; returns when namespaces can be used.

        Raises:
            DaemonError: one of them ended, or was not ready in time; says the last lines of its log.
        """
        self.etcd.start()
        self.apiserver.start()
        self._wait_until_served("/readyz", self.apiserver)
        self.controller_manager.start()
        self._wait_until_served("/api/v1/namespaces/default/serviceaccounts/default", self.controller_manager)
        return self

    def stop(self) -> None:
        """Stop every process; nothing is kept but the files in the folder."""
        for daemon in reversed(self.others):
            daemon.stop()
        self.controller_manager.stop(kill=True)
        self.apiserver.stop(kill=True)
        self.etcd.stop(kill=True)

    def restart_apiserver(self, *, kill: bool = False, down_s: float = 0) -> None:
        """Stop the API server (SIGKILL if `kill`), wait `down_s` seconds and start it; returns when it is ready."""
        self.apiserver.stop(kill=kill)
        time.sleep(down_s)
        self.apiserver.start()
        self._wait_until_served("/readyz", self.apiserver)

    def user_kubeconfig(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig of a user with a client certificate; it may do what RBAC grants it."""
        stem = user.replace(":", "-").replace("/", "-")
        return self._write_kubeconfig(
            self.folder / f"{stem}.kubeconfig", self._authority.issue(user, organizations=groups)
        )

    def start_scheduler(self) -> Daemon:
        """Start kube-scheduler."""
        return self._start_other(
            command("kube-scheduler"),
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
            *_UNLIMITED,
        )

    def start_kwok(self, *, nodes: int = 0, stages: Sequence[str | Path] = KWOK_STAGES) -> Daemon:
        """Start kwok for nodes with the annotation kwok.x-k8s.io/node: fake, and make `nodes` such nodes.

        stages: folders of kwok's own Stages, as `pod/fast`, or files of one's own.
        """
        configs = [
            file
            for stage in stages
            for file in (
                [stage] if isinstance(stage, Path) else _stage_files(share("kwok") / "stage" / stage)
            )
        ]
        daemon = self._start_other(
            command("kwok"),
            f"--kubeconfig={self.kubeconfig}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            *(f"--config={path}" for path in configs),
        )
        if nodes:
            self.create(*(fake_node(f"kwok-{index}", annotations=_KWOK_NODE) for index in range(nodes)))
        return daemon

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_other(self, *argv: str | Path) -> Daemon:
        daemon = self._daemon(*argv)
        self.others.append(daemon)
        daemon.start()
        return daemon

    def _daemon(self, *argv: str | Path) -> Daemon:
        return Daemon(list(argv), log=self.folder / f"{Path(argv[0]).name}.log")

    def _write_kubeconfig(self, path: Path, client: Pair) -> Path:
        return write_kubeconfig(
            path,
            server=self.server,
            authority=self._authority.certificate.read_bytes(),
            user={
                "client-certificate-data": base64.b64encode(client.certificate.read_bytes()).decode(),
                "client-key-data": base64.b64encode(client.key.read_bytes()).decode(),
            },
        )

    def _wait_until_served(self, path: str, daemon: Daemon, *, within_s: float = 240) -> None:
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
        )
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            for each in (self.etcd, daemon):
                if not each.running:
                    raise each.failure("ended")
            try:
                with direct.open(self.server + path, timeout=5):
                    return
            except OSError:  # refused, or 404 and 500 (HTTPError is one) while it starts
                time.sleep(0.05)
        raise daemon.failure(f"did not serve {path} within {within_s:.0f} s")

    def _etcd_argv(self, peer_port: int) -> list[str | Path]:
        peer = f"http://127.0.0.1:{peer_port}"
        return [
            command("etcd"),
            f"--data-dir={self.folder / 'etcd-data'}",
            f"--listen-client-urls={self.etcd_endpoint}",
            f"--advertise-client-urls={self.etcd_endpoint}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--quota-backend-bytes=4294967296",
            "--log-level=warn",
        ]

    def _apiserver_argv(self) -> list[str | Path]:
        serving = self._authority.issue("kube-apiserver", hosts=self.hosts)
        private, public = service_account_keys(self._authority.folder)
        return [
            command("kube-apiserver"),
            f"--etcd-servers={self.etcd_endpoint}",
            f"--bind-address={self.address}",
            f"--secure-port={self._port}",
            "--endpoint-reconciler-type=none",  # endpoints may not be on loopback, and no pod here has a network
            f"--client-ca-file={self._authority.certificate}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-signing-key-file={private}",
            f"--service-account-key-file={public}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--disable-admission-plugins=TaintNodesByCondition",  # nobody here would take its taint off a new node
        ]

    def _controller_manager_argv(self) -> list[str | Path]:
        return [
            command("kube-controller-manager"),
            f"--kubeconfig={self.kubeconfig}",
            f"--root-ca-file={self._authority.certificate}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--leader-elect=false",
            "--secure-port=0",
            *_UNLIMITED,
        ]


def _stage_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")
