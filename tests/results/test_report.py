"""The page: what stands on it, that it needs nothing else, and that everyone can read it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

import xstilts.report
from xstilts.catalogue.overlap import Relation, TrainingOverlap
from xstilts.plan import plan
from xstilts.report import Provenance, StageRecord, collect, contents
from xstilts.report import render as render_contents
from xstilts.results import Evaluation, Results, ScoreRow
from xstilts.results.words import ABSENT
from xstilts.spec import Analysis, parse_experiment
from xstilts.stage import Family, Kind
from xstilts.store import Store
from xstilts.task import Metric

VOID = {"meta", "br"}

RESULTS = Results(
    experiment="made",
    models={"base": Family.XLMR, "large": Family.XLMR},
    intermediates=("none", "squad"),
    targets={"xquad": Metric.SQUAD, "tatoeba": Metric.ACCURACY, "months": Metric.ACCURACY},
    rows=tuple(
        ScoreRow(model, intermediate, target, seed, language, metric, value + 2 * (intermediate == "squad"))
        for model in ("base", "large")
        for intermediate in ("none", "squad")
        for target, seed, language, metric, value in (
            ("xquad", 1, "en", "f1", 70.0),
            ("xquad", 1, "en", "exact_match", 60.0),
            ("xquad", 1, "zh", "f1", 50.0),
            ("xquad", 1, "zh", "exact_match", 40.0),
            ("tatoeba", None, "de", "accuracy", 91.5),
            ("months", 1, "en", "accuracy", 80.0),
            ("months", 1, "gsw", "accuracy", 75.0),
        )
    ),
    chance={"months": {"en": 8.3, "gsw": 8.4}},
    relations={("squad", "xquad", "en"): Relation(TrainingOverlap.SAME, language_seen=False)},
)
PROVENANCE = Provenance(
    versions={"torch": ("2.9.1",), "transformers": ("4.57.1", "5.0.0")},
    hardware=("cores 2, machine x86_64",),
    inputs=("store://e5@sha256:" + "a" * 64,),
    stages=(
        StageRecord("1" * 64, "train squad on base, seed 1", 12.5, reused=False),
        StageRecord("2" * 64, "evaluate xquad", None, reused=True),
    ),
)


def render(results, provenance):
    return render_contents(contents(results, Analysis()), provenance)


class Page(HTMLParser):
    """Checks that every element is closed in its turn, and keeps elements and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(RESULTS, PROVENANCE))


def test_the_page_shows_table_languages_and_provenance(page):
    assert f"xquad, base none 55.0 {ABSENT} {ABSENT} 65.0 45.0 {ABSENT} +20.0 zh 45.0 1" in page.text
    assert f"squad 57.0 {ABSENT} +2.0 67.0 47.0 +2.0 +20.0 zh 47.0 1 in-task" in page.text
    assert "gsw 8.4 75.0 77.0 +2.0 75.0 77.0 +2.0" in page.text
    assert "de German 91.5 93.5 +2.0 91.5 93.5 +2.0" in page.text
    assert "transformers 4.57.1 and 5.0.0" in page.text
    assert "2 behind this page: 1 run now in 12 seconds of work, 1 reused" in page.text
    assert "111111111111" in page.text
    assert "1" * 13 not in page.text
    assert "One seed" in page.text
    assert "Partial" not in page.text


def test_the_title_of_an_interval_stands_in_one_line():
    """Titles of numbers are broken at spaces, which these are not."""
    source = render(RESULTS, PROVENANCE)
    assert '<th scope="col" class="number">95\u00a0%\u00a0interval</th>' in source
    assert ">95 % interval</th>" not in source


def test_the_page_needs_nothing_else(page):
    assert not {"script", "link", "img", "iframe", "object", "use", "image"} & {
        name for name, _ in page.elements
    }
    assert not [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in {"src", "href"}
    ]
    source = render(RESULTS, PROVENANCE)
    assert "url(" not in source
    assert "@import" not in source
    assert "default-src 'none'" in source


def test_everyone_can_read_it(page):
    assert page.all("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    headings = [int(name[1]) for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(header.get("scope") for header in page.all("th"))
    scrolled = [attributes for attributes in page.all("div") if attributes.get("class") == "wide"]
    assert len(scrolled) == len(page.all("table"))
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for region in scrolled:
        assert region["tabindex"] == "0"
        assert region.get("aria-label") or region["aria-labelledby"] in ids


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of #rrggbb."""
    channels = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_contrast_is_that_of_wcag_aa_in_light_dark_and_print():
    css = (Path(xstilts.report.__file__).parent / "templates" / "report.css").read_text()
    themes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{[^}]*\}", css)]
    assert len(themes) == 3
    heat = [f"{sign}{step}" for sign in ("plus", "minus") for step in range(1, 5)]
    for theme in themes:
        for series in ("s0", "s1", "s2", "s3"):
            dark, light = sorted([luminance(theme[series]), luminance(theme["ground"])])
            assert (light + 0.05) / (dark + 0.05) >= 3, (series, theme)
        for shade in heat:
            dark, light = sorted([luminance(theme["text"]), luminance(theme[shade])])
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (shade, theme)
        for text in ("text", "quiet", "mark"):
            for ground in ("ground", "band"):
                dark, light = sorted([luminance(theme[text]), luminance(theme[ground])])
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground, theme)


def test_equal_input_gives_equal_bytes():
    assert render(RESULTS, PROVENANCE) == render(replace(RESULTS), replace(PROVENANCE))


def test_names_cannot_bring_markup():
    odd = replace(RESULTS, experiment="<script>alert(1)</script>")
    named = replace(PROVENANCE, hardware=("<b>fast</b>",))
    source = render(odd, named)
    assert "<script" not in source
    assert "&lt;b&gt;fast" in source
    Page(source)


def test_a_partial_report_says_so_and_an_empty_one_is_a_page():
    missing = (Evaluation("base", "squad", "xquad", 2),)
    assert (
        "Partial: planned evaluations without scores: 1."
        in Page(render(replace(RESULTS, missing=missing), PROVENANCE)).text
    )
    empty = Page(render(replace(RESULTS, rows=(), missing=missing), Provenance({}, (), (), ())))
    assert empty.text.count("No evaluation has scores yet.") == 2
    assert "No answer yet: no evaluation has scores." in empty.text
    assert "none recorded" in empty.text


def test_provenance_is_read_from_the_manifests(tmp_path):
    experiment = parse_experiment(
        """
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: made}
spec:
  models: [{name: e5, pretrained: "store://e5@sha256:%s", family: E5}]
  targets: [{task: xnli}]
  seeds: [1]
"""
        % ("a" * 64),
        source="made.yaml",
    )
    planned = plan(experiment)
    store = Store.open(str(tmp_path), planned.namespace)
    [train] = planned.of_kind(Kind.TRAIN)
    [evaluate] = planned.of_kind(Kind.EVALUATE)
    for one, torch, seconds in ((train, "2.9", 60.5), (evaluate, "2.10", 4.25)):
        environment = {
            "versions": {"torch": torch},
            "hardware": {"cores": 2, "gpus": 2, "threads": 1},
            "precision": "fp32",
            "seconds": seconds,
        }
        with store.write(one.stage, environment) as draft:
            (draft.path / "out").write_text("made")
    titles = {one.key: one.stage.kind.value for one in planned.stages}
    found = collect(planned, store, titles=titles, ran={evaluate.key})
    assert found.versions == {"torch": ("2.10", "2.9")}
    assert found.hardware == ("cores 2, gpus 2, threads 1, precision fp32",)
    digests = [store.lookup(one.key).outputs_digest for one in (train, evaluate)]
    assert found.stages == (
        StageRecord(train.key, "train", 60.5, reused=True, gpu_seconds=121, outputs=digests[0]),
        StageRecord(evaluate.key, "evaluate", 4.25, reused=False, gpu_seconds=8, outputs=digests[1]),
    )
    assert found.gpu_hours == pytest.approx(129 / 3600)
    assert f"store://e5@sha256:{'a' * 64}" in found.inputs
    assert "facebook/xnli at no commit (not pinned)" in found.inputs


def test_the_page_names_what_nothing_is_trained_for():
    """An own retrieval task as well, which the catalogue does not know."""
    said = "Nothing is trained for tatoeba and cities: the model is applied as it is."
    assert said in render(replace(RESULTS, untrained=("tatoeba", "cities")), PROVENANCE)
    assert "Nothing is trained" not in render(RESULTS, PROVENANCE)
