"""Scores that look like some, for evaluations that nobody runs: a function of model, intermediate, target and language."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from controlplane.api import Api, Object
from controlplane.experiments import GROUP
from controlplane.player import Outcome, Player
from xstilts.canonical import sha256_hex

_TITLE = re.compile(r"evaluate (?P<targets>\S+) after (?P<intermediate>\S+) on (?P<model>\S+), seed .*")
_ENGLISH_LEAD = 6.0
_MODEL_POINTS = {"mt5-large": 7.0}
_INTERMEDIATE_POINTS = {"mnli": 3.0, "squad": 1.5, "qqp": -2.0}


def scoring(player: Player, api: Api, namespace: str) -> Player:
    """The same player, whose evaluations answer numbers that differ as real ones do."""
    answer = player.outcome

    async def scored(pod: Object) -> Outcome:
        said = await answer(pod)  # type: ignore[misc]  # an answering player's is a coroutine
        labels = pod["metadata"]["labels"]
        if said.exit_code or not said.message or labels["xstilts.dev/kind"] != "evaluate":
            return said
        stage = await api.get(f"{GROUP}/namespaces/{namespace}/transferstages/{labels['xstilts.dev/stage']}")
        found = _TITLE.fullmatch(stage["spec"]["title"])
        assert found, stage["spec"]["title"]
        result = json.loads(said.message)
        result["scores"] = {
            task: {
                metric: {
                    language: f"{points(found['model'], found['intermediate'], task, language):.2f}"
                    for language in languages
                }
                for metric, languages in metrics.items()
            }
            for task, metrics in result["scores"].items()
        }
        return replace(said, message=json.dumps(result))

    player.outcome = scored
    return player


def points(model: str, intermediate: str, target: str, language: str) -> float:
    """From 0 to 100: English leads, larger models lag less, and an intermediate helps one target more than another."""
    spread = 12 if model in _MODEL_POINTS else 20
    base = 62 + 18 * _share(target)
    lead = _ENGLISH_LEAD if language == "en" else -spread * _share(f"{language}")
    gain = _INTERMEDIATE_POINTS.get(intermediate, 0.0) * (0.4 + 1.2 * _share(f"{intermediate}/{target}"))
    noise = (
        0.0 if intermediate == "none" else 1.5 * _share(f"{intermediate}/{target}/{language}/{model}") - 0.75
    )
    return min(99.0, base + lead + gain + noise + _MODEL_POINTS.get(model, 0.0))


def _share(name: str) -> float:
    """A number from 0 to 1 that is made of a name."""
    return int(sha256_hex(name.encode())[:8], 16) / 0xFFFFFFFF
