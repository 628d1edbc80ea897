"""The veil: what the policy names, what looks like a secret, and both again in texts; all of it where anything fails."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from openclaw.audit import veil as veils
from openclaw.audit.mask import FAILED, hides, keyed_digest, mark_in_text
from openclaw.audit.shapes import CLOAK
from openclaw.audit.veil import HEAD_CHARS, LARGE_CHARS, Seal, Veil, take_result
from openclaw.canonical import digest, plain
from openclaw.policy.regorus import available
from tests.audit.test_shapes import SECRETS
from tests.conftest import require

KEY = b"k" * 32


def document(**args: object) -> dict[str, JsonValue]:
    return {
        "kind": "tool",
        "principal": {"agent": "clerk", "on_behalf_of": "user:eva"},
        "tool": {"name": "pay", "args": plain(args), "call_id": "call_1", "tags": []},
        "approval": None,
        "now": "2026-11-23T10:00:00.000000Z",
    }


def args_of(veil: Veil) -> JsonValue:
    tool = veil.document["tool"]
    assert isinstance(tool, dict)
    return tool["args"]


def masked(value: JsonValue) -> JsonValue:
    return {"$masked": keyed_digest(value, KEY)}


@pytest.mark.parametrize("value", ["hunter2", 123456, 1.5, True, ["a", 1], {"user": "eva", "level": 3}, 2**70], ids=str)
@pytest.mark.parametrize("name", ["password", "api_key", "Authorization", "clientSecret"])
def test_what_is_called_a_secret_is_masked_whatever_it_is(name: str, value: object) -> None:
    veil = Veil(document(order="A-17", **{name: value}), key=KEY)
    assert args_of(veil) == {"order": "A-17", name: masked(plain(value))}


def test_it_is_masked_in_whatever_it_stands() -> None:
    veil = Veil(
        document(
            headers={"Authorization": "Bearer x", "Accept": "*/*"},
            env=[{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "HOME", "value": "/"}],
            weird={"$password": "hunter2", "$x": 1},
            deep={"a": [{"b": {"secret": "s"}}]},
        ),
        key=KEY,
    )
    assert args_of(veil) == {
        "headers": {"Authorization": masked("Bearer x"), "Accept": "*/*"},
        "env": [{"name": "DB_PASSWORD", "value": masked("hunter2")}, {"name": "HOME", "value": "/"}],
        "weird": {"$map": [["$password", masked("hunter2")], ["$x", 1]]},
        "deep": {"a": [{"b": {"secret": masked("s")}}]},
    }


def test_nothing_given_and_questions_asked_are_no_secrets() -> None:
    given_: dict[str, object] = {
        "password": None,
        "token": "",
        "has_password": True,
        "max_tokens": 5,
        "next_page_token": "x",
    }
    assert args_of(Veil(document(**given_), key=KEY)) == given_


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_of_known_shape_leaves_no_trace(secret: str) -> None:
    veil = Veil(document(whole=secret, part=f"use {secret} now", **{secret: 1}), key=KEY)
    stored = json.dumps(veil.document)
    assert secret not in stored
    assert json.dumps(secret)[1:-1] not in stored
    assert "use [$masked hmac-sha256:" in stored
    assert hides(veil.document)


def test_a_whole_secret_and_a_part_that_is_one_have_the_same_digest() -> None:
    secret = SECRETS["github"]
    veil = Veil(document(whole=secret, part=f"use {secret} now", password=secret), key=KEY)
    digest = keyed_digest(secret, KEY)
    assert args_of(veil) == {
        "whole": {"$masked": digest},
        "part": f"use [$masked {digest}] now",
        "password": {"$masked": digest},
    }


def test_a_reason_that_repeats_a_hidden_value_hides_it_too() -> None:
    veil = Veil(
        document(password="hunter2", iban="DE1", pin=42, amount=7), key=KEY, fields=["args.iban", "args.amount"]
    )
    texts = ["no hunter2 here", "DE1 is closed, DE12 is not", "the number 42 of 420", "7 of 17 and A7", "nothing"]
    assert veil.texts(texts) == [
        f"no {mark_in_text('hunter2', KEY)} here",
        f"{mark_in_text('DE1', KEY)} is closed, DE12 is not",
        f"the number {mark_in_text('42', KEY)} of 420",
        f"{mark_in_text('7', KEY)} of 17 and A7",
        "nothing",
    ]


def test_a_hidden_value_is_hidden_in_other_arguments_and_in_obligations() -> None:
    veil = Veil(document(password="hunter2", command="mysql -phunter2", note="DE1"), key=KEY, fields=["args.note"])
    assert args_of(veil)["command"] == f"mysql -p{mark_in_text('hunter2', KEY)}"  # type: ignore
    decision: dict[str, JsonValue] = {
        "effect": "allow",
        "reasons": ["for hunter2"],
        "obligations": [
            {"kind": "rewrite", "args": {"note": "DE1", "token": "t-1", "x": 1}},
            {"kind": "mask", "fields": ["args.note"]},
        ],
    }
    assert veil.decision(decision) == {
        "effect": "allow",
        "reasons": [f"for {mark_in_text('hunter2', KEY)}"],
        "obligations": [
            {"kind": "rewrite", "args": {"note": masked("DE1"), "token": masked("t-1"), "x": 1}},
            {"kind": "mask", "fields": ["args.note"]},
        ],
    }


def test_the_values_themselves_are_untouched() -> None:
    original = document(password="hunter2", nested={"token": ["a"]}, text=f"x {SECRETS['aws']}", iban="DE1")
    before = copy.deepcopy(original)
    veil = Veil(original, key=KEY, fields=["args.iban"], seals=[(Seal(("args.nested",), "user:eva"), None, None)])
    veil.decision({"reasons": ["hunter2"], "obligations": []})
    assert original == before


def test_a_very_long_text_is_stored_by_digest_and_head() -> None:
    secret = SECRETS["aws"]
    text = f"{'x' * (HEAD_CHARS - 10)} {secret} " + "y" * LARGE_CHARS
    stored = args_of(Veil(document(content=text), key=KEY))["content"]["$large"]  # type: ignore
    assert stored["digest"] == keyed_digest(text, KEY)  # type: ignore
    assert stored["chars"] == len(text)  # type: ignore
    assert len(stored["head"]) == HEAD_CHARS  # type: ignore
    assert secret[:8] not in json.dumps(stored)


def test_a_long_reason_is_cut_and_no_secret_is_cut_in_two() -> None:
    text = "x" * (veils.TEXT_CHARS - 10) + " " + SECRETS["aws"] + " " + "y" * 100_000
    stored = Veil(document(), key=KEY).text(text)
    assert len(stored) < veils.TEXT_CHARS + 100
    assert SECRETS["aws"][:5] not in stored
    assert stored.endswith("characters in all)")


def test_texts_are_hidden_whole_where_too_many_values_are_hidden() -> None:
    many = [f"value-{number}" for number in range(veils.KNOWN_MAX + 10)]
    veil = Veil(document(secret=many), key=KEY)
    assert veil.text(f"not {many[-1]}") == mark_in_text(f"not {many[-1]}", KEY)


def test_a_long_hidden_value_is_found_by_its_beginning() -> None:
    value = "".join(f"{number} " for number in range(1000))
    assert veil_text({"secret": value}, f"it was {value}, see?") == "it was " + mark_in_text(f"{value}, see?", KEY)


def veil_text(args: dict[str, object], text: str) -> str:
    return Veil(document(**args), key=KEY).text(text)


@pytest.mark.parametrize("broken", ["keyed_digest", "mark", "secrets_in", "secret_name", "replace"])
def test_a_mask_that_fails_hides_everything(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr(veils, broken, fails)
    monkeypatch.setattr("openclaw.audit.mask.keyed_digest", fails)
    veil = Veil(document(password="hunter2", note="use hunter2 to log in, please"), key=KEY, fields=["args.note"])
    stored = [
        veil.document,
        veil.text("a reason with hunter2"),
        veil.decision({"effect": "deny", "reasons": ["hunter2"], "obligations": []}),
        veil.result(take_result("hunter2 was the password"), full=True),
    ]
    assert "hunter2" not in json.dumps(stored)
    assert hides(stored)
    assert veil.document["kind"] == "tool"
    assert FAILED in json.dumps(stored)


def test_a_result_is_kept_by_digest_and_size_and_at_full_by_value() -> None:
    veil = Veil(document(), key=KEY)
    kept: dict[str, JsonValue] = {"digest": digest({"ok": True}), "bytes": 11}
    assert veil.result(take_result({"ok": True}), full=False) == kept
    assert veil.result(take_result({"ok": True}), full=True) == {**kept, "result": {"ok": True}}


def test_the_digest_of_a_result_with_something_hidden_is_keyed() -> None:
    result: dict[str, object] = {"pin": 1234, "iban": "DE1"}
    veil = Veil(document(), key=KEY, fields=["result.iban"])
    kept = veil.result(take_result(result), full=True)
    assert kept == {
        "digest": keyed_digest(plain(result), KEY),
        "bytes": len('{"iban":"DE1","pin":1234}'),
        "result": {"pin": masked(1234), "iban": masked("DE1")},
    }
    assert veil.result(take_result(result), full=False)["digest"] == keyed_digest(plain(result), KEY)  # type: ignore


def test_a_large_result_is_kept_by_digest_and_head() -> None:
    secret = SECRETS["github"]
    result = {
        "token": "t" * 100,
        "log": f"{'x' * 300} {secret}",
        "rows": [{"n": n, "iban": "DE1"} for n in range(5000)],
    }
    veil = Veil(document(), key=KEY, fields=["result.rows.*.iban"])
    kept = veil.result(take_result(result), full=True)
    assert isinstance(kept, dict)
    assert kept["digest"] == digest(result)
    text = json.dumps(kept)
    assert len(text) < 20_000
    assert secret not in text
    assert "DE1" not in text
    assert "t" * 100 not in text
    assert "head" not in veil.result(take_result(result), full=False)  # type: ignore


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)) | st.integers(), inner),
    max_leaves=15,
)


@given(VALUES, VALUES)
def test_nothing_fails_and_nothing_named_is_left(named: object, other: object) -> None:
    veil = Veil(document(named=named, other=other), key=KEY, fields=["args.named"])
    args = args_of(veil)
    assert isinstance(args, dict)
    assert args["named"] == masked(plain(named))
    assert veil.text(str(plain(other))) != FAILED
    assert FAILED not in json.dumps(veil.document)


@given(VALUES)
def test_what_is_hidden_once_stays_as_it_is(value: object) -> None:
    once = Veil(document(value=value, password=value), key=KEY).document
    assert Veil(once, key=KEY).document == once


class Never:
    """A look that is sure of nothing, as where there is no native extension."""

    @staticmethod
    def harmless(_: object) -> bool:
        return False

    harmless_parts = harmless


NAMES = st.sampled_from(
    [
        "order",
        "password",
        "X-Api-Key",
        "clientSecret",
        "max_tokens",
        "session id",
        "sessionId",
        "name",
        "value",
        "key",
        "field",
        "content",
        "header",
        "DB_PWD",
        "pass_word",
        "authTokens",
        "PIN",
        "$map",
        "$x",
        "otp2",
        "page_token",
        "\u212aey",
        "l\u0130st",
    ]
) | st.text(max_size=12)
PIECES = st.sampled_from(
    [
        *SECRETS.values(),
        "api\u212aey=hunter22abc",
        "TO\u212aEN=abcd1234!",
        "4111 1111 1111 1111",
        "DB_PASSWORD",
        "token",
        "note",
        "https://eva:hunter2@host/",
        "2026-11-23T10:00:00.000000Z",
        "run-0199d2c4f1a2-8f3a5b1c",
        "password: hunter22!",
        "ordinary",
    ]
) | st.text(max_size=30)
TEXTS = st.lists(PIECES, max_size=3).map(" ".join)
DOCUMENTS = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, DOCUMENTS, max_size=3), DOCUMENTS, st.booleans())
def test_the_quick_look_leaves_alone_only_what_the_veil_leaves_alone(
    args: dict[str, object], result: object, full: bool
) -> None:
    asked, found = document(args=args), take_result(result)
    quick = Veil(asked, key=KEY)
    told = quick.result(found, full=full)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(veils, "CLOAK", Never)
        careful = Veil(asked, key=KEY)
        assert quick.document == careful.document
        assert told == careful.result(found, full=full)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_the_quick_look_sees_every_secret_of_known_shape(secret: str) -> None:
    assert not CLOAK.harmless(f"use {secret} now")
    assert not CLOAK.harmless({"rows": [{"note": secret}]})
    assert not CLOAK.harmless_parts({"tool": {"args": {secret: 1}}})


def test_the_quick_look_is_sure_of_what_most_calls_hold() -> None:
    require("native", available(), "a Rust toolchain, then `make native`")
    ordinary = {
        "order": "A-17",
        "at": "2026-11-23T10:00:00.000000Z",
        "run": "run-0199d2c4f1a2-af3a5b1c",
        "amount": 1.5,
        "who": "Jörg",
    }
    assert CLOAK.harmless_parts(
        {"tool": {"name": "lookup", "args": ordinary, "tags": ["read"]}, "budget": {"tokens": 5}}
    )
