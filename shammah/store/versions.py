"""The tables of versions and of what each was taught. Knows no file of a version."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from shammah.errors import NotFound
from shammah.records import Version
from shammah.store.connection import Connection, among, to_json


class Versions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self, version: Version, taught: Mapping[int, str], inherited: Collection[int] = ()
    ) -> None:
        """Record a version and the content hash of every example that it was taught, by id.

        Args:
            inherited: those that its own lesson did not train on: the adapter it began with knew.
        """
        row = asdict(version) | {
            "manifest": to_json(version.manifest),
            "report": to_json(version.report),
        }
        with self._connection.transaction():
            self._connection.insert("versions", row)
            self._connection.insert_all(
                "taught",
                [
                    {
                        "version": version.number,
                        "example_id": example_id,
                        "content_hash": digest,
                        "trained": int(example_id not in inherited),
                    }
                    for example_id, digest in taught.items()
                ],
            )

    def get(self, number: int) -> Version:
        """Raises NotFound. Version 0, the base itself, is not recorded here."""
        row = self._connection.row("SELECT * FROM versions WHERE number = ?", number)
        if row is None:
            raise NotFound(f"no version {number}", hint="'shammah versions list' shows them")
        return _version(row)

    def delete(self, number: int) -> None:
        with self._connection.transaction():
            self._connection.execute("DELETE FROM taught WHERE version = ?", number)
            self._connection.execute("DELETE FROM versions WHERE number = ?", number)

    def mark_pruned(self, number: int) -> None:
        """Its files are gone, its row stays as history."""
        self._connection.execute(
            "UPDATE versions SET pruned_at = coalesce(pruned_at, ?) WHERE number = ?",
            self._connection.now(),
            number,
        )

    def taught_to(self, example_id: int) -> list[int]:
        """The numbers of the versions that were taught an example, oldest first."""
        rows = self._connection.rows(
            "SELECT version FROM taught WHERE example_id = ? ORDER BY version", example_id
        )
        return [row["version"] for row in rows]

    def with_forgotten(self) -> dict[int, list[int]]:
        """The versions that were taught what is forgotten by now, with the examples' ids; none
        that is pruned: it has no weights that could know it."""
        rows = self._connection.rows(
            "SELECT version, example_id FROM taught JOIN examples ON id = example_id "
            "JOIN versions ON number = version "
            "WHERE status = 'forgotten' AND pruned_at IS NULL ORDER BY version, example_id"
        )
        found: dict[int, list[int]] = {}
        for row in rows:
            found.setdefault(row["version"], []).append(row["example_id"])
        return found

    def taught(self, number: int, ids: Collection[int] | None = None) -> dict[int, str]:
        """Example ids and the content hashes that the version was taught, of all or of these; empty
        for version 0."""
        condition, parameters = among("example_id", ids)
        rows = self._connection.rows(
            f"SELECT example_id, content_hash FROM taught WHERE version = ? AND {condition}",
            number,
            *parameters,
        )
        return {row["example_id"]: row["content_hash"] for row in rows}

    def holds_forgotten(self, number: int) -> bool:
        """Whether the version was taught an example that was forgotten since."""
        row = self._connection.row(
            "SELECT 1 FROM taught JOIN examples ON examples.id = taught.example_id "
            "WHERE taught.version = ? AND examples.status = 'forgotten' LIMIT 1",
            number,
        )
        return row is not None

    def last_trained(self, base: str) -> dict[int, int]:
        """Per example the newest version of `base` whose own lesson trained on it."""
        rows = self._connection.rows(
            "SELECT example_id, max(version) AS version FROM taught "
            "JOIN versions ON versions.number = taught.version "
            "WHERE versions.base = ? AND trained GROUP BY example_id",
            base,
        )
        return {row["example_id"]: row["version"] for row in rows}

    def list(self) -> list[Version]:
        """Newest first."""
        rows = self._connection.rows("SELECT * FROM versions ORDER BY number DESC")
        return [_version(row) for row in rows]


def _version(row: dict[str, Any]) -> Version:
    return Version(
        **row | {"manifest": json.loads(row["manifest"]), "report": json.loads(row["report"])}
    )
