"""The service files, read by those who know them: systemd-analyze and plistlib."""

from __future__ import annotations

import plistlib
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from shammah.errors import UsageError
from shammah.paths import Paths
from shammah.service.installation import Installation
from shammah.service.launchd import Launchd
from shammah.service.systemd import UNIT, Systemd, quoted

analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)

#: The exposure that systemd computes, of 10; what it would take to be lower is in the unit.
MOST_EXPOSURE = 6.6


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """One whose paths have everything that they may."""
    program = tmp_path / "a b 100% $HOME" / "shammahd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    home = tmp_path / 'my "home" 100% \\x'
    return Installation(program, {"SHAMMAH_HOME": str(home)}, home, home / "shammahd.err")


def run(*words: str | Path, runtime: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, words)],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(runtime), "HOME": str(runtime)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@analyze
def test_systemd_finds_nothing_wrong(installation: Installation, tmp_path: Path) -> None:
    unit = tmp_path / UNIT
    unit.write_text(Systemd(unit).text(installation))
    verified = run("systemd-analyze", "--user", "verify", unit, runtime=tmp_path)
    assert (verified.returncode, verified.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("shammahd", "missing"))  # it does look at it
    assert run("systemd-analyze", "--user", "verify", unit, runtime=tmp_path).returncode


@analyze
def test_the_exposure_is_what_a_users_unit_can_have(
    installation: Installation, tmp_path: Path
) -> None:
    unit = tmp_path / UNIT
    unit.write_text(Systemd(unit).text(installation))
    told = run("systemd-analyze", "--user", "security", "--offline=yes", unit, runtime=tmp_path)
    found = re.search(r"exposure level for shammahd.service: ([\d.]+)", told.stdout)
    assert found is not None, told.stderr
    assert float(found[1]) <= MOST_EXPOSURE


def test_the_unit_leaves_the_gpu_and_compilers_alone(installation: Installation) -> None:
    unit = Systemd(Path("unit")).text(installation)
    settings = [line for line in unit.splitlines() if line and not line.startswith("#")]
    for setting in ("MemoryDenyWriteExecute", "PrivateDevices", "DeviceAllow", "PrivateTmp"):
        assert not any(line.startswith(setting) for line in settings)
    assert "KillMode=mixed" in settings  # or an answer's engine would end before the answer


def test_a_program_that_systemd_would_not_run_is_refused(installation: Installation) -> None:
    quoted_program = replace(installation, program=Path("/it's here/shammahd"))
    with pytest.raises(UsageError, match="it's here"):
        Systemd(Path("unit")).text(quoted_program)


def test_words_of_a_unit_are_quoted() -> None:
    assert quoted('/a b/100%/"x"\\y') == '"/a b/100%%/\\"x\\"\\\\y"'


def test_a_unit_says_whose_daemon_it_is(installation: Installation, tmp_path: Path) -> None:
    systemd = Systemd(tmp_path / UNIT)
    assert systemd.home() is None
    systemd.file.write_text(systemd.text(installation))
    assert systemd.home() == installation.home


def test_an_agent_is_read_back(installation: Installation, tmp_path: Path) -> None:
    launchd = Launchd(tmp_path / "agent.plist")
    launchd.file.write_text(launchd.text(installation))
    agent = plistlib.loads(launchd.file.read_bytes())
    assert agent["ProgramArguments"] == [str(installation.program)]
    assert agent["EnvironmentVariables"] == installation.environment
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["Umask"] == 0o077
    assert agent["ExitTimeOut"] > 20
    assert launchd.home() == installation.home


def test_an_installation_takes_along_where_the_home_is(home: Paths) -> None:
    environ = {"SHAMMAH_HOME": "relative", "XDG_DATA_HOME": "/data", "EDITOR": "vi"}
    found = Installation.present(home, environ)
    assert found.environment == {"SHAMMAH_HOME": str(home.data_dir), "XDG_DATA_HOME": "/data"}
    assert found.program.is_absolute()
    assert found.program.name == "shammahd"


def test_a_path_that_no_unit_can_hold_is_named(home: Paths) -> None:
    with pytest.raises(UsageError, match=r"/data\\nExecStart=evil"):
        Installation.present(home, {"XDG_DATA_HOME": "/data\nExecStart=evil"})
