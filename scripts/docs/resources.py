"""The custom resources, from crds/: a section an object, a row a field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from docs.markdown import anchor, code, codes, prose, table
from xstilts.spec.edits import FROZEN, GROWING, MUTABLE

CRDS: Final = Path(__file__).resolve().parents[2] / "crds"
_PRINTED: Final = "additionalPrinterColumns"
Schema = dict[str, Any]

EXPERIMENT = """# TransferExperiment

What a person writes: in a file for [`xstilts run`](cli.md#xstilts-run), or for the API server. Short name `tx`, group
`xstilts.dev`, version `v1alpha1`. The same rules hold in both places; `xstilts validate` tells all that a file breaks at once.
[Write an experiment](../how-to/write-an-experiment.md) goes through the fields in the order in which one needs them.

A decimal is a quoted string (`"1e-5"`), so that every reader of YAML reads the same number.

"""
EDITS = """## What an edit may change

Once an experiment has begun (`status.startTime` is set), the API server holds these rules:

- The lists {growing} only grow. An entry stays as it was, but for {mutable}. `seeds` only grows, too.
- {frozen} stay as they were.
- Everything else may change: [what each edit does](../operator.md#what-an-edit-does).

"""
STAGE = """# TransferStage

One node of the graph of experiments: a preparation, a training or an evaluation. Short name `txs`. The operator makes and
writes them; a person only reads them. Two experiments of a namespace that need the same stage own the same object.

"""


def experiment() -> str:
    """The page of what a person writes."""
    growing = codes(f"spec.{name}" for name in GROWING)
    mutable = codes(f"spec.{name}[].{field}" for name, fields in MUTABLE.items() for field in fields)
    frozen = codes(f"spec.{name}" for name in FROZEN)
    edits = EDITS.format(growing=growing, mutable=mutable, frozen=frozen)
    return _page("transferexperiments", EXPERIMENT, edits)


def stage() -> str:
    """The page of what the operator makes of it."""
    return _page("transferstages", STAGE)


def _page(plural: str, introduction: str, rest: str = "") -> str:
    definition = yaml.safe_load((CRDS / f"xstilts.dev_{plural}.yaml").read_text(encoding="utf-8"))
    [version] = definition["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    sections = [
        *_section("spec", schema["properties"]["spec"]),
        *_section("status", schema["properties"]["status"]),
    ]
    return (
        "\n".join(
            (
                introduction + _columns(version[_PRINTED]),
                *sections,
                rest + _rules(schema, "## Rules over the whole object\n"),
            )
        ).rstrip()
        + "\n"
    )


def _columns(columns: list[dict[str, Any]]) -> str:
    plain = codes(one["name"] for one in columns if not one.get("priority"))
    wide = codes(one["name"] for one in columns if one.get("priority"))
    return f"`kubectl get` shows {plain}; with `-o wide` also {wide}.\n"


def _section(path: str, schema: Schema) -> Iterator[str]:
    """An object's fields, then a section for each object below it."""
    required = schema.get("required", ())
    rows = []
    below = []
    for name, field in schema["properties"].items():
        inner, suffix = _inner(field)
        kind = _type(field)
        if "properties" in inner:
            heading = f"{path}.{name}{suffix}"
            below.append((heading, inner))
            kind = kind.replace("object", f"[object](#{anchor(heading)})")
        rows.append((code(name), kind + ("" if name not in required else ", required"), _told(field)))
    level = "##" if "." not in path else "###"
    about = schema.get("description")
    yield f"{level} `{path}`\n"
    if about:
        yield f"{prose(about)}\n"
    yield table(("field", "type", "meaning"), rows)
    if rules := _rules(schema):
        yield rules
    for heading, inner in below:
        yield from _section(heading, inner)


def _inner(field: Schema) -> tuple[Schema, str]:
    """The object that a field holds, directly or as a list's entries or a map's values, and what its path gets."""
    if field.get("type") == "array":
        return field["items"], "[]"
    if isinstance(field.get("additionalProperties"), dict):
        return field["additionalProperties"], ".*"
    return field, ""


def _type(field: Schema) -> str:
    kind = field.get("type", "any")
    if "enum" in field:
        return codes(field["enum"], " or ")
    if kind == "array":
        at_most = f", at most {field['maxItems']}" if "maxItems" in field else ""
        return f"list of {_type(field['items'])}{at_most}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"map to {_type(field['additionalProperties'])}"
    if kind == "integer":
        bounds = {"minimum": "from {}", "maximum": "to {}"}
        said = [word.format(field[bound]) for bound, word in bounds.items() if bound in field]
        return "integer" + (f", {' '.join(said)}" if said else "")
    if kind == "string" and field.get("format") == "date-time":
        return "time"
    return str(kind)


def _told(field: Schema) -> str:
    """Description and default."""
    said = [prose(field["description"])] if "description" in field else []
    if "default" in field and field["default"] not in ({}, []):
        default = field["default"]
        shown = (
            str(default).lower()
            if isinstance(default, bool)
            else yaml.safe_dump(default, default_flow_style=True, width=1_000).removesuffix("...\n").strip()
        )
        said.append(f"Default: {code(shown)}.")
    return " ".join(said)


def _rules(schema: Schema, title: str = "Rules:\n") -> str:
    """What its fields must be together, in the words of the API server's answer."""
    told = [
        f"- {code(rule['fieldPath'].lstrip('.')) + ': ' if 'fieldPath' in rule else ''}{prose(rule['message'])}\n"
        for rule in schema.get("x-kubernetes-validations", ())
    ]
    return f"{title}\n{''.join(told)}" if told else ""
