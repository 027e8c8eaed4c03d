"""A real Prometheus that scrapes one operator as the chart's ServiceMonitor has it scraped, with the chart's alerts."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from controlplane.build import TOOLS, build
from controlplane.daemon import Daemon, free_ports

SCRAPE_SECONDS = 1
# What the Prometheus Operator adds to a target: an experiment's namespace must win over the operator's own.
TARGET = {"namespace": "operators", "service": "xstilts", "pod": "xstilts-0", "container": "operator"}

Series = dict[str, str]  # labels -> their values


def program(say: Callable[[str], None] = lambda _line: None) -> Path:
    """The machine's Prometheus, else one that is built."""
    found = shutil.which("prometheus")
    return Path(found) if found else build(TOOLS["prometheus"], say=say) / "bin" / "prometheus"


class Client:
    """Prometheus' HTTP API. What it refuses is an AssertionError with its words."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def at(self, expression: str, time_s: float) -> list[tuple[Series, float]]:
        """An expression's value at a time: its series, each with its number."""
        found = self._get("query", query=expression, time=time_s)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def during(
        self, expression: str, begin_s: float, end_s: float, step_s: float = SCRAPE_SECONDS
    ) -> list[tuple[Series, list[tuple[float, float]]]]:
        """An expression's values from one time to another: its series, each with its times and numbers."""
        found = self._get("query_range", query=expression, start=begin_s, end=end_s, step=step_s)["result"]
        return [(one["metric"], [(at, float(value)) for at, value in one["values"]]) for one in found]

    def label_values(self, label: str, selector: str, begin_s: float, end_s: float) -> list[str]:
        """The values that a label of these series has had."""
        asked = {"match[]": selector, "start": begin_s, "end": end_s}
        values: list[str] = self._get(f"label/{label}/values", **asked)
        return values

    def rules(self) -> list[Mapping[str, Any]]:
        """The rules as they were evaluated last."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[Mapping[str, Any]]:
        """What is scraped."""
        found: list[Mapping[str, Any]] = self._get("targets")["activeTargets"]
        return found

    def _get(self, what: str, **asked: object) -> Any:
        address = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(asked)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - http alone
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{asked}: {error.read().decode()}") from None
        assert not said.get("warnings"), (asked, said["warnings"])
        return said["data"]


class Prometheus(Client):
    """`prometheus` on a loopback port, with its data in `folder`; it scrapes `target`, a host and port, and evaluates `rules`."""

    def __init__(self, folder: Path, target: str, rules: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (port,) = free_ports(1)
        super().__init__(f"http://127.0.0.1:{port}")
        file = folder / "prometheus.yml"
        scrape = {
            "job_name": "xstilts",
            "honor_labels": True,
            "static_configs": [{"targets": [target], "labels": TARGET}],
        }
        seconds = f"{SCRAPE_SECONDS}s"
        said = {
            "global": {"scrape_interval": seconds, "scrape_timeout": seconds, "evaluation_interval": seconds},
            "rule_files": [str(rules)],
            "scrape_configs": [scrape],
        }
        file.write_text(yaml.safe_dump(said))
        self._daemon = Daemon(
            [
                program(),
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            log=folder / "prometheus.log",
        )

    def start(self, *, within_s: float = 60) -> None:
        """Start it; returns when it answers.

        Raises:
            DaemonError: it ended, or was not ready in time; says the last lines of its log.
        """
        self._daemon.start()
        end = time.monotonic() + within_s
        while not self._is_ready():
            if not self._daemon.running or time.monotonic() > end:
                raise self._daemon.failure("did not become ready")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        self._daemon.stop()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:  # noqa: S310 - http alone
                return bool(answer.status == 200)
        except OSError:
            return False
