"""What the operator may do: exactly what its code does, each right with the place that needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from chart.grants import GRANTS, KUEUE, LEASE, needed
from chart.rendering import NAME, NAMESPACE, Object, of_kind, render
from xstilts_operator import main
from xstilts_operator.api import KINDS
from xstilts_operator.settings import ImageSettings, Settings

pytestmark = pytest.mark.slow


def granted(role: Object) -> set[tuple[str, str]]:
    """Pairs of [group]/resource[/name] and verb; a right that stands there twice is an error."""
    pairs = [
        ("/".join((group, resource, *name)), verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in ([(one,) for one in rule["resourceNames"]] if "resourceNames" in rule else [()])
        for verb in rule["verbs"]
    ]
    assert len(pairs) == len(set(pairs))
    return set(pairs)


def roles(manifests: Iterable[Object], kind: str = "Role") -> dict[tuple[str, str], Object]:
    """By namespace and name."""
    return {
        (one["metadata"].get("namespace", ""), one["metadata"]["name"]): one
        for one in manifests
        if one["kind"] == kind
    }


def test_the_operator_may_do_what_it_does_and_no_more(rendered: Callable[[str], list[Object]]) -> None:
    found = roles(rendered("namespaces"))
    assert found.keys() == {("team-a", NAME), ("team-b", NAME), (NAMESPACE, f"{NAME}-lease")}
    for namespace in ("team-a", "team-b"):
        assert granted(found[namespace, NAME]) == needed(GRANTS)
    assert granted(found[NAMESPACE, f"{NAME}-lease"]) == needed(LEASE)


def test_with_kueue_it_may_read_workloads() -> None:
    assert granted(roles(render({"kueue": True}))[NAMESPACE, NAME]) == needed(GRANTS, KUEUE)


def test_cluster_wide_it_may_do_the_same_everywhere(rendered: Callable[[str], list[Object]]) -> None:
    manifests = rendered("cluster-wide")
    found = roles(manifests, "ClusterRole")
    assert granted(found["", f"{NAMESPACE}-{NAME}"]) == needed(GRANTS)
    assert roles(manifests).keys() == {(NAMESPACE, f"{NAME}-lease")}


def test_the_rights_are_the_operators_account_alone(manifests: list[Object]) -> None:
    bindings = of_kind(manifests, "RoleBinding", "ClusterRoleBinding")
    account = {"kind": "ServiceAccount", "namespace": NAMESPACE}
    made = roles(manifests) | roles(manifests, "ClusterRole")
    bound = set()
    for binding in bindings:
        (subject,) = binding["subjects"]
        assert account.items() <= subject.items()
        assert subject["name"] in {NAME, "transfer"}
        key = (binding["metadata"].get("namespace", ""), binding["roleRef"]["name"])
        assert key in made
        bound.add(key)
    assert {key for key in made if not key[1].endswith(("-edit", "-view"))} == bound


def test_no_right_is_one_that_must_never_be(manifests: list[Object]) -> None:
    """No secret, no right to give rights, no whole collection at once, nothing inside pods, and no star."""
    for role in of_kind(manifests, "Role", "ClusterRole"):
        if role["metadata"]["name"].endswith(("-edit", "-view")):
            continue
        for resource, verb in granted(role):
            assert "*" not in {resource, verb}
            assert verb not in {"deletecollection", "bind", "escalate", "impersonate"}
            assert not resource.startswith(
                ("/secrets", "/serviceaccounts", "/pods/", "rbac.", "/nodes", "/namespaces")
            )


def test_it_may_list_and_watch_what_it_watches() -> None:
    settings = Settings(images=ImageSettings(trainer="a", operator="b"), kueue=True)
    watched = {
        f"{group}/{KINDS[resource].plural}"
        for resource in main._watched(settings).resources
        for group in [KINDS[resource].api_version.rpartition("/")[0]]
    }
    for verb in ("list", "watch"):
        assert {resource for resource, verbs in {**GRANTS, **KUEUE}.items() if verb in verbs} == watched


def test_people_get_experiments_and_nothing_of_the_operators(rendered: Callable[[str], list[Object]]) -> None:
    found = roles(rendered("cluster-wide"), "ClusterRole")
    edit, view = (found["", f"{NAMESPACE}-{NAME}-{what}"] for what in ("edit", "view"))
    assert {resource for resource, _ in granted(edit)} == {"xstilts.dev/transferexperiments"}
    assert {verb for _, verb in granted(view)} == {"get", "list", "watch"}
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
