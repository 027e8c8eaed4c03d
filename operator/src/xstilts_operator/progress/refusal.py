"""Why a report is not taken: an HTTP status, and the Kubernetes Status object that a client reads."""

from __future__ import annotations

from typing import Any, Final

_REASONS: Final = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "Timeout",
    413: "RequestEntityTooLarge",
    422: "Invalid",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}


class RefusedError(Exception):
    """A report that is not taken.

    `retry_after` says in how many seconds the client may try again, where that helps.
    """

    def __init__(self, code: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that go with it."""
        headers = {"WWW-Authenticate": "Bearer"} if self.code == 401 else {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers

    def status(self) -> dict[str, Any]:
        """The Status object (meta/v1)."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": _REASONS.get(self.code, "Unknown"),
            "code": self.code,
        }
