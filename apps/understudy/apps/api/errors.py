"""Whatever goes wrong, as the OpenAI API says it: one JSON object, and the status that clients act on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from understudy.apps.server.queue import QueueFull
from understudy.core.errors import (
    AccessError,
    AdapterError,
    ApprovalError,
    NoDocumentsError,
    ScopeError,
    Stopped,
    ThreadBusyError,
    UnderstudyError,
    UserError,
    WorkspaceBusyError,
    WorkspaceError,
)

__all__ = ["CODES", "ApiError", "ErrorReply", "answer_errors", "api_error", "error_body"]

log = logging.getLogger(__name__)

TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
"""OpenAI's `type` of an error by its status; `invalid_request_error` otherwise."""
KINDS: tuple[tuple[type[UnderstudyError], int, str], ...] = (
    (QueueFull, 503, "queue_full"),
    (Stopped, 503, "stopped"),
    (WorkspaceBusyError, 503, "workspace_busy"),
    (NoDocumentsError, 404, "model_not_found"),
    (ThreadBusyError, 409, "thread_busy"),
    (ScopeError, 404, "not_found"),
    (ApprovalError, 404, "approval_not_found"),
    (AdapterError, 404, "adapter_not_found"),
    (AccessError, 403, "not_allowed"),
    (WorkspaceError, 500, "workspace"),
    (UserError, 400, "invalid_value"),
)
"""The first kind that an error is of gives its status and `code`."""
CODES: Mapping[int, str] = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_type"}
BUSY_S = 2
"""After which to try again where something is in the way for a moment."""


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorReply(BaseModel):
    """An error, as the OpenAI API writes it."""

    error: ErrorDetail


class ApiError(Exception):
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        message: one line for a person: what, which, what to do.
        code: for a program.
        param: the field that is wrong.
        headers: of the reply.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI writes it."""
        return error_body(self.status, self.message, self.code, self.param)


def error_body(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    """An error as the OpenAI API writes it."""
    kind = TYPES.get(status, "invalid_request_error")
    return {"error": {"message": shown(message), "type": kind, "param": param, "code": code}}


def api_error(error: Exception) -> ApiError:
    """Any error of ours as one of the API's; what is no fault of the caller's says no more than that."""
    if isinstance(error, ApiError):
        return error
    for kind, status, code in KINDS:
        if isinstance(error, kind):
            if status == 500:
                break
            wait = error.retry_after_s if isinstance(error, QueueFull) else BUSY_S
            return ApiError(status, str(error), code, headers={"Retry-After": str(wait)} if status == 503 else None)
    log.error("a request failed", exc_info=error)
    return ApiError(500, "something went wrong in the server; its log says what", "internal_error")


def answer_errors(app: FastAPI) -> None:
    """Have an app answer every error in this form."""

    async def ours(_request: Request, error: Exception) -> JSONResponse:
        found = api_error(error)
        return JSONResponse(found.body, found.status, headers=found.headers)

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse(validation_body(error), 400)

    async def http(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = CODES.get(error.status_code, "invalid_request")
        body = error_body(error.status_code, str(error.detail), code)
        return JSONResponse(body, error.status_code, headers=dict(error.headers or {}))

    app.add_exception_handler(ApiError, ours)
    app.add_exception_handler(UnderstudyError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, ours)


def validation_body(error: RequestValidationError) -> dict[str, Any]:
    """What is wrong with a request, by its first wrong field."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    where = place[0] if place else "body"
    if first["type"] == "json_invalid":
        return error_body(400, "the body is no valid JSON", "invalid_json")
    param = ".".join(place[1:]) or None
    named = f"{param}: " if param else f"{where}: "
    message = first["msg"].removeprefix("Value error, ")
    return error_body(400, named + message[:1].lower() + message[1:], "invalid_value", param)


def shown(message: str) -> str:
    """Text that can be sent: half characters are escaped."""
    return message.encode("utf-8", "backslashreplace").decode("utf-8")
