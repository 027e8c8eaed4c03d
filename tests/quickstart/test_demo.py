"""`make demo` and `make inputs`: what the examples name by digest is what is made here, and a difference is told."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from xstilts.canonical import tree_digest
from xstilts.plan import plan
from xstilts.spec import load_experiment, parse_experiment
from xstilts.stage import Kind

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
QUICKSTART = EXAMPLES / "quickstart.yaml"
DEPTHS = EXAMPLES / "quickstart-depths.yaml"


@pytest.fixture
def demo(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    monkeypatch.setenv("XSTILTS_STORE", str(tmp_path / "store"))
    import demo

    return demo


def _digest(folder: Path) -> str:
    files = (path for path in folder.rglob("*") if path.is_file())
    return tree_digest(
        {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    )


def test_the_second_depth_is_the_only_difference_of_the_depths_file():
    quickstart, depths = (yaml.safe_load(path.read_text("utf-8")) for path in (QUICKSTART, DEPTHS))
    assert [model["name"] for model in depths["spec"]["models"]] == ["e5-12", "e5-6"]
    del depths["spec"]["models"][1]
    depths["metadata"]["name"] = "quickstart"
    assert depths == quickstart


def test_the_quickstart_starts_at_most_twelve_processes():
    stages = [one.stage for one in plan(load_experiment(QUICKSTART)).stages]
    assert len([stage for stage in stages if stage.kind is not Kind.REPORT]) <= 12


@pytest.mark.slow
def test_the_committed_digests_are_those_of_what_is_made(demo, tmp_path):
    subprocess.run([sys.executable, EXAMPLES / "own-task" / "make.py", tmp_path / "tasks"], check=True)
    for source in demo.named_inputs(load_experiment(DEPTHS)):
        name = demo.input_name(source)
        folder = demo.encoder_folder(name) or tmp_path / "tasks" / name
        assert source == f"store://{name}@sha256:{_digest(folder)}"


@pytest.mark.slow
def test_a_difference_names_the_input_and_both_digests(demo):
    model, quiz, *_ = demo.named_inputs(load_experiment(QUICKSTART))
    other = f"store://place-quiz@sha256:{'0' * 64}"
    text = QUICKSTART.read_text("utf-8").replace(model, "org/model").replace(quiz, other)
    assert demo.put_inputs(parse_experiment(text)) == [f"  must be {other}, was {quiz}"]


@pytest.mark.slow
@pytest.mark.data
def test_inputs_puts_the_slices_under_the_names_of_the_examples(demo, data_dir):
    import inputs

    manifest = yaml.safe_load((EXAMPLES / "xnli-small-cpu.yaml").read_text("utf-8"))
    manifest["spec"]["models"] = [{"name": "hub", "pretrained": "org/model", "family": "E5"}]  # 400 MB less
    manifest["spec"]["tasks"].append({"name": "pawsx", "data": f"store://pawsx@sha256:{'0' * 64}"})
    put = [
        inputs.input_name(made)
        for _, made in inputs.put_inputs(parse_experiment(yaml.safe_dump(manifest)), data_dir)
    ]
    assert put == ["mnli", "xnli", "tatoeba", "commonsense_qa", "pawsx"]


def test_inputs_says_where_it_looked(demo, monkeypatch, tmp_path):
    import inputs

    monkeypatch.setenv("XSTILTS_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(
        SystemExit, match=r"must be the folder of the benchmarks' slices, looked at .*nowhere"
    ):
        inputs.main()
