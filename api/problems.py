"""Every error of the HTTP API as an RFC 9457 problem."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from gateway.ports import StoreUnavailable

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:latchkey:problem:"

MAX_BODY_BYTES = 64 * 1024
"""The largest body any route takes is a hundred times smaller."""

MAX_SAID_CHARS = 80
"""Of what a client sent, when it is repeated to it."""


class FieldFault(Struct, frozen=True):
    """One parameter that is wrong, and how."""

    field: str
    detail: str


class Problem(Exception):
    """An answer that is an error. `kind` is its type, a name that programs compare."""

    def __init__(
        self,
        kind: str,
        status: int,
        detail: str,
        *,
        fields: Sequence[FieldFault] = (),
        retry_after_s: int = 0,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status = status
        self.detail = detail
        self.fields = fields
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        """Members of the problem beyond those of RFC 9457, documented by the route."""


class ProblemModel(BaseModel):
    """An RFC 9457 problem: `type` is stable and for programs, `detail` is for people."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:latchkey:problem:bad_request",
                    "title": "Bad request",
                    "status": 422,
                    "detail": "radius_m: must be more than 0 and at most 10000",
                    "instance": "/v1/nearby",
                    "fields": [{"field": "radius_m", "detail": "must be more than 0 and at most 10000"}],
                }
            ]
        }
    )

    type: str = Field(description="A URN that names the sort of problem.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked.")
    fields: list[dict[str, str]] | None = Field(None, description="Which parameters are wrong, and how.")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the problems a route may answer with."""
    schema = {"$ref": "#/components/schemas/ProblemModel"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "model": ProblemModel,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def printable(text: str) -> str:
    """What a peer said, as it may be shown to a person."""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_SAID_CHARS])


def problem_body(problem: Problem, path: str) -> dict[str, Any]:
    """The problem as JSON will say it; `path` is what was asked, as far as it is known."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.kind,
        "title": problem.kind.replace("_", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
        "instance": printable(path),
    }
    if problem.fields:
        body["fields"] = [{"field": fault.field, "detail": fault.detail} for fault in problem.fields]
    return body | problem.extra


def problem_response(request: Request, problem: Problem) -> Response:
    """The problem as an answer to this request."""
    body = problem_body(problem, request.url.path)
    headers = dict(problem.headers)
    if problem.retry_after_s:
        headers["Retry-After"] = str(problem.retry_after_s)
    return Response(msgspec.json.encode(body), problem.status, headers, MEDIA_TYPE)


def store_away(request: Request, error: Exception) -> Response:
    """Nothing is known of what was asked: a store did not answer."""
    log.warning("store_unavailable", path=printable(request.url.path), reason=printable(str(error)))
    detail = "A store behind this answer is out of reach; ask again."
    return problem_response(request, Problem("store_unavailable", 503, detail, retry_after_s=1))


def bad_request(faults: Sequence[FieldFault]) -> Problem:
    """Parameters that cannot be taken."""
    detail = "; ".join(f"{fault.field}: {fault.detail}" for fault in faults)
    return Problem("bad_request", 422, detail, fields=faults)


def body_too_large() -> Problem:
    """More than any route reads."""
    return Problem("body_too_large", 413, f"A body has at most {MAX_BODY_BYTES} bytes.")


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(StoreUnavailable, _on_store)
    app.add_exception_handler(Exception, _on_defect)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(request, error)


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(request, bad_request([_fault(one) for one in error.errors()]))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # Found while it was read: it did not say its length.
        return problem_response(request, body_too_large())
    kind = HTTPStatus(error.status_code).name.lower()
    response = problem_response(request, Problem(kind, error.status_code, str(error.detail)))
    response.headers.update(error.headers or {})
    return response


async def _on_store(request: Request, error: Exception) -> Response:
    return store_away(request, error)


async def _on_defect(request: Request, error: Exception) -> Response:
    return internal_error(request, error)


def internal_error(request: Request, error: Exception) -> Response:
    """A defect of ours: the log has it, the client hears only that."""
    log.error("request_failed", path=printable(request.url.path), exc_info=error)
    detail = "This should not have happened and was logged."
    return problem_response(request, Problem("internal_error", 500, detail))


def _fault(error: Mapping[str, Any]) -> FieldFault:
    if error["type"] == "json_invalid":
        return FieldFault("body", f"no JSON (character {error['loc'][-1]}): {error['ctx']['error']}")
    if tuple(error["loc"]) == ("body",) and isinstance(error.get("input"), bytes | str):
        # The framework reads no body as JSON that does not say it is.
        return FieldFault("body", "not read as JSON: send Content-Type: application/json")
    where = ".".join(str(part) for part in error["loc"] if part not in ("query", "path", "body"))
    return FieldFault(printable(where or "request"), str(error["msg"]))
