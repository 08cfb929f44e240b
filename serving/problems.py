"""Where every error of a request becomes a problem document; no traceback, secret or ticket text leaves."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from serving.errors import PROBLEM_JSON, BadRequest, Invalid, NotFound, ServingError

_log = logging.getLogger(__name__)

# Paths whose clients expect OpenAI's shape of an error beside ours.
_OPENAI = ("/v1/chat/", "/v1/models")


class _NoSuchMethod(ServingError):
    status = 405
    code = "bad_request"
    title = "The path does not take this method"


def add_handlers(app: FastAPI) -> None:
    """Turn every error into a problem document."""

    @app.exception_handler(ServingError)
    async def ours(request: Request, error: ServingError) -> Response:
        if error.status >= 500:
            _log.warning("request failed: %s", error.code)
        return problem(request, error)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        return problem(request, _of_validation(error.errors()))

    @app.exception_handler(ValidationError)
    async def unfit(request: Request, error: ValidationError) -> Response:
        return problem(request, _of_validation(error.errors(include_input=False, include_url=False)))

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return problem(request, NotFound(f"no such path: {request.url.path[:200]}; /docs lists all"))
        if error.status_code == 405:
            return problem(request, _NoSuchMethod(f"method {request.method} is not taken here; /docs lists all"))
        # Reading the body wraps whatever went wrong, a body over the limit too.
        cause = error.__cause__
        return problem(request, cause if isinstance(cause, ServingError) else BadRequest("the request cannot be read"))

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        _log.error("unforeseen error", exc_info=error)
        return problem(request, ServingError("the answer failed on our side; the server's log says why"))


def problem(request: Request, error: ServingError) -> Response:
    """The response an error becomes."""
    body: dict[str, Any] = error.problem()
    if request.url.path.startswith(_OPENAI):
        body["error"] = {"message": str(error), "type": error.code, "code": error.code, "param": None}
    return Response(orjson.dumps(body), status_code=error.status, media_type=PROBLEM_JSON, headers=error.headers)


def _of_validation(errors: Sequence[Mapping[str, Any]]) -> ServingError:
    if any(error["type"] == "json_invalid" or _is_no_object(error) for error in errors):
        return BadRequest(
            'body is no JSON object: send one as application/json, such as {"question": "How many tickets are open?"}'
        )
    fields = [
        {"field": ".".join(str(part) for part in error["loc"] if part != "body"), "reason": _reason(error)}
        for error in errors[:20]
    ]
    first = fields[0]
    return Invalid(f"field {first['field'] or 'body'}: {first['reason']}", fields=fields)


def _is_no_object(error: Mapping[str, Any]) -> bool:
    return tuple(error["loc"]) == ("body",) and error["type"] in {"model_attributes_type", "dict_type", "missing"}


def _reason(error: Mapping[str, Any]) -> str:
    # Pydantic's own message names the rule; the value is left out, whatever it was.
    return str(error["msg"]).removeprefix("Value error, ")
