"""The experiment file: frozen models of the TransferExperiment manifest, and reading it safely."""

from xstilts.spec.experiment import Analysis, Experiment, ExperimentSpec, Metadata, StoreUse
from xstilts.spec.intermediates import ContinuedPretraining, IntermediateSpec, MixingSpec
from xstilts.spec.models import LoraSpec, ModelSpec
from xstilts.spec.named_sources import NamedSource, named_sources, with_sources
from xstilts.spec.reading import load_experiment, parse_experiment, read_experiment
from xstilts.spec.scheduling import Budget, Resources, StageResources, Toleration
from xstilts.spec.sources import is_hub_id, is_path, is_unpinned_input, store_input
from xstilts.spec.tasks import Splits, TargetSpec, TaskSpec
from xstilts.spec.training import Match, MatchedOverride, Override, Sweep, Training

__all__ = [
    "Analysis",
    "Budget",
    "ContinuedPretraining",
    "Experiment",
    "ExperimentSpec",
    "IntermediateSpec",
    "LoraSpec",
    "Match",
    "MatchedOverride",
    "Metadata",
    "MixingSpec",
    "ModelSpec",
    "NamedSource",
    "Override",
    "Resources",
    "Splits",
    "StageResources",
    "StoreUse",
    "Sweep",
    "TargetSpec",
    "TaskSpec",
    "Toleration",
    "Training",
    "is_hub_id",
    "is_path",
    "is_unpinned_input",
    "load_experiment",
    "named_sources",
    "parse_experiment",
    "read_experiment",
    "store_input",
    "with_sources",
]
