"""``openclaw ui`` by its keys: what is shown, answered and searched, on a real database; and its pictures in the docs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import click
import pytest
import typer
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from openclaw.cli import books
from openclaw.cli.books import opened
from openclaw.cli.ui.desk import Desk
from openclaw.cli.ui.dialogs import Answering, Reading
from openclaw.cli.ui.parts import bar
from openclaw.cli.ui.screen import Board
from tests.cli.conftest import Command
from tests.cli.test_audit_list import program
from tests.support.readers import reading_only
from tests.support.sqlite_files import sqlite_file
from tests.support.story import StillClock, tell_on, told

PICTURES = Path(__file__).parents[3] / "docs" / "screens"


@contextlib.contextmanager
def desk_of(url: str, key: Path, writes: str | None = None) -> Iterator[Desk]:
    context = typer.Context(click.Command("ui"))
    with opened(context, url, key=str(key)) as reading:
        yield Desk(reading, lambda: opened(context, writes or url, write=True, key=str(key)), None)


@contextlib.asynccontextmanager
async def board(desk: Desk, size: tuple[int, int] = (120, 32)) -> AsyncIterator[tuple[Board, Pilot[None]]]:
    app = Board(desk, every=3600)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: status(app) != "")
        yield app, pilot


@pytest.fixture
def told_desk(desk: Path) -> Iterator[Desk]:
    with desk_of("sqlite:///openclaw.db", desk / "openclaw.db.key") as found:
        yield found


def rows(app: Board, name: str) -> list[list[str]]:
    table = app.query_one(f"#table-{name}", DataTable)
    return [[str(cell) for cell in table.get_row_at(at)] for at in range(table.row_count)]


def status(app: Board) -> str:
    return str(app.query_one("#status", Static).content)


def dialog(app: Board) -> str:
    return "\n".join(str(one.content) for one in app.screen.query(Static))


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    for _ in range(500):
        await pilot.pause()
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


async def settled(app: Board, pilot: Pilot[None], kind: type) -> None:
    await until(pilot, lambda: isinstance(app.screen, kind))


async def test_every_page_shows_what_there_is(told_desk: Desk) -> None:
    async with board(told_desk) as (app, pilot):
        assert [row[0] for row in rows(app, "runs")] == ["run-0002", "run-0001"]
        assert rows(app, "runs")[0][1:5] == ["1", "1", "1", "5"]
        assert [row[0] for row in rows(app, "asks")] == ["ask-0002"]
        assert rows(app, "budgets")[1][1:4] == ["calls", "█" * 12 + "▒" * 3 + "░" * 9, "4"]
        assert len(rows(app, "log")) == 23
        assert status(app) == "openclaw-0001: 23 entries, 1 waiting"
        for key, name in (("2", "asks"), ("3", "budgets"), ("4", "log"), ("1", "runs")):
            await pilot.press(key)
            table = app.query_one(f"#table-{name}")
            await until(pilot, lambda table=table: app.focused is table)


async def test_an_entry_is_shown_with_its_explanation_and_proof(told_desk: Desk) -> None:
    async with board(told_desk) as (app, pilot):
        await pilot.press("4", *["j"] * 12, "enter")
        await settled(app, pilot, Reading)
        shown = dialog(app)
        assert "11" in shown
        assert "decided by  policy" in shown
        assert "holds: " in shown
        assert '"refused_by": "policy"' in shown
        await pilot.press("j", "k", "escape")
        assert not isinstance(app.screen, Reading)


async def test_a_run_is_shown_as_a_tree(told_desk: Desk) -> None:
    async with board(told_desk) as (app, pilot):
        await pilot.press("j", "enter")
        await settled(app, pilot, Reading)
        shown = dialog(app)
        assert "run     run-0001" in shown
        assert 'refund(account="DE-77", amount=120, order="A-18")  done  48 ms' in shown
        assert "approved by eva" in shown


async def test_a_question_is_answered_with_a_name_and_a_reason(told_desk: Desk, openclaw: Command) -> None:
    async with board(told_desk) as (app, pilot):
        await pilot.press("a")
        await pilot.pause()
        assert "page of asks" in status(app)
        await pilot.press("2", "r")
        await settled(app, pilot, Answering)
        await pilot.press("escape")
        await pilot.pause()
        assert len(rows(app, "asks")) == 1  # nothing was answered
        await pilot.press("r")
        await settled(app, pilot, Answering)
        await pilot.press("enter")  # without a name there is no answer
        assert isinstance(app.screen, Answering)
        await pilot.press(*"ann", "enter", *"twice", "enter")
        await until(pilot, lambda: status(app) == "ask-0002 rejected by ann")
        assert rows(app, "asks") == []
    said = openclaw("audit", "list", "--kind", "approval", "--json").json[-1]["body"]
    assert (said["answer"], said["by"], said["reason"]) == ("rejected", "ann", "twice")


async def test_the_log_is_searched_by_text_and_by_expression(told_desk: Desk) -> None:
    async with board(told_desk) as (app, pilot):
        for text, found in (
            ("ACME-1", ["11"]),
            ('= effect == "ask" and args.amount > 100', ["12"]),
            ("nothing has this", []),
        ):
            await pilot.press("slash")
            await pilot.pause()
            app.query_one("#search", Input).value = text
            await pilot.press("enter")
            await until(pilot, lambda found=found: [row[0] for row in rows(app, "log")] == found)
        app.query_one("#search", Input).value = "= open('x')"
        await app.look()
        assert "may not stand in a condition" in status(app)


async def test_what_comes_is_shown_and_the_cursor_stays_on_its_row(told_desk: Desk, desk: Path) -> None:
    async with board(told_desk) as (app, pilot):
        await pilot.press("4", "j", "j")
        await pilot.pause()
        table = app.query_one("#table-log", DataTable)
        assert rows(app, "log")[table.cursor_row][0] == "21"
        with desk_of("sqlite:///openclaw.db", desk / "openclaw.db.key") as other:
            await asyncio.to_thread(other.answer, "ask-0002", by="eva", approve=True, reason="")
        await pilot.press("f5")
        await until(pilot, lambda: len(rows(app, "log")) == 24)
        assert rows(app, "log")[table.cursor_row][0] == "21"


async def test_a_database_that_cannot_be_read_is_said_so_and_looked_at_again(
    told_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with board(told_desk) as (app, pilot):
        from openclaw.errors import StoreError

        def broken(asked: str) -> None:
            raise StoreError("the database cannot be read: gone")

        with monkeypatch.context() as patched:
            patched.setattr(Desk, "look", lambda self, asked: broken(asked))
            await pilot.press("f5")
            await until(pilot, lambda: status(app) == "the database cannot be read: gone")
        await pilot.press("f5")
        await until(pilot, lambda: status(app).startswith("openclaw-0001: 23 entries"))


async def test_nothing_that_an_agent_wrote_is_markup(told_desk: Desk, desk: Path) -> None:
    with sqlite_file(desk / "openclaw.db") as database:
        database.execute(
            "UPDATE openclaw_entry SET agent = '[bold red]x[/] [@click=app.quit]q[/]\x1b[31m', run = '[b]run[/b]'"
        )
    async with board(told_desk) as (app, pilot):
        assert rows(app, "log")[0][3] == "[bold red]x[/] [@click=app.quit]q[/]\\u001b[31m"
        await pilot.press("enter")
        await settled(app, pilot, Reading)
        assert "[b]run[/b]" in dialog(app)


async def test_the_same_on_both_databases_and_an_answer_without_write_access_is_said(
    store_url: str, tmp_path: Path
) -> None:
    clock = StillClock()
    with told(store_url, tmp_path, clock=clock) as story:
        tell_on(story)
    with pytest.MonkeyPatch.context() as patched, reading_only(store_url) as reads:
        patched.setattr(books, "CLOCK", clock)
        with desk_of(reads, tmp_path / "openclaw.db.key") as desk:
            async with board(desk) as (app, pilot):
                assert len(rows(app, "log")) == 23
                if store_url.startswith("sqlite"):
                    return
                await pilot.press("2", "a")
                await settled(app, pilot, Answering)
                await pilot.press(*"eva", "enter", "enter")
                await until(pilot, lambda: "this command writes, and the database cannot be" in status(app))
                assert len(rows(app, "asks")) == 1


def test_bars_show_what_is_spent_held_and_left() -> None:
    assert bar(0, 0, 10).plain == "░" * 24
    assert bar(1, 0, 1000).plain == "█" + "░" * 23
    assert bar(5, 5, 10).plain == "█" * 12 + "▒" * 12
    assert bar(20, 5, 10).plain == "█" * 24
    assert bar(0, 0, 0).plain == "█" * 24


def test_the_command_opens_on_a_terminal_and_leaves_by_q(desk: Path) -> None:
    child = program("ui", "--every", "60")
    child.expect("run-0002")
    child.send("q")
    rest = child.read()
    child.close()
    assert child.exitstatus == 0
    assert "Traceback" not in rest


@pytest.mark.parametrize("width", [80, 200])
async def test_the_line_of_keys_and_the_line_of_the_log_are_always_there(width: int, told_desk: Desk) -> None:
    async with board(told_desk, (width, 24)) as (app, pilot):
        for key in "1234":
            await pilot.press(key)
            await pilot.pause()
            await pilot.pause()
            lines = _texts(app.export_screenshot())
            assert any("23" in line and "entries" in line for line in lines)
            assert any("Approve" in line for line in lines)
            assert app.screen.max_scroll_y == 0


SHOWN = {"runs": ["1"], "asks": ["2"], "budgets": ["3"], "log": ["4"], "entry": ["4", *["j"] * 12, "enter"]}


@pytest.mark.parametrize("name", SHOWN)
async def test_the_pictures_in_the_docs_are_what_is_shown(name: str, told_desk: Desk) -> None:
    async with board(told_desk, (110, 28)) as (app, pilot):
        await pilot.press(*SHOWN[name])
        if name == "entry":
            await settled(app, pilot, Reading)
        else:
            await until(pilot, lambda: app.focused is app.query_one(f"#table-{name}"))
        await pilot.pause()
        picture = app.export_screenshot(title="openclaw ui")
    path = PICTURES / f"{name}.svg"
    if os.environ.get("OPENCLAW_UPDATE_DOCS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(picture)
    assert _texts(picture) == _texts(path.read_text())


def _texts(picture: str) -> list[str]:
    """What stands in a picture: how it is drawn may change with the library."""
    return [
        text for found in re.findall(r">([^<>]+)</text>", picture) if (text := found.replace("&#160;", " ").strip())
    ]
