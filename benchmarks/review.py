"""Reading a long log: the first page of each filter against one page read by the driver alone, and the memory that it takes.

    python -m benchmarks.review [--entries 10000000] [--file long.db]

Ten million entries take 5.4 GB of disk and some four minutes to be made; `--file` makes them once, there, and keeps them.

The baseline is `SELECT * … ORDER BY seq DESC LIMIT 50` through sqlite3 in the same run, on the same file. Each page is read in a
store that was just opened, as a command does it; the process itself is not started anew.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import sqlite3
import sys
import tempfile
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.audit import best
from openclaw.audit.reading import Reader
from openclaw.review.query import Query, Search
from openclaw.store import Store
from tests.support.longlog import fill

PAGE = 50
ROUNDS = 5


def queries(count: int) -> list[tuple[str, Query, dict[str, object]]]:
    middle = dt.datetime.fromtimestamp(1767225600 + count / 8, dt.UTC)
    hour = dt.timedelta(hours=1)
    newest: dict[str, object] = {"newest_first": True}
    return [
        ("the last page", Query(), newest),
        ("the page before the middle", Query(), {"newest_first": True, "before": count // 2}),
        ("--agent (one of twenty)", Query(agent="agent-7"), newest),
        ("--agent (one entry of 100,000)", Query(agent="rare"), newest),
        ("--tool", Query(tool="tool-7"), newest),
        ("--run, an old one", Query(run="run-11"), newest),
        ("--workflow, long closed", Query(workflow="closed"), newest),
        ("--effect deny", Query(effect="deny"), newest),
        ("--kind approval", Query(kind="approval"), newest),
        ("--agent --effect deny", Query(agent="agent-7", effect="deny"), newest),
        ("--since --until, an hour amid", Query(since=middle, until=middle + hour), newest),
        ("--until, amid, --effect ask", Query(until=middle, effect="ask"), newest),
        ("--arg 'amount>900'", Query(args=("amount>900",)), newest),
        ("--where, with an index", Query(where='effect == "deny" and args.amount > 100'), newest),
        ("--where, without", Query(where="args.amount > 900"), newest),
        ("--text, in every tenth", Query(text="77"), newest),
        ("--text that is nowhere: the whole log", Query(text="nowhere"), newest),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--file", type=Path, help="where the log is kept from one run to the next")
    count, kept = parser.parse_args().entries, parser.parse_args().file
    with tempfile.TemporaryDirectory() if kept is None else contextlib.nullcontext(kept.parent) as folder:
        path = kept or Path(folder) / "long.db"
        if not path.exists():
            fill(path, count)

        def alone() -> list[object]:
            database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            try:
                return database.execute("SELECT * FROM openclaw_entry ORDER BY seq DESC LIMIT ?", (PAGE,)).fetchall()
            finally:
                database.close()

        def opened() -> None:
            Store.open(f"sqlite:///{path}", create=False, readonly=True).close()

        base = best(alone, ROUNDS)
        print(f"{count:,} entries, {path.stat().st_size / 1e6:,.0f} MB; a page is {PAGE} entries\n")
        print(f"{'':38}{'ms':>9}{'ratio':>9}")
        print(f"{'the last page, by the driver alone':38}{base * 1000:9.2f}{1:9.1f}")
        opening = best(opened, ROUNDS)
        print(f"{'a store opened, and nothing read':38}{opening * 1000:9.2f}{opening / base:9.1f}")
        for label, query, options in queries(count):

            def page(query: Query = query, options: dict[str, object] = options) -> int:
                store = Store.open(f"sqlite:///{path}", create=False, readonly=True)
                try:
                    return len(list(Search(query).entries(Reader(store), limit=PAGE, **options)))  # type: ignore[arg-type]
                finally:
                    store.close()

            seconds = best(page, ROUNDS)
            print(f"{label:38}{seconds * 1000:9.2f}{seconds / base:9.1f}")
        store = Store.open(f"sqlite:///{path}", create=False, readonly=True)
        tracemalloc.start()
        found = sum(1 for _ in Search(Query(until=dt.datetime(2026, 1, 1, 7, tzinfo=dt.UTC))).entries(Reader(store)))
        _, peak = tracemalloc.get_traced_memory()
        store.close()
        print(f"\nmemory at most while {found:,} entries pass: {peak / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
