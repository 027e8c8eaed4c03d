"""What a stage's pod and the progress server agree on: addresses, environment, files and the token's audience.

The protocol is Kubeflow Trainer's, so that transformers' own KubeflowCallback reports to this server unchanged.
"""

from __future__ import annotations

from typing import Final

from xstilts_operator.names import API_VERSION

URL_VARIABLE: Final = "KUBEFLOW_TRAINER_SERVER_URL"  # where to post
CA_VARIABLE: Final = "KUBEFLOW_TRAINER_SERVER_CA_CERT"  # path of the bundle that the server is verified by
TOKEN_VARIABLE: Final = "KUBEFLOW_TRAINER_SERVER_TOKEN"  # path of the pod's token, which rotates

CA_CONFIG_MAP: Final = "xstilts-ca"  # in each namespace served; a pod must mount it as optional
CA_KEY: Final = "ca.crt"  # the ConfigMap's key: PEM certificates, the newest first
TOKEN_SECONDS: Final = 3600  # how long a pod's token should be valid; the kubelet renews it

PORT: Final = 8443
BODY_LIMIT: Final = 65_536  # bytes of a report


def audience(namespace: str, stage: str) -> str:
    """The audience that a pod's token must be made for: this one stage, and nothing else in the cluster."""
    return f"{API_VERSION}/namespaces/{namespace}/transferstages/{stage}/status"


def path(namespace: str, stage: str) -> str:
    """The path that a stage's progress is posted to."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/transferstages/{stage}/status"


def url(address: str, namespace: str, stage: str) -> str:
    """The whole address for a pod, of the server's `address` (https://host:port, without a path)."""
    return address.rstrip("/") + path(namespace, stage)
