"""Which adapters there are, and what stands against loading one."""

from __future__ import annotations

import json

from shammah.paths import Paths
from shammah.publish import ADAPTER_CONFIG, ADAPTER_FILE, ADAPTER_FOLDER, TENSORS_FILE
from shammah.records import Active, Version
from shammah_daemon.library import objection, of_versions

TENSORS = f"{ADAPTER_FOLDER}/{TENSORS_FILE}"


def version(home: Paths, number: int, *files: str) -> Version:
    """One with an adapter of these files, all of four bytes."""
    folder = home.version(number)
    (folder / ADAPTER_FOLDER).mkdir(parents=True)
    (folder / ADAPTER_FOLDER / ADAPTER_CONFIG).write_text(json.dumps({"r": 4, "lora_alpha": 8}))
    for name in files:
        (folder / name).write_bytes(b"four")
    manifest = {"files": dict.fromkeys(files, "hash"), "base": {"sha256": "base"}}
    return Version(number, "tiny", 1, "Q8_0", "model.gguf", "", 1, "", manifest, {})


def test_an_adapter_of_dora_is_listed_and_says_why_it_is_not_loaded(home: Paths) -> None:
    plain = version(home, 1, ADAPTER_FILE, TENSORS)
    dora = version(home, 2, TENSORS)
    pruned = version(home, 3)
    found = of_versions(home, [plain, dora, pruned])
    assert [one.name for one in found] == ["version-1", "version-2"]
    assert [one.size_bytes for one in found] == [4, 4]
    serves = Active("tiny", 0)
    assert objection(found[0], serves, "base") is None
    assert "DoRA" in (objection(found[1], serves, "base") or "")
