"""Results in a notebook: a tidy data frame, and a figure of it (the extra `notebook`: pandas and matplotlib).

from xstilts import notebook

frame = notebook.results("experiment.yaml")
notebook.figure(frame)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xstilts.catalogue import ENGLISH
from xstilts.cluster.client import Client
from xstilts.cluster.place import ClusterPlace
from xstilts.errors import UserError
from xstilts.loading import Loaded, of_cluster, of_file
from xstilts.results.main import scores_by_cell

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLUMNS = ("model", "intermediate", "target", "language", "seed", "metric", "value")
SCORE = "score"  # the metric that is a task's main score, as XTREME has it

# Okabe and Ito's without their yellow, which a white page swallows, and five more: any two are told apart (a CIE76 distance
# of 17 and more) by people who see all colours, no green and no red. Beyond twelve the filling tells, too.
_COLOURS: Final = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"),
    *("#AA0DFE", "#661100", "#DDCC77", "#332288", "#7FD8BE"),
)
_FILLINGS: Final = ("full", "none", "left")
_MARKERS: Final = "o^sDvPX*"


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
    """A panel a target: the mean over seeds in each language, English first; a colour an intermediate, a marker a model.

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
    models, intermediates = (list(dict.fromkeys(chosen[name])) for name in ("model", "intermediate"))
    styles = {
        (model, intermediate): _style(models.index(model), intermediates.index(intermediate))
        for model in models
        for intermediate in intermediates
    }
    entries = [
        *_entries("model", models, lambda place: _style(place, 0) | {"color": "0.4"}),
        *_entries("intermediate", intermediates, lambda place: _style(0, place)),
    ]
    widest = max(chosen[chosen["target"] == target]["language"].nunique() for target in targets)
    series = len(chosen.groupby(["model", "intermediate"]))
    made, axes = pyplot.subplots(
        len(targets),
        1,
        # points of a language side by side, and no less high than the legend
        figsize=(
            max(6.0, min(max(0.45, 0.05 * series) * widest, 20.0) + 2.5),
            max(3.0 * len(targets), 0.2 * len(entries) + 0.5),
        ),
        squeeze=False,
        layout="constrained",
    )
    for axis, target in zip(axes[:, 0], targets, strict=True):
        _panel(axis, chosen[chosen["target"] == target], metric, styles)
        axis.set_title(target, loc="left")
    made.legend(handles=entries, loc="outside right upper", frameon=False, fontsize="small")
    pyplot.close(made)  # a notebook shows what is returned, once
    shown: Figure = made
    return shown


def _panel(
    axis: Any, rows: pd.DataFrame, metric: str, styles: Mapping[tuple[str, str], Mapping[str, Any]]
) -> None:
    languages = sorted(set(rows["language"]), key=lambda code: (code != ENGLISH, code))
    places = {language: place for place, language in enumerate(languages)}
    series = list(rows.groupby(["model", "intermediate"], sort=False))
    for number, (of, own) in enumerate(series):
        by_language = own.groupby("language")["value"]
        means, spreads = by_language.mean(), by_language.std()
        shift = 0.8 * ((number + 0.5) / len(series) - 0.5)
        axis.errorbar(
            [places[language] + shift for language in means.index],
            means,
            yerr=spreads.fillna(0.0),
            elinewidth=0.8,
            label=" / ".join(of),
            **styles[of],
        )
    for place in places.values():
        if place % 2:  # which points are of which language, where they are many
            axis.axvspan(place - 0.5, place + 0.5, color="0.96", zorder=0)
    axis.set_xlim(-0.5, len(languages) - 0.5)
    axis.set_xticks(range(len(languages)), languages)
    axis.set_ylabel(f"{metric} (%)")
    axis.grid(axis="y", alpha=0.3)


def _style(model: int, intermediate: int) -> dict[str, Any]:
    """How the points of a model and an intermediate look, by their numbers."""
    filling, colour = divmod(intermediate, len(_COLOURS))
    return {
        "color": _COLOURS[colour],
        "fillstyle": _FILLINGS[filling % len(_FILLINGS)],
        "marker": _MARKERS[model % len(_MARKERS)],
        "markersize": 5,
        "linestyle": "none",
    }


def _entries(title: str, names: Iterable[str], style: Callable[[int], Mapping[str, Any]]) -> Iterator[Line2D]:
    """A part of the legend, with its title."""
    line = _import("matplotlib.lines").Line2D
    yield line([], [], linestyle="none", label=rf"$\bf{{{title}}}$")
    for place, name in enumerate(names):
        yield line([], [], label=name, **style(place))


def _import(name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415 - beside its only use

    try:
        return import_module(name)
    except ImportError:
        raise UserError(
            f"notebooks need the Python package {name.partition('.')[0]}: pip install 'xstilts[notebook]'"
        ) from None
