"""The base that is trained on: found among the prepared ones of a home, or added and prepared.

A home has one writer. While a daemon runs on it, a base that is prepared is only read, and no other
is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from shammah.bases import embedded
from shammah.bases.registry import Registry, name_for
from shammah.errors import Conflict, UsageError
from shammah.files import remove_partials
from shammah.hub.reference import PREFIX
from shammah.paths import Paths
from shammah.protocol import AddBaseRequest
from shammah.records import Base
from shammah_daemon import artefacts
from shammah_daemon.alone.screen import Screen
from shammah_daemon.bases import Bases


def find(registry: Registry, wanted: str | None, weights: str | None) -> Base | None:
    """The registered base that is meant: by its name, or by its file.

    Raises:
        UsageError: it is registered with other weights than these.
    """
    name = wanted or embedded.NAME
    if name in registry.names():
        found = registry.get(name)
        if weights is not None and found.weights != _absolute(weights):
            raise UsageError(
                f"the base {name!r} is known without the weights in {weights}",
                hint="give the path of its GGUF beside them: they become a base of their own",
            )
        return found
    if not Path(name).is_file():
        return None
    same = [base for base in map(registry.get, registry.names()) if _is(base, name, weights)]
    return same[0] if same else None


def file_of(wanted: str | None) -> Path:
    """The GGUF of a base that is not registered.

    Raises:
        UsageError: there is no such file; BaseModelError: no embedded base.
    """
    if wanted is None or wanted == embedded.NAME:
        return embedded.gguf()
    path = Path(wanted).absolute()
    if wanted.startswith(PREFIX):
        raise UsageError(f"{wanted} is not here yet, and a dry run fetches nothing")
    if not path.is_file():
        raise UsageError(
            f"no base is called {wanted!r}, and there is no such file",
            hint="'shammah model list' shows the bases of the daemon's home",
        )
    return path


async def prepared(
    paths: Paths,
    registry: Registry,
    bases: Bases,
    wanted: str | None,
    weights: str | None,
    screen: Screen,
) -> Base:
    """The base with all that training needs of it, made now if it is not there.

    Raises:
        Conflict: it is not, and somebody else writes to the home.
        BaseModelError: it cannot be taught, or its file has changed.
    """
    base = find(registry, wanted, weights)
    if base is None or not bases.ground(base.name).is_ready:
        with _only_writer(paths, base.name if base else wanted or embedded.NAME):
            remove_partials(paths.bases)
            base = base or await _add(registry, bases, wanted, weights, screen)
            screen.say(f"preparing {base.name} for training, which is done once")
            await bases.groundwork(base)
    await artefacts.check(Path(base.gguf), base.sha256)
    return base


async def _add(
    registry: Registry, bases: Bases, wanted: str | None, weights: str | None, screen: Screen
) -> Base:
    if wanted is None or wanted == embedded.NAME:
        return await bases.ensure_embedded()
    name = None
    if not wanted.startswith(PREFIX):
        path = file_of(wanted)
        name = name_for(path, None)
        if name in registry.names():  # another file, or other weights
            name = f"{name[:60]}-{artefacts.digest(path)[:8]}{'-weights' if weights else ''}"
        wanted = str(path)
    screen.say(f"adding {wanted}")
    return await bases.add(
        AddBaseRequest(path=wanted, weights=_absolute(weights), name=name), screen.progress
    )


@contextmanager
def _only_writer(paths: Paths, name: str) -> Iterator[None]:
    """Hold the home as a daemon would.

    Raises:
        Conflict: another process does.
    """
    paths.create()
    lock = FileLock(paths.lock, mode=0o600)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise Conflict(
            f"{name} is not prepared for training, and {paths.data_dir} is in use by a daemon, or "
            "by another training that prepares a base",
            hint="let the daemon prepare it (model add, model use, a lesson), stop it "
            "('shammah daemon stop'), or name another folder with --home",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _is(base: Base, path: str, weights: str | None) -> bool:
    file = Path(path)
    if weights is not None and base.weights != _absolute(weights):
        return False
    if weights is None and base.weights is not None:
        return False
    return base.size_bytes == file.stat().st_size and base.sha256 == artefacts.digest(file)


def _absolute(weights: str | None) -> str | None:
    if weights is None or weights.startswith(PREFIX):
        return weights
    return str(Path(weights).absolute())
