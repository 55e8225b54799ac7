"""Errors on their way out: every failure becomes OpenAI's error shape with the right status."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shammah.errors import PromptTooLong, ShammahError, UsageError
from shammah.invalid import first_fault
from shammah.protocol import ErrorBody, ErrorResponse

log = structlog.get_logger()

#: Where OpenAI's clients look: for them whatever is wrong with a request is 400.
OPENAI_PATHS = "/v1/"


def error_response(error: ShammahError) -> ErrorResponse:
    return ErrorResponse(
        error=ErrorBody(
            message=error.message,
            hint=error.hint,
            type=type(error).__name__,
            code=error.code,
            param=error.param,
        )
    )


def response(error: ShammahError) -> JSONResponse:
    """The same, ready to be sent by who is no route."""
    return _json(error_response(error), error.http_status)


def status_of(error: type[ShammahError], path: str) -> int:
    """The HTTP status of an error of this class in the answer to a request for `path`."""
    refused = issubclass(error, PromptTooLong) or error.http_status == UsageError.http_status
    return 400 if refused and path.startswith(OPENAI_PATHS) else error.http_status


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(ShammahError, _known)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _unknown)


async def _known(request: Request, error: ShammahError) -> JSONResponse:
    return _json(error_response(error), status_of(type(error), request.url.path))


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """Names the field, not its value: a value may be a prompt."""
    fault = first_fault(error)
    field = fault.where.removeprefix("body").removeprefix(".")
    body = ErrorBody(
        message=f"{field}: {fault.message}" if field else fault.message,
        type=UsageError.__name__,
        param=field or None,
    )
    return _json(ErrorResponse(error=body), status_of(UsageError, request.url.path))


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    message = f"{error.detail}: {request.method} {request.url.path}"
    kind = "NotFound" if error.status_code == 404 else "UsageError"
    status = error.status_code
    if status == 400:  # FastAPI's word for a body that is no text at all
        status = status_of(UsageError, request.url.path)
    response = _json(ErrorResponse(error=ErrorBody(message=message, type=kind)), status)
    response.headers.update(error.headers or {})
    return response


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
