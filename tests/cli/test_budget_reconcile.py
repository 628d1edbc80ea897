"""``openclaw budget reconcile`` on a real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command

AGREES = "date,provider,model,input_tokens,output_tokens,usd\n2026-11-23,acme,small-1,2160,105,0.000364\n"


def test_an_invoice_that_agrees_ends_with_0(desk: Path, openclaw: Command) -> None:
    Path("invoice.csv").write_text(AGREES)
    said = openclaw("budget", "reconcile", "invoice.csv")
    assert (said.code, said.out.splitlines()[-1].split()) == (0, ["agreement", "holds"])


def test_our_own_focus_rows_agree(desk: Path, openclaw: Command) -> None:
    Path("focus.csv").write_text(openclaw("budget", "report", "--focus").out)
    assert openclaw("budget", "reconcile", "focus.csv").code == 0


@pytest.mark.parametrize("width", [80, 200])
def test_what_differs_is_a_line_and_ends_with_1(
    width: int, desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    Path("invoice.csv").write_text(AGREES + "2026-11-24,acme,large-2,88000,4100,0.41\n")
    said = openclaw("budget", "reconcile", "invoice.csv")
    lines = said.out.splitlines()
    assert said.code == 1
    assert max(map(len, lines)) <= width
    assert lines[1].split()[:4] == ["2026-11-24", "large-2", "input_tokens", "88,000"]
    document = openclaw("budget", "reconcile", "invoice.csv", "--json").json
    assert (document["agrees"], len(document["differences"])) == (False, 3)


def test_a_tolerance_and_another_name_make_it_agree(desk: Path, openclaw: Command) -> None:
    Path("invoice.csv").write_text(AGREES.replace("small-1,2160", "tiny,2165"))
    assert openclaw("budget", "reconcile", "invoice.csv").code == 1
    assert openclaw("budget", "reconcile", "invoice.csv", "--model", "tiny=small-1", "--tolerance", "1%").code == 0


@pytest.mark.parametrize(
    "wrong", [("--tolerance", "x"), ("--tolerance", "-1"), ("--tolerance", "NaN"), ("--model", "tiny")]
)
def test_wrong_usage_is_one_clear_error(wrong: tuple[str, str], desk: Path, openclaw: Command) -> None:
    Path("invoice.csv").write_text(AGREES)
    said = openclaw("budget", "reconcile", "invoice.csv", *wrong)
    assert (said.code, said.err.startswith("error: ")) == (2, True)
