"""``openclaw ui`` by its keys: what is shown, answered and searched, on a real database; and its pictures in the docs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
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
from openclaw.cli.ui.dialogs import Reading, Saying
from openclaw.cli.ui.parts import bar
from openclaw.cli.ui.screen import COLUMNS, FIGURES, Board
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
        for key, name in (("2", "asks"), ("3", "budgets"), ("4", "log"), ("5", "review"), ("1", "runs")):
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
        await settled(app, pilot, Saying)
        await pilot.press("escape")
        await pilot.pause()
        assert len(rows(app, "asks")) == 1  # nothing was answered
        await pilot.press("r")
        await settled(app, pilot, Saying)
        await pilot.press("enter")  # without a name there is no answer
        assert isinstance(app.screen, Saying)
        await pilot.press(*"ann", "enter", *"twice", "enter")
        await until(pilot, lambda: status(app) == "ask-0002 rejected by ann")
        assert rows(app, "asks") == []
    said = openclaw("audit", "list", "--kind", "approval", "--json").json[-1]["body"]
    assert (said["answer"], said["by"], said["reason"]) == ("rejected", "ann", "twice")


async def test_what_waits_for_a_reviewer_is_judged_by_its_keys(told_desk: Desk, openclaw: Command) -> None:
    async with board(told_desk) as (app, pilot):
        assert [row[0] for row in rows(app, "review")] == ["11", "12", "18", "21"]
        assert [row[2:5] for row in rows(app, "review")][:3] == [
            ["denial", "", "refunds"],
            ["ask", "approved", "refunds"],
            ["ask", "pending", "refunds"],
        ]
        await pilot.press("d")  # there are no verdicts on other pages
        assert not isinstance(app.screen, Saying)
        await pilot.press("5")
        await until(pilot, lambda: app.focused is app.query_one("#table-review"))
        await pilot.press("enter")
        await settled(app, pilot, Reading)
        assert "holds: " in dialog(app)
        await pilot.press("escape", "r")  # nor answers here
        assert not isinstance(app.screen, Saying)
        await pilot.press("d")
        await settled(app, pilot, Saying)
        assert "11: denial" in dialog(app)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Saying))
        for key, verdict, seq in (("a", "agreed", 11), ("d", "disputed", 12), ("f", "follow-up", 18)):
            await pilot.press(key)
            await settled(app, pilot, Saying)
            await pilot.press(*(["a", "n", "n", "enter"] if seq == 11 else []), *"seen", "enter")
            await until(pilot, lambda seq=seq, verdict=verdict: status(app) == f"entry {seq} {verdict} by ann")
        assert [row[:4] for row in rows(app, "review")] == [
            ["18", "11-23 10:01:36", "ask", "follow-up"],
            ["21", "11-23 10:01:36", "denial", ""],
        ]
    said = openclaw("audit", "list", "--kind", "review", "--json", "--columns", "of,verdict,by,comment").json
    assert said == [
        {"of": of, "verdict": verdict, "by": "ann", "comment": "seen"}
        for of, verdict in ((11, "agreed"), (12, "disputed"), (18, "follow-up"))
    ]
    assert [one["entry"]["seq"] for one in openclaw("review", "--json").json] == [18, 21]


@pytest.mark.parametrize("name", ["runs", "budgets", "log", "review"])
async def test_a_heading_of_figures_ends_where_its_figures_end(name: str, told_desk: Desk) -> None:
    async with board(told_desk, (160, 24)) as (app, pilot):
        await pilot.press(*(str(1 + [*COLUMNS].index(name))))
        table = app.query_one(f"#table-{name}", DataTable)
        await until(pilot, lambda: app.focused is table)
        await pilot.pause()
        head, first = (table.render_line(at).text for at in (0, 1))
        figures = [one for one in COLUMNS[name] if one in FIGURES]
        assert figures
        cells = dict(zip(COLUMNS[name], rows(app, name)[0], strict=True))
        at = 0
        for column in COLUMNS[name]:
            starts = head.index(column, at)
            at = starts + len(column)
            where = at if column in FIGURES else starts
            cell = cells[column]
            shown = first[:where].rstrip() if column in FIGURES else first[where:]
            assert shown.endswith(cell) if column in FIGURES else shown.startswith(cell), column


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
                await settled(app, pilot, Saying)
                await pilot.press(*"eva", "enter", "enter")
                await until(pilot, lambda: "this command writes, and the database cannot be" in status(app))
                assert len(rows(app, "asks")) == 1


def test_bars_show_what_is_spent_held_and_left() -> None:
    assert bar(0, 0, 10).plain == "░" * 24
    assert bar(1, 0, 1000).plain == "█" + "░" * 23
    assert bar(5, 5, 10).plain == "█" * 12 + "▒" * 12
    assert bar(20, 5, 10).plain == "█" * 24
    assert bar(0, 0, 0).plain == "█" * 24


def test_in_a_browser_it_shows_the_same_and_takes_keys(desk: Path, openclaw: Command) -> None:
    # What `textual serve` starts for each browser, and says to it: packets of keys in, packets of a screen out.
    environment = os.environ | {
        "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
        "COLUMNS": "100",
        "ROWS": "30",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "openclaw", "ui", "--by", "eva", "--every", "60"],
        cwd=desk,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as served:
        assert served.stdin is not None
        assert served.stdout is not None
        shown = b""

        def until_shown(text: bytes) -> None:
            nonlocal shown
            while text not in shown:
                kind, size = served.stdout.read(1), int.from_bytes(served.stdout.read(4), "big")
                assert kind, shown
                shown += served.stdout.read(size) if kind == b"D" else b""
            shown = b""

        def press(keys: bytes) -> None:
            served.stdin.write(b"D" + len(keys).to_bytes(4, "big") + keys)
            served.stdin.flush()

        while served.stdout.readline() != b"__GANGLION__\n":
            pass
        until_shown(b"run-0002")
        press(b"5")
        until_shown(b"Disputed")
        press(b"d")
        until_shown(b"11: denial")
        press(b"by browser\r")
        until_shown(b"entry 11 disputed by eva")
        press(b"q")
        served.stdout.read()
    assert served.returncode == 0
    said = openclaw("audit", "list", "--kind", "review", "--json", "--columns", "of,comment").json
    assert said == [{"of": 11, "comment": "by browser"}]


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
    keys = {"1": "Approve", "2": "Reject", "3": "Approve", "4": "Search", "5": "Follow"}
    async with board(told_desk, (width, 24)) as (app, pilot):
        for key, last in keys.items():
            await pilot.press(key)
            await pilot.pause()
            await pilot.pause()
            lines = _texts(app.export_screenshot())
            assert any("23" in line and "entries" in line for line in lines)
            assert any(last in line for line in lines)
            assert any("Quit" in line for line in lines)
            assert any("5" in line and "Review" in line for line in lines)
            assert app.screen.max_scroll_y == 0


SHOWN = {
    "runs": ["1"],
    "asks": ["2"],
    "budgets": ["3"],
    "log": ["4"],
    "review": ["5"],
    "entry": ["4", *["j"] * 12, "enter"],
}


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
