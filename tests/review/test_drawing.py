"""Timelines as pictures: well-formed whatever an agent has written, the same every time, with nothing to run or fetch."""

from __future__ import annotations

import io
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from openclaw.errors import ConfigurationError
from openclaw.review.drawing import draw
from openclaw.review.drawing_png import as_png
from openclaw.review.timeline import build, timeline
from tests.review.test_timeline import entry
from tests.support.story import told

SVG = "{http://www.w3.org/2000/svg}"


def bars(picture: str) -> list[tuple[float, float, str]]:
    found = ET.fromstring(picture.encode()).iter(f"{SVG}rect")
    return [(float(one.get("x") or 0), float(one.get("width") or 0), one.get("fill") or "") for one in found][1:]


def test_a_run_is_drawn_with_its_waiting_and_its_running(sqlite_url: str, tmp_path: Path) -> None:
    with told(sqlite_url, tmp_path) as story:
        run = timeline(story.governance.audit, "run-0001")
    picture = draw(run)
    assert picture == draw(run)
    texts = [one.text or "" for one in ET.fromstring(picture.encode()).iter(f"{SVG}text")]
    assert "triage" in texts
    assert '14  refund(account="DE-77", amount=120, order="A-18")' in texts
    assert "done, 812 ms, 1,001 tokens, $0.000163" in texts
    # Six actions, one of which waited for a person first: nearly the whole run of 97 seconds.
    drawn = bars(picture)
    assert len(drawn) == 7
    asked = [bar for bar in drawn if bar[2] == "#f0c36d"]
    assert len(asked) == 1
    assert 445 < asked[0][1] < 460
    ran = drawn[-1]
    assert ran[0] >= asked[0][0] + asked[0][1] - 1  # it ran after the answer


@given(st.text(), st.text())
def test_no_text_of_an_agent_breaks_out_of_the_picture(name: str, error: str) -> None:
    hostile = f"</text><script>alert(1)</script>{name}"
    run = build(
        [
            entry(1, "decision", "allow", agent=hostile, input={"tool": {"args": {"a": hostile}}}),
            entry(2, "outcome", agent=hostile, decision=1, status=error, error=error),
        ]
    )
    tree = ET.fromstring(draw(run).encode())
    assert {one.tag.removeprefix(SVG) for one in tree.iter()} <= {"svg", "title", "style", "rect", "line", "text", "g"}
    assert not re.search(r"\b(on\w+|href)=", re.sub(r">[^<]*<", "><", draw(run)))


def test_what_runs_still_is_drawn_to_the_end() -> None:
    run = build([entry(1, "decision", "allow"), entry(2, "decision", "ask"), entry(5, "decision", "deny")])
    open_one, waiting, denied = bars(draw(run))
    assert open_one[:2] == (470.0, 460.0)
    assert (waiting[2], waiting[1]) == ("#f0c36d", 345.0)
    assert denied[1] == 3


def test_a_png_shows_what_the_svg_does(sqlite_url: str, tmp_path: Path) -> None:
    with told(sqlite_url, tmp_path) as story:
        run = timeline(story.governance.audit, "run-0001")
    made = as_png(draw(run))
    assert made == as_png(draw(run))
    picture = Image.open(io.BytesIO(made))
    assert picture.size == (2 * 1280, 2 * int(ET.fromstring(draw(run)).attrib["height"]))
    counted = {colour: number for number, colour in picture.getcolors(1_000_000) or []}
    assert counted[0xF0, 0xC3, 0x6D] > 2 * 440 * 2 * 10  # the bar of the question, nearly as long as the run
    assert counted[0xC6, 0x28, 0x28] > 100  # the denial, and the word
    before = Image.open(io.BytesIO(as_png(draw(build([entry(1, "decision", "allow", agent="\u4e2d")])))))
    other = Image.open(io.BytesIO(as_png(draw(build([entry(1, "decision", "allow", agent="\u6587")])))))
    assert before.tobytes() != other.tobytes()  # no boxes that all look alike


def test_what_no_png_can_be_made_of_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    long = build([entry(seq, "decision", "allow") for seq in range(1, 1_000)])
    with pytest.raises(ConfigurationError, match="too many actions for one PNG"):
        as_png(draw(long))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigurationError, match="which are not installed"):
        as_png(draw(build([entry(1, "decision", "allow")])))
