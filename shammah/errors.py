"""Every error that Shammah raises on purpose; knows nothing about who catches it.

ShammahError
├── UsageError              a value the user gave is not usable           exit 2, HTTP 422
│   └── ConfigError         a key or value of config.toml
├── NotFound                no turn, example, job, version, base by that id   HTTP 404
│   └── ModelNotFound       no model by that name
├── Conflict                not possible in the present state              HTTP 409
├── DaemonUnreachable       nothing answers on the socket                  exit 3
├── BaseModelError          a GGUF that cannot be served or trained        HTTP 422
├── EngineError             llama.cpp or its process failed                HTTP 503
│   ├── EngineCrashed       the process ended while a request was in flight
│   └── PromptTooLong       the newest message alone exceeds the context   HTTP 413
├── JobError                a stage of a job failed for a stated reason
└── StorageError            the home folder cannot be written, disk full   HTTP 507
"""

from __future__ import annotations


class ShammahError(Exception):
    """Base of the tree.

    Args:
        message: what failed, with the value that made it fail.
        hint: what the user can do next, one sentence.
    """

    exit_code = 1
    http_status = 500
    code: str | None = None  # OpenAI's, where it has one that clients look for
    param: str | None = None  # the field that is meant

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(ShammahError):
    """A value the user gave is not usable."""

    exit_code = 2
    http_status = 422


class ConfigError(UsageError):
    """A key or a value of config.toml is not usable."""


class NotFound(ShammahError):
    """No record by that id."""

    http_status = 404


class ModelNotFound(NotFound):
    """No model by that name."""

    code = "model_not_found"
    param = "model"


class Conflict(ShammahError):
    """The request makes sense, but not in the present state."""

    http_status = 409


class DaemonUnreachable(ShammahError):
    """Nothing answers on the daemon's socket."""

    exit_code = 3
    http_status = 503


class BaseModelError(ShammahError):
    """A model file that cannot be served or trained."""

    http_status = 422


class EngineError(ShammahError):
    """llama.cpp refused, or its process could not be used."""

    http_status = 503


class EngineCrashed(EngineError):
    """The engine process ended while a request was in flight."""


class PromptTooLong(EngineError):
    """A prompt that does not fit the context even with all older turns dropped."""

    http_status = 413
    code = "context_length_exceeded"


class JobError(ShammahError):
    """A stage of a job failed for a stated reason."""


class StorageError(ShammahError):
    """The home folder cannot be written, or the disk is full."""

    http_status = 507


def by_name(name: str) -> type[ShammahError]:
    """The class called `name`, or ShammahError: rebuilds an error that crossed a process."""
    pending: list[type[ShammahError]] = [ShammahError]
    while pending:
        candidate = pending.pop()
        if candidate.__name__ == name:
            return candidate
        pending += candidate.__subclasses__()
    return ShammahError
