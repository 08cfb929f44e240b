"""Everything that can go wrong while answering, and the problem document (RFC 9457) each becomes.

ServingError
├── BadRequest            400 bad_request
├── Unauthenticated       401 unauthenticated
├── BudgetExceeded        402 budget_exceeded
├── Forbidden             403 forbidden
├── NotFound              404 not_found
├── TooLarge              413 too_large
├── Invalid               422 invalid
├── BadUpstream           502 bad_upstream
├── ModelsUnavailable     503 models_unavailable
├── StoreUnavailable      503 unavailable
└── DeadlineExceeded      504 deadline_exceeded
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from assets.settings import SwitchdeskError

PROBLEM_JSON = "application/problem+json"


class ServingError(SwitchdeskError):
    """Base: the message is shown to the caller, so it holds no secret and no ticket text."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something failed on our side"

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to the error."""
        return {}

    def problem(self) -> dict[str, Any]:
        """Body of the problem document."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": str(self),
        }


class BadRequest(ServingError):
    """The request cannot be read at all."""

    status = 400
    code = "bad_request"
    title = "The request cannot be read"


class Unauthenticated(ServingError):
    """No key, or one that is not (any longer) valid; never says which of the two."""

    status = 401
    code = "unauthenticated"
    title = "A valid API key is needed"

    @property
    def headers(self) -> dict[str, str]:
        """The scheme to answer with."""
        return {"WWW-Authenticate": "Bearer"}


class BudgetExceeded(ServingError):
    """The request would cost more than it, its key or the period may spend."""

    status = 402
    code = "budget_exceeded"
    title = "The budget does not reach"


class Forbidden(ServingError):
    """The key is valid and may not do this."""

    status = 403
    code = "forbidden"
    title = "The key may not do this"


class NotFound(ServingError):
    """No such thing, or not one the caller may see."""

    status = 404
    code = "not_found"
    title = "Not found"


class TooLarge(ServingError):
    """The body exceeds what the API reads."""

    status = 413
    code = "too_large"
    title = "The request is too large"


class Invalid(ServingError):
    """The request is readable and asks for something that does not exist or does not fit."""

    status = 422
    code = "invalid"
    title = "The request does not fit"

    def __init__(self, message: str, *, nearest: Sequence[str] = (), fields: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.nearest = tuple(nearest[:3])
        """The nearest known names, best first."""
        self.fields = tuple(fields)
        """Per malformed field: where it is and what is wrong."""

    def problem(self) -> dict[str, Any]:
        """Body of the problem document, with the nearest names and the malformed fields."""
        body = super().problem()
        if self.nearest:
            body["nearest"] = list(self.nearest)
        if self.fields:
            body["errors"] = list(self.fields)
        return body


class BadUpstream(ServingError):
    """A model server answered with something that is no answer."""

    status = 502
    code = "bad_upstream"
    title = "The model server sent no usable answer"


class ModelsUnavailable(ServingError):
    """No model that may be asked can answer."""

    status = 503
    code = "models_unavailable"
    title = "No model can answer now"


class StoreUnavailable(ServingError):
    """A store that this request cannot do without does not answer."""

    status = 503
    code = "unavailable"
    title = "A store does not answer"


class DeadlineExceeded(ServingError):
    """The deadline passed before an answer was ready."""

    status = 504
    code = "deadline_exceeded"
    title = "The deadline passed"
