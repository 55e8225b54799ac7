"""Fixtures that every test may use: a home, a store, models, and a real daemon."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shammah.paths import Paths
from shammah.store.database import Store
from tests.running import (
    TINY,
    Daemon,
    copy_home,
    furnish,
    home_in,
    lay_embedded_ground,
    lay_tiny_ground,
)
from tests.tiny import embedded_gguf, tiny_gguf
from tests.versions import Taught, taught

StartDaemon = Callable[..., Daemon]

# A shell that starts the tests in the background has SIGINT ignored, and every child inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """A worker of pytest-xdist keeps to a core of its own, and so does what it starts.

    Programs with as many threads as there are cores would wait for each other.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker) % len(cores)]})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long first: at the end, one worker would be busy with them, and no other."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--api-cases", type=int, default=150, help="requests generated from the OpenAPI document"
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """An empty home that `$SHAMMAH_HOME` names, with no other setting in the environment."""
    for name in [name for name in os.environ if name.startswith("SHAMMAH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SHAMMAH_HOME", str(tmp_path / "home"))
    return home_in(tmp_path / "home")


@pytest.fixture
def store(home: Paths) -> Iterator[Store]:
    with closing(Store.open(home.database)) as store:
        yield store


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF of two layers with the real tokenizer; its answers are noise."""
    return tiny_gguf("llama", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def other_tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with other weights: it answers differently."""
    return tiny_gguf("llama", tmp_path_factory.mktemp("tiny"), seed=1)


@pytest.fixture(scope="session")
def embedded_base() -> Path:
    """The real SmolLM2-135M-Instruct."""
    return embedded_gguf()


@pytest.fixture(scope="session")
def tiny_ground(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """`bases/` with the tiny base, ready to be taught. Made once, linked into homes."""
    paths = home_in(tmp_path_factory.mktemp("ground"))
    lay_tiny_ground(paths, tiny_base)
    return paths.bases


@pytest.fixture(scope="session")
def embedded_ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bases/` with the embedded base, ready to be taught. Made once, linked into homes."""
    paths = home_in(tmp_path_factory.mktemp("ground"))
    lay_embedded_ground(paths)
    return paths.bases


@pytest.fixture(scope="session")
def taught_home(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Taught:
    """Version 1 of the tiny base, taught three cases. Made once, copied into homes."""
    return taught(tmp_path_factory.mktemp("taught"), tiny_ground, 3)


@pytest.fixture(scope="session")
def taught_adapter(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A PEFT folder for the tiny base, with which it answers as `tests.taught_adapters` says. With
    a rank and an alpha of their own for some layers, and rank-stabilized scaling."""
    from tests.taught_adapters import teach  # it imports torch, which few tests need

    return teach(
        tiny_base,
        tmp_path_factory.mktemp("peft") / "adapter",
        use_rslora=True,
        rank_pattern={"v_proj": 4},
        alpha_pattern={"layers.1.mlp.down_proj": 4},
    )


@pytest.fixture
def moved_in(home: Paths, taught_home: Taught) -> Taught:
    """The home is a copy of one where a lesson has made version 1."""
    copy_home(taught_home.home, home)
    return taught_home


@pytest.fixture
def start_daemon(home: Paths, tiny_ground: Path) -> Iterator[StartDaemon]:
    """Starts a daemon that serves the tiny base, with the given settings; ends it after."""
    started: list[Daemon] = []

    def start(settings: dict[str, str] | None = None) -> Daemon:
        daemon = Daemon(home, dict(settings or {}))
        if not home.database.exists():
            furnish(home, tiny_ground, TINY)
        daemon.start()
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.kill()


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    """A real daemon on a socket of its own that serves the tiny base."""
    return start_daemon()
