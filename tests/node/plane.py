"""The test control plane's servers with what a real node needs of them: an address that pods reach, and every controller."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from controlplane.certificates import Pair
from controlplane.plane import ControlPlane
from node import place

_ONLY_WITHOUT_NODES = ("--endpoint-reconciler-type=", "--disable-admission-plugins=", "--controllers=")


class NodePlane(ControlPlane):
    """A control plane on the bridge's address, in the Service `kubernetes` of the cluster, that may ask kubelets for logs."""

    address = place.ADDRESS
    hosts = (
        place.ADDRESS,
        place.API,
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    )

    @property
    def authority(self) -> Path:
        """The certificate that every client and server of the cluster is signed by."""
        return self._authority.certificate

    def serving(self, name: str, hosts: Sequence[str]) -> Pair:
        """A certificate for a server."""
        return self._authority.issue(name, hosts=hosts)

    def _apiserver_argv(self) -> list[str | Path]:
        client = self._authority.issue("kubelet-client", organizations=["system:masters"])
        return [
            *_kept(super()._apiserver_argv()),
            f"--advertise-address={self.address}",
            f"--kubelet-client-certificate={client.certificate}",
            f"--kubelet-client-key={client.key}",
            f"--kubelet-certificate-authority={self.authority}",
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def _controller_manager_argv(self) -> list[str | Path]:
        return [*_kept(super()._controller_manager_argv()), "--controllers=*"]


def _kept(argv: list[str | Path]) -> list[str | Path]:
    return [part for part in argv if not str(part).startswith(_ONLY_WITHOUT_NODES)]
