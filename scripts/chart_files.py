"""Write what the chart holds of other files: the CRDs, Grafana's dashboards, and the README's table of values.

`make chart` runs it; a test finds what it would change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from dashboards import dashboards

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "xstilts"
_BEGIN, _END = "<!-- values: made by `make chart` -->\n", "<!-- end of values -->\n"
_LINE = re.compile(r"^(?P<indent> *)(?:# (?P<comment>.*)|(?P<key>[A-Za-z]+):.*)$")


def files() -> dict[Path, str]:
    """What each file that is made here must hold."""
    made = {
        CHART / "files" / "crds" / path.name: path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "crds").glob("*.yaml"))
    }
    made |= {CHART / "files" / "dashboards" / name: text for name, text in dashboards().items()}
    readme = CHART / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    made[readme] = f"{before}{_BEGIN}\n{table(values)}\n{_END}{after}"
    return made


def table(values: str) -> str:
    """The values with default and description, as Markdown."""
    defaults: Mapping[str, Any] = yaml.safe_load(values)
    rows = ["| value | default | |", "| --- | --- | --- |"]
    for path, description in described(values):
        default: Any = defaults
        for key in path:
            default = default[key]
        shown = yaml.safe_dump(default, default_flow_style=True, width=1_000).removesuffix("...\n").strip()
        rows.append(f"| `{'.'.join(path)}` | `{shown}` | {description} |")
    return "\n".join(rows) + "\n"


def described(values: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The path and the description of each value that has one: a comment that begins with `--`, up to its key."""
    parents: list[tuple[int, str]] = []
    comment = ""
    for line in values.splitlines():
        found = _LINE.match(line)
        if found is None:
            comment = ""
        elif found["comment"] is not None:
            begins = found["comment"].startswith("-- ")
            comment = found["comment"][3:] if begins else f"{comment} {found['comment']}" if comment else ""
        else:
            depth = len(found["indent"])
            parents = [one for one in parents if one[0] < depth] + [(depth, found["key"])]
            if comment:
                yield tuple(key for _, key in parents), comment
            comment = ""


def main() -> None:
    """Write the files that differ."""
    for path, text in files().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
