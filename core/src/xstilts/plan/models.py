"""What the experiment and the catalogue together say of a pretrained model."""

from __future__ import annotations

from dataclasses import dataclass

from xstilts.catalogue.lora import TARGET_MODULES
from xstilts.catalogue.models import FAMILY_RETRIEVAL, FORMS, MODELS, POOLINGS
from xstilts.plan.sources import Hub, Origin
from xstilts.spec import LoraSpec, ModelSpec, store_input
from xstilts.stage import Family, Lora, ModelUse, Pooling, RetrievalUse


@dataclass(frozen=True)
class ResolvedModel:
    """A pretrained model and how it is used.

    `retrieval` is None where no target is a retrieval, `lora` where all weights are trained.
    """

    name: str
    use: ModelUse
    origin: Origin
    retrieval: RetrievalUse | None
    lora: Lora | None


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
        lora=_lora(model.lora, family) if model.lora else None,
    )


def _lora(said: LoraSpec, family: Family) -> Lora:
    return Lora(
        rank=said.rank,
        alpha=2 * said.rank if said.alpha is None else said.alpha,
        dropout=said.dropout,
        target_modules=tuple(sorted(said.target_modules or TARGET_MODULES[family])),
    )


def _retrieval(model: ModelSpec, family: Family) -> RetrievalUse:
    known = MODELS.get(model.pretrained, FAMILY_RETRIEVAL[family])
    layer = next(layer for layer in (model.layer, known.layer) if layer is not None)
    prefix = known.prefix if model.prefix is None else model.prefix
    return RetrievalUse(layer=layer, pooling=Pooling.MEAN, prefix=prefix)
