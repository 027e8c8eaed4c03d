"""Everything that an experiment may say of where its stages run, by hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from xstilts.spec import Resources

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
LABEL_VALUES = st.from_regex(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", fullmatch=True)
LABEL_KEYS = st.builds(
    lambda prefix, name: f"{prefix}/{name}" if prefix else name,
    st.just("") | NAMES | st.just("node.kubernetes.io"),
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,30}[A-Za-z0-9])?", fullmatch=True),
)
QUANTITIES = st.from_regex(r"[1-9][0-9]{0,11}(k|M|G|T|Ki|Mi|Gi|Ti)?", fullmatch=True)


@st.composite
def tolerations(draw: st.DrawFn) -> dict[str, Any]:
    """One toleration that the spec takes."""
    effect = draw(st.sampled_from([None, "NoSchedule", "PreferNoSchedule", "NoExecute"]))
    exists = draw(st.booleans())
    said = {
        "operator": "Exists" if exists else "Equal",
        "key": draw(st.none() | LABEL_KEYS) if exists else draw(LABEL_KEYS),
        "value": None if exists else draw(st.none() | LABEL_VALUES),
        "effect": effect,
        "tolerationSeconds": draw(st.none() | st.integers(0, 86_400)) if effect == "NoExecute" else None,
    }
    return {name: value for name, value in said.items() if value is not None}


PLACEMENTS = st.fixed_dictionaries(
    {},
    optional={
        "gpus": st.integers(0, 64),
        "cpu": st.integers(1, 1024),
        "memory": QUANTITIES,
        "nodes": st.integers(1, 64),
        "nodeSelector": st.dictionaries(LABEL_KEYS, LABEL_VALUES, max_size=4),
        "tolerations": st.lists(tolerations(), max_size=3),
        "priorityClassName": NAMES,
        "runtimeClassName": NAMES,
    },
).map(Resources.model_validate)
