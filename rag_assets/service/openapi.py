"""The OpenAPI document (3.1) of the search service, made of its forms."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from rag_assets.service import forms

REFERENCE = "#/components/schemas/{model}"
MESSAGES = {
    400: "It is no JSON, or a text that no database can hold.",
    401: "No key, or a wrong one.",
    403: "The key's role may not, or a page of another origin asks.",
    404: "There is none, or the caller may not see it.",
    413: "The body is too long.",
    415: "It is no application/json.",
    422: "A field is not as it has to be; the message names it.",
    429: "Too many requests at once; see Retry-After.",
    503: "Database, memory or embedding server are away; see Retry-After.",
    504: "It took too long.",
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One way to ask: form of the body or of the parameters, and of the answer; None: text of `content_type`."""

    method: str
    path: str
    summary: str
    answer: type[BaseModel] | None
    body: type[forms.Form] | None = None
    parameters: type[forms.Form] | None = None
    content_type: str = "application/json"
    errors: tuple[int, ...] = ()
    is_open: bool = False  # needs no key


def document(operations: list[Operation]) -> dict[str, Any]:
    """The OpenAPI document of these operations, as an object of JSON."""
    models = {form for each in operations for form in (each.body, each.answer) if form is not None}
    models.add(forms.ErrorResponse)
    wanted: Any = [
        (model, "validation" if issubclass(model, forms.Form) else "serialization")
        for model in sorted(models, key=lambda model: model.__name__)
    ]
    _, schemas = models_json_schema(wanted, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "rag_assets", "version": version("rag-assets"), "summary": "Ask the index."},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(each: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "summary": each.summary,
        "operationId": f"{each.method.lower()}{each.path.title().replace('/', '').replace('{', '').replace('}', '')}",
        "responses": {"200": {"description": each.summary, "content": {each.content_type: {"schema": _schema(each)}}}},
        "security": [{}] if each.is_open else [{}, {"key": []}],
    }
    for status in each.errors:
        content = {"application/json": {"schema": _reference(forms.ErrorResponse)}}
        made["responses"][str(status)] = {"description": MESSAGES[status], "content": content}
    if each.body is not None:
        content = {"application/json": {"schema": _reference(each.body)}}
        made["requestBody"] = {"required": True, "content": content}
    parameters = [_path_parameter(name) for name in ("id",) if f"{{{name}}}" in each.path]
    if each.parameters is not None:
        properties = each.parameters.model_json_schema(ref_template=REFERENCE)["properties"]
        parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
    if parameters:
        made["parameters"] = parameters
    return made


def _schema(each: Operation) -> dict[str, Any]:
    return {"type": "string"} if each.answer is None else _reference(each.answer)


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
