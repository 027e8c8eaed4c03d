"""The quickstart on the node, from nothing to a table by kubectl: what an administrator and then a researcher would do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from controlplane.cluster import Cluster
from controlplane.experiments import ENDED, summary
from node import place
from node.commands import NodeError
from node.installation import CLAIM, RELEASE, REPOSITORY, SYSTEM, Installation, put_inputs, store

NAMESPACE = "demo"
FILE = REPOSITORY / "examples" / "quickstart.yaml"
COLUMNS = ("target", "model", "intermediate", "score", "delta", "gap", "worst")
WITHIN_S = 7200

Say = Callable[[str], None]


def run(cluster: Cluster, say: Say) -> None:
    """Install, put the inputs, apply, wait, and show the table.

    Raises:
        NodeError: the experiment fails, or takes two hours.
    """
    begun = time.monotonic()
    installation = Installation(cluster, [NAMESPACE])
    if not installation.installed():
        say(
            f"helm install {RELEASE} charts/xstilts -n {SYSTEM}, with the claim {CLAIM} in the namespace {NAMESPACE}"
        )
        installation.install()
    say(f"the inputs go into the store, {store(NAMESPACE)}")
    put_inputs(FILE, NAMESPACE)
    say(f"kubectl apply -n {NAMESPACE} -f examples/quickstart.yaml")
    cluster.kubectl("apply", "-n", NAMESPACE, "-f", FILE)
    experiment = _ended(installation, say)
    say(cluster.kubectl("get", "tx,txs", "-n", NAMESPACE))
    say(_table(experiment["status"].get("results", ())))
    page = store(NAMESPACE) / NAMESPACE / str(experiment["status"].get("report", {}).get("path", ""))
    say(f"the page: {page}")
    say(f"export KUBECONFIG={place.KUBECONFIG}   # to look further; `make cluster-down` ends it all")
    say(f"seconds from install to table: {time.monotonic() - begun:.0f}")


def _ended(installation: Installation, say: Say) -> Any:
    end, last = time.monotonic() + WITHIN_S, ""
    while time.monotonic() < end:
        experiment = installation.get("tx", "quickstart", "-n", NAMESPACE)
        said = summary(experiment)
        counts = experiment.get("status", {}).get("counts", {})
        line = f"{said.get('reason', 'Pending')}: {counts.get('succeeded', 0)} of {counts.get('total', '?')} stages"
        if line != last:
            say(last := line)
        if said.get("status") in ENDED:
            if said["status"] == "True":
                return experiment
            break
        time.sleep(2)
    raise NodeError(installation.cluster.kubectl("describe", "tx,txs", "-n", NAMESPACE))


def _table(results: Any) -> str:
    rows = [COLUMNS, *([str(one.get(column, "-"))[:12] for column in COLUMNS] for one in results)]
    return "\n".join("  ".join(f"{cell:12}" for cell in row).rstrip() for row in rows)
