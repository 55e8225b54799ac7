"""The unit under a real systemd user manager, in a mount namespace of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shammah.paths import Paths
from shammah.service.systemd import UNIT
from tests.running import TINY, furnish, scrubbed_environment, wait_for

SYSTEMD = Path("/lib/systemd/systemd")
START_SECONDS = 20.0

pytestmark = [
    pytest.mark.skipif(
        os.getuid() != 0 or not SYSTEMD.exists() or shutil.which("unshare") is None,
        reason="it takes root, unshare and systemd to run a user manager beside the system's",
    ),
]

#: systemd looks into /run whether it runs the system, and makes its cgroups below its own.
MANAGER = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0
chmod 700 /run/user/0
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/shammah-test
echo $$ >/sys/fs/cgroup/shammah-test/cgroup.procs
exec /lib/systemd/systemd --user
"""
CGROUPS = (
    "mount -t cgroup2 none /sys/fs/cgroup; find /sys/fs/cgroup/shammah-test -depth -type d -delete"
)

Shammah = Callable[..., subprocess.CompletedProcess[str]]


def session(folder: Path) -> dict[str, str]:
    """The environment of a user whose own folder is `folder`."""
    inherited = {k: v for k, v in scrubbed_environment().items() if not k.startswith("XDG_")}
    return inherited | {
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": "/run/user/0",
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]),
    }


@contextmanager
def user_manager(environment: dict[str, str]) -> Iterator[Shammah]:
    """Runs commands in a session of that environment; skips the test where there can be none."""
    manager = subprocess.Popen(
        ["unshare", "--mount", "bash", "-ec", MANAGER],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "--mount", f"--target={manager.pid}", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    deadline = time.monotonic() + START_SECONDS
    while run("systemctl", "--user", "is-system-running").stdout.strip() != "running":
        if time.monotonic() > deadline or manager.poll() is not None:
            manager.kill()
            manager.wait()
            pytest.skip("systemd cannot run here")
        time.sleep(0.1)
    yield run
    manager.terminate()
    manager.wait(30)
    subprocess.run(["unshare", "--mount", "bash", "-c", CGROUPS], check=False, capture_output=True)


@pytest.fixture(scope="module")
def possible(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It takes long to find out that systemd cannot run: that is done once."""
    with user_manager(session(tmp_path_factory.mktemp("nobody"))):
        pass


@pytest.fixture
def shammah(possible: None, home: Paths, tiny_ground: Path, tmp_path: Path) -> Iterator[Shammah]:
    """Runs a command in the session."""
    furnish(home, tiny_ground, TINY)
    with user_manager(session(tmp_path) | {"SHAMMAH_HOME": str(home.data_dir)}) as run:
        yield run
        run("shammah", "daemon", "stop")  # one that a failed test has left outside


def main_pid(shammah: Shammah) -> int:
    """The process that systemd keeps; 0: none."""
    shown = shammah("systemctl", "--user", "show", "--property=MainPID", "--value", UNIT)
    return int(shown.stdout)


def status(shammah: Shammah) -> tuple[int, tuple[bool, bool, bool]]:
    """Who answers on the socket, and: installed, enabled, running."""
    told = json.loads(shammah("shammah", "daemon", "status", "--json").stdout)
    service = told["service"]
    pid = told["daemon"]["pid"] if told["daemon"] else 0
    return pid, (service["installed"], service["enabled"], service["running"])


def test_a_daemon_becomes_a_service_is_kept_running_and_becomes_a_program_again(
    shammah: Shammah, tmp_path: Path
) -> None:
    """One story: to start systemd and a daemon takes longer than all that is asked of them."""
    assert shammah("shammah", "daemon", "start").returncode == 0
    alone, state = status(shammah)
    assert alone
    assert state == (False, False, False)

    installed = shammah("shammah", "daemon", "install")
    assert installed.returncode == 0, installed.stderr
    assert "loginctl enable-linger" in installed.stderr
    kept, state = status(shammah)
    assert kept == main_pid(shammah) != alone
    assert state == (True, True, True)

    again = shammah("shammah", "daemon", "install")
    assert "running already" in again.stderr
    assert main_pid(shammah) == kept

    shammah("kill", "-KILL", str(kept))
    wait_for(lambda: status(shammah)[0] not in (0, kept), 60)
    restarted, _ = status(shammah)
    assert restarted == main_pid(shammah)

    assert shammah("shammah", "daemon", "stop").returncode == 0
    assert status(shammah) == (0, (True, True, False))
    failed = shammah("systemctl", "--user", "is-failed", UNIT)
    assert failed.stdout.strip() == "inactive"

    assert shammah("shammah", "daemon", "restart").returncode == 0
    kept, _ = status(shammah)
    assert kept == main_pid(shammah) != 0

    assert shammah("shammah", "daemon", "uninstall").returncode == 0
    assert status(shammah) == (0, (False, False, False))
    assert not any(path.is_file() or path.is_symlink() for path in units(tmp_path))


def units(folder: Path) -> list[Path]:
    return list((folder / ".config" / "systemd").rglob("*shammah*"))


def test_a_unit_that_somebody_else_wrote_is_left_alone(shammah: Shammah, tmp_path: Path) -> None:
    unit = tmp_path / ".config" / "systemd" / "user" / UNIT
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    for what in ("install", "uninstall"):
        refused = shammah("shammah", "daemon", what)
        assert refused.returncode == 1
        assert "was not written by shammah" in refused.stderr
    assert unit.read_text() == "[Service]\nExecStart=/bin/true\n"
