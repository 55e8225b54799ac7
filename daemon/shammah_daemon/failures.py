"""Errors on their way out: every failure becomes OpenAI's error shape with the right status."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shammah.errors import ShammahError
from shammah.protocol import ErrorBody, ErrorResponse

log = structlog.get_logger()


def error_response(error: ShammahError) -> ErrorResponse:
    return ErrorResponse(
        error=ErrorBody(message=error.message, hint=error.hint, type=type(error).__name__)
    )


def response(error: ShammahError) -> JSONResponse:
    """The same, ready to be sent by who is no route."""
    return _json(error_response(error), error.http_status)


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(ShammahError, _known)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _unknown)


async def _known(_request: Request, error: ShammahError) -> JSONResponse:
    return response(error)


async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    """Names the field, not its value: a value may be a prompt."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part != "body")
    body = ErrorBody(
        message=f"{field}: {first['msg']}" if field else first["msg"],
        type="UsageError",
        param=field or None,
    )
    return _json(ErrorResponse(error=body), 422)


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    message = f"{error.detail}: {request.method} {request.url.path}"
    kind = "NotFound" if error.status_code == 404 else "UsageError"
    return _json(ErrorResponse(error=ErrorBody(message=message, type=kind)), error.status_code)


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", path=request.url.path, exc_info=error)
    body = ErrorBody(
        message=f"internal error: {type(error).__name__}",
        type="ShammahError",
        hint="the daemon's log has the traceback",
    )
    return _json(ErrorResponse(error=body), 500)


def _json(response: ErrorResponse, status: int) -> JSONResponse:
    return JSONResponse(response.model_dump(), status_code=status)
