"""The alerts: every metric and label is one that the operator exposes, and each has a section in the runbooks."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.exposed import selectors
from chart.rendering import CHART, Object, the
from xstilts_operator import reconcile

ALERTS = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
RULES: list[Any] = [rule for group in ALERTS["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_the_operator_exposes(rule: Any, exposed: Mapping[str, set[str]]) -> None:
    used: set[str] = set()
    assert selectors(rule["expr"])
    for metric, matchers in selectors(rule["expr"]):
        assert metric in exposed
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= exposed[metric]
        used |= exposed[metric]
    grouped = {
        label.strip()
        for labels in re.findall(r"\bby \(([^)]*)\)", rule["expr"])
        for label in labels.split(",")
    }
    assert grouped <= used
    named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert named <= grouped


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_in_one_sentence_or_two(rule: Any) -> None:
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary"}
    assert rule["annotations"]["summary"].endswith(".")


def test_each_alert_has_a_section_and_each_section_an_alert(repository: Path) -> None:
    runbooks = (repository / "docs" / "runbooks.md").read_text()
    assert re.findall(r"^## (\S+)$", runbooks, re.MULTILINE) == [rule["alert"] for rule in RULES]


def test_the_runbooks_name_metrics_and_values_that_are_there(
    repository: Path, exposed: Mapping[str, set[str]]
) -> None:
    runbooks = (repository / "docs" / "runbooks.md").read_text()
    for metric, _ in selectors(runbooks):
        assert (
            metric in exposed
            or any(name.startswith(f"{metric}_") for name in exposed)
            or metric.startswith("process_")
        )
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for section, key in re.findall(r"`(operator|scope|serviceMonitor|networkPolicy|crds)\.(\w+)`", runbooks):
        assert key in values[section]


def said_by_decisions() -> dict[str, set[str]]:
    """Reason -> every status of the condition Succeeded with which a decision says it."""
    found: dict[str, set[str]] = {}
    for file in sorted(Path(reconcile.__file__).parent.glob("*.py")):
        tree = ast.parse(file.read_text())
        constants = {
            name.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for name in node.targets
            if isinstance(name, ast.Name)
        }
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            said = [constants.get(one.id, one) if isinstance(one, ast.Name) else one for one in call.args]
            words = [one.value if isinstance(one, ast.Constant) else None for one in said]
            if call.func.id == "Verdict":
                status, reason = words[:2]
            elif call.func.id == "Obstacle":
                reason = words[0]
                status = "False" if any(keyword.arg == "final" for keyword in call.keywords) else "Unknown"
            else:
                continue
            if isinstance(status, str) and isinstance(reason, str):
                found.setdefault(reason, set()).add(status)
    return found


@pytest.mark.parametrize("name", ["XstiltsExperimentHindered", "XstiltsExperimentWaits"])
def test_the_reasons_of_an_alert_are_said_with_a_status_that_it_takes(name: str) -> None:
    (rule,) = [one for one in RULES if one["alert"] == name]
    ((_, matchers),) = selectors(rule["expr"])
    matched = re.fullmatch(r'succeeded(!?=)"(\w+)", reason=~"([^"]+)"', matchers)
    assert matched is not None
    equal, status, pattern = matched.groups()
    said = said_by_decisions()
    for one in pattern.split("|"):
        assert any(re.fullmatch(one, reason) for reason in said), f"no decision says {one}"
    for reason, statuses in said.items():
        if re.fullmatch(pattern, reason):
            assert all((one == status) == (equal == "=") for one in statuses), (reason, statuses)


@pytest.mark.slow
def test_each_alert_fires_when_it_should_and_not_before(promtool: Path) -> None:
    file = Path(__file__).with_name("alerts.test.yaml")
    cases = yaml.safe_load(file.read_text())["tests"]
    asked = [
        (case["alertname"], bool(case["exp_alerts"])) for test in cases for case in test["alert_rule_test"]
    ]
    assert set(asked) == {(rule["alert"], fires) for rule in RULES for fires in (True, False)}
    checked = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_the_chart_links_each_alert_to_its_section(rendered: Callable[[str], list[Object]]) -> None:
    made = deepcopy(the(rendered("everything"), "PrometheusRule")["spec"]["groups"])  # others see it too
    for group in made:
        for rule in group["rules"]:
            link = rule["annotations"].pop("runbook_url")
            assert link == f"https://docs.example.com/runbooks.html#{rule['alert'].lower()}"
    assert made == ALERTS["groups"]
