"""Every error that Shammah raises on purpose; knows nothing about who catches it.

ShammahError
├── UsageError              a value the user gave is not usable           exit 2, HTTP 422
│   └── ConfigError         a key or value of config.toml
├── NotFound                no turn, example, job, version, base by that id   HTTP 404
│   └── ModelNotFound       no model by that name
├── Conflict                not possible in the present state              HTTP 409
├── DaemonUnreachable       nothing answers on the socket                  exit 3
├── Refused                 a request that the daemon does not let in      HTTP 403
│   ├── Unauthorized        no token, or a wrong one                       exit 2, HTTP 401
│   ├── TooManyAttempts     wrong tokens, one after the other              HTTP 429
│   ├── TooSlow             a request that did not arrive in time          HTTP 408
│   ├── TooLarge            a body that is too long or too deep            HTTP 413
│   ├── WrongContent        a body of a kind that no route takes           HTTP 415
│   └── TooManyConnections  more connections than are held open            HTTP 503
├── BaseModelError          a GGUF that cannot be served or trained        HTTP 422
│   └── DamagedFile         a file is not what was recorded of it          HTTP 503
├── AdapterError            an adapter that cannot be taken in or merged   HTTP 422
├── EngineError             llama.cpp or its process failed                HTTP 503
│   ├── EngineCrashed       the process ended while a request was in flight
│   └── PromptTooLong       the newest message alone exceeds the context   HTTP 413
├── JobError                a stage of a job failed for a stated reason
│   ├── NotFinite               a loss or a gradient is no number any more
│   ├── OutOfMemory             memory did not suffice for a stage
│   └── RankLost                one of several processes that train together is gone
├── HubError                the Hugging Face hub refuses, or cannot be reached   HTTP 502
├── Shortage                too little memory or disk for a job to begin   HTTP 507
├── StorageError            the home folder cannot be written              HTTP 507
│   └── DiskFull                there is no space for it
└── BackupError             a file that cannot be restored from
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


class Refused(ShammahError):
    """A request that the daemon does not let in."""

    http_status = 403


class Unauthorized(Refused):
    """No token, or a wrong one."""

    exit_code = 2
    http_status = 401


class TooManyAttempts(Refused):
    """Wrong tokens, one after the other."""

    http_status = 429


class TooSlow(Refused):
    """A request that did not arrive in time."""

    http_status = 408


class TooLarge(Refused):
    """A body that is too long, or nested too deep."""

    http_status = 413


class WrongContent(Refused):
    """A body of a kind that no route takes."""

    http_status = 415


class TooManyConnections(Refused):
    """More connections than the daemon holds open."""

    http_status = 503


class BaseModelError(ShammahError):
    """A model file that cannot be served or trained."""

    http_status = 422


class DamagedFile(BaseModelError):
    """A file of a model is not what was recorded of it."""

    http_status = 503


class AdapterError(ShammahError):
    """An adapter that cannot be taken in or merged."""

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


class NotFinite(JobError):
    """A loss or a gradient is no number any more."""


class OutOfMemory(JobError):
    """Memory did not suffice for a stage."""


class RankLost(JobError):
    """One of several processes that train together is gone, and has not said why."""


class HubError(ShammahError):
    """The Hugging Face hub refuses, or cannot be reached."""

    http_status = 502


class Shortage(ShammahError):
    """Too little memory or disk for a job: said before it begins."""

    http_status = 507


class StorageError(ShammahError):
    """The home folder cannot be written."""

    http_status = 507


class DiskFull(StorageError):
    """There is no space for it."""


class BackupError(ShammahError):
    """A file that cannot be restored from."""


def by_name(name: str) -> type[ShammahError]:
    """The class called `name`, or ShammahError: rebuilds an error that crossed a process."""
    pending: list[type[ShammahError]] = [ShammahError]
    while pending:
        candidate = pending.pop()
        if candidate.__name__ == name:
            return candidate
        pending += candidate.__subclasses__()
    return ShammahError
