"""What the administrator decides: images, stores, the pods' account, limits. One YAML file, read once at the start.

Nobody who writes a TransferExperiment can set any of it: a spec only names a store of the list, and its placement is
narrowed by `placement`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from xstilts.errors import Problem, SpecError
from xstilts.model import Model
from xstilts.spec import Toleration
from xstilts.spec.fields import DottedName, LabelKey, LabelValue, Name, Quantity

SETTINGS_VARIABLE: Final = "XSTILTS_SETTINGS"  # names the file
DEFAULT_FILE: Final = "/etc/xstilts/settings.yaml"
STORE_MOUNT: Final = "/var/lib/xstilts/store"  # where a claim's volume is in a pod: the root of its store

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[int, Field(ge=0)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
Image = Annotated[str, Field(pattern=r"^[a-z0-9][^\s]{0,511}$")]


class ImageSettings(Model):
    """The two images, by tag or digest, and how nodes get them."""

    trainer: Image
    operator: Image
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    pull_secrets: tuple[DottedName, ...] = ()


class StoreSettings(Model):
    """One store of the list: a volume claim that lies in each namespace under this name, or a URL.

    `secret` is a Secret of the experiment's namespace whose entries become the stage's environment (the access keys of
    an object store). `namespaces` are those that may use the store; None stands for all. `sharing` is of a claim: Nodes,
    pods on any node mount it at once (ReadWriteMany); Node, all its pods land on one node, which is enough for
    ReadWriteOnce.
    """

    claim: DottedName | None = None
    url: Annotated[str, Field(pattern=r"^[a-z0-9]+://[^\s]+$", max_length=512)] | None = None
    secret: DottedName | None = None
    namespaces: tuple[Name, ...] | None = None
    sharing: Literal["Nodes", "Node"] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.claim is None) == (self.url is None):
            raise ValueError("must have exactly one of claim and url")
        if self.sharing is not None and self.claim is None:
            raise ValueError("sharing must be left out beside url: it is of a claim")
        return self

    @property
    def root(self) -> str:
        """What XSTILTS_STORE says in a pod; everything of a namespace lies under `<root>/<namespace>/`."""
        return self.url or STORE_MOUNT

    def serves(self, namespace: str) -> bool:
        """Whether experiments of a namespace may use it."""
        return self.namespaces is None or namespace in self.namespaces


class PlacementSettings(Model):
    """The pod fields that an experiment may set: keys and names that are allowed; None stands for any, () for none."""

    node_selector_keys: tuple[LabelKey, ...] | None = None
    toleration_keys: tuple[LabelKey, ...] | None = None
    priority_class_names: tuple[DottedName, ...] | None = None
    runtime_class_names: tuple[DottedName, ...] | None = None


class PodSettings(Model):
    """What all pods of stages, lookups and reports have in common.

    `user` is their user and group, and the group of the store's volume; None leaves it to the image and the cluster
    (OpenShift sets its own). `default_memory` is of stages whose experiment asks for none, `scratch` the size of their
    temporary files; `companion_*` are of lookups and reports. `job_ttl_seconds` is how long a Job stays once it has ended: its
    pods hold the answer, which an operator that was away meanwhile has still to read.

    `labels`, `annotations`, `node_selector`, `tolerations` and `environment` are of every pod, besides what stands there
    anyway. Labels, annotations and variables of the operator's own win over these, and this node selector over an experiment's.
    """

    service_account: DottedName = "default"
    user: Annotated[int, Field(ge=1)] | None = 10001
    default_memory: Quantity = "8Gi"
    scratch: Quantity = "50Gi"
    companion_cpu: Count = 1
    companion_memory: Quantity = "1Gi"
    grace_seconds: Seconds = 300
    job_ttl_seconds: Annotated[int, Field(ge=600)] = 86_400
    placement: PlacementSettings = PlacementSettings()
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    annotations: dict[LabelKey, str] = Field(default_factory=dict)
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    environment: dict[Variable, str] = Field(default_factory=dict)


class HubSettings(Model):
    """The hub of prepare stages: a mirror's address, and the Secret of the namespace that holds a token."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=512)] | None = None
    token_secret: DottedName | None = None
    token_key: str = "token"


class ProgressSettings(Model):
    """The progress server: `address` is the https address of its Service as pods reach it, None switches it off."""

    address: Annotated[str, Field(pattern=r"^https://[^\s/]+$", max_length=512)] | None = None


class AttemptSettings(Model):
    """How often a stage is tried: failures are counted, resumes are not failures but have caps of their own."""

    max_failures: Count = 3
    max_resumes: Count = 50
    stalled_resumes: Count = 3
    backoff_seconds: Seconds = 10
    backoff_cap_seconds: Seconds = 300


class Settings(Model):
    """Everything that the administrator decides.

    `namespaces` are those that are served; () stands for the whole cluster. `parallelism` and `ttl_seconds_after_finished`
    are of experiments that say none; the latter is None where such are kept. `kueue`: whether Kueue is installed, so that a queueName means something.
    """

    images: ImageSettings
    stores: dict[Name, StoreSettings] = Field(default_factory=dict)
    namespaces: tuple[Name, ...] = ()
    pods: PodSettings = PodSettings()
    hub: HubSettings = HubSettings()
    progress: ProgressSettings = ProgressSettings()
    attempts: AttemptSettings = AttemptSettings()
    parallelism: Count = 8
    ttl_seconds_after_finished: Seconds | None = None
    kueue: bool = False
    resync_seconds: Count = 300

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read the file.

        Raises:
            SpecError: it cannot be read, or says something that it must not; all problems together.
        """
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SpecError(Problem(str(path), f"must be readable: {error.strerror}")) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise SpecError(Problem(str(path), f"must be YAML: {error}")) from None
        return cls.parse(document, str(path))

    @classmethod
    def parse(cls, document: object, source: str = "settings") -> Settings:
        """Settings from plain values; `source` names them in errors.

        Raises:
            SpecError: as `load`.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise SpecError(
                *(
                    Problem(f"{source}: {'.'.join(map(str, fault['loc']))}", fault["msg"])
                    for fault in error.errors()
                )
            ) from None

    def store(self, name: str, namespace: str) -> StoreSettings | None:
        """The store of a name, where experiments of this namespace may use it; else None."""
        store = self.stores.get(name)
        return store if store is not None and store.serves(namespace) else None

    def stores_of(self, namespace: str) -> tuple[str, ...]:
        """The names of the stores that a namespace may use, sorted: for messages."""
        return tuple(sorted(name for name, store in self.stores.items() if store.serves(namespace)))
