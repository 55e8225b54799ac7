"""Tables of records: every cell is whole, whenever the screen is painted."""

from __future__ import annotations

from textual.app import App, ComposeResult

from shammah_tui.tables import RecordTable


class Prizes(RecordTable):
    HEADINGS = ("no", "prize", "won by")


class Bench(App[None]):
    def compose(self) -> ComposeResult:
        yield Prizes("prizes")


def painted(table: RecordTable) -> str:
    return "\n".join(table.render_line(y).text for y in range(table.size.height))


async def test_a_cell_that_is_painted_at_once_is_not_cut_to_the_width_of_the_one_before() -> None:
    async with Bench().run_test() as pilot:
        table = pilot.app.query_one(Prizes)
        table.show_rows([(1, ("1", "cup", "Ann"))])
        await pilot.pause()
        table.show_rows([(1, ("1", "a golden cup", "Ann and Bartholomew"))])
        assert "a golden cup" in painted(table)
        await pilot.pause()
        assert "Ann and Bartholomew" in painted(table)


async def test_the_cursor_stays_on_its_record_and_on_the_first_row_follows_the_newest() -> None:
    async with Bench().run_test() as pilot:
        table = pilot.app.query_one(Prizes)
        table.show_rows([(2, ("2", "cup", "Ann")), (1, ("1", "pen", "Bo"))])
        assert table.chosen == 2
        table.show_rows(
            [(3, ("3", "hat", "Cy")), (2, ("2", "cup", "Ann")), (1, ("1", "pen", "Bo"))]
        )
        assert table.chosen == 3
        table.move_cursor(row=1)
        table.show_rows(
            [(4, ("4", "jug", "Di")), (3, ("3", "hat", "Cy")), (2, ("2", "cup", "Ann"))]
        )
        assert table.chosen == 2
