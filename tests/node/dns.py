"""CoreDNS in the cluster, as Kubernetes' own installation has it, and as a user that is not root."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from node import place
from node.containerd import COREDNS
from node.kubelet import RESOLV_CONF

Object = dict[str, Any]
_PORT = 5353


def manifests() -> list[Object]:
    """Everything of CoreDNS, in the namespace kube-system."""
    labels = {"k8s-app": "kube-dns"}
    named = {"name": "coredns", "namespace": "kube-system", "labels": labels}
    rules = [
        {
            "apiGroups": [""],
            "resources": ["endpoints", "services", "pods", "namespaces"],
            "verbs": ["list", "watch"],
        },
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"}
    account = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    ports = [
        {"name": f"dns-{protocol.lower()}", "port": 53, "targetPort": _PORT, "protocol": protocol}
        for protocol in ("UDP", "TCP")
    ]
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {
            "apiVersion": rbac,
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": rules,
        },
        {
            "apiVersion": rbac,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": role,
            "subjects": [account],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"Corefile": corefile()}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": named,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _pod()},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**named, "name": "kube-dns"},
            "spec": {"clusterIP": place.DNS, "selector": labels, "ports": ports},
        },
    ]


def corefile() -> str:
    """CoreDNS's configuration; names outside the cluster are asked of the machine's own servers, if pods reach these."""
    upstream = upstreams(RESOLV_CONF.read_text(encoding="utf-8"))
    outside = f"    forward . {' '.join(upstream)}\n" if upstream else ""
    return f""".:{_PORT} {{
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
{outside}    cache 30
    loadbalance
}}
"""


def upstreams(resolv_conf: str) -> list[str]:
    """The name servers of a resolv.conf that are not on the loopback, which is another one in a pod."""
    named = re.findall(r"^nameserver\s+(\S+)", resolv_conf, re.MULTILINE)
    return [one for one in named if not ipaddress.ip_address(one.partition("%")[0]).is_loopback]


def _pod() -> Object:
    def probe(path: str, port: int) -> Object:
        return {"httpGet": {"path": path, "port": port}, "periodSeconds": 2, "timeoutSeconds": 5}

    return {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "coredns",
                "image": COREDNS,
                "imagePullPolicy": "Never",
                "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "170Mi"}},
                "readinessProbe": probe("/ready", 8181),
                "livenessProbe": {**probe("/health", 8080), "periodSeconds": 20, "failureThreshold": 5},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "configuration", "configMap": {"name": "coredns"}}],
    }
