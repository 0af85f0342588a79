"""What goes wrong, one class for each code that the server answers with."""

from __future__ import annotations

import grpc


class Error(Exception):
    """Every error of this package. `code` is gRPC's name of it ("NOT_FOUND"), `message` the words of
    whoever refused: the server's own, wherever it was the server."""

    code = "UNKNOWN"

    def __init__(self, message: str, code: str | None = None):
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InvalidArgument(Error, ValueError):
    """What was given is wrong; the message names it, what was wanted and what was found."""

    code = "INVALID_ARGUMENT"


class NotFound(Error, LookupError):
    """There is no such namespace, or no such record to go by."""

    code = "NOT_FOUND"


class AlreadyExists(Error):
    """A namespace of that name exists; it was not changed."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(Error):
    """The server's state does not allow it: say, two writers under one producer's name."""

    code = "FAILED_PRECONDITION"


class ResourceExhausted(Error):
    """A limit is reached; the message names it."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(Error, ConnectionError):
    """The server cannot be reached, or is draining: try again."""

    code = "UNAVAILABLE"


class DeadlineExceeded(Error, TimeoutError):
    """It took longer than `timeout`."""

    code = "DEADLINE_EXCEEDED"


class Cancelled(Error):
    """The call was ended from this side."""

    code = "CANCELLED"


class DataLoss(Error):
    """What is stored is damaged."""

    code = "DATA_LOSS"


class PermissionDenied(Error, PermissionError):
    """The key does not allow it."""

    code = "PERMISSION_DENIED"


class Unauthenticated(Error, PermissionError):
    """No key, or one that the server does not know."""

    code = "UNAUTHENTICATED"


_CLASSES = {
    error.code: error
    for error in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        DataLoss,
        PermissionDenied,
        Unauthenticated,
    )
}

# The call may succeed later: the connection broke, the server is draining or overloaded. The last three
# are what gRPC makes of a connection that is cut in the midst of a message.
_TRANSIENT = {
    "UNAVAILABLE",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "ABORTED",
    "CANCELLED",
    "INTERNAL",
    "UNKNOWN",
}


def make(code: str, message: str) -> Error:
    """The error of this code."""
    found = _CLASSES.get(code)
    return Error(message, code) if found is None else found(message)


def from_grpc(error: grpc.RpcError) -> Error:
    """The error that a call ended with."""
    return make(error.code().name, error.details() or error.code().name)


def is_transient(error: Error) -> bool:
    """Whether the same call may succeed later."""
    return error.code in _TRANSIENT
