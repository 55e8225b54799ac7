"""Puts the daemon under the system's care, and takes it out again; knows no service file."""

from __future__ import annotations

from shammah import launch
from shammah.files import write_atomically
from shammah.launch import Say
from shammah.paths import Paths
from shammah.service.installation import Installation
from shammah.service.keeper import Keeper, require_ours


def install(paths: Paths, keeper: Keeper, say: Say, *, now: bool) -> None:
    """Install the service of this home, or bring it up to date.

    Args:
        now: a daemon that runs goes on as the service, otherwise the service is started.

    Raises:
        UsageError: this installation cannot be a service.
        Conflict: somebody else's service is there under our name.
        ShammahError: the service manager is not there, or refuses; all is as it was.
    """
    installation = Installation.present(paths)
    keeper.require()
    require_ours(keeper)
    paths.create()
    text = keeper.text(installation).encode()
    before = keeper.file.read_bytes() if keeper.file.exists() else None
    if keeper.home() not in (None, paths.data_dir):
        keeper.unload()
    keeper.file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(keeper.file, text)
    try:
        keeper.load()
    except BaseException:
        _put_back(keeper, before)
        raise
    say(f"installed {keeper.file}")
    if now:
        if text != before or not keeper.state().running:
            launch.end(paths)
        launch.start(paths, say)
    else:
        say("it starts with your next session, or with 'shammah daemon start'")
    if remark := keeper.remark():
        say(remark)


def uninstall(keeper: Keeper, say: Say) -> None:
    """Stop the service and remove it.

    Raises:
        Conflict: it is not ours.
        ShammahError: the service manager is not there, or refuses.
    """
    if not keeper.file.exists():
        say("no service is installed")
        return
    require_ours(keeper)
    keeper.require()
    keeper.unload()
    keeper.file.unlink()
    keeper.forget()
    say(f"removed {keeper.file}; 'shammah daemon start' starts the daemon without it")


def _put_back(keeper: Keeper, before: bytes | None) -> None:
    if before is None:
        keeper.file.unlink()
    else:
        write_atomically(keeper.file, before)
