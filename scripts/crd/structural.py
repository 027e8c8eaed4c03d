"""From the JSON schema of the manifest's models to a structural schema, as an API server wants it.

The models say types and bounds, `crd.rules` what fields must be together, and the docstrings what they are for.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any, Final

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

import xstilts.spec
from crd.rules import CLASS_RULES, rule, source_rules, value_rules
from xstilts.spec import ExperimentSpec
from xstilts.spec.edits import FROZEN, GROWING, ORDERED
from xstilts.spec.fields import MUST
from xstilts.spec.sentences import describe

Schema = dict[str, Any]

_BOUNDS: Final[tuple[str, ...]] = (
    "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "minItems", "maxItems",
    "minProperties", "maxProperties", "enum",
)  # fmt: skip
# A default is written where edits are compared, so that leaving it out and writing it out are the same; nowhere else.
_DEFAULTED: Final = {*FROZEN, *GROWING}


class Translation:
    """Schemas of the models below one of them, all from one JSON schema."""

    def __init__(self, model: type[BaseModel] = ExperimentSpec) -> None:
        self._root = model.model_json_schema()
        self._definitions: Schema = self._root.pop("$defs", {})
        self._root["title"] = model.__name__

    def root(self) -> Schema:
        """The schema of the model itself."""
        return self._object(self._root, defaults=False, is_root=True)

    def model(self, name: str) -> Schema:
        """The schema of a model below it, without defaults."""
        return self._object(self._definitions[name], defaults=False)

    def _object(self, node: Schema, *, defaults: bool, is_root: bool = False) -> Schema:
        model = getattr(xstilts.spec, node["title"])
        docs = _attribute_docs(model)
        properties = {}
        for name, below in node["properties"].items():
            wanted = name in _DEFAULTED if is_root else defaults
            schema = self._field(name, below, defaults=wanted)
            words = [docs[name], _must(self._plain(below))]
            properties[name] = {"description": " ".join(filter(None, words)), **_undescribed(schema)}
            if (name in FROZEN if is_root else wanted) and below.get("default") is not None:
                properties[name]["default"] = {} if schema["type"] == "object" else below["default"]
        rules = CLASS_RULES.get(node["title"], [])
        return {
            "description": inspect.cleandoc(model.__doc__),
            "type": "object",
            **({"required": node["required"]} if "required" in node else {}),
            "properties": properties,
            **({"x-kubernetes-validations": rules} if rules else {}),
        }

    def _field(self, name: str, node: Schema, *, defaults: bool) -> Schema:
        plain = self._plain(node)
        bounds = {word: plain[word] for word in _BOUNDS if word in plain}
        match plain:
            case {"properties": _}:
                return self._object(plain, defaults=defaults)
            case {"type": "array", "items": items}:
                below = self._field(name, items, defaults=defaults)
                return {"type": "array", **bounds, **_list_type(name, below), "items": below}
            case {"patternProperties": patterns}:
                [(pattern, values)] = patterns.items()
                rules = [_key_rule(pattern, plain["propertyNames"])]
                below = self._field(name, values, defaults=defaults)
                return {
                    "type": "object", **bounds, "additionalProperties": below, "x-kubernetes-validations": rules,
                }  # fmt: skip
            case {"type": "string"}:
                rules = [*source_rules(plain), *value_rules(plain)]
                return {"type": "string", **bounds, **({"x-kubernetes-validations": rules} if rules else {})}
            case {"type": "integer"}:
                return {"type": "integer", "format": "int64", **bounds}
            case {"type": "boolean"}:
                return {"type": "boolean"}
        raise NotImplementedError(f"no structural schema for {name}: {node}")

    def _plain(self, node: Schema) -> Schema:
        """A node without `null` beside it, and what a reference names."""
        if "anyOf" in node:
            [node] = [option for option in node["anyOf"] if option != {"type": "null"}]
        if "$ref" in node:
            return dict(self._definitions[node["$ref"].removeprefix("#/$defs/")])
        return node


def _undescribed(schema: Schema) -> Schema:
    return {word: value for word, value in schema.items() if word != "description"}


def _list_type(name: str, items: Schema) -> Schema:
    if items["type"] != "object":
        return {"x-kubernetes-list-type": "atomic" if name in ORDERED else "set"}
    if name in GROWING:
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [GROWING[name]]}
    return {"x-kubernetes-list-type": "atomic"}


def _key_rule(pattern: str, keys: Schema) -> Schema:
    holds = f"self.all(key, size(key) <= {keys['maxLength']} && key.matches(r'{pattern}'))"
    return rule(holds, f"must have as its keys {keys[MUST]}")


def _must(node: Schema) -> str:
    """What a scalar must be, where its type and enumeration do not say it."""
    if node.get("type") in {"string", "integer"} and "enum" not in node:
        return f"Must be {describe(node)}."
    return ""


def _attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the docstring beneath it, of a model and those that it extends."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, BaseModel) or not base.__module__.startswith("xstilts.spec"):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined] # a class
        for field, beneath in pairwise(body):
            match field, beneath:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    docs[to_camel(name)] = inspect.cleandoc(text)
    return docs
