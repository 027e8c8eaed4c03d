"""init, doctor, and what is made of results: pivot, intervals, comparison, export, data frame and figure."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from xstilts import notebook
from xstilts.catalogue import CATALOGUE
from xstilts.loading import of_file
from xstilts.plan import plan
from xstilts.results.words import ABSENT
from xstilts.spec import load_experiment
from xstilts.stage import EvaluateSpec, Kind
from xstilts.store import Store

FILE = """\
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: NAME}
spec:
  models: [{name: base, pretrained: FacebookAI/xlm-roberta-base}]
  intermediates: [{name: squad, tasks: [squad]}]
  targets: [{task: xnli, languages: [en, de]}, {task: xquad}]
  seeds: [1, 2, 3]
"""


def write(folder: Path, name: str, offset: float = 0.0) -> str:
    """An experiment whose evaluations are all in the store `store`: a seed more is a point more."""
    file = folder / f"{name}.yaml"
    file.write_text(FILE.replace("NAME", name).replace(", languages: [en, de]", ""), encoding="utf-8")
    store = Store.open(str(folder / "store"))
    planned = plan(load_experiment(file))
    for one in planned.of_kind(Kind.EVALUATE):
        cell = min(one.labels)
        value = 50.0 + cell.seed + offset + 5 * (cell.intermediate == "squad")
        scores = {}
        with store.write(one.stage, {}) as draft:
            for data in EvaluateSpec.model_validate(one.stage.spec).data:
                names = {"xquad": ["f1", "exact_match"]}.get(data.task.name, ["accuracy"])
                numbers = {code: repr(value + 10 * (code == "en")) for code in data.languages}
                scores[data.task.name] = dict.fromkeys(names, numbers)
                own = draft.path / "predictions" / data.task.name
                own.mkdir(parents=True)
                (own / "test-en.tsv").write_text("neutral\n", encoding="utf-8")
            (draft.path / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    return file.name


def test_init_writes_a_valid_file_and_writes_over_none(invoke, tmp_path):
    assert invoke("init", "Size and XNLI.yaml").exit_code == 0
    text = (tmp_path / "Size and XNLI.yaml").read_text(encoding="utf-8")
    assert "name: size-and-xnli\n" in text
    assert "xstilts validate Size and XNLI.yaml" in text
    assert invoke("validate", "Size and XNLI.yaml").exit_code == 0
    again = invoke("init", "Size and XNLI.yaml")
    assert (again.exit_code, again.stderr) == (
        64,
        "error: Size and XNLI.yaml: must not be there yet; name another file, or say --force\n",
    )
    assert json.loads(invoke("init", "a.yaml", "--name", "b", "-o", "json").stdout) == {
        "file": "a.yaml",
        "name": "b",
    }
    assert "must be lower-case letters" in invoke("init", "c.yaml", "--name", "_").stderr
    invoke("init", "my-experiment-2.yaml")
    text = (tmp_path / "my-experiment-2.yaml").read_text(encoding="utf-8")
    assert "name: my-experiment-2\n" in text
    assert "xstilts validate my-experiment-2.yaml " in text


def test_every_comment_of_init_is_what_it_says(invoke, tmp_path):
    """The fields that stand in comments are fields: with them the file is valid too."""
    invoke("init", "a.yaml")
    lines = (tmp_path / "a.yaml").read_text(encoding="utf-8").splitlines()
    kept = lines[lines.index("apiVersion: xstilts.dev/v1alpha1") :]
    fields = (
        "- {",
        "parallelism:",
        "budget:",
        "queueName:",
        "training:",
        "  overrides:",
        "    - {",
        "tasks:",
        "  - {",
    )
    opened = [
        line.replace("# ", "", 1) if line.strip().removeprefix("# ").startswith(fields) else line
        for line in kept
    ]
    (tmp_path / "a.yaml").write_text("\n".join(opened), encoding="utf-8")
    (tmp_path / "my-xnli").mkdir()
    for split, language in product(("validation", "test"), CATALOGUE["xnli"].languages):
        (tmp_path / "my-xnli" / f"{split}.{language}.jsonl").touch()
    shown = invoke("validate", "a.yaml")
    assert shown.exit_code == 0, shown.output
    assert "2 models, 2 intermediates" in shown.output


def test_pivot_and_intervals(invoke, tmp_path):
    file = write(tmp_path, "a")
    shown = invoke("results", file, "--store", "store", "--pivot", "-o", "markdown").stdout
    assert "| base | en | 62.0 ±1.0 | 67.0 ±1.0 |" in shown
    pivot = invoke("results", file, "--store", "store", "--pivot", "--ci", "-o", "markdown").stdout
    assert "| base | en | 62.0 [59.5, 64.5] | 67.0 [64.5, 69.5] |" in pivot  # t(2) 4.303 x 1 / sqrt 3
    table = invoke("results", file, "--store", "store", "--ci", "-o", "markdown").stdout
    row = next(line for line in table.splitlines() if line.startswith("| xquad | base | squad"))
    assert "+5.0 [+5.0, +5.0]" in row  # every seed has gained as much
    none = next(line for line in table.splitlines() if line.startswith("| xquad | base | none")).split(" | ")
    assert (none[5], none[8]) == (ABSENT, ABSENT)  # its deltas


def test_no_scores_are_said_and_no_empty_table_is_shown(invoke, tmp_path):
    file = write(tmp_path, "a")
    for options in ([], ["--pivot"], ["--ci"]):
        done = invoke("results", file, "--store", "nothing", *options)
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == "no scores yet: store nothing has none of its 12 evaluations\n"
    assert json.loads(invoke("results", file, "--store", "nothing", "-o", "json").stdout)["scores"] == []


def test_numbers_alone_build_no_table(invoke, tmp_path, monkeypatch):
    file = write(tmp_path, "a")
    monkeypatch.setattr(sys.modules["xstilts.cli.results"], "summary_table", pytest.fail)
    assert invoke("results", file, "--store", "store", "-o", "csv").exit_code == 0
    assert invoke("results", file, "--store", "store", "-o", "json").exit_code == 0


@pytest.mark.parametrize("option", ["--pivot", "--ci"])
@pytest.mark.parametrize("form", ["csv", "json"])
def test_what_lays_out_a_table_is_refused_where_there_is_none(invoke, tmp_path, option, form):
    file = write(tmp_path, "a")
    done = invoke("results", file, "--store", "store", option, "-o", form)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"Invalid value for {option}: must not be said with -o {form}" in done.stderr
    assert "not with -o csv or json" in " ".join(invoke("results", "--help").stdout.split())


def test_compare(invoke, tmp_path):
    first, second = write(tmp_path, "a"), write(tmp_path, "b", offset=2.0)
    document = (tmp_path / second).read_text(encoding="utf-8").replace("seeds: [1, 2, 3]", "seeds: [1, 2]")
    (tmp_path / second).write_text(document, encoding="utf-8")
    found = json.loads(invoke("compare", first, second, "--store", "store", "-o", "json").stdout)
    assert [(one["field"], one["first"], one["second"]) for one in found["fields"]] == [
        ("spec.seeds", [1, 2, 3], [1, 2])
    ]
    rows = {(row["target"], row["intermediate"]): row for row in found["rows"]}
    # what is not pinned is another stage in another experiment, so that b has numbers of its own: 2 more, 0.5 fewer by seeds
    assert rows["xnli", "squad"]["difference"] == pytest.approx(1.5)
    assert rows["xnli", "squad"]["zero_shot"] == pytest.approx(1.5)
    shown = invoke("compare", first, second, "--store", "store").stdout
    assert "b against a" in shown
    assert "  spec.seeds: [1, 2, 3] -> [1, 2]" in shown


def test_export_is_scored_and_read_again(invoke, tmp_path):
    file = write(tmp_path, "a")
    done = invoke("export", file, "out", "--store", "store")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out/predictions/base/squad/seed-2/xnli/test-en.tsv").read_text() == "neutral\n"
    assert invoke("validate", "out/experiment.yaml").exit_code == 0
    keys = [
        [one["key"] for one in json.loads(text)["stages"]]
        for text in (
            (tmp_path / "out/plan.json").read_text(encoding="utf-8"),
            invoke("plan", "out/experiment.yaml", "-o", "json").stdout,
        )
    ]
    assert keys[0] == keys[1]
    again = invoke("export", file, "out", "--store", "store")
    assert (again.exit_code, "must be a folder that is not there yet" in again.stderr) == (64, True)


def test_where_answers_are_not_known_there_is_no_primary_answer(invoke, tmp_path, monkeypatch):
    """Statuses of a cluster hold scores alone: a p-value from them would be over seeds and not over items."""
    file = write(tmp_path, "a")
    assert "primary answer" in invoke("results", file, "--store", "store").stdout
    of_statuses = replace(of_file(Path(file), store="store"), store=None)
    for command in ("results", "export"):
        monkeypatch.setattr(sys.modules[f"xstilts.cli.{command}"], "load", lambda *_: of_statuses)
    assert "primary answer" not in invoke("results", "a", "--cluster").stdout
    assert json.loads(invoke("results", "a", "--cluster", "-o", "json").stdout)["primary"] == []
    assert invoke("export", "a", "out", "--cluster").exit_code == 0
    assert "primary answer" not in (tmp_path / "out/tables.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))["primary"] == []


def test_a_tidy_frame_and_a_figure_by_one_call(invoke, tmp_path):
    file = write(tmp_path, "a")
    frame = notebook.results(file, store="store")
    assert list(frame.columns) == ["model", "intermediate", "target", "language", "seed", "metric", "value"]
    assert (str(frame.seed.dtype), str(frame.value.dtype)) == ("Int64", "float64")
    german = frame[(frame.target == "xquad") & (frame.language == "de") & (frame.metric == "score")]
    assert sorted(german.value) == [51.0, 52.0, 53.0, 56.0, 57.0, 58.0]
    figure = notebook.figure(frame)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["xnli", "xquad"]
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()][:2] == ["en", "ar"]
    figure.savefig(tmp_path / "figure.png")
    with pytest.raises(ValueError, match=r"must be one of the frame \(accuracy, exact_match, f1, score\)"):
        notebook.figure(frame, metric="bleu")


def test_no_two_series_of_a_figure_look_alike_and_an_intermediate_looks_the_same_everywhere():
    """As many as the largest example has: 2 models, 17 intermediates."""
    models, intermediates = ("base", "large"), [f"i{number}" for number in range(17)]
    rows = [
        (model, intermediate, target, language, seed, "score", 50.0 + seed)
        for model, intermediate, target, language, seed in product(
            models, intermediates, ("xnli", "xquad"), ("de", "en"), (1, 2)
        )
        if (target, intermediate) != ("xquad", "i0")  # the others look as they do elsewhere all the same
    ]
    figure = notebook.figure(pd.DataFrame(rows, columns=notebook.COLUMNS))
    looks = {}
    for axes in figure.axes:
        for container in axes.containers:
            line = container.lines[0]
            look = (line.get_color(), line.get_fillstyle(), line.get_marker())
            assert looks.setdefault(container.get_label(), look) == look
    assert len(looks) == len(set(looks.values())) == 34
    assert len({colour for colour, _, _ in looks.values()}) > 10
    assert all(looks[f"base / {one}"][:2] == looks[f"large / {one}"][:2] for one in intermediates)
    assert len({marker for _, _, marker in looks.values()}) == 2
    (legend,) = figure.legends
    titles = [r"$\bf{model}$", r"$\bf{intermediate}$"]
    shown = [titles[0], *models, titles[1], *intermediates]
    assert [text.get_text() for text in legend.get_texts()] == shown
    figure.canvas.draw()
    assert figure.bbox.containsx(legend.get_window_extent().x1)
    assert figure.bbox.containsy(legend.get_window_extent().y0)


def test_doctor_of_this_machine(invoke):
    found = json.loads(invoke("doctor", "--local", "-o", "json").stdout)
    assert [one["name"] for one in found] == ["Python", "trainer", "store"]
    blocked = invoke("doctor", "--cluster")
    assert blocked.exit_code == 1
    assert blocked.stdout.startswith("FAILED   cluster: kubeconfig ")


def test_only_who_needs_slow_packages_loads_them():
    loaded = (
        "import sys; from xstilts.cli import app; import xstilts.notebook\n"
        "print(sorted({'kubernetes', 'pandas', 'matplotlib', 'scipy', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_kubectl_gets_completions():
    program = Path(sys.executable).with_name("kubectl_complete-xstilts")
    done = subprocess.run([program, "comp"], capture_output=True, text=True, check=True)
    assert done.stdout == "compare\n:4\n"
    helped = subprocess.run(
        [Path(sys.executable).with_name("kubectl-xstilts"), "-h"], capture_output=True, text=True, check=True
    )
    assert helped.stdout.startswith("Usage: kubectl xstilts ")
