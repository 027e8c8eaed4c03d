"""The catalogue: tasks, models that are known by their hub id, and recipes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from docs.markdown import code, codes, prose, table
from xstilts.catalogue import CATALOGUE, Entry
from xstilts.catalogue.languages import LANGUAGES
from xstilts.catalogue.models import FORMS, MODELS, POOLINGS
from xstilts.catalogue.recipes import RECIPE_VERSION, Phase, recipe
from xstilts.stage import Family, Hyperparameters
from xstilts_trainer.data.formats import FORMATS

PAGE = """# Catalogue

What xstilts knows without being told: the nine English intermediate tasks and nine targets of
[Phang et al. 2020](https://arxiv.org/abs/2005.13013), the usual pretrained models, and how a family of models is fine-tuned on
a task. An experiment names a task by its id. `spec.tasks` and `spec.training` say what is to be otherwise; a task that is not
here is [brought as files](../how-to/own-task.md), or [added](../how-to/add-a-task.md).

"from memory" in a note marks what was not read in its source when the entry was written.

## Intermediate tasks

{intermediates}
## Targets

Each is trained on English rows of the task in the third column, and scored in every language. Where nothing is trained, the
model is applied as the intermediate left it.

{targets}
## Each task

{each}
## Models

The family decides recipe, form and pooling. `layer` is the hidden state that is mean-pooled for retrieval: 0 is the embeddings,
-1 the last. For another hub id or a folder, `family` must be given; of XLM-R and mDeBERTa of another size also `layer`, if a
target is retrieved.

{models}
## Recipes

Hyperparameters where `spec.training` says nothing, version {version} (a part of every key; what it changes alone has new keys). Where they come from stands in
`core/src/xstilts/catalogue/recipes.py`. "warm-up" is the part of all steps in which the learning rate rises. An own task is
trained as the targets of its type. A mix takes what all of its tasks have in common, else the family's general
numbers, and the longest length.

{recipes}
## Languages

XTREME's forty. "resources" is the class of Joshi et al. 2020 (arXiv 2004.09095), from 0 (the left-behinds) to 5 (the winners).

{languages}"""


def page() -> str:
    """The page."""
    return PAGE.format(
        intermediates=_intermediates(),
        targets=_targets(),
        each="\n".join(map(_entry, CATALOGUE.values())),
        models=_models(),
        version=RECIPE_VERSION,
        recipes=_recipes(),
        languages=table(
            ("code", "language", "script", "resources"),
            ((code(one.code), one.name, one.script, str(one.resources)) for one in LANGUAGES.values()),
        ),
    )


def _intermediates() -> str:
    rows = (
        (_link(entry), entry.title, entry.task.type.value, entry.task.metric.value, _from(entry))
        for entry in CATALOGUE.values()
        if entry.is_intermediate
    )
    return table(("id", "name", "type", "metric", "rows from"), rows)


def _targets() -> str:
    rows = (
        (
            _link(entry),
            entry.title,
            code(entry.trains_on) if entry.trains_on else "nothing",
            str(len(entry.languages)),
            entry.task.type.value,
            entry.task.metric.value,
            _from(entry),
        )
        for entry in CATALOGUE.values()
        if entry.is_target
    )
    return table(("id", "name", "trains on", "languages", "type", "metric", "rows from"), rows)


def _link(entry: Entry) -> str:
    return f"[`{entry.name}`](#{entry.name})"


def _from(entry: Entry) -> str:
    return "the hub" if entry.files else "your files"


def _entry(entry: Entry) -> str:
    facts = [("metric", entry.task.metric.value), ("languages", codes(entry.languages, " "))]
    if entry.task.labels:
        facts.append(("labels", codes(entry.task.labels)))
    if entry.is_target:
        facts.append(("scored split", code(entry.evaluates)))
    if entry.trains_on is not None:
        chosen = (
            "its own English dev rows" if CATALOGUE[entry.trains_on].own_dev else "a tenth of train, held out"
        )
        facts.append(("best epoch chosen on", chosen))
    facts.append(("rows from", _rows(entry)))
    if entry.task.format in FORMATS:
        facts.append(("columns", _columns(entry)))
    if entry.translations:
        facts.append(("translated train rows", codes(entry.translations, " ")))
    facts += [("licence", prose(entry.licence)), ("citation", prose(entry.citation))]
    return f"### {entry.name}\n\n{entry.title}. {prose(entry.notes)}\n\n{table(('of it', 'is'), facts)}"


def _columns(entry: Entry) -> str:
    """What its files hold, as the function says that reads them."""
    told = inspect.cleandoc(FORMATS[entry.task.format].__doc__ or "").partition("\n\n")[0]
    return prose(told.partition(": ")[2])


def _rows(entry: Entry) -> str:
    if entry.unavailable:
        return prose(entry.unavailable)
    return codes(dict.fromkeys(piece.repository for file in entry.files for piece in file.slices))


def _models() -> str:
    rows = (
        (
            code(name),
            known.family.value,
            FORMS[known.family].value,
            POOLINGS[known.family].value,
            str(known.layer),
            code(known.prefix) if known.prefix else "",
        )
        for name, known in MODELS.items()
    )
    return table(("pretrained", "family", "form", "pooling", "layer", "prefix"), rows)


def _recipes() -> str:
    """A row for the tasks, and the families, that share all numbers in a phase."""
    tasks: dict[tuple[tuple[Family, ...], Phase, Hyperparameters], list[str]] = {}
    for phase, name in _trained():
        families: dict[Hyperparameters, list[Family]] = {}
        for family in Family:
            families.setdefault(recipe(family, phase, [CATALOGUE[name].task]), []).append(family)
        for one, alike in families.items():
            tasks.setdefault((tuple(alike), phase, one), []).append(name)
    order = list(Family)
    rows = (
        (
            ", ".join(families),
            phase,
            codes(names),
            one.learning_rate,
            str(one.epochs),
            str(one.batch_size),
            str(one.max_length),
            one.warmup_ratio,
            one.weight_decay,
            f"{one.optimizer}, {one.schedule.lower()}",
        )
        for (families, phase, one), names in sorted(
            tasks.items(), key=lambda item: order.index(item[0][0][0])
        )
    )
    titles = ("family", "phase", "task", "rate", "epochs", "batch", "length", "warm-up", "decay", "optimiser")
    return table(titles, rows)


def _trained() -> Iterator[tuple[Phase, str]]:
    """What is trained: each intermediate, and the task that each target trains on."""
    for name, entry in CATALOGUE.items():
        if entry.is_intermediate:
            yield "intermediate", name
    trained = dict.fromkeys(entry.trains_on for entry in CATALOGUE.values() if entry.is_target)
    for task in trained:
        if task is not None:
            yield "target", task
