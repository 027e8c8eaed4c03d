"""What the images are made of, as `make sbom` tells it, and what `make audit` says of it: never more than it has asked."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / ".tools" / "audit"


def load(name: str) -> Any:
    specification = util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


audit, sbom = load("audit"), load("sbom")
JINJA, TORCH = audit.Pin("jinja2", "3.1.6"), audit.Pin("torch", "2.15.0")
LOCKS = {JINJA: ["operator.txt", "trainer.txt"], TORCH: ["trainer.txt"]}
KNOWN = {"id": "PYSEC-1", "fix_versions": ["3.1.7"], "aliases": [], "description": ""}


def test_the_audit_is_of_every_pin_of_every_lock() -> None:
    found = audit.pins(REPOSITORY / "locks")
    lines = [
        line
        for lock in (REPOSITORY / "locks").glob("*.txt")
        for line in lock.read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    ]
    assert len(lines) == sum(map(len, found.values()))
    assert "operator.txt" in found[JINJA]
    rounds = audit.rounds(list(found))
    assert sorted(pin for one in rounds for pin in one) == sorted(found)
    assert all(len({pin.name for pin in one}) == len(one) for one in rounds)


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        ({JINJA: [], TORCH: []}, 0, "2 of 2 packages were audited: no vulnerabilities are known"),
        ({JINJA: [KNOWN], TORCH: []}, 1, "jinja2 3.1.6 (operator.txt, trainer.txt): PYSEC-1, fixed in 3.1.7"),
        ({JINJA: []}, 3, "NOT AUDITED: 1 packages (torch)"),
        ({}, 3, "0 of 2 packages were audited"),
        ({JINJA: [KNOWN]}, 1, "NOT AUDITED: 1 packages (torch)"),
    ],
)
def test_what_could_not_be_asked_about_is_never_well(
    answers: Mapping[Any, Any], code: int, said: str
) -> None:
    told, lines = audit.verdict(LOCKS, answers)
    assert told == code
    assert any(said in line for line in lines), lines


@pytest.fixture(scope="module")
def tools() -> Path:
    """The environment of locks/audit.txt, installed where it is absent."""
    subprocess.run(["make", "-s", ".tools/audit/installed"], cwd=REPOSITORY, check=True)
    return TOOLS


@pytest.fixture(scope="module")
def bills(tools: Path) -> Mapping[str, Any]:
    """Distribution -> its bill of materials, just written."""
    subprocess.run([tools / "bin" / "python", "scripts/sbom.py"], cwd=REPOSITORY, check=True)
    return {name: json.loads((sbom.FOLDER / f"{name}.json").read_text()) for name in sbom.DISTRIBUTIONS}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("distribution", sbom.DISTRIBUTIONS)
class TestBills:
    def test_each_is_what_cyclonedx_describes(
        self, tools: Path, bills: Mapping[str, Any], distribution: str
    ) -> None:
        (folder,) = tools.glob("lib/python*/site-packages/cyclonedx/schema/_res")
        schema = json.loads((folder / f"bom-{sbom.SCHEMA}.SNAPSHOT.schema.json").read_text())
        named = {file.name: json.loads(file.read_text()) for file in folder.glob("*.schema.json")}
        resources = [
            (f"http://cyclonedx.org/schema/{name}", Resource.from_contents(one))
            for name, one in named.items()
        ]
        registry: Registry[Any] = Registry().with_resources(resources)
        problems = list(Draft7Validator(schema, registry=registry).iter_errors(bills[distribution]))
        assert not problems
        assert list(Draft7Validator(schema, registry=registry).iter_errors({"bomFormat": "other"}))

    def test_each_names_every_package_of_its_lock_with_its_hashes(
        self, bills: Mapping[str, Any], distribution: str
    ) -> None:
        bill, lock = bills[distribution], REPOSITORY / "locks" / f"{distribution}.txt"
        listed = [(one["name"], one["version"]) for one in bill["components"]]
        pins = [pin for pin, locks in audit.pins(lock.parent).items() if lock.name in locks]
        assert sorted(set(listed)) == sorted(pins)
        hashes = {
            one["content"]
            for component in bill["components"]
            for reference in component["externalReferences"]
            for one in reference["hashes"]
        }
        assert hashes == {
            part.partition("sha256:")[2].rstrip(" \\")
            for part in lock.read_text().splitlines()
            if "sha256:" in part
        }
        names = {"core": "xstilts", "operator": "xstilts-operator", "trainer": "xstilts-trainer"}
        assert bill["metadata"]["component"]["name"] == names[distribution]


class Osv(BaseHTTPRequestHandler):
    """Answers as OSV does: of jinja2 something is known, of the rest nothing."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = {
            "id": "PYSEC-2026-1",
            "affected": [
                {
                    "package": {"name": "jinja2", "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
                    "versions": ["3.1.6"],
                }
            ],
        }
        body = json.dumps({"vulns": [known]} if asked["package"]["name"] == "jinja2" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


def run_audit(tools: Path, *options: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [tools / "bin" / "python", "scripts/audit.py", *options],
        cwd=REPOSITORY,
        env={"PATH": str(Path(sys.executable).parent), "HOME": str(tools), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_vulnerability_that_the_service_knows_is_told_with_its_locks(tools: Path, osv: str) -> None:
    code, said = run_audit(tools, "--osv-url", osv)
    assert code == 1, said
    assert "PYSEC-2026-1, fixed in 99.0" in said
    assert "NOT AUDITED" not in said
    code, said = run_audit(tools, "--osv-url", osv, "--ignore-vuln", "PYSEC-2026-1")
    assert code == 0, said
    assert "no vulnerabilities are known" in said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_service_that_is_not_reached_is_no_clean_bill(tools: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    code, said = run_audit(tools, "--osv-url", f"{nowhere}/v1/query", HTTPS_PROXY=nowhere)
    assert code == 3, said
    assert "osv could not be asked" in said
    assert "pypi could not be asked" in said
    assert "NOT AUDITED" in said
