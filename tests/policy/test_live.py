"""Policies that change while they decide: what goes live, what is refused, and what a call in the middle sees."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.decision import Decision, Effect
from openclaw.errors import ConfigurationError, PolicyError, PolicyUnavailable, StoreError
from openclaw.policy import BundleFile, Opa, PolicyEngine, PolicyFolder, regorus, source
from openclaw.policy import live as module
from openclaw.policy.bundle import Bundle
from openclaw.policy.live import LivePolicy, Reload, open_live
from openclaw.policy.results import Results
from openclaw.policy.source import FolderSource
from tests.conftest import require
from tests.policy.bundles import archive
from tests.policy.support import ALLOW_ALL, HOW_NATIVE, policy, write_folder
from tests.support import opa

CLOSED = "the policy engine is closed"
ONE, TWO = policy('deny contains "one" if true'), policy('deny contains "two" if true')
CASES = "- name: it is so\n  input: {}\n  expect: {effect: deny, reasons: [%s]}\n"


@pytest.fixture(params=["regorus", "regopy"])
def engine_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Once for each embedded engine."""
    if request.param == "regorus":
        require("native", regorus.available(), HOW_NATIVE)
    else:
        monkeypatch.setattr(regorus, "available", lambda: False)
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "policies", {"main": ONE})


def opened(policies: object) -> LivePolicy:
    live = open_live(policies)  # type: ignore[arg-type]
    assert isinstance(live, LivePolicy)
    return live


@pytest.fixture
def live(folder: Path) -> Iterator[LivePolicy]:
    with contextlib.closing(opened(folder)) as policy:
        yield policy


def test_a_change_goes_live_when_it_is_looked_at(engine_name: str, folder: Path) -> None:
    with contextlib.closing(opened(folder)) as live:
        assert live.name.startswith(engine_name)
        before = live.evaluate({})
        assert (before.reasons, before.revision) == (("one",), live.revision)
        assert live.reload().outcome == "unchanged"
        write_folder(folder, {"main": TWO, "main_cases.yaml": CASES % "two"})
        assert live.evaluate({}) == before
        found = live.reload()
        assert found == Reload(
            outcome="replaced",
            where=str(folder),
            revision=Bundle.read(folder).revision,
            engine=live.name,
            previous=before.revision,
            candidate=Bundle.read(folder).revision,
            tests=1,
        )
        after = live.evaluate({})
        assert (after.reasons, after.revision) == (("two",), found.revision)
        assert asyncio.run(live.aevaluate({})) == after
    closed = live.evaluate({})
    assert (closed.effect, closed.reasons) == (Effect.DENY, (CLOSED,))
    assert asyncio.run(live.aevaluate({})).reasons == (CLOSED,)


BAD: dict[str, tuple[dict[str, str], str]] = {
    "syntax": ({"main": "package openclaw.policies.main\n\nallow if {\n"}, "main.rego:"),
    "placement": ({"x": "package openclaw.policies.a.b\n\nallow if true\n"}, "lies deeper than"),
    "built-in": ({"main": policy("allow if nobody.knows(input.x)")}, "`nobody.knows` is no function that"),
    "data": ({"main": TWO, "data.json": "{"}, "data.json:1:2"),
    "case": ({"main": TWO, "main_cases.yaml": CASES % "three"}, "fails: the decision is another one"),
    "cases": ({"main": TWO, "main_cases.yaml": "- name: x\n"}, "the cases cannot be read"),
    "rules": ({"main": TWO, "decision.rego": "package openclaw\n\ndecision := 1\n"}, "package `openclaw` is reserved"),
    "roots": ({"main": TWO, ".manifest": '{"roots": ["lib"]}'}, "outside the roots of the manifest"),
}


@pytest.mark.parametrize("wrong", BAD)
def test_what_is_bad_is_refused_and_the_old_stays(engine_name: str, folder: Path, wrong: str) -> None:
    files, said = BAD[wrong]
    told: list[Reload] = []
    with contextlib.closing(opened(folder)) as live:
        before = live.evaluate({})
        live.watch(told.append)
        write_folder(folder, files)
        found = live.poll()
        assert found.outcome == "refused"
        assert said in "\n".join(found.reasons)
        assert found.revision == live.revision == before.revision
        assert live.evaluate({}) == before
        assert live.poll().outcome == "unchanged"  # It has been looked at, and nobody is told twice.
        assert told == [found]
        assert live.reload() == found  # Who asks is told again.
        for name in files:
            (folder / (name if "." in name else f"{name}.rego")).unlink()
        write_folder(folder, {"main": TWO})
        assert live.poll().outcome == "replaced"
        assert live.evaluate({}).reasons == ("two",)


def test_rules_that_test_are_run_too(folder: Path) -> None:
    require("native", regorus.available(), HOW_NATIVE)
    test = "package main_test\n\ntest_it if data.openclaw.policies.main.deny == {%s}\n"
    with contextlib.closing(opened(folder)) as live:
        write_folder(folder, {"main": TWO, "main_test.rego": test % '"one"'})
        found = live.reload()
        assert (found.outcome, found.candidate) == ("refused", Bundle.read(folder).revision)
        assert found.reasons[0] == f"a test of policy folder `{folder}` did not pass"
        assert "main_test.rego:3:1: the test `data.main_test.test_it` fails: line 3 does not hold" in found.reasons[1]
        write_folder(folder, {"main_test.rego": test % '"two"'})
        assert (live.reload().outcome, live.evaluate({}).reasons) == ("replaced", ("two",))


def test_without_the_engine_that_runs_them_policies_with_such_tests_do_not_go_live(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regorus, "available", lambda: False)
    files = {"main": TWO, "main_test.rego": "package main_test\n\ntest_it if true\n"}
    with contextlib.closing(opened(folder)) as live:
        found = (write_folder(folder, files), live.reload())[1]
        assert found.outcome == "refused"
        assert "Rego tests need the native engine" in found.reasons[0]
    with contextlib.closing(opened(PolicyFolder(folder, tests=False))) as live:
        write_folder(folder, {"main": ONE})
        assert live.reload().outcome == "replaced"


def test_a_bundle_is_tested_before_the_first_of_it_decides_and_a_folder_is_opened_as_it_is(tmp_path: Path) -> None:
    files = {"main.rego": ONE, "main_cases.yaml": CASES % "three"}
    file = tmp_path / "b.tar.gz"
    file.write_bytes(archive(files))
    with pytest.raises(PolicyError, match=r"a test of bundle .* did not pass"):
        open_live(file)
    open_live(BundleFile(file, tests=False)).close()
    open_live(write_folder(tmp_path / "f", files)).close()


def test_a_file_that_is_replaced_goes_live(tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    file.write_bytes(archive({"main.rego": ONE, ".manifest": '{"revision": "first"}'}))
    told: list[Reload] = []
    with contextlib.closing(opened(file)) as live:
        live.watch(told.append)
        file.write_bytes(archive({"main.rego": ONE, "notes.txt": "another archive, the same content"}))
        assert live.poll().outcome == "unchanged"
        file.write_bytes(archive({"main.rego": TWO, ".manifest": '{"revision": "second"}'}))
        found = live.poll()
        assert (found.outcome, found.named) == ("replaced", "second")
        file.write_bytes(b"not an archive")
        assert live.poll().reasons[0].startswith(f"bundle `{file}` cannot be read: it is no intact gzip file")
        file.unlink()
        assert [live.poll().outcome, live.poll().outcome] == ["unavailable", "unavailable"]
        assert [found.outcome for found in told] == ["replaced", "refused", "unavailable"]
        assert live.reload().reasons == (f"bundle `{file}` cannot be read: no such file or directory",)
        assert live.evaluate({}).reasons == ("two",)


def test_what_cannot_be_recorded_does_not_go_live(folder: Path, live: LivePolicy) -> None:
    def fails(_: Reload) -> None:
        raise StoreError("the disk is full")

    live.watch(fails)
    write_folder(folder, {"main": TWO})
    with pytest.raises(StoreError):
        live.poll()
    assert live.evaluate({}).reasons == ("one",)
    with pytest.raises(StoreError):
        live.poll()  # Nothing was concluded, so it is looked at again.
    live.watch(None)
    assert live.poll().outcome == "replaced"


def test_a_listener_is_told_before_anything_is_decided_by_it(folder: Path, live: LivePolicy) -> None:
    seen: list[tuple[str, str]] = []
    live.watch(lambda found: seen.append((found.revision, live.evaluate({}).revision)))
    before = live.revision
    write_folder(folder, {"main": TWO})
    live.reload()
    assert seen == [(Bundle.read(folder).revision, before)]


def test_a_folder_that_is_being_written_to_is_left_alone(
    folder: Path, live: LivePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, reads = source.read_folder, iter(range(100))

    def writing(path: Path) -> object:
        write_folder(folder, {"other": f"package other\n\nx := {next(reads)}\n"})
        return reading(path)

    monkeypatch.setattr(source, "read_folder", writing)
    found = live.reload()
    assert (found.outcome, found.reasons[0].split(";")[0]) == (
        "unavailable",
        f"policy folder `{folder}` is being changed",
    )
    monkeypatch.undo()
    assert live.poll().outcome == "replaced"


# Calls in the middle.


class Scripted:
    """An engine whose calls wait to be let go."""

    name = "scripted 1"
    results = Results.UNREAD

    def __init__(self, revision: str) -> None:
        self.revision = revision
        self.closed = False
        self.entered = threading.Event()
        self.go = threading.Event()

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        assert not self.closed, "decided after it was closed"
        self.entered.set()
        if input.get("wait"):
            assert self.go.wait(30)
        assert not self.closed, "closed in the middle of a call"
        return Decision(effect=Effect.ALLOW, revision=self.revision, engine=self.name)

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        self.entered.set()
        while input.get("wait") and not self.go.is_set():  # noqa: ASYNC110 - threads set it too
            await asyncio.sleep(0)
        return self.evaluate({})

    def close(self) -> None:
        self.closed = True


class ScriptedDeciders:
    def __init__(self) -> None:
        self.made: list[Scripted] = []

    def check(self, bundle: Bundle) -> Scripted:
        self.made.append(Scripted(bundle.revision))
        return self.made[-1]

    def install(self, bundle: Bundle, checked: PolicyEngine | None) -> PolicyEngine:
        assert checked is not None
        return checked

    def put_back(self, engine: PolicyEngine, bundle: Bundle) -> None:
        pass


@pytest.fixture
def scripted(folder: Path) -> Iterator[tuple[LivePolicy, list[Scripted]]]:
    deciders = ScriptedDeciders()
    with contextlib.closing(LivePolicy(FolderSource(folder), deciders)) as policy:
        yield policy, deciders.made


def test_a_call_in_the_middle_ends_on_the_engine_that_it_began_with(
    folder: Path, scripted: tuple[LivePolicy, list[Scripted]]
) -> None:
    live, engines = scripted
    answers: list[Decision] = []
    thread = threading.Thread(target=lambda: answers.append(live.evaluate({"wait": True})))
    thread.start()
    assert engines[0].entered.wait(30)
    write_folder(folder, {"main": TWO})
    assert live.reload().outcome == "replaced"
    assert live.evaluate({}).revision == engines[1].revision
    assert not engines[0].closed
    engines[0].go.set()
    thread.join()
    assert answers[0].revision == engines[0].revision
    assert engines[0].closed
    assert not engines[1].closed
    live.close()
    assert engines[1].closed


def test_a_call_that_meets_a_replacement_just_before_it_begins_is_decided_by_the_new_engine(
    folder: Path, scripted: tuple[LivePolicy, list[Scripted]], monkeypatch: pytest.MonkeyPatch
) -> None:
    live, engines = scripted
    enter = module._Held.enter

    def too_late(held: module._Held) -> bool:
        monkeypatch.setattr(module._Held, "enter", enter)
        write_folder(folder, {"main": TWO})
        assert live.reload().outcome == "replaced"
        assert engines[0].closed
        return enter(held)

    monkeypatch.setattr(module._Held, "enter", too_late)
    assert live.evaluate({}).revision == engines[1].revision


async def test_an_awaited_call_ends_on_its_engine_also_when_it_is_cancelled(
    folder: Path, scripted: tuple[LivePolicy, list[Scripted]]
) -> None:
    live, engines = scripted
    tasks = [asyncio.create_task(live.aevaluate({"wait": True})) for _ in range(2)]
    while not engines[0].entered.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0)
    write_folder(folder, {"main": TWO})
    live.reload()
    assert not engines[0].closed
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert not engines[0].closed
    engines[0].go.set()
    assert (await tasks[1]).revision == engines[0].revision
    assert engines[0].closed


def test_an_engine_that_replaces_nothing_is_closed(folder: Path, scripted: tuple[LivePolicy, list[Scripted]]) -> None:
    live, engines = scripted
    write_folder(folder, {"main": TWO, "main_cases.yaml": CASES % "three"})
    assert live.reload().outcome == "refused"
    assert [engine.closed for engine in engines] == [False, True]

    def close_meanwhile(_: Reload) -> None:
        live.close()

    live.watch(close_meanwhile)
    write_folder(folder, {"main_cases.yaml": CASES % "two"})
    assert live.reload().outcome == "unchanged"
    assert [engine.closed for engine in engines] == [True, True, True]


def test_no_call_sees_half_of_each(engine_name: str, folder: Path) -> None:
    """Every answer is that of the revision which it names, while policies change under many threads."""
    answers: list[Decision] = []
    done = threading.Event()
    with contextlib.closing(opened(folder)) as live:

        def ask() -> None:
            while not done.is_set():
                answers.append(live.evaluate({}))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        told = {live.revision: "one"}
        for number in range(6):
            write_folder(folder, {"main": policy(f'deny contains "{number}" if true')})
            assert live.reload().outcome == "replaced"
            told[live.revision] = str(number)
        done.set()
        for thread in threads:
            thread.join()
    # On a busy machine a deadline may pass, and that is no policy's answer.
    decided = [decision for decision in answers if decision.code != "deadline"]
    assert [decision for decision in decided if decision.reasons != (told[decision.revision],)] == []
    assert len({decision.revision for decision in decided}) > 1


# Looking by itself.


def test_it_looks_by_itself_where_it_is_told_how_often(folder: Path) -> None:
    told, seen = threading.Event(), list[Reload]()

    def listen(found: Reload) -> None:
        if found.outcome != "unavailable":  # It may look while the file is being written.
            seen.append(found)
            told.set()

    live = opened(PolicyFolder(folder, poll_s=0.001))
    live.watch(listen)
    live.start()
    live.start()
    write_folder(folder, {"main": TWO})
    assert told.wait(30)
    live.watch(None)
    thread = live._thread
    assert thread is not None
    live.close()
    thread.join(30)
    assert not thread.is_alive()
    assert [found.outcome for found in seen] == ["replaced"]
    assert live.reload().outcome == "unchanged"
    live.start()
    assert not any(it.name == "openclaw-policy" and it is not thread for it in threading.enumerate())


def test_the_time_between_two_looks_is_drawn_from_its_range(folder: Path) -> None:
    drawn: list[tuple[float, float]] = []

    def draw(least: float, most: float) -> float:
        drawn.append((least, most))
        return 7.0

    deciders = ScriptedDeciders()
    with contextlib.closing(LivePolicy(FolderSource(folder, poll_s=(60, 120)), deciders, draw=draw)) as live:
        assert live.wait_s() == 7.0
    assert drawn == [(60, 120)]
    with contextlib.closing(opened(PolicyFolder(folder, poll_s=(60, 120)))) as live:
        assert all(60 <= (live.wait_s() or 0) <= 120 for _ in range(100))
        assert len({live.wait_s() for _ in range(10)}) > 1


def test_a_failing_record_does_not_end_the_looking(folder: Path) -> None:
    outcomes: list[str] = []
    done = threading.Event()

    def fail_twice(found: Reload) -> None:
        if found.outcome == "unavailable":
            return
        outcomes.append(found.outcome)
        if len(outcomes) < 3:
            raise StoreError("the disk is full")
        done.set()

    live = opened(PolicyFolder(folder, poll_s=0.001))
    live.watch(fail_twice)
    live.start()
    write_folder(folder, {"main": TWO})
    assert done.wait(30)
    live.watch(None)
    live.close()
    assert outcomes[:3] == ["replaced"] * 3


def test_a_policy_that_is_forgotten_ends_its_thread(folder: Path) -> None:
    live = opened(PolicyFolder(folder, poll_s=0.001))
    live.start()
    thread = live._thread
    assert thread is not None
    del live
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("poll_s", [0, -1, float("nan"), float("inf"), (5, 1), (0, 5)])
def test_an_interval_that_is_none_is_refused(folder: Path, poll_s: float) -> None:
    with pytest.raises(ConfigurationError, match="an interval of"):
        PolicyFolder(folder, poll_s=poll_s)


def _in_fork(live: LivePolicy, folder: Path, answers: multiprocessing.Queue[list[str]]) -> None:
    told = threading.Event()
    live.watch(lambda found: told.set() if found.outcome == "replaced" else None)
    said = [live.evaluate({}).reasons[0]]
    write_folder(folder, {"main": TWO})
    told.wait(30)
    live._looking.acquire()  # The look that told it has ended.
    said += [live.evaluate({}).reasons[0], str(live._thread is not None and live._thread.is_alive())]
    answers.put(said)


def test_a_forked_process_decides_and_looks_by_itself(engine_name: str, folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[list[str]] = context.Queue()
    with contextlib.closing(opened(PolicyFolder(folder, poll_s=0.001))) as live:
        live.watch(lambda _: None)
        live.start()
        process = context.Process(target=_in_fork, args=(live, folder, answers))
        process.start()
        assert answers.get(timeout=60) == ["one", "two", "True"]
        process.join()


# A server.


def test_policies_on_a_server_are_replaced_and_put_back(opa_binary: str, folder: Path) -> None:
    told: list[Reload] = []
    with opa.server(opa_binary) as url:
        live = opened(Opa(url, policies=folder, timeout_s=5))
        live.watch(told.append)
        assert live.evaluate({}).reasons == ("one",)
        write_folder(folder, {"main": TWO})
        assert live.poll().outcome == "replaced"
        assert (live.evaluate({}).reasons, live.evaluate({}).revision) == (("two",), live.revision)
        assert asyncio.run(live.aevaluate({})).revision == live.revision
        write_folder(folder, {"main": policy("allow if nobody(input.x)")})
        found = live.poll()
        assert found.outcome == "refused"
        assert "main.rego:3:10: undefined function nobody" in "\n".join(found.reasons)
        assert live.evaluate({}).reasons == ("two",)
        assert asyncio.run(live.aevaluate({})).revision == live.revision
        write_folder(folder, {"main": ONE, "main_cases.yaml": CASES % "three"})
        assert live.poll().outcome == "refused"
        assert live.evaluate({}).reasons == ("two",)
    write_folder(folder, {"main_cases.yaml": CASES % "one"})
    with contextlib.closing(live):
        assert [live.poll().outcome, live.poll().outcome] == ["unavailable"] * 2
        assert [found.outcome for found in told] == ["replaced", "refused", "refused", "unavailable"]
        assert live.evaluate({}).code == "unreachable"


def test_what_a_server_could_not_be_given_is_given_when_it_is_back(
    opa_binary: str, folder: Path, tmp_path: Path
) -> None:
    socket = tmp_path / "opa.sock"
    with opa.server(opa_binary, unix=socket) as url:
        live = opened(Opa(url, policies=folder, timeout_s=5))
    with contextlib.closing(live):
        write_folder(folder, {"main": TWO})
        assert live.poll().outcome == "unavailable"
        write_folder(folder, {"main": ONE})
        with opa.server(opa_binary, unix=socket):
            # What lies there is what had decided, but this server knows nothing of it.
            assert live.poll().outcome == "replaced"
            assert live.evaluate({}).reasons == ("one",)


def test_a_server_of_its_own_policies_and_an_engine_of_ones_own_follow_nothing(opa_binary: str, folder: Path) -> None:
    write_folder(folder, {"main": ALLOW_ALL})
    with opa.server(opa_binary) as url:
        with contextlib.closing(open_live(Opa(url, policies=folder))) as uploaded:
            assert uploaded.evaluate({}).allowed
        with contextlib.closing(open_live(Opa(url))) as engine:
            assert not isinstance(engine, LivePolicy)
            assert open_live(engine) is engine


@pytest.mark.parametrize(
    ("wrong", "error"), [("nowhere", PolicyError), ("nowhere.tar.gz", PolicyUnavailable), (7, ConfigurationError)]
)
def test_opening_nothing_says_so(tmp_path: Path, wrong: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        open_live(tmp_path / wrong if isinstance(wrong, str) else wrong)  # type: ignore[arg-type]


def test_an_address_is_not_taken_for_a_folder() -> None:
    with pytest.raises(ConfigurationError, match=r"write `BundleServer\(url\)` for a bundle"):
        open_live("https://host/bundle.tar.gz?signature=secret")
