"""What serves when the file that the pointer names is not there."""

from __future__ import annotations

import pytest

from shammah.errors import DamagedFile
from shammah.paths import Paths
from tests.asking import answered
from tests.conftest import StartDaemon
from tests.running import wait_for
from tests.versions import Taught


def test_a_version_whose_file_is_gone_gives_way_to_the_one_before(
    home: Paths, moved_in: Taught, start_daemon: StartDaemon
) -> None:
    file = home.version(1) / "model-Q8_0.gguf"
    file.unlink()
    with start_daemon().client as client:
        wait_for(lambda: client.status().engine.state == "ready")
        assert answered(client).shammah.version == 0
        status = client.status()
        assert status.active_version == 0
        assert str(file) in (status.engine.problem or "")
        with pytest.raises(DamagedFile):
            client.rollback(1)
        assert client.status().active_version == 0
