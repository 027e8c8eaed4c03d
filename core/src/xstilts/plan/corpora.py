"""Where the unlabelled text of continued pretraining comes from."""

from __future__ import annotations

from dataclasses import dataclass

from xstilts.catalogue.entry import table
from xstilts.plan.sources import Hub, Origin
from xstilts.spec import ContinuedPretraining as Wish
from xstilts.spec import store_input
from xstilts.stage import ContinuedPretraining, Corpus

WIKIPEDIA = "wikimedia/wikipedia"
_SNAPSHOT = (
    "20231101"  # the hub has a configuration for each snapshot and language, column text (from memory)
)
_SENTENCES_CAP = 1_000_000  # a language; own choice, as is the temperature
_TEMPERATURE = "2"


@dataclass(frozen=True)
class Continued:
    """What a stage is told of continued pretraining, and where its corpora come from by role."""

    spec: ContinuedPretraining
    sources: dict[str, Origin]


def continued_pretraining(wish: Wish, hub: Hub) -> Continued:
    """Resolve continued pretraining of a checked experiment: Wikipedia from the hub, or a folder of the store.

    The folder holds `train.<language>.*` with the column text.
    """
    languages = sorted(wish.languages)
    given = store_input(wish.corpus, hub.mark)
    if given is None:
        roles = {language: f"corpus.{language}" for language in languages}
        sources: dict[str, Origin] = {role: _wikipedia(one, hub) for one, role in roles.items()}
    else:
        roles = dict.fromkeys(languages, "corpus")
        sources = {"corpus": given}
    spec = ContinuedPretraining(
        objective=wish.objective,
        ratio=wish.ratio,
        corpora=tuple(Corpus(role=roles[language], language=language) for language in languages),
        sentences_cap=_SENTENCES_CAP,
        temperature=_TEMPERATURE,
    )
    return Continued(spec, sources)


def _wikipedia(language: str, hub: Hub) -> Origin:
    file = table("train", language, WIKIPEDIA, config=f"{_SNAPSHOT}.{language}")
    return hub.data("wikipedia", [file])
