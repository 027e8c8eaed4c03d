"""The report's page: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined

from xstilts.catalogue import CATALOGUE, Entry
from xstilts.catalogue.languages import LANGUAGES
from xstilts.report.contents import Contents
from xstilts.report.provenance import Provenance
from xstilts.results import Combination, Results, combinations
from xstilts.results.table import Table, difference, number
from xstilts.results.words import partial_words, relation_words
from xstilts.scoring import MAIN

GROUPED_BY = {"means": 1, "consistency": 1, "comparisons": 1, "best-of": 1, "published": 1}
"""So many of a table's first columns head its groups; two where nothing is said."""
KEY_SHOWN = 12  # so many digits of a stage key tell stages apart
HEADINGS = {
    "means": "Mean over targets",
    "consistency": "Intermediates that help",
    "comparisons": "Contrasts of intermediates",
    "best-of": "The best intermediate",
    "robustness": "Robustness over languages",
    "groups": "By script and resources",
    "languages": "Deltas by language",
    "rates": "Chosen learning rates",
    "published": "Published scores",
}  # of the tables beside that of scores and the primary answer

_TEMPLATES = Environment(
    loader=PackageLoader("xstilts.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class LanguageRow:
    """A language's scores: chance, and for every combination the score and its difference from `none`."""

    code: str
    name: str
    chance: str
    scores: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TargetSection:
    """A target's languages: the models with their intermediates, and these with their relations, are the columns."""

    name: str
    entry: Entry | None
    measure: str
    models: tuple[tuple[str, int], ...]
    intermediates: tuple[tuple[str, str], ...]
    rows: tuple[LanguageRow, ...]

    @property
    def chance_known(self) -> bool:
        """Whether chance means something for this target."""
        return any(row.chance for row in self.rows)


def render(contents: Contents, provenance: Provenance) -> str:
    """The page as HTML. Equal contents and provenance give equal bytes.

    Args:
        contents: of the experiment's results, whole or partial.
        provenance: of its stages.
    """
    results, table = contents.results, contents.summary
    rows = combinations(results)
    return _TEMPLATES.get_template("report.html").render(
        results=results,
        contents=contents,
        table=table,
        grouped=grouped,
        grouped_by=GROUPED_BY,
        lead=lead(results),
        partial=partial_words(results),
        targets=[
            section(results, target, [row for row in rows if row.target == target])
            for target in results.targets
            if any(row.target == target for row in rows)
        ],
        provenance=provenance,
        seconds=sum(stage.seconds or 0 for stage in provenance.stages if not stage.reused),
        reused=sum(stage.reused for stage in provenance.stages),
        key_shown=KEY_SHOWN,
        headings=HEADINGS,
    )


def grouped(table: Table, named: int) -> list[tuple[str, list[tuple[str, ...]]]]:
    """The rows without their first columns, by what stands in these."""
    return [
        (", ".join(names), [row[named:] for row in rows])
        for names, rows in groupby(table.rows, key=lambda row: row[:named])
    ]


def lead(results: Results) -> str:
    """What the table shows, and what it does not, in one paragraph."""
    untrained = f"Nothing is trained for {' and '.join(results.untrained)}: the model is applied as it is. "
    return (
        "Each row is a pretrained model. It was first fine-tuned on an English intermediate task (none: on nothing), then "
        "on the target's English training data, and then scored on the target in every language. No labelled example in "
        "another language than English was used, apart from those that the column relation names as seen: the scores are "
        f"zero-shot. {untrained if results.untrained else ''}A delta compares a model with itself without the intermediate "
        "task, seed by seed. Where relation says in-task or overlap, it is partly the effect of more of the target's own "
        "training data. The table does not show whether a difference would hold with other seeds, data or languages."
    )


def section(results: Results, target: str, rows: Sequence[Combination]) -> TargetSection:
    """The scores of one target by language: English first, the others by their code."""
    codes = list(dict.fromkeys(code for row in rows for code in row.languages))
    chance = results.chance.get(target, {})
    return TargetSection(
        name=target,
        entry=CATALOGUE.get(target),
        measure=" and ".join(MAIN[results.targets[target]]).replace("_", " "),
        models=tuple((model, len(list(group))) for model, group in groupby(rows, key=lambda row: row.model)),
        intermediates=tuple(
            (row.intermediate, relation_words(row.overlap, row.languages_seen)) for row in rows
        ),
        rows=tuple(_language(code, chance, rows) for code in codes),
    )


def _language(code: str, chance: Mapping[str, float], rows: Sequence[Combination]) -> LanguageRow:
    return LanguageRow(
        code=code,
        name=LANGUAGES[code].name if code in LANGUAGES else "",
        chance=f"{chance[code]:.1f}" if code in chance else "",
        scores=tuple(
            (
                number(row.languages.get(code)),
                difference(row.delta_languages[code]) if code in row.delta_languages else "",
            )
            for row in rows
        ),
    )
