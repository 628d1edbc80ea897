"""Known shapes of secrets: each of them is found, ordinary text is left alone, and no text takes long."""

from __future__ import annotations

import base64
import itertools
import pydoc_data.topics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw.audit.shapes import flag_name, joined, secret_name, secrets_in

PROJECT = Path(__file__).parents[2]


def fake(prefix: str, length: int, alphabet: str = "A1b2C3d4E5f6G7h8J9k0") -> str:
    """A secret of the right form that never was one; put together here, so that no scanner takes it for one."""
    return prefix + (alphabet * 20)[:length]


UPPER = "ABCDEFGH23456789"
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","name":"Eva"}', b"\x01\x02signature-bytes-here")
)
PEM = "\n".join(
    ("-----BEGIN " + "RSA PRIVATE KEY-----", fake("MIIE", 60), fake("", 64), "-----END " + "RSA PRIVATE KEY-----")
)

SECRETS = {
    "aws": fake("AK" + "IA", 16, UPPER),
    "aws session": fake("AS" + "IA", 16, UPPER),
    "github": fake("gh" + "p_", 36),
    "github app": fake("gh" + "s_", 40),
    "github fine-grained": fake("github_" + "pat_", 60),
    "gitlab": fake("gl" + "pat-", 20),
    "slack": "xo" + "xb-123456789012-123456789012-" + fake("", 24),
    "openai": fake("s" + "k-", 48),
    "openai project": fake("s" + "k-proj-", 64),
    "openai of one letter": "s" + "k-" + "a" * 40,
    "anthropic": fake("s" + "k-ant-api03-", 80),
    "stripe": fake("s" + "k_live_", 24),
    "google": fake("AI" + "za", 35),
    "hugging face": fake("h" + "f_", 34),
    "npm": fake("n" + "pm_", 36),
    "pypi": fake("py" + "pi-AgEIcHlwaS5vcmc", 60),
    "vault": fake("h" + "vs.", 24),
    "sendgrid": fake("S" + "G.", 22) + fake(".", 43),
    "telegram": "1234567890" + fake(":A" + "A", 33),
    "age": "AGE-" + "SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2,
    "ours": "PRIVATE+" + "KEY+openclaw-1+0a1b2c3d+" + base64.b64encode(bytes(33)).decode(),
    "jwt": JWT,
    "pem": PEM,
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize(
    "around", ["{}", "use {} now", "key: '{}'", '{{"a": "{}"}}', "({})", "a\n{}\nb", "x={};", "https://h/?q={}"]
)
def test_a_secret_of_known_shape_is_found_wherever_it_stands(secret: str, around: str) -> None:
    text = around.format(secret)
    found = [text[start:end] for start, end in secrets_in(text)]
    assert [one for one in found if secret in one], found


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer " + fake("", 20), fake("", 20)),
        ("Authorization: Bearer abcdef", "abcdef"),
        ("authorization: token hunter22", "hunter22"),
        ('{"Authorization": "Basic dXNlcjpwYXNz"}', "dXNlcjpwYXNz"),
        (
            "curl -H 'Proxy: basic " + base64.b64encode(b"eva:secret").decode() + "'",
            base64.b64encode(b"eva:secret").decode(),
        ),
        ("postgres://eva:hunter2@db.example/x", "hunter2"),
        ("https://eva:p@ss:word@example.com/", "p@ss:word"),
        ("redis://:hunter2@cache", "hunter2"),
        ("AccountName=a;AccountKey=" + "Ab1+" * 20 + "==;", "Ab1+" * 20 + "=="),
        ("password=hunter2", "hunter2"),
        ("DB_PASSWORD=correcthorsebattery", "correcthorsebattery"),
        ("https://h/cb?access_token=correcthorse&x=1", "correcthorse"),
        ("connect(user='eva', password='correct horse')", "correct"),
        ('{"user": "eva", "password": "correct horse"}', "correct horse"),
        ("{'apiKey': 'k-1'}", "k-1"),
        ('said {\\"client_secret\\": \\"shh\\"}', "shh"),
        ("login --password hunter2 --verbose", "hunter2"),
        ("login --api-key=hunter2", "hunter2"),
        ("user: eva\npassword: hunter2\n", "hunter2"),
        ("pay with 4111 1111 1111 1111 today", "4111 1111 1111 1111"),
        ("pay with 5555-5555-5555-4444.", "5555-5555-5555-4444"),
        ("card:378282246310005", "378282246310005"),
    ],
)
def test_a_secret_that_is_named_is_found(text: str, secret: str) -> None:
    found = [text[start:end] for start, end in secrets_in(text)]
    assert [one for one in found if secret in one and len(one) <= len(secret) + 6], found


@pytest.mark.parametrize(
    "text",
    [
        "the bearer of this letter is authorized",
        "basic research, bearer responsibilities",
        "class='sk-fading-circle sk-loading-indicator-container'",
        "the password must have 12 characters; the token expires",
        "password: please choose a new one",
        "login(user=user, password=password)",
        "client = Client(api_key=settings.API_KEY, token=get_token())",
        "max_tokens=4096 next_page_token=CAUQAA",
        "export TOKEN=${TOKEN}",
        "https://example.com:8443/a@b?c=d",
        "mailto:eva@example.com",
        "2026-11-23T10:00:00.000000Z",
        "order 4111111111111112 of 1234567890123456",
        "IBAN DE89 3704 0044 0532 0130 00",
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "run-01a20a36c660-4c91b705 call_9hT3kQ0 toolu_01A09q90qw90lq917835lq9",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ eva@example",
        "a secret is safe with a key, a pin and a cookie",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert [text[start:end] for start, end in secrets_in(text)] == []


def test_a_corpus_of_ordinary_text_is_left_alone() -> None:
    corpus = dict(pydoc_data.topics.topics)  # half a million characters of technical English, with code in it
    corpus |= {
        path.name: path.read_text()
        for path in (PROJECT / "README.md", PROJECT / "LICENSE", PROJECT / "CONTRIBUTING.md")
    }
    found = {name: [text[start:end] for start, end in secrets_in(text)] for name, text in corpus.items()}
    assert {name: secrets for name, secrets in found.items() if secrets} == {}


@given(st.text())
def test_spans_are_in_order_apart_and_within_the_text(text: str) -> None:
    spans = secrets_in(f"{text} {SECRETS['github']} {text}")
    assert spans
    assert all(0 <= start < end <= 2 * len(text) + 50 for start, end in spans)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))


def test_overlapping_spans_are_joined_and_touching_ones_are_not() -> None:
    assert joined([(5, 7), (0, 3), (2, 4), (7, 9)]) == [(0, 4), (5, 7), (7, 9)]


@pytest.mark.parametrize(
    "unit",
    ['"', '"a":', "a=", "token=", "eyJ-", "eyJaaaaaaaaa.", "-----BEGIN " + "PRIVATE KEY-----", "://", "://a:", "bearer ", "\\",
     "4111 ", "--token ", "key: \n", '"key":"', "sk-", '"secret":"', "authorization: basic ", "basic ", "-",
     "password:", "a.", "\\\\\"key"],
)  # fmt: skip
def test_no_text_takes_more_than_linear_time(unit: str) -> None:
    # Quadratic time over a megabyte would take hours; the suite's timeout would end this test.
    secrets_in(unit * (1_000_000 // len(unit)))


@pytest.mark.parametrize(
    "name",
    ["password", "Password", "userPassword", "DB_PASSWORD", "db-password", "password2", "passwd", "pwd", "passphrase", "secret",
     "client_secret", "clientSecret", "token", "access_token", "accessToken", "refreshToken", "api_key", "apiKey", "apikey",
     "X-Api-Key", "OPENAI_API_KEY", "authorization", "Authorization", "cookie", "Set-Cookie", "private_key", "privateKey",
     "aws_secret_access_key", "credentials", "password_confirmation", "token_value", "session_id", "otp", "cvv"],
)  # fmt: skip
def test_a_name_that_says_secret(name: str) -> None:
    assert secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "tokens", "input_tokens", "next_page_token", "pageToken", "token_type", "token_count", "password_length",
     "secret_name", "key", "keys", "monkey", "primary_key", "sort_key", "tokenizer", "compass", "secretary", "author",
     "cookie_policy",
     "spinning", "name", "", "account", "iban", "eos_token", "per_token"],
)  # fmt: skip
def test_a_name_that_does_not(name: str) -> None:
    assert not secret_name(name)


@pytest.mark.parametrize(
    ("name", "flag"), [("has_password", True), ("require_token", True), ("password", False), ("isSecret", True)]
)
def test_a_name_that_asks_a_question(name: str, flag: bool) -> None:
    assert flag_name(name) == flag
