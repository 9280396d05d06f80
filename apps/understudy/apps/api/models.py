"""`/v1/models`: a model is a collection, and what may be asked of it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from understudy.agents import Agent
from understudy.apps.api.errors import ApiError
from understudy.apps.server.auth import who
from understudy.apps.server.served import served
from understudy.core.types import Scope

__all__ = ["Who", "asked_of", "router"]

router = APIRouter(tags=["OpenAI"])
Who = Annotated[str, Depends(who)]


class Model(BaseModel):
    """A collection that may be asked."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: Literal["understudy"] = "understudy"


class Models(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/v1/models")
def list_models(request: Request, principal: Who) -> Models:
    """The collections that may be asked, as models."""
    return Models(data=[Model(id=name) for name in readable(served(request).agent, principal)])


@router.get("/v1/models/{model:path}")
def show_model(request: Request, principal: Who, model: str) -> Model:
    """One of them."""
    asked_of(served(request).agent, principal, model)
    return Model(id=model)


def readable(agent: Agent, principal: str) -> list[str]:
    """The collections with documents that a principal may ask."""
    listing = agent.documents_of(agent.access.principal(principal)).listing()
    return sorted(name for name, held in listing.items() if held["documents"])


def asked_of(agent: Agent, principal: str, model: str) -> Scope:
    """What a model's name stands for: a collection, a domain that one collection has, or `collection/document`.

    Raises `ApiError`: nothing of this name may be asked.
    """
    names = readable(agent, principal)
    if model in names:
        return Scope(collection=model)
    of_domain = [name for name in names if agent.domain(name) == model]
    if len(of_domain) == 1:
        return Scope(collection=of_domain[0])
    documents = agent.documents_of(agent.access.principal(principal))
    for name in names:
        document = model.removeprefix(f"{name}/")
        if document != model and any(entry[0] == document for entry in documents.entries(name)):
            return Scope(collection=name, document=document)
    known = ", ".join(names) or "none yet; add documents first"
    raise ApiError(404, f"there is no model {model!r}; a collection is one: {known}", "model_not_found", "model")
