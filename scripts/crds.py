"""Write the custom resource definitions into crds/, from the manifest's models; with --check, say if they differ.

The models are `xstilts.spec`; what they cannot say stands in `crd.rules` and `crd.status`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import yaml
from crd.rules import EDIT_RULES, rule
from crd.status import experiment_status, stage_spec, stage_status
from crd.structural import Translation
from made_files import differing

FOLDER: Final = Path(__file__).resolve().parents[1] / "crds"
GROUP: Final = "xstilts.dev"
VERSION: Final = "v1alpha1"
HEADER: Final = "# Made by scripts/crds.py (`make crds`) from the models in core/src/xstilts/spec.\n"

Object = dict[str, Any]


def main(*arguments: str) -> int:
    """Write the files, or with --check compare them; the exit status."""
    check = "--check" in arguments
    differ = differing(FOLDER, files(), check=check)
    if check and differ:
        print(f"crds/ must be what scripts/crds.py makes, differs in {', '.join(differ)}; run `make crds`")
        return 1
    return 0


def files() -> dict[str, str]:
    """File name -> its text."""
    return {
        f"{GROUP}_{one['spec']['names']['plural']}.yaml": HEADER
        + yaml.dump(one, sort_keys=False, allow_unicode=True, width=10_000, Dumper=_Dumper)
        for one in (experiments(), stages())
    }


def experiments() -> Object:
    """The definition of TransferExperiment."""
    succeeded = '.status.conditions[?(@.type=="Succeeded")]'
    schema = {
        "description": "Models x intermediates x targets x seeds, run to a table of zero-shot scores.",
        "required": ["spec"],
        "spec": Translation().root(),
        "status": experiment_status(),
        "rules": [
            rule(
                "size(self.metadata.name) <= 63 && !self.metadata.name.contains('.')",
                "metadata.name must be 1 to 63 lower-case letters, digits or '-', with a letter or digit at both ends",
            ),
            *EDIT_RULES,
        ],
    }
    columns = [
        column("State", f"{succeeded}.reason"),
        column("Done", ".status.counts.succeeded", "integer"),
        column("Total", ".status.counts.total", "integer"),
        column("Failed", ".status.counts.failed", "integer"),
        column("Best", ".status.best"),
        column("Age", ".metadata.creationTimestamp", "date"),
        column("Spent", ".status.gpuHours.spent", "string", wide="GPU-hours that it has paid for"),
        column("Saved", ".status.gpuHours.saved", "string", wide="GPU-hours that others have paid for"),
        column("Message", f"{succeeded}.message", "string", wide="Why it goes no further"),
    ]
    return definition("TransferExperiment", "tx", columns, schema)


def stages() -> Object:
    """The definition of TransferStage."""
    schema = {
        "description": "One node of the graph of experiments: a preparation, a training or an evaluation.",
        "required": ["spec"],
        "spec": stage_spec(),
        "status": stage_status(Translation().model("Resources")),
        "rules": [],
    }
    columns = [
        column("Kind", ".spec.kind"),
        column("State", ".status.state"),
        column("Percent", ".status.progress.percent", "integer"),
        column("ETA", ".status.progress.estimatedRemainingSeconds", "integer", about="Seconds that are left"),
        column("Score", ".status.score"),
        column("Title", ".spec.title"),
        column("Age", ".metadata.creationTimestamp", "date"),
        column("Attempt", ".status.attempt.number", "integer", wide="How often it was tried"),
        column("Reason", ".status.reason", "string", wide="Why it goes no further"),
    ]
    return definition("TransferStage", "txs", columns, schema)


def column(name: str, path: str, kind: str = "string", *, wide: str = "", about: str = "") -> Object:
    """A printer column; `wide` is the description of one that `-o wide` shows."""
    described = {"description": wide or about} if wide or about else {}
    return {"name": name, "type": kind, "jsonPath": path, **described, **({"priority": 1} if wide else {})}


def definition(kind: str, short: str, columns: list[Object], schema: Object) -> Object:
    """A CustomResourceDefinition of one version."""
    plural = f"{kind.lower()}s"
    rules = {"x-kubernetes-validations": schema["rules"]} if schema["rules"] else {}
    properties = {
        "apiVersion": {"type": "string", "maxLength": 64},
        "kind": {"type": "string", "maxLength": 64},
        "metadata": {"type": "object"},
        "spec": schema["spec"],
        "status": schema["status"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["xstilts"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {
                        "openAPIV3Schema": {
                            "description": schema["description"],
                            "type": "object",
                            "required": schema["required"],
                            "properties": properties,
                            **rules,
                        }
                    },
                }
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Without anchors, which kubectl would read and people would not."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Nothing is an alias."""
        return True


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
