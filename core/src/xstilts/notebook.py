"""Results in a notebook: a tidy data frame, and a figure of it (the extra `notebook`: pandas and matplotlib).

from xstilts import notebook

frame = notebook.results("experiment.yaml")
notebook.figure(frame)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.catalogue import ENGLISH
from xstilts.cluster.client import Client
from xstilts.cluster.place import ClusterPlace
from xstilts.errors import UserError
from xstilts.loading import Loaded, of_cluster, of_file
from xstilts.results.main import scores_by_cell

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COLUMNS = ("model", "intermediate", "target", "language", "seed", "metric", "value")
SCORE = "score"  # the metric that is a task's main score, as XTREME has it


def results(
    experiment: str | Path,
    *,
    store: str | None = None,
    namespace: str | None = None,
    cluster: bool = False,
    context: str | None = None,
    kubeconfig: str | None = None,
) -> pd.DataFrame:
    """The scores of an experiment so far, one number a row: model, intermediate, target, language, seed, metric, value.

    Args:
        experiment: its file; with `cluster` its name.
        store: a folder or URL that the scores are read from, instead of the file's own store or the cluster's statuses.
        namespace: instead of the file's or the context's.
        cluster: whether it is one of the cluster's.
        context: of the kubeconfig.
        kubeconfig: else $KUBECONFIG, else ~/.kube/config.

    `value` is percent. Beside a task's own metrics stands `score`, its main score. `seed` is <NA> where nothing random
    decides a score.

    Raises:
        UserError: there is no such experiment, store or cluster; the message says what to do.
    """
    if cluster:
        place = ClusterPlace(Client.connect(kubeconfig, context), namespace)
        return frame(of_cluster(place, str(experiment), store=store))
    return frame(of_file(Path(experiment), store=store, namespace=namespace))


def frame(loaded: Loaded) -> pd.DataFrame:
    """The scores of results that are loaded already; see `results`."""
    pandas = _import("pandas")
    found = loaded.results
    rows: list[tuple[Any, ...]] = [
        (row.model, row.intermediate, row.target, row.language, row.seed, row.metric, row.value)
        for row in found.rows
    ]
    rows += [
        (model, intermediate, target, language, seed, SCORE, value)
        for (model, intermediate, target), seeds in scores_by_cell(found).items()
        for seed, languages in seeds.items()
        for language, value in languages.items()
    ]
    made: pd.DataFrame = pandas.DataFrame(rows, columns=list(COLUMNS)).astype(
        {"seed": "Int64", "value": "float64"}
    )
    return made


def figure(scores: pd.DataFrame, *, metric: str = SCORE) -> Figure:
    """A panel a target: the mean over seeds in each language, English first; a colour a model and intermediate.

    Bars beside a point are the standard deviation over seeds, where there are two or more. What is selected in `scores`
    is shown: `figure(frame[frame.model == "mt5-base"])`.

    Raises:
        ValueError: there is no row of this metric.
    """
    pyplot = _import("matplotlib.pyplot")
    chosen = scores[scores["metric"] == metric]
    targets = list(dict.fromkeys(chosen["target"]))
    if not targets:
        known = ", ".join(sorted(set(scores["metric"]))) or "none"
        raise ValueError(f"metric must be one of the frame ({known}), was {metric!r}")
    widest = max(chosen[chosen["target"] == target]["language"].nunique() for target in targets)
    made, axes = pyplot.subplots(
        len(targets),
        1,
        figsize=(max(6.0, 0.45 * widest + 2.5), 3.0 * len(targets)),
        squeeze=False,
        layout="constrained",
    )
    for axis, target in zip(axes[:, 0], targets, strict=True):
        _panel(axis, chosen[chosen["target"] == target], metric)
        axis.set_title(target, loc="left")
    pyplot.close(made)  # a notebook shows what is returned, once
    shown: Figure = made
    return shown


def _panel(axis: Any, rows: pd.DataFrame, metric: str) -> None:
    languages = sorted(set(rows["language"]), key=lambda code: (code != ENGLISH, code))
    places = {language: place for place, language in enumerate(languages)}
    series = list(rows.groupby(["model", "intermediate"], sort=False))
    for number, ((model, intermediate), own) in enumerate(series):
        by_language = own.groupby("language")["value"]
        means, spreads = by_language.mean(), by_language.std()
        shift = 0.6 * ((number + 0.5) / len(series) - 0.5)
        axis.errorbar(
            [places[language] + shift for language in means.index],
            means,
            yerr=spreads.fillna(0.0),
            fmt="o",
            markersize=4,
            label=f"{model} / {intermediate}",
        )
    axis.set_xticks(range(len(languages)), languages)
    axis.set_ylabel(f"{metric} (%)")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")


def _import(name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415 - beside its only use

    try:
        return import_module(name)
    except ImportError:
        raise UserError(
            f"notebooks need the Python package {name.partition('.')[0]}: pip install 'xstilts[notebook]'"
        ) from None
