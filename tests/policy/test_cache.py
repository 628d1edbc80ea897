"""Decisions are given again only where they cannot have changed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.decision import Decision, Effect, Obligation
from openclaw.errors import ConfigurationError
from openclaw.governance import Governance
from openclaw.policy import open_engine, regorus
from openclaw.policy.bundle import Bundle, Module
from openclaw.policy.cache import CachingEngine, cached, hindrances
from openclaw.policy.late_cache import LateCache
from openclaw.policy.live import LivePolicy
from openclaw.policy.reads import Read, Reads, reads_of
from tests.policy.support import policy, write_folder

READS = Reads((Read(("tool", "name"), "p.rego", 1, 1),), ())


class Counting:
    """An engine that says how often it was asked, and answers what it is told to."""

    name = "counting 1.0"
    revision = "sha256:" + "0" * 64

    def __init__(self) -> None:
        self.asked: list[Mapping[str, JsonValue]] = []
        self.answer = Decision(effect=Effect.ALLOW, revision=self.revision, engine=self.name)
        self.closed = False

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        self.asked.append(input)
        return self.answer

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        return self.evaluate(input)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def engine() -> Counting:
    return Counting()


@pytest.fixture(params=["native key", "python key"])
def cache(request: pytest.FixtureRequest, engine: Counting, monkeypatch: pytest.MonkeyPatch) -> CachingEngine:
    if request.param == "python key":
        monkeypatch.setattr(regorus, "available", lambda: False)
    return CachingEngine(engine, READS, entries_max=3)


def call(name: str, **rest: JsonValue) -> dict[str, JsonValue]:
    return {"tool": {"name": name, "call_id": "c"}, **rest}


def test_what_is_not_read_makes_no_difference(cache: CachingEngine, engine: Counting) -> None:
    for number in range(3):
        assert cache.evaluate(call("a", now=number)).allowed
    assert len(engine.asked) == 1
    assert (cache.stats.hits, cache.stats.misses, cache.stats.entries) == (2, 1, 1)


def test_what_is_read_does(cache: CachingEngine, engine: Counting) -> None:
    cases: list[dict[str, JsonValue]] = [
        call("a"),
        call("b"),
        {"tool": {}},
        {},
        {"tool": "a"},
        {"tool": {"name": None}},
    ]
    for document in cases:
        cache.evaluate(document)
    assert engine.asked == cases


async def test_sync_and_async_share_what_is_kept(cache: CachingEngine, engine: Counting) -> None:
    cache.evaluate(call("a"))
    assert (await cache.aevaluate(call("a"))).allowed
    assert (await cache.aevaluate(call("b"))).allowed
    assert cache.evaluate(call("b")).allowed
    assert len(engine.asked) == 2


@pytest.mark.parametrize(
    "code", ["engine_error", "engine_crashed", "deadline", "unreachable", "bad_input", "undefined"]
)
def test_a_failure_is_the_failure_of_one_call(cache: CachingEngine, engine: Counting, code: str) -> None:
    well = engine.answer
    engine.answer = Decision.deny("no", code=code, revision=engine.revision)  # type: ignore[arg-type]
    assert cache.evaluate(call("a")).code == code
    engine.answer = well
    assert cache.evaluate(call("a")).allowed


@pytest.mark.parametrize("code", ["policy", "no_policy"])
def test_a_denial_by_the_policy_is_kept(cache: CachingEngine, engine: Counting, code: str) -> None:
    engine.answer = Decision.deny("no", code=code, revision=engine.revision)  # type: ignore[arg-type]
    assert cache.evaluate(call("a")) == cache.evaluate(call("a")) == engine.answer
    assert len(engine.asked) == 1


def test_the_one_not_asked_for_longest_goes_first(cache: CachingEngine, engine: Counting) -> None:
    for name in ["a", "b", "c", "a", "d", "a", "b"]:
        cache.evaluate(call(name))
    assert [str(asked["tool"]["name"]) for asked in engine.asked] == ["a", "b", "c", "d", "b"]  # type: ignore[index,call-overload]
    assert cache.stats.entries == 3


def test_bytes_are_bounded_too(engine: Counting) -> None:
    cache = CachingEngine(engine, READS, bytes_max=5_000)
    for number in range(100):
        cache.evaluate(call(f"{number} {'x' * 400}"))
        assert cache.stats.bytes <= 5_000
    assert 1 < cache.stats.entries < 10


def test_an_input_of_which_much_is_read_is_decided_each_time(cache: CachingEngine, engine: Counting) -> None:
    for _ in range(2):
        cache.evaluate(call("x" * 20_000))
    assert len(engine.asked) == 2
    assert cache.stats.bypassed == 2
    assert cache.stats.entries == 0


@pytest.mark.parametrize(
    "unread",
    [float("nan"), 2**60, "\ud800", b"x", {"a": {1, 2}}, [[["x"] * 2] * 2, object()]],
    ids=lambda value: type(value).__name__,
)
def test_an_input_that_no_engine_takes_is_never_found(
    cache: CachingEngine, engine: Counting, unread: JsonValue
) -> None:
    cache.evaluate(call("a"))
    cache.evaluate(call("a", unread=unread))
    assert len(engine.asked) == 2


def test_an_input_that_is_too_deep_is_never_found(cache: CachingEngine, engine: Counting) -> None:
    deep: JsonValue = 1
    for _ in range(100):
        deep = [deep]
    cache.evaluate(call("a"))
    cache.evaluate(call("a", unread=deep))
    assert len(engine.asked) == 2


def test_a_caller_cannot_change_what_the_next_one_gets(cache: CachingEngine, engine: Counting) -> None:
    duty = Obligation.model_validate({"kind": "mask", "fields": ["args.iban"], "deep": {"a": [1]}})
    engine.answer = engine.answer.model_copy(update={"obligations": (duty,)})
    for _ in range(3):
        params = cache.evaluate(call("a")).obligations[0].params
        assert params == {"fields": ["args.iban"], "deep": {"a": [1]}}
        params["fields"].append("args")  # type: ignore[union-attr]
        params["deep"]["a"].clear()  # type: ignore[index,union-attr,call-overload]
        if len(engine.asked) == 1:
            duty = Obligation.model_validate({"kind": "mask", "fields": ["args.iban"], "deep": {"a": [1]}})
            engine.answer = engine.answer.model_copy(update={"obligations": (duty,)})
    assert len(engine.asked) == 1


def test_another_revision_is_not_answered_from_the_old_one(cache: CachingEngine, engine: Counting) -> None:
    cache.evaluate(call("a"))
    engine.revision = "sha256:" + "1" * 64  # type: ignore[misc]
    engine.answer = Decision(effect=Effect.DENY, revision=engine.revision)
    assert not cache.evaluate(call("a")).allowed
    assert cache.revision == engine.revision


def test_a_closed_engine_answers_nothing_from_memory(cache: CachingEngine, engine: Counting) -> None:
    cache.evaluate(call("a"))
    cache.close()
    assert engine.closed
    engine.answer = Decision.deny("the policy engine is closed", code="engine_error", revision=engine.revision)
    assert cache.evaluate(call("a")).code == "engine_error"
    assert cache.stats.entries == 0


def test_threads_count_and_keep_together(engine: Counting) -> None:
    cache = CachingEngine(engine, READS, entries_max=50)

    def work(start: int) -> None:
        for number in range(500):
            assert cache.evaluate(call(str((start + number) % 60))).allowed

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 60, 15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = cache.stats
    assert stats.hits + stats.misses == 2000
    assert stats.misses == len(engine.asked)
    assert stats.entries == 50


# -- where ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        'allow if input.now > "2026"',
        "allow if input.run.calls < 3",
        "allow if input.run.step < 3",
        "allow if count(input.run) > 0",
        "allow if input.budget.remaining.calls > 1",
        'allow if input.tool.call_id != ""',
        "allow if count(input.tool) > 0",
        "allow if input",
        "allow if time.now_ns() > 0",
        'allow if rand.intn("x", 2) == 0',
        "allow if data.p.x with input as {}",
    ],
)
def test_what_is_new_in_every_call_is_never_kept(rule: str, engine: Counting) -> None:
    bundle = Bundle.of([Module(path="p.rego", shown="x/p.rego", text=policy(rule))], {})
    assert cached(engine, bundle) is engine
    assert hindrances(reads_of(bundle))[0].startswith("x/p.rego:3:")


def test_the_hindrance_says_what_and_where() -> None:
    text = policy("allow if {\n\tinput.now\n\ttime.now_ns() > 0\n}")
    found = hindrances(reads_of(Bundle.of([Module(path="p.rego", shown="p.rego", text=text)], {})))
    assert found == [
        "p.rego:5:2: `time.now_ns` is no function of the input",
        "p.rego:4:2: `input.now` is read, and `input.now` is new in every call",
    ]


def test_a_folder_is_cached_unless_told_otherwise(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "policies", {"main": policy('allow if input.tool.name == "a"')})
    with Governance.open(f"sqlite:///{tmp_path}/a.db", policies=folder) as opened:
        assert isinstance(opened.policy, LivePolicy)
        assert isinstance(opened.policy.engine, CachingEngine)
        assert [opened.policy.evaluate(call("a")).allowed for _ in range(2)] == [True, True]
        assert opened.policy.engine.stats.hits == 1
        write_folder(folder, {"main": policy('allow if input.tool.name == "b"')})
        assert opened.reload().outcome == "replaced"
        assert isinstance(opened.policy.engine, CachingEngine)
        assert not opened.policy.evaluate(call("a")).allowed, "nothing is kept from one revision to another"
    with Governance.open(f"sqlite:///{tmp_path}/a.db", policies=folder, cache=False) as opened:
        assert isinstance(opened.policy, LivePolicy)
        assert not isinstance(opened.policy.engine, CachingEngine)
    with pytest.raises(ConfigurationError, match="a cache of -1 decisions is none"):
        Governance.open(f"sqlite:///{tmp_path}/a.db", policies=folder, cache=-1)


def test_an_engine_that_is_asked_once_has_no_cache(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "policies", {"main": policy('allow if input.tool.name == "a"')})
    assert not isinstance(open_engine(folder, cache=0), LateCache)
    kept = open_engine(folder, cache=2)
    assert isinstance(kept, LateCache)
    assert (kept.evaluate(call("a")).allowed, kept.made) == (True, None)
    for name in "abcabc":
        assert kept.evaluate(call(name)).allowed is (name == "a")
    assert isinstance(kept.made, CachingEngine)
    assert kept.made.stats.entries == 2
    assert (kept.name, kept.revision, kept.results) == (kept.engine.name, kept.engine.revision, kept.engine.results)
    kept.close()
    assert kept.evaluate(call("a")).code == "engine_error"
    with pytest.raises(ConfigurationError, match="a cache of -1 decisions is none"):
        open_engine(folder, cache=-1)


@pytest.mark.parametrize("decisions", [0, 1, 2])
async def test_a_closed_engine_stays_closed_whenever_its_cache_would_be_made(tmp_path: Path, decisions: int) -> None:
    folder = write_folder(tmp_path / "policies", {"main": policy('allow if input.tool.name == "a"')})
    engine = open_engine(folder)
    for _ in range(decisions):
        await engine.aevaluate(call("a"))
    engine.close()
    assert not (await engine.aevaluate(call("a"))).allowed
    assert not engine.evaluate(call("a")).allowed


def test_where_decisions_cannot_be_kept_the_engine_goes_on_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "policies", {"main": policy('allow if input.tool.call_id != ""')})
    with contextlib.closing(open_engine(folder)) as engine:
        assert isinstance(engine, LateCache)
        assert [engine.evaluate(call("a")).code for _ in range(3)] == ["policy"] * 3
        assert engine.made is engine.engine


def test_an_engine_of_ones_own_is_always_asked(engine: Counting) -> None:
    assert open_engine(engine, cache=True) is engine
