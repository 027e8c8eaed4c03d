"""A small valid manifest, and the same with some of its lines replaced."""

from __future__ import annotations

from collections.abc import Callable

import pytest

MINIMAL = {
    "apiVersion": "xstilts.dev/v1alpha1",
    "kind": "TransferExperiment",
    "metadata": "{name: small}",
    "spec": "",
    "  models": "[{name: base, pretrained: FacebookAI/xlm-roberta-base}]",
    "  targets": "[{task: xnli}]",
    "  seeds": "[1]",
}


@pytest.fixture
def manifest() -> Callable[..., str]:
    """The text of the manifest with fields of its spec replaced or added (from line 8 on)."""

    def text(**fields: str) -> str:
        lines = MINIMAL | {f"  {name}": value for name, value in fields.items()}
        return "".join(f"{name}: {value}\n" for name, value in lines.items())

    return text
