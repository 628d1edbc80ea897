"""The child processes: their crashes, their ends, and what regopy would misread."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openclaw.decision import Effect
from openclaw.errors import PolicyError
from openclaw.policy import regopy
from openclaw.policy.bundle import Bundle
from openclaw.policy.regopy import RegopyEngine
from tests.policy.support import policy, write_folder

Open = Callable[..., RegopyEngine]


@pytest.fixture
def open_regopy(tmp_path: Path) -> Iterator[Open]:
    with contextlib.ExitStack() as stack:

        def make(rules: str, **files: str) -> RegopyEngine:
            folder = write_folder(
                tmp_path, {"main": policy(rules)} | {f.replace("__", "."): t for f, t in files.items()}
            )
            return stack.enter_context(contextlib.closing(RegopyEngine(Bundle.read(folder), deadline_s=10)))

        yield make


def pids(engine: RegopyEngine) -> set[int]:
    return {child._process.pid for child in engine._pool._all}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_crash_is_a_deny_and_the_next_decision_is_made(open_regopy: Open) -> None:
    engine = open_regopy('allow if input.x == "short"\n\nallow if regex.match(`^(a|b)*$`, input.x)')
    decision = engine.evaluate({"x": "ab" * 200_000})
    assert (decision.effect, decision.code) == (Effect.DENY, "engine_crashed")
    assert decision.reasons == ("the policy engine crashed: its process ended (signal 11)",)
    assert engine.evaluate({"x": "short"}).allowed


def test_a_child_that_is_killed_between_two_decisions_is_replaced(open_regopy: Open) -> None:
    engine = open_regopy("allow if true")
    children = list(engine._pool._all)
    for child in children:
        os.kill(child._process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child._process.pid, os.WEXITED | os.WNOWAIT)
    assert all(engine.evaluate({}).allowed for _ in range(5))
    assert engine._pool._all != set(children)


def test_a_child_is_replaced_after_its_share_of_evaluations(open_regopy: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regopy, "EVALUATIONS_PER_CHILD", 3)
    engine = open_regopy("allow if true")
    seen: set[int] = set()
    for _ in range(12):
        assert engine.evaluate({}).allowed
        seen |= pids(engine)
    assert len(seen) == regopy.CHILDREN + 12 // 3
    assert sum(map(alive, seen)) == regopy.CHILDREN


def test_closing_ends_all_children(open_regopy: Open) -> None:
    engine = open_regopy("allow if true")
    children = pids(engine)
    engine.close()
    assert not any(map(alive, children))


def test_an_engine_that_is_dropped_ends_its_children(tmp_path: Path) -> None:
    engine = RegopyEngine(Bundle.read(write_folder(tmp_path, {"main": policy("allow if true")})))
    children = pids(engine)
    assert children
    del engine
    gc.collect()
    assert not any(map(alive, children))


def test_an_interrupt_while_waiting_does_not_leave_an_answer_for_the_next(open_regopy: Open) -> None:
    engine = open_regopy('allow if input.n == 1\n\ndeny contains sprintf("%d", [input.n]) if input.n != 1')
    child = engine._pool._free.get()
    engine._pool._free.put(child)
    receive = child._receive

    def interrupted(size: int, until: float) -> bytes:
        raise KeyboardInterrupt

    child._receive = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        engine.evaluate({"n": 7})
    child._receive = receive  # type: ignore[method-assign]
    with ThreadPoolExecutor(4) as threads:
        reasons = [decision.reasons for decision in threads.map(lambda n: engine.evaluate({"n": n}), range(2, 20))]
    assert reasons == [(str(n),) for n in range(2, 20)]


def _ask_in_fork(engine: RegopyEngine, answers: multiprocessing.Queue[list[bool]]) -> None:
    answers.put([engine.evaluate({"n": 2}).allowed for _ in range(20)])
    engine.close()


def test_a_forked_process_has_children_of_its_own(open_regopy: Open) -> None:
    engine = open_regopy("allow if input.n == 1")
    children = pids(engine)
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[list[bool]] = context.Queue()
    process = context.Process(target=_ask_in_fork, args=(engine, answers))
    process.start()
    mine = [engine.evaluate({"n": 1}).allowed for _ in range(20)]
    assert answers.get(timeout=60) == [False] * 20
    assert mine == [True] * 20
    process.join()
    assert process.exitcode == 0
    assert pids(engine) == children
    assert all(map(alive, children))


def test_policies_that_crash_the_compiler_are_refused(open_regopy: Open) -> None:
    with pytest.raises(PolicyError, match="regopy crashed over the policies"):
        open_regopy('allow if other with input as {"x": 1}\n\nother if upper(input.x) == "A"')


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("allow if not blockt", "nothing gives `blockt` a value"),
        ("allow if input.a with input.a as input.b", "goes on with the value that `with` should have replaced"),
        ('f(a, b) := {concat(a, [x]) | some x in b}\n\nallow if f("", [])', "regopy loses the parameter `a`"),
        ("allow if regex.match(input.p, input.x)", "patterns of another dialect"),
        ("allow if regex.match(`(?=x)`, input.x)", "patterns of another dialect"),
    ],
)
def test_what_regopy_takes_for_something_else_is_refused(open_regopy: Open, rules: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        open_regopy(rules)
    assert caught.value.diagnostics[0].line == 3


@pytest.mark.parametrize(
    ("rules", "text", "refused"),
    [
        ("allow if startswith(input.x, `a`)", "a\n", True),
        ("allow if startswith(input.x, `a`)", "a\u00e9", False),
        ("allow if lower(input.x) != `b`", "a\u00e9", True),
        ("allow if count(input.x) > 0", 'a"', True),
        ('allow if input.x != "b"', 'a"\n\\\u00e9', False),
        (r"allow if input.x != `b\d`", "a\\", True),
    ],
)
def test_text_that_the_policies_would_not_see_as_it_is_is_refused(
    open_regopy: Open, rules: str, text: str, refused: bool
) -> None:
    engine = open_regopy(rules)
    decision = engine.evaluate({"x": text})
    assert decision.allowed is not refused
    assert decision.code == ("bad_input" if refused else "policy")
    assert engine.evaluate({"x": "a"}).allowed


def test_data_that_the_policies_would_not_see_as_it_is_is_refused(open_regopy: Open) -> None:
    with pytest.raises(PolicyError, match="regopy cannot use the data files"):
        open_regopy("allow if startswith(input.x, data.prefix)", data__json='{"prefix": "a\\n"}')


def test_what_a_policy_prints_reaches_nobody(open_regopy: Open, capfd: pytest.CaptureFixture[str]) -> None:
    assert open_regopy('allow if { print("secret"); true }').evaluate({}).allowed
    assert capfd.readouterr() == ("", "")
