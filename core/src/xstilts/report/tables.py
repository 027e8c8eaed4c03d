"""The report's tables beside that of scores and the primary answer: robustness, the paper's summaries, published numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xstilts.catalogue import INTERMEDIATES
from xstilts.catalogue.languages import language_name
from xstilts.report.cells import covers, described, ends, estimate, named, plain, reach
from xstilts.report.published import comparable, published_table
from xstilts.results import Results
from xstilts.results.collapse import COLLAPSED_MEANING
from xstilts.results.measured import Measured
from xstilts.results.rates_table import rates_table
from xstilts.results.robustness import (
    BOTTOM,
    GroupDelta,
    LanguageDelta,
    Robustness,
    group_deltas,
    language_deltas,
    robustness,
)
from xstilts.results.selection import OF_ONE_RUN
from xstilts.results.summaries import (
    BestOf,
    Comparison,
    Consistency,
    TargetMean,
    best_of,
    comparisons,
    consistencies,
    target_means,
)
from xstilts.results.table import Column, Table
from xstilts.results.words import (
    ABSENT,
    RELATION_MEANING,
    cell_relation,
    p_value,
    signed,
)

_SHORT = 3  # so many languages of a group are named


def report_tables(measured: Measured) -> dict[str, Table]:
    """Name, as in file names, -> table: those that have rows."""
    results = measured.results
    made = {
        "means": means_table(results, target_means(measured)),
        "consistency": consistency_table(results, consistencies(measured)),
        "comparisons": comparison_table(results, comparisons(measured)),
        "best-of": best_table(results, [*best_of(measured), *_unrelated_best(measured)]),
        "robustness": robustness_table(results, robustness(measured)),
        "groups": group_table(results, group_deltas(measured)),
        "languages": language_table(results, language_deltas(measured)),
        "rates": rates_table(results),
        "published": published_table(results, comparable(results)),
    }
    return {name: table for name, table in made.items() if table.rows}


def _unrelated_best(measured: Measured) -> list[BestOf]:
    """The best among unrelated intermediates; none where no relation is flagged at all."""
    flagged = any(one.flagged for one in measured.results.relations.values())
    return best_of(measured, unrelated=True) if flagged else []


def means_table(results: Results, rows: Sequence[TargetMean]) -> Table:
    """The mean delta of each intermediate over targets."""
    return described(
        results,
        "mean delta over targets",
        rows,
        (
            Column("model", lambda row: row.model, "the pretrained model", numeric=False),
            Column(
                "intermediate", lambda row: row.intermediate, "what it was trained on first", numeric=False
            ),
            Column(
                "split", lambda row: row.split.value, "which part of the targets is scored", numeric=False
            ),
            Column(
                "mean delta", lambda row: signed(row.mean.estimate), "score minus that of none, over targets"
            ),
            Column("95 % interval", lambda row: ends(row.mean), "seeds, and items where they are known"),
            Column("covers", lambda row: covers(row.mean), "what the interval covers", numeric=False),
            Column(
                "helps",
                lambda row: f"{row.helped} of {len(row.targets)}",
                "on how many targets delta is above 0",
            ),
            Column(
                "unrelated",
                lambda row: estimate(row.unrelated) if row.related else "the same",
                "mean delta without the targets in the last column",
            ),
            Column(
                "related targets",
                lambda row: "; ".join(
                    f"{target} ({cell_relation(results, row.intermediate, target)})" for target in row.related
                ),
                RELATION_MEANING,
                numeric=False,
            ),
        ),
        *reach([row.mean for row in rows]),
        *_short_mixes(results),
    )


def _short_mixes(results: Results) -> Iterator[str]:
    """The mixes of all of the paper's intermediate tasks but CCG, for which data has to be bought."""
    for name, traits in results.traits.items():
        if set(traits.tasks) == set(INTERMEDIATES) - {"ccg"}:
            yield f"{name} is the paper's mix of nine without CCG, which is licensed: a mix of eight."


def consistency_table(results: Results, rows: Sequence[Consistency]) -> Table:
    """How many intermediates help a target."""
    return described(
        results,
        "intermediates that help",
        rows,
        (
            Column("target", lambda row: row.target, "the task that is scored", numeric=False),
            Column("model", lambda row: row.model, "the pretrained model", numeric=False),
            Column(
                "help", lambda row: f"{row.helped} of {row.intermediates}", "how many have a delta above 0"
            ),
            Column(
                "share",
                lambda row: f"{100 * row.helped / row.intermediates:.0f} %",
                "the same as a share of the intermediates",
            ),
            Column(
                "related",
                lambda row: "; ".join(
                    f"{name} ({cell_relation(results, name, row.target)})" for name in row.related
                ),
                RELATION_MEANING,
                numeric=False,
            ),
        ),
    )


def comparison_table(results: Results, rows: Sequence[Comparison]) -> Table:
    """Variants against their plain form, mixes against the best of their tasks."""
    return described(
        results,
        "contrasts of intermediates",
        rows,
        (
            Column("model", lambda row: row.model, "the pretrained model", numeric=False),
            Column("intermediate", lambda row: row.intermediate, "what is compared", numeric=False),
            Column("compared with", lambda row: row.against, "whose score is taken off", numeric=False),
            Column("difference", lambda row: signed(row.difference.estimate), "of scores, mean over targets"),
            Column(
                "95 % interval", lambda row: ends(row.difference), "seeds, and items where they are known"
            ),
            Column("covers", lambda row: covers(row.difference), "what the interval covers", numeric=False),
            Column("targets", lambda row: " ".join(row.targets), "over which the mean is", numeric=False),
            Column(
                "chosen on",
                lambda row: ", ".join(one.value for one in row.selection),
                "on what the best single one was chosen, apart from what it is scored on",
                numeric=False,
            ),
            Column(
                "relation",
                lambda row: _compared_relations(results, row),
                RELATION_MEANING,
                numeric=False,
            ),
        ),
        *reach([row.difference for row in rows]),
        *_luck(rows),
    )


def _compared_relations(results: Results, row: Comparison) -> str:
    """Of both that are compared; which single one was best, and so what it has seen, differs from seed to seed."""
    told = (
        (target, name, cell_relation(results, name, target))
        for target in row.targets
        for name in (row.intermediate, row.against)
    )
    return "; ".join(f"{name} on {target} ({words})" for target, name, words in told if words)


def _luck(rows: Sequence[Comparison] | Sequence[BestOf]) -> Iterator[str]:
    """What a choice among single runs means, where there is one."""
    if any(OF_ONE_RUN.intersection(row.selection) for row in rows):
        yield (
            "With one seed, the best is the best run, chosen on its own English dev set or on half of its items. The luck of "
            "its training counts as an effect of its intermediate, so the effect is shown too high."
        )


def best_table(results: Results, rows: Sequence[BestOf]) -> Table:
    """What the best intermediate brings."""
    return described(
        results,
        "best intermediate",
        rows,
        (
            Column("model", lambda row: row.model, "the pretrained model", numeric=False),
            Column(
                "target",
                lambda row: row.target or f"mean over {row.targets} targets",
                "the task that is scored",
                numeric=False,
            ),
            Column(
                "among",
                lambda row: "unrelated" if row.unrelated else "all",
                "which intermediates could be chosen: all, or those without a relation to the target",
                numeric=False,
            ),
            Column(
                "delta", lambda row: signed(row.delta.estimate if row.delta else None), "selection counted in"
            ),
            Column("95 % interval", lambda row: ends(row.delta), "seeds, and items where they are known"),
            Column("covers", lambda row: covers(row.delta), "what the interval covers", numeric=False),
            Column(
                "chosen on",
                lambda row: ", ".join(one.value for one in row.selection),
                "on what, apart from what it is scored on",
                numeric=False,
            ),
            Column("chosen", _chosen, "how often, in percent of the choices", numeric=False),
            Column(
                "naive",
                lambda row: signed(row.unselected),
                "the highest mean delta in these seeds, chosen and scored on the same numbers: too high",
            ),
            Column("relation", lambda row: _chosen_relations(results, row), RELATION_MEANING, numeric=False),
        ),
        *reach([row.delta for row in rows]),
        *_luck(rows),
        "The oracle, chosen on the target's own dev set in every language, is blank: those sets are not scored.",
    )


def robustness_table(results: Results, rows: Sequence[Robustness]) -> Table:
    """What is worst, how far languages and seeds lie apart, who gains."""
    return described(
        results,
        "robustness",
        rows,
        (
            Column("target", lambda row: row.target, "the task that is scored", numeric=False),
            Column("model", lambda row: row.model, "the pretrained model", numeric=False),
            Column(
                "intermediate", lambda row: row.intermediate, "what it was trained on first", numeric=False
            ),
            Column(
                "worst of none",
                lambda row: named(row.worst, plain),
                "the language that is worst for none",
            ),
            Column(
                f"bottom {BOTTOM}",
                lambda row: ABSENT if row.bottom is None else f"{row.bottom:.1f}",
                f"the mean of the {BOTTOM} languages that are worst for none",
            ),
            Column(
                "sd languages",
                lambda row: plain(row.over_languages),
                "standard deviation over the languages other than English",
            ),
            Column("sd seeds", lambda row: plain(row.over_seeds), "that of the zero-shot mean over seeds"),
            Column(
                "improved",
                lambda row: ABSENT if row.improved is None else f"{row.improved} of {row.compared}",
                "languages with a delta above 0",
            ),
            Column(
                "worst delta",
                lambda row: named(row.worst_delta, signed),
                "the language with the lowest delta",
            ),
            Column("collapsed", lambda row: str(row.collapsed or ""), COLLAPSED_MEANING),
            Column(
                "relation",
                lambda row: cell_relation(results, row.intermediate, row.target),
                RELATION_MEANING,
                numeric=False,
            ),
        ),
    )


def group_table(results: Results, rows: Sequence[GroupDelta]) -> Table:
    """Deltas by script and class of resources."""
    return described(
        results,
        "deltas by script and resources",
        rows,
        (
            Column("target", lambda row: row.target, "the task that is scored", numeric=False),
            Column("model", lambda row: row.model, "the pretrained model", numeric=False),
            Column(
                "intermediate", lambda row: row.intermediate, "what it was trained on first", numeric=False
            ),
            Column(
                "by",
                lambda row: row.kind,
                "script, or the class of resources of Joshi et al. 2020",
                numeric=False,
            ),
            Column(
                "group",
                lambda row: row.group,
                "class 0 has the fewest resources, class 5 the most",
                numeric=False,
            ),
            Column("languages", _languages, "those of the group, without English", numeric=False),
            Column("delta", lambda row: signed(row.delta.estimate), "the mean over them, minus that of none"),
            Column("95 % interval", lambda row: ends(row.delta), "seeds, and items where they are known"),
            Column("p", lambda row: p_value(row.adjusted), "two-sided, corrected over the whole table (BH)"),
            Column(
                "relation",
                lambda row: cell_relation(results, row.intermediate, row.target),
                RELATION_MEANING,
                numeric=False,
            ),
        ),
        *reach([row.delta for row in rows]),
    )


def language_table(results: Results, rows: Sequence[LanguageDelta]) -> Table:
    """Deltas by language."""
    return described(
        results,
        "deltas by language",
        rows,
        (
            Column("target", lambda row: row.target, "the task that is scored", numeric=False),
            Column("model", lambda row: row.model, "the pretrained model", numeric=False),
            Column(
                "intermediate", lambda row: row.intermediate, "what it was trained on first", numeric=False
            ),
            Column(
                "language",
                lambda row: _language(row.language),
                "the language that is scored",
                numeric=False,
            ),
            Column("delta", lambda row: signed(row.delta.estimate), "score minus that of none"),
            Column("95 % interval", lambda row: ends(row.delta), "seeds, and items where they are known"),
            Column("covers", lambda row: covers(row.delta), "what the interval covers", numeric=False),
            Column("p", lambda row: p_value(row.adjusted), "two-sided, corrected over the whole table (BH)"),
            Column(
                "relation",
                lambda row: cell_relation(results, row.intermediate, row.target) if row.flagged else "",
                RELATION_MEANING,
                numeric=False,
            ),
        ),
        *reach([row.delta for row in rows]),
    )


def _languages(row: GroupDelta) -> str:
    more = f" and {len(row.languages) - _SHORT} more" if len(row.languages) > _SHORT + 1 else ""
    return " ".join(row.languages[: _SHORT if more else None]) + more


def _language(code: str) -> str:
    name = language_name(code)
    return code if name == code else f"{code} {name}"


def _chosen(row: BestOf) -> str:
    total = sum(row.chosen.values())
    ordered = sorted(row.chosen.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {100 * count / total:.0f} %" for name, count in ordered)


def _chosen_relations(results: Results, row: BestOf) -> str:
    if row.target is None:
        return ""
    told = [(name, cell_relation(results, name, row.target)) for name in sorted(row.chosen)]
    return "; ".join(f"{name}: {words}" for name, words in told if words)
