"""`/v1/embeddings`: the vectors that passages are found by."""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from understudy.apps.api.answering import CLIENT_GONE, listening
from understudy.apps.api.errors import ApiError
from understudy.apps.api.models import Who
from understudy.apps.api.schemas import Lenient, Text
from understudy.apps.server.served import served

__all__ = ["MODEL", "router"]

router = APIRouter(tags=["OpenAI"])
MODEL = "all-MiniLM-L6-v2"
WIDTH = 384
AT_ONCE = 64
"""Texts between two looks whether anybody still listens."""


class EmbeddingsRequest(Lenient):
    """Texts to embed; of each, the first 256 tokens are read."""

    model: Annotated[Text, Field(description=MODEL, examples=[MODEL])]
    input: Annotated[Text | list[Text] | list[int] | list[list[int]], Field(description="a text, or up to 2,048")]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = None


class Embedding(BaseModel):
    """The vector of a text, of unit length."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """One vector a text, in their order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage


@router.post("/v1/embeddings", response_model=Embeddings)
async def embeddings(request: Request, asked: EmbeddingsRequest, principal: Who) -> Any:
    """Embed texts with the model that documents are searched by."""
    using = served(request)
    texts = texts_of(asked)
    encoder = using.agent.encoder
    vectors: list[list[float]] = []
    async with using.queue.place(principal) as place, listening(request, using) as ends:
        turn = asyncio.ensure_future(place.turn())
        await asyncio.wait({turn, *ends}, return_when=asyncio.FIRST_COMPLETED)
        turn.cancel()
        for at in range(0, len(texts), AT_ONCE):
            for end in ends:
                if end.done():
                    end.result()
                    return Response(status_code=CLIENT_GONE)
            vectors += await asyncio.to_thread(encoder.embed_documents, texts[at : at + AT_ONCE])
    tokens = await asyncio.to_thread(encoder.count, texts)
    shown = [packed(v) if asked.encoding_format == "base64" else v for v in vectors]
    data = [Embedding(index=n, embedding=v) for n, v in enumerate(shown)]
    return Embeddings(data=data, model=MODEL, usage=EmbeddingsUsage(prompt_tokens=tokens, total_tokens=tokens))


def texts_of(asked: EmbeddingsRequest) -> list[str]:
    """The texts of a request. Raises `ApiError`."""
    if asked.model != MODEL:
        raise ApiError(
            404, f"there is no embedding model {asked.model!r}; the one there is: {MODEL}", "model_not_found", "model"
        )
    if asked.dimensions not in (None, WIDTH):
        raise ApiError(400, f"dimensions: the vectors have {WIDTH}; leave it out", "unsupported_value", "dimensions")
    given = [asked.input] if isinstance(asked.input, str) else asked.input
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) != len(given):
        message = "input: other models' tokens can't be read; send texts (LangChain: check_embedding_ctx_length=False)"
        raise ApiError(400, message, "unsupported_value", "input")
    if not 0 < len(texts) <= 2048 or not all(text.strip() for text in texts):
        raise ApiError(400, "input: takes 1 to 2,048 texts, none of them empty", "invalid_value", "input")
    return texts


def packed(vector: list[float]) -> str:
    """A vector as base64 of 32-bit floats, the lowest byte first."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
