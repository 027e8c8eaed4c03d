"""What the experiment and the catalogue together say of a pretrained model."""

from __future__ import annotations

from dataclasses import dataclass

from xstilts.catalogue.models import FAMILY_RETRIEVAL, FORMS, MODELS, POOLINGS
from xstilts.plan.sources import Hub, Origin
from xstilts.spec import ModelSpec, store_input
from xstilts.stage import Family, ModelUse, Pooling, RetrievalUse


@dataclass(frozen=True)
class ResolvedModel:
    """A pretrained model and how it is used; `retrieval` is None where no target is a retrieval."""

    name: str
    use: ModelUse
    origin: Origin
    retrieval: RetrievalUse | None


def resolve_model(model: ModelSpec, hub: Hub, *, retrieves: bool) -> ResolvedModel:
    """Resolve a model of a checked experiment."""
    family = model.family or MODELS[model.pretrained].family
    return ResolvedModel(
        name=model.name,
        use=ModelUse(
            family=family, form=model.form or FORMS[family], pooling=model.pooling or POOLINGS[family]
        ),
        origin=store_input(model.pretrained, hub.mark) or hub.model(model.pretrained, model.revision, family),
        retrieval=_retrieval(model, family) if retrieves else None,
    )


def _retrieval(model: ModelSpec, family: Family) -> RetrievalUse:
    known = MODELS.get(model.pretrained, FAMILY_RETRIEVAL[family])
    layer = next(layer for layer in (model.layer, known.layer) if layer is not None)
    prefix = known.prefix if model.prefix is None else model.prefix
    return RetrievalUse(layer=layer, pooling=Pooling.MEAN, prefix=prefix)
