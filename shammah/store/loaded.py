"""The table of adapters that are added to what serves, by base. Knows no file and no engine."""

from __future__ import annotations

from shammah.records import Applied
from shammah.store.connection import Connection


class Loaded:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def on(self, base: str) -> list[Applied]:
        """What was loaded on `base`, by name."""
        rows = self._connection.rows(
            "SELECT name, scale FROM loaded_adapters WHERE base = ? ORDER BY name", base
        )
        return [Applied(**row) for row in rows]

    def all(self) -> dict[str, dict[str, float]]:
        """The scales, by name and by base."""
        found: dict[str, dict[str, float]] = {}
        for row in self._connection.rows("SELECT * FROM loaded_adapters ORDER BY name, base"):
            found.setdefault(row["name"], {})[row["base"]] = row["scale"]
        return found

    def put(self, base: str, adapter: Applied) -> None:
        """Load it, or change its scale."""
        with self._connection.transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO loaded_adapters (base, name, scale) VALUES (?, ?, ?)",
                base,
                adapter.name,
                adapter.scale,
            )

    def remove(self, name: str) -> None:
        """Unload it from every base."""
        with self._connection.transaction():
            self._connection.execute("DELETE FROM loaded_adapters WHERE name = ?", name)
