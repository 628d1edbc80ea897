# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# Textual gives tables without the type of their cells.
"""The screen: runs, questions, budgets, the log and what waits for a reviewer, each on a page of its own, all by the keyboard."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Input, Static, TabbedContent, TabPane

from openclaw.cli import show
from openclaw.cli.ui.desk import Desk, RunLine, Snapshot
from openclaw.cli.ui.dialogs import answering, entry_screen, judging, run_screen
from openclaw.cli.ui.parts import Row, ask_row, budget_rows, entry_row, review_row
from openclaw.errors import OpenClawError
from openclaw.review.verdicts import Verdict, counts

EVERY = 2.0
"""Seconds between two looks at the store."""

COLUMNS = {
    "runs": ("run", "open", "asked", "denied", "decisions", "began (UTC)", "workflow"),
    "asks": ("question", "asked (UTC)", "agent", "call", "why"),
    "budgets": ("account", "unit", "spent and held", "left", "limit", "spent", "held", "window"),
    "log": ("seq", "at (UTC)", "event", "agent", "tool", "detail"),
    "review": ("seq", "at (UTC)", "what", "state", "agent", "detail"),
}
FIGURES = frozenset({"open", "asked", "denied", "decisions", "left", "limit", "spent", "held", "seq"})
"""Columns of numbers: they and their headings stand at the right."""


class Board(App[None]):
    """Everything at a glance; nothing is written but the answers that a person gives."""

    TITLE = "openclaw"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    TabbedContent, TabPane, DataTable { height: 1fr; }
    TabPane { padding: 0; }
    #status { height: 1; background: $panel; padding: 0 1; }
    .dialog { width: 90%; height: 90%; border: round $primary; padding: 0 1; background: $surface; }
    .answering { height: auto; }
    .heading { margin-top: 1; }
    ModalScreen { align: center middle; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(at), f"page('{name}')", name.capitalize(), show=False) for at, name in enumerate(COLUMNS, 1)),
        Binding("slash", "search", "Search the log"),
        Binding("a", "answer(True)", "Approve"),
        Binding("r", "answer(False)", "Reject"),
        Binding("a", "judge('agreed')", "Agreed"),
        Binding("d", "judge('disputed')", "Disputed"),
        Binding("f", "judge('follow-up')", "Follow up"),
        Binding("f5", "refresh_now", "Look again", show=False),
        Binding("j", "down", "Down", show=False),
        Binding("k", "up", "Up", show=False),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, desk: Desk, *, by: str = "", every: float = EVERY) -> None:
        super().__init__()
        self._desk = desk
        self._by = by
        self._every = every
        self._shown: Snapshot | None = None
        self._looking = asyncio.Lock()
        self._failed = self._searching = False

    def compose(self) -> ComposeResult:
        """Five pages, and a line that says how the log stands."""
        with TabbedContent(initial="runs"):
            for at, name in enumerate(COLUMNS, 1):
                with TabPane(f"{at} {name.capitalize()}", id=name):
                    if name == "log":
                        yield Input(placeholder='text, or = and an expression: = effect == "deny"', id="search")
                    yield _table(name)
        yield Static("", id="status", markup=False)
        yield Footer()

    async def on_mount(self) -> None:
        """Look, and go on looking."""
        await self.look()
        self._focus_table()
        self.set_interval(self._every, self.look)

    async def look(self) -> None:
        """Read the store and show what has changed; what cannot be read is said, and read again later."""
        async with self._looking:
            asked = self.query_one("#search", Input).value
            try:
                found = await asyncio.to_thread(self._desk.look, asked)
            except OpenClawError as error:
                self._failed = True
                self._say(str(error), "bold red")
                return
            if found != self._shown or self._failed:
                self._failed = False
                self._show(found)

    def _show(self, found: Snapshot) -> None:
        self._shown = found
        _fill(self._table("runs"), map(_run_row, found.runs))
        _fill(self._table("asks"), (ask_row(one, found.agreed.get(one.id, "")) for one in found.asks))
        _fill(self._table("budgets"), budget_rows(found.budgets))
        _fill(self._table("log"), map(entry_row, found.entries))
        _fill(self._table("review"), (review_row(item, state) for item, state in found.reviews))
        waiting = f"{len(found.asks)} waiting" if found.asks else "nobody waits"
        state = f"{show.count(found.size)} entries, {waiting}" + (f" · {found.wrong}" if found.wrong else "")
        self._say(f"{self._desk.books.log.origin}: {state}", "yellow" if found.wrong else "")

    def _say(self, text: str, style: str = "") -> None:
        self.query_one("#status", Static).update(show.plain_text(text, style))

    def _table(self, name: str) -> DataTable[Text]:
        return self.query_one(f"#table-{name}", DataTable)

    @property
    def _page(self) -> str:
        return self.query_one(TabbedContent).active

    def _focus_table(self) -> None:
        self._table(self._page).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Verdicts are given on their page alone, and ``a`` is one there."""
        if action in ("answer", "judge"):
            return (self._page == "review") == (action == "judge")
        return True

    # -- keys ------------------------------------------------------------------------------------------------------------

    def action_page(self, name: str) -> None:
        """Show a page."""
        self._searching = False
        self.query_one(TabbedContent).active = name
        self._focus_table()

    def action_search(self) -> None:
        """Search the log."""
        self._searching = True
        self.query_one(TabbedContent).active = "log"
        self.query_one("#search", Input).focus()

    def on_tabbed_content_tab_activated(self) -> None:
        """A page that has come to the front has the keys: the focus may have been lost with the page that went."""
        self.refresh_bindings()
        if self._searching:
            self.query_one("#search", Input).focus()
        else:
            self._focus_table()

    def action_down(self) -> None:
        """One row down."""
        self._table(self._page).action_cursor_down()

    def action_up(self) -> None:
        """One row up."""
        self._table(self._page).action_cursor_up()

    async def action_refresh_now(self) -> None:
        """Look at once."""
        await self.look()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Search, and go to what was found."""
        if event.input.id == "search":
            self._searching = False
            await self.look()
            self._focus_table()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter shows what stands in the row."""
        key = str(event.row_key.value)
        if event.data_table.id in ("table-log", "table-review"):
            self._open_entry(int(key))
        elif event.data_table.id == "table-runs":
            self._open_run(key)
        elif event.data_table.id == "table-asks":
            question = next((one for one in self._shown.asks if one.id == key), None) if self._shown else None
            if question is not None:
                self._open_entry(question.seq)

    @work
    async def _open_entry(self, seq: int) -> None:
        try:
            self.push_screen(entry_screen(await asyncio.to_thread(self._desk.detail, seq)))
        except OpenClawError as error:
            self._say(str(error), "bold red")

    @work
    async def _open_run(self, run: str) -> None:
        try:
            self.push_screen(run_screen(await asyncio.to_thread(self._desk.run, run)))
        except OpenClawError as error:
            self._say(str(error), "bold red")

    @work
    async def action_answer(self, approve: bool) -> None:
        """Answer the question under the cursor."""
        table = self._table("asks")
        if self._page != "asks" or not table.row_count or self._shown is None:
            self._say("questions are answered on the page of asks: 2, then a or r", "yellow")
            return
        key = _key(table)
        question = next(one for one in self._shown.asks if one.id == key)
        answer = await self.push_screen_wait(answering(question, approve=approve, by=self._by))
        if answer is None:
            return
        self._by = answer.by
        amendment = question.amendment
        try:
            said = await asyncio.to_thread(
                self._desk.answer,
                question.id,
                by=answer.by,
                approve=approve,
                reason=answer.reason,
                args=amendment.args if amendment is not None and approve else {},
            )
        except OpenClawError as error:
            self._say(str(error), "bold red")
            return
        await self.look()
        waits = ", and others must agree too" if said.state == "pending" else ""
        self._say(f"{said.id} {'approved' if approve else 'rejected'} by {answer.by}{waits}")

    @work
    async def action_judge(self, verdict: Verdict) -> None:
        """Say what one thinks of the entry under the cursor."""
        table = self._table("review")
        if not table.row_count or self._shown is None:
            self._say("nothing waits for a reviewer", "yellow")
            return
        key = _key(table)
        item, state = next(one for one in self._shown.reviews if str(one[0].entry.seq) == key)
        said = await self.push_screen_wait(judging(item, verdict, state, by=self._by))
        if said is None:
            return
        self._by = said.by
        seq = item.entry.seq
        try:
            review = await asyncio.to_thread(self._desk.judge, seq, by=said.by, verdict=verdict, comment=said.reason)
        except OpenClawError as error:
            self._say(str(error), "bold red")
            return
        await self.look()
        own = "" if counts(item.entry, review) else ": who opened it; somebody else has to judge it too"
        self._say(f"entry {seq} {verdict} by {said.by}{own}")


def _key(table: DataTable[Text]) -> str:
    """What the row under the cursor is of."""
    return str(table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value)


def _table(name: str) -> DataTable[Text]:
    table: DataTable[Text] = DataTable(id=f"table-{name}", cursor_type="row", zebra_stripes=True)
    table.add_columns(*(Text(one, justify="right" if one in FIGURES else "left") for one in COLUMNS[name]))
    return table


def _run_row(line: RunLine) -> Row:
    counts = ((line.open, "yellow"), (line.asked, "yellow"), (line.denied, "red"), (line.decisions, ""))
    return line.run, (
        show.plain_text(line.run),
        *(Text(show.count(found), justify="right", style=style if found else "") for found, style in counts),
        Text(line.began),
        show.plain_text(line.workflow),
    )


def _fill(table: DataTable[Text], rows: Iterable[Row]) -> None:
    """Show other rows; the cursor stays on the row that it was on, wherever that is now."""
    at = None
    if table.row_count:
        at = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
    table.clear()
    for key, cells in rows:
        table.add_row(*cells, key=key)
        if key == at:
            table.move_cursor(row=table.row_count - 1)


__all__ = ["Board"]
