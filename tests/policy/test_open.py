"""Which engine decides here, and that the native one stays within its bounds."""

from __future__ import annotations

import json
import os
import threading
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw.errors import ConfigurationError, PolicyError
from openclaw.policy import describe_engine, open_engine, regopy, regorus
from openclaw.policy.bundle import Bundle
from openclaw.policy.engine import encode
from tests.conftest import require
from tests.policy.support import ALLOW_ALL, HOW_NATIVE, policy, write_folder


@pytest.fixture
def native() -> None:
    require("native", regorus.available(), HOW_NATIVE)


def test_a_folder_is_decided_by_the_native_engine_where_it_is_installed(native: None, tmp_path: Path) -> None:
    engine = open_engine(write_folder(tmp_path, {"main": ALLOW_ALL}))
    assert engine.name.startswith("regorus ")
    assert engine.evaluate({}).allowed
    assert describe_engine() == f"{engine.name}, in this process (native extension)"


def test_without_it_regopy_decides_and_the_description_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regorus, "available", lambda: False)
    engine = open_engine(str(write_folder(tmp_path, {"main": ALLOW_ALL})))
    assert engine.name.startswith("regopy ")
    assert engine.evaluate({}).allowed
    engine.close()
    assert describe_engine().startswith(f"{engine.name}, in child processes; for the fast engine install")
    assert "\n" not in describe_engine()


def test_without_any_engine_opening_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regorus, "available", lambda: False)
    monkeypatch.setattr(regopy, "available", lambda: False)
    folder = write_folder(tmp_path, {"main": ALLOW_ALL})
    with pytest.raises(ConfigurationError, match="no policy engine is installed; install"):
        open_engine(folder)
    for engine in (regorus.RegorusEngine, regopy.RegopyEngine):
        with pytest.raises(ConfigurationError):
            engine(Bundle.read(folder))
    assert describe_engine().startswith("none; ")


def test_an_engine_is_its_own_engine(native: None, tmp_path: Path) -> None:
    engine = open_engine(write_folder(tmp_path, {"main": ALLOW_ALL}))
    assert open_engine(engine) is engine


def test_coverage_tells_which_lines_decided(native: None, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"main": policy("allow if input.x == 1\n\nallow if {\n\tinput.y\n\tinput.z\n}")})
    engine = regorus.RegorusEngine(Bundle.read(folder))
    report = json.loads(engine.coverage({"x": 1}))
    (main,) = [file for file in report["files"] if file["path"] == "main.rego"]
    assert main["covered"] == [3, 6]
    assert main["not_covered"] == [7]


def test_a_syntax_error_shows_the_file_as_people_know_it(native: None, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"sub/main": "package openclaw.policies.main\n\nallow { true }\n"})
    with pytest.raises(PolicyError) as caught:
        open_engine(folder)
    (finding,) = caught.value.diagnostics
    assert str(finding) == (
        f"{folder / 'sub' / 'main.rego'}:3:7: `if` keyword is required before rule body; Rego v1 writes `name if {{ … }}`"
    )


def test_the_native_boundary_takes_only_json_and_says_what_is_wrong(native: None) -> None:
    from openclaw import _native

    compiled = _native.Policy.compile([("p.rego", "package p\n\nr := input.x\n")], b"{}", "data.p.r")
    assert compiled.evaluate(b'{"x":[1]}', 1_000_000) == b"[1]"
    assert compiled.evaluate(b"{}", 1_000_000) is None
    assert compiled.packages() == [("p.rego", ["p"])]
    for wrong in (b"", b"{", b"\xff", b"[" * 1000 + b"]" * 1000, b'{"x":1e400}'):
        with pytest.raises(_native.NativeError) as caught:
            compiled.evaluate(wrong, 1_000_000)
        assert caught.value.kind == "input"
    with pytest.raises(_native.NativeError) as caught:
        _native.Policy.compile([("p.rego", "package p\n\nr := 1\n")], b"{}", "data.p.q")
    assert caught.value.kind == "compile"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
documents = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_size=5,
)


@given(document=documents)
def test_an_input_of_plain_objects_means_what_its_json_means(document: dict[str, object]) -> None:
    require("native", regorus.available(), HOW_NATIVE)
    from openclaw import _native

    echo = _native.Policy.compile([("p.rego", "package p\n\nr := [input, json.marshal(input)]\n")], b"{}", "data.p.r")
    try:
        answer = echo.evaluate_plain(document, 10**7)
    except _native.NativeError:
        return  # The next test says for which.
    assert answer == echo.evaluate(encode(document), 10**7)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1.0, 2**53, "\ud800", (1,), {1: 2}, b"x", True, [[[[1]]]], StrEnum("E", ["A"]).A])
def test_only_plain_objects_go_without_json(native: None, value: object) -> None:
    from openclaw import _native

    echo = _native.Policy.compile([("p.rego", "package p\n\nr := input\n")], b"{}", "data.p.r")
    if value is True or value == [[[[1]]]]:
        assert json.loads(echo.evaluate_plain({"v": value}, 10**7) or b"") == {"v": value}
        return
    with pytest.raises(_native.NativeError, match="the input is not plain"):
        echo.evaluate_plain({"v": value}, 10**7)


def test_an_error_inside_a_policy_has_its_place(native: None, tmp_path: Path) -> None:
    engine = open_engine(write_folder(tmp_path, {"main": policy("allow if to_number(input.x) == 1")}))
    assert engine.evaluate({"x": "y"}).reasons == (
        'the policy failed: main.rego:3:19: to_number: parsing "y": invalid syntax',
    )


def test_a_chain_of_rules_does_not_overflow_the_stack_of_a_thread(native: None, tmp_path: Path) -> None:
    links = "\n\n".join(f"r{number} if r{number + 1}" for number in range(300))
    engine = open_engine(write_folder(tmp_path, {"main": policy(f"allow if r0\n\n{links}\n\nr300 if input.x")}))
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(engine.evaluate({"x": True}).allowed))
    thread.start()
    thread.join()
    assert answers == [True]


# -- copies for threads --------------------------------------------------------------------------------------------------

SLOW = policy(
    """\
sum_of_squares := sum([square | some n in numbers.range(1, input.upto); square := n * n])

deny contains sprintf("%d", [sum_of_squares]) if input.upto
"""
)


def test_one_thread_decides_on_one_copy(native: None, tmp_path: Path) -> None:
    engine = regorus.RegorusEngine(Bundle.read(write_folder(tmp_path, {"main": SLOW})))
    for upto in range(20):
        engine.evaluate({"upto": upto})
    assert engine.copies == 1


def test_threads_at_the_same_time_get_copies_and_the_same_answers(native: None, tmp_path: Path) -> None:
    engine = regorus.RegorusEngine(Bundle.read(write_folder(tmp_path, {"main": SLOW})), deadline_s=20)
    wanted = 2 if (os.cpu_count() or 1) > 1 else 1
    wrong: list[int] = []

    def work() -> None:
        while engine.copies < wanted:
            engine.evaluate({"upto": 3000})
        for upto in range(1, 200):
            if engine.evaluate({"upto": upto}).reasons != (str(upto * (upto + 1) * (2 * upto + 1) // 6),):
                wrong.append(upto)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert wanted <= engine.copies <= (os.cpu_count() or 1)
