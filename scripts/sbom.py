"""Write the bill of materials of each distribution's lock, as CycloneDX: build/sbom/<distribution>.json.

`make sbom` runs it, in the environment of locks/audit.txt. A lock holds what its image installs, so that the operator's and
the trainer's are those of the two images; what the base image brings stands in none of them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "sbom"
DISTRIBUTIONS = ("core", "operator", "trainer")
SCHEMA = "1.6"


def command(distribution: str, file: Path) -> list[str | Path]:
    """How cyclonedx-py writes one: equal locks give equal bytes, and what it writes is valid or it fails."""
    options = ("--sv", SCHEMA, "--of", "JSON", "--output-reproducible", "--validate")
    project = ROOT / distribution / "pyproject.toml"
    lock = ROOT / "locks" / f"{distribution}.txt"
    # a lock does not say who needs whom: it warns that the graph of dependencies is not there
    program = (sys.executable, "-W", "ignore::UserWarning", "-m", "cyclonedx_py", "requirements")
    return [*program, *options, "--pyproject", project, "-o", file, lock]


def main() -> None:
    """Write them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for distribution in DISTRIBUTIONS:
        file = FOLDER / f"{distribution}.json"
        subprocess.run(command(distribution, file), check=True)
        print(file.relative_to(ROOT))


if __name__ == "__main__":
    main()
