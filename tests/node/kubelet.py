"""The kubelet and kube-proxy of the one node."""

from __future__ import annotations

from pathlib import Path

import yaml

from controlplane.build import command
from controlplane.daemon import Daemon, free_ports
from node import place
from node.plane import NodePlane

_STUB, _BEHIND_STUB = Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")
RESOLV_CONF = _BEHIND_STUB if _BEHIND_STUB.exists() else _STUB


def kubelet(plane: NodePlane) -> Daemon:
    """Configured, and not started."""
    serving = plane.serving("kubelet", [place.ADDRESS, place.NAME])
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": place.ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plane.authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{place.SOCKET}",
        "clusterDNS": [place.DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(RESOLV_CONF),
        "podLogsDir": str(place.POD_LOGS),
        "healthzPort": 0,
        # The disk is the machine's, and may be as full as it is. Images come by import and could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
    }
    return Daemon(
        [
            command("kubelet"),
            f"--config={_written('kubelet.yaml', configuration)}",
            f"--kubeconfig={plane.user_kubeconfig(f'system:node:{place.NAME}', ['system:nodes'])}",
            f"--hostname-override={place.NAME}",
            f"--node-ip={place.ADDRESS}",
            f"--root-dir={place.KUBELET}",
        ],
        log=place.LOGS / "kubelet.log",
    )


def kube_proxy(plane: NodePlane) -> Daemon:
    """Configured, and not started."""
    health, metrics = free_ports(2)
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": place.NAME,
        "clusterCIDR": place.PODS,
        "clientConnection": {"kubeconfig": str(plane.user_kubeconfig("system:kube-proxy"))},
        "bindAddress": place.ADDRESS,
        "healthzBindAddress": f"127.0.0.1:{health}",
        "metricsBindAddress": f"127.0.0.1:{metrics}",
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"localhostNodePorts": False},
    }
    return Daemon(
        [command("kube-proxy"), f"--config={_written('kube-proxy.yaml', configuration)}"],
        log=place.LOGS / "kube-proxy.log",
    )


def _written(name: str, configuration: object) -> Path:
    file = place.CURRENT / name
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return file
