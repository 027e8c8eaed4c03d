"""Experiments of every kind that the manifest's models take, by hypothesis: with texts as hostile as the fields allow."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from operator_jobs.placements import LABEL_KEYS, LABEL_VALUES, NAMES, QUANTITIES, tolerations

Spec = dict[str, Any]

STORES = ("default", "bucket")
HOSTILE = (
    "$(touch /tmp/hostile)", "`id`", "; sh -c id #", "${HOME}", "$(HOME)", "../../../etc/passwd", "{{ .Values }}", "'\"\\",
    "--help", "\u202e", "\u2028", "🦆", "metadata.annotations['x']", "%s%n", "<script>", "null",
)  # fmt: skip
TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=24)
DIGESTS = st.integers(0, 2**256 - 1).map("{:064x}".format)
COMMITS = st.integers(0, 2**160 - 1).map("{:040x}".format)
INPUTS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,40}[A-Za-z0-9])?", fullmatch=True)
STORED = st.builds("store://{}@sha256:{}".format, INPUTS, DIGESTS) | st.builds("store://{}".format, INPUTS)
PARTS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True).filter(
    lambda part: "--" not in part and ".." not in part and not part.endswith(".git")
)
HUB_IDS = st.builds("{}/{}".format, PARTS, PARTS)
LANGUAGES = st.from_regex(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}", fullmatch=True)
SPLITS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,20}[A-Za-z0-9])?", fullmatch=True)
MODULES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}(\.[A-Za-z0-9_]{1,10})?", fullmatch=True)
OWN = st.from_regex(r"own[a-z0-9_-]{0,20}[a-z0-9]", fullmatch=True)
CATALOGUE = ("mnli", "qqp", "squad", "hellaswag")
TARGETS = ("xnli", "pawsx", "udpos", "xquad", "tatoeba", "panx")
RATES = st.sampled_from(["1e-5", "0.00003", "5E-6", ".001", "1"])
ENCODERS = ("XLMR", "MBERT", "MDeBERTa", "BERT", "E5")
SIZES = {
    "gpus": st.integers(0, 64),
    "cpu": st.integers(1, 1024),
    "memory": QUANTITIES,
    "nodes": st.integers(1, 64),
}


def _some(required: Spec, optional: Spec | None = None) -> st.SearchStrategy[Spec]:
    return st.fixed_dictionaries(required, optional=optional or {})


def _list(
    of: st.SearchStrategy[Any], most: int, least: int = 0, by: Any = None
) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=least, max_size=most, unique_by=by or str)


def models(families: tuple[str, ...]) -> st.SearchStrategy[Spec]:
    """A pretrained model, of the hub or of the store."""
    more = {
        "prefix": TEXTS,
        "layer": st.integers(-256, 256),
        "pooling": st.sampled_from(["Mean", "First"]),
        "lora": _some({"rank": st.integers(1, 1024)}, {"targetModules": _list(MODULES, 2, 1)}),
        "stageResources": _some({}, SIZES),
    }
    hub = _some(
        {"name": NAMES, "pretrained": HUB_IDS, "family": st.sampled_from(families)},
        {**more, "revision": COMMITS},
    )
    return hub | _some({"name": NAMES, "pretrained": STORED, "family": st.sampled_from(families)}, more)


OWN_TASKS = _some(
    {
        "name": OWN,
        "type": st.sampled_from(["Classification", "Tagging"]),
        "labels": _list(TEXTS, 4, 2),
        "data": STORED,
        "languages": _list(LANGUAGES, 3).map(lambda more: sorted({"en", *more})),
    },
    {"splits": _some({}, {"train": SPLITS, "validation": SPLITS, "test": SPLITS})},
)
RESOURCES = _some(
    {},
    {
        **SIZES,
        "nodeSelector": st.dictionaries(LABEL_KEYS, LABEL_VALUES, max_size=3),
        "tolerations": st.lists(tolerations(), max_size=3),
        "priorityClassName": NAMES,
        "runtimeClassName": NAMES,
    },
)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """The spec of an experiment."""
    encoders = draw(st.booleans())
    own = draw(_list(OWN_TASKS, 2, by=lambda task: task["name"]))
    named = [task["name"] for task in own]
    trained = [*CATALOGUE, *named]
    pretraining = {
        "objective": st.just("MLM" if encoders else "SpanCorruption"),
        "ratio": st.sampled_from(["0.2", "0.99", "1e-2"]),
        "corpus": st.just("wikipedia") | STORED,
        "languages": _list(LANGUAGES, 3, 1),
    }
    intermediate = _some(
        {"name": NAMES.filter(lambda name: name != "none"), "tasks": _list(st.sampled_from(trained), 3, 1)},
        {"continuedPretraining": _some(pretraining)} if draw(st.booleans()) else {},
    )
    targets = [*(TARGETS if encoders else TARGETS[:4]), *named]
    return draw(
        _some(
            {
                "models": _list(
                    models(ENCODERS if encoders else ("MT5",)), 2, 1, by=lambda model: model["name"]
                ),
                "tasks": st.just(own),
                "targets": _list(st.sampled_from(targets), 2, 1).map(
                    lambda names: [{"task": one} for one in names]
                ),
                "seeds": st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=2, unique=True),
                "store": _some({"name": st.sampled_from(STORES)}),
            },
            {
                "intermediates": _list(intermediate, 2, by=lambda one: one["name"]),
                "dataRevisions": st.dictionaries(st.just("nyu-mll/glue") | HUB_IDS, COMMITS, max_size=2),
                "training": _some({"learningRate": RATES})
                | _some({"sweep": _some({"learningRate": _list(RATES, 2, 1)})}),
                "resources": RESOURCES,
                "queueName": NAMES,
                "parallelism": st.integers(1, 1000),
                "budget": _some({"gpuHours": st.integers(1, 10_000_000)}),
            },
        )
    )


MANIFESTS = _some(
    {
        "apiVersion": st.just("xstilts.dev/v1alpha1"),
        "kind": st.just("TransferExperiment"),
        "metadata": _some(
            {"name": NAMES, "namespace": NAMES},
            {
                "labels": st.dictionaries(LABEL_KEYS, LABEL_VALUES, max_size=2),
                "annotations": st.dictionaries(LABEL_KEYS, TEXTS, max_size=2),
            },
        ),
        "spec": specs(),
    }
)
"""A TransferExperiment. Few are refused, by rules that name several fields."""
