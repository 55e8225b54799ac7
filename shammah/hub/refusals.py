"""The hub's failures as our own errors, each with its way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from httpx2 import HTTPError
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from shammah.errors import HubError, NotFound, ShammahError

LOG_IN = (
    "run 'hf auth login', or put a token that may do this into HF_TOKEN and restart the daemon "
    "with it ('shammah daemon restart')"
)


@contextmanager
def explaining(what: str, revision: str | None = None) -> Iterator[None]:
    """Around whatever asks the hub for `what` ("OWNER/NAME").

    Raises:
        NotFound: there is no such repository, revision or file.
        HubError: the hub cannot be reached, or does not let us in.
    """
    try:
        yield
    except (HTTPError, OfflineModeIsEnabled, HFValidationError) as error:
        raise _explained(error, what, revision) from error


def _explained(error: Exception, what: str, revision: str | None) -> ShammahError:
    if isinstance(error, OfflineModeIsEnabled):
        return HubError(
            f"HF_HUB_OFFLINE is set, and {what} is not in the cache {constants.HF_HUB_CACHE}",
            hint="unset it and restart the daemon, or fetch it where there is a network",
        )
    if isinstance(error, HFValidationError):
        return NotFound(f"{what} is no name of a repository", hint="they are called OWNER/NAME")
    if isinstance(error, GatedRepoError):
        return HubError(
            f"{what} is gated: its owner must let you in",
            hint=f"ask for access on {constants.ENDPOINT}/{what}, then {LOG_IN}",
        )
    if isinstance(error, RevisionNotFoundError):
        return NotFound(
            f"{what} has no revision {revision!r}", hint="give a branch, a tag or a whole commit"
        )
    if isinstance(error, RepositoryNotFoundError):
        return NotFound(
            f"the hub has no repository {what} that you may see",
            hint=f"check the name; if it is private, {LOG_IN}",
        )
    if isinstance(error, RemoteEntryNotFoundError):
        return NotFound(f"a file of {what} is gone", hint="try again, or name another revision")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return HubError(f"the hub does not let you do this with {what} ({status})", hint=LOG_IN)
        return HubError(
            f"the hub answered {status} when asked for {what}", hint="try again in a while"
        )
    return HubError(
        f"cannot reach {constants.ENDPOINT}: {error or type(error).__name__}",
        hint="check the connection and HF_ENDPOINT; the same command goes on where it stopped",
    )
