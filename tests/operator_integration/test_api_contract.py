"""A real API server keeps the contract that the fake one of the fault schedules is held to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import load_kube_config

from controlplane.cluster import Cluster
from operator_sim.contract import CONTRACT
from xstilts_operator.api import Api
from xstilts_operator.client import ClusterApi

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


@pytest.fixture
async def operator_api(cluster: Cluster) -> AsyncIterator[ClusterApi]:
    """The operator's own client."""
    configuration = Configuration()
    await load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
    client = ClusterApi(configuration)
    yield client
    await client.close()


@pytest.mark.parametrize("holds", CONTRACT, ids=lambda holds: holds.__name__)
async def test_a_real_api_server_keeps_the_contract(
    operator_api: ClusterApi, namespace: str, holds: Callable[[Api, str], Awaitable[None]]
) -> None:
    await holds(operator_api, namespace)
