"""Ask for known vulnerabilities of every package in locks/, whatever platform it is for.

`make audit` runs it, in the environment of locks/audit.txt. OSV is asked first, and where it does not answer, PyPI's own
record. Exit codes: 0 none is known; 1 some are; 3 some packages, or all, could not be asked about, and of the others none is
known. Arguments are pip-audit's, as `--ignore-vuln ID` or `--osv-url URL` (a mirror).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("osv", "pypi")
CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 3
_PIN = re.compile(r"^(?P<name>[\w.-]+)(\[[^]]*\])?==(?P<version>[^\s;]+)", re.MULTILINE)


class Pin(NamedTuple):
    """A package at a version."""

    name: str
    version: str


def pins(folder: Path) -> dict[Pin, list[str]]:
    """Every pin of the folder's locks, and the locks that it stands in."""
    found: dict[Pin, list[str]] = {}
    for lock in sorted(folder.glob("*.txt")):
        for one in _PIN.finditer(lock.read_text(encoding="utf-8")):
            found.setdefault(Pin(one["name"], one["version"]), []).append(lock.name)
    return found


def rounds(wanted: Sequence[Pin]) -> list[list[Pin]]:
    """The pins in lists that hold no package twice, as pip-audit wants it; a lock has several versions for several Pythons."""
    taken: Counter[str] = Counter()
    lists: list[list[Pin]] = []
    for pin in wanted:
        if taken[pin.name] == len(lists):
            lists.append([])
        lists[taken[pin.name]].append(pin)
        taken[pin.name] += 1
    return lists


def asked(service: str, wanted: Sequence[Pin], options: Sequence[str]) -> Mapping[Pin, list[Any]]:
    """Pin -> its known vulnerabilities, as pip-audit writes them, of the pins that the service knows something of.

    A package that PyPI has no record of is left out by pip-audit with the verdict that none is vulnerable: here it is one that
    has not been asked about.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{pin.name}=={pin.version}\n" for pin in wanted)
        file.flush()
        fixed = ("--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json")
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", "-s", service, *fixed, "-r", file.name, *options],
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        answered = json.loads(done.stdout)["dependencies"]
    except ValueError:
        reason = next(reversed(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
        print(f"{service} could not be asked: {reason}", file=sys.stderr)
        return {}
    return {Pin(one["name"], one["version"]): one["vulns"] for one in answered if "vulns" in one}


def verdict(
    locks: Mapping[Pin, Sequence[str]], answers: Mapping[Pin, Sequence[Any]]
) -> tuple[int, list[str]]:
    """The exit code, and what to say, a line each; `locks` has all pins, `answers` those that were asked about."""
    lines = [
        f"{pin.name} {pin.version} ({', '.join(locks[pin])}): {one['id']}, fixed in {_versions(one)}"
        for pin in locks
        for one in answers.get(pin, ())
    ]
    silent = [pin for pin in locks if pin not in answers]
    code = VULNERABLE if lines else NOT_AUDITED if silent else CLEAN
    known = f": {len(lines) or 'no'} vulnerabilities are known" if answers else ""
    lines.append(f"{len(locks) - len(silent)} of {len(locks)} packages were audited{known}")
    if silent:
        some = ", ".join(pin.name for pin in silent[:5]) + (", …" if len(silent) > 5 else "")
        lines.append(
            f"NOT AUDITED: {len(silent)} packages ({some}): no service that knows vulnerabilities could be asked about them. "
            "Run it where OSV or PyPI is reached, or name a mirror with --osv-url"
        )
    return code, lines


def main(options: Sequence[str]) -> int:
    """Ask, tell, and return the exit code."""
    locks = pins(ROOT / "locks")
    answers: dict[Pin, list[Any]] = {}
    for service in SERVICES:
        for pins_once in rounds([pin for pin in locks if pin not in answers]):
            if not (answered := asked(service, pins_once, options)):
                break
            answers |= answered
    code, lines = verdict(locks, answers)
    print("\n".join(lines))
    return code


def _versions(vulnerability: Mapping[str, Any]) -> str:
    return ", ".join(vulnerability["fix_versions"]) or "no version yet"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
