"""Signatures of bundles: who signed what, and what is not taken for a signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from openclaw.errors import ConfigurationError, PolicyError
from openclaw.policy.archive import pack, unpack
from openclaw.policy.bundle_file import all_keys
from openclaw.policy.signature import SIGNATURES, sign, verify
from openclaw.policy.spec import Algorithm, BundleFile, BundleServer, Key
from tests.policy.bundles import PLAIN, Pair, make_pairs, pair

FILES = {name: text.encode() for name, text in PLAIN.items()}
SECRET = Key("a shared secret", "HS256")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    return make_pairs(tmp_path_factory.mktemp("keys"))


def keys_for(algorithm: str, pairs: Mapping[str, Pair]) -> tuple[Key, Key]:
    """The key that signs, and the one that verifies."""
    if algorithm.startswith("HS"):
        secret = Key("a shared secret", algorithm)  # type: ignore[arg-type]
        return secret, secret
    made = pairs.get(algorithm) or pairs[algorithm[:2]]
    return Key(made.private, algorithm), Key(made.public, algorithm)  # type: ignore[arg-type]


def signed(key: Key, files: Mapping[str, bytes] = FILES) -> dict[str, bytes]:
    return {**files, SIGNATURES: sign(files, key)}


def refused(files: Mapping[str, bytes], *keys: Key) -> str:
    with pytest.raises(PolicyError) as caught:
        verify(files, keys, what="bundle `b`")
    return str(caught.value)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def token(header: object, payload: object, secret: bytes = b"a shared secret", name: str = "sha256") -> bytes:
    """A file with a token as somebody else might write it."""
    whole = f"{part(header)}.{part(payload)}"
    mac = base64.urlsafe_b64encode(hmac.new(secret, whole.encode(), name).digest()).rstrip(b"=").decode()
    return json.dumps({"signatures": [f"{whole}.{mac}"]}).encode()


def payload_of(files: Mapping[str, bytes]) -> dict[str, object]:
    middle = json.loads(files[SIGNATURES])["signatures"][0].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=="))


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_what_one_half_of_a_key_signs_the_other_verifies(algorithm: str, pairs: dict[str, Pair]) -> None:
    private, public = keys_for(algorithm, pairs)
    assert verify(signed(private), [public], what="b") == algorithm
    other = Key("another secret" if algorithm.startswith("HS") else public.value, public.algorithm)
    changed = signed(private)
    changed["main.rego"] += b"\n"
    assert "`main.rego` was changed" in refused(changed, public)
    if algorithm.startswith("HS"):
        assert "it was not made with this key" in refused(signed(private), other)


def test_a_signature_of_another_key_does_not_hold(pairs: dict[str, Pair], tmp_path: Path) -> None:
    stranger = pair(tmp_path, "stranger", rsa.generate_private_key(65537, 2048))
    said = refused(signed(Key(stranger.private)), Key(pairs["RS"].public))
    assert said == "the signature of bundle `b` does not hold: it was not made with this key, or something was changed"
    curve = pair(tmp_path, "curve", ec.generate_private_key(ec.SECP256R1()))
    assert "not made with this key" in refused(signed(Key(curve.private, "ES256")), Key(pairs["ES256"].public, "ES256"))


def test_files_can_neither_be_added_nor_left_out_nor_changed() -> None:
    whole = signed(SECRET)
    assert "`more.rego` is not covered by it" in refused({**whole, "more.rego": b""}, SECRET)
    assert "`.manifest` is not covered by it" in refused({**whole, ".manifest": b"{}"}, SECRET)
    assert "`main.rego` is missing" in refused({k: v for k, v in whole.items() if k != "main.rego"}, SECRET)
    assert "`limits/data.json` was changed" in refused({**whole, "limits/data.json": b'{"max": 6}'}, SECRET)
    # A structured file is signed by its value.
    verify({**whole, "limits/data.json": b'{\n  "max" : 5 }'}, [SECRET], what="b")
    assert "`limits/data.json` was changed" in refused({**whole, "limits/data.json": b'{"max": 5.0}'}, SECRET)
    assert "`limits/data.json` cannot be read" in refused(
        {**whole, "limits/data.json": b'{"max": 1, "max": 5}'}, SECRET
    )


def test_without_a_signature_a_key_lets_nothing_in_and_without_a_key_a_signature_does_not_pass() -> None:
    assert refused(FILES, SECRET) == "bundle `b` is not signed; sign it: it has no `.signatures.json`"
    assert "is signed, and no key is given to verify it with" in refused(signed(SECRET))
    assert verify(FILES, [], what="b") == ""


def test_the_algorithm_is_that_of_the_key_whatever_the_token_says(pairs: dict[str, Pair]) -> None:
    public = pairs["RS"].public
    listed = payload_of(signed(SECRET))
    # The public key, which everybody has, is no secret: the oldest trick of all.
    forged = {**FILES, SIGNATURES: token({"alg": "HS256"}, listed, public.read_bytes())}
    assert "it says `HS256`, and the key is one for RS256" in refused(forged, Key(public))
    for alg in ("none", "None", "", None, "RS256", ["HS256"]):
        header = {} if alg is None else {"alg": alg}
        assert "the key is one for HS256" in refused({**FILES, SIGNATURES: token(header, listed)}, SECRET)
    unsigned = f"{part({'alg': 'none'})}.{part(listed)}."
    whole = {**FILES, SIGNATURES: json.dumps({"signatures": [unsigned]}).encode()}
    assert "it is no JSON Web Token" in refused(whole, SECRET)
    header = {"alg": "HS256", "crit": ["exp"]}
    assert "extensions that must be understood" in refused({**FILES, SIGNATURES: token(header, listed)}, SECRET)
    verify({**FILES, SIGNATURES: token({"alg": "HS256"}, listed)}, [SECRET], what="b")


def test_keys_are_chosen_by_name_and_several_may_be_given_while_they_change() -> None:
    old, new = Key("old", "HS256", id="old"), Key("new", "HS512", id="new")
    assert verify(signed(old), [new, old], what="b") == "HS256 old"
    assert verify(signed(new), [new, old], what="b") == "HS512 new"
    assert "it is of the key `old`, which is not given" in refused(signed(old), new)
    nameless = Key("old", "HS256")
    verify(signed(nameless), [old], what="b")
    verify(signed(old), [nameless], what="b")


def test_the_scope_must_be_the_one_that_is_asked_for() -> None:
    write = Key("s", "HS256", scope="write")
    verify(signed(write), [write], what="b")
    assert "its scope is `write`, not ``" in refused(signed(write), Key("s", "HS256"))
    assert "its scope is ``, not `write`" in refused(signed(Key("s", "HS256")), write)


@pytest.mark.parametrize("algorithm", ["SHA-224", "SHA-384", "SHA-512"])
def test_other_digests_are_known_and_broken_ones_are_not(algorithm: str) -> None:
    name = algorithm.replace("-", "").lower()
    files = {"x.rego": b"x"}
    listed = {"files": [{"name": "x.rego", "hash": hashlib.new(name, b"x").hexdigest(), "algorithm": algorithm}]}
    verify({**files, SIGNATURES: token({"alg": "HS256"}, listed)}, [SECRET], what="b")
    for broken in ("MD5", "SHA-1", "", None):
        listed["files"][0] |= {"algorithm": broken}
        said = refused({**files, SIGNATURES: token({"alg": "HS256"}, listed)}, SECRET)
        assert "`x.rego` is listed with the digest" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[]", "must hold one signature"),
        (b'{"signatures": []}', "must hold one signature"),
        (b'{"signatures": ["a", "b"]}', "must hold one signature"),
        (b'{"signatures": [1]}', "a signature that is no text"),
        (b'{"signatures": ["a.b.c"], "plugin": "mine"}', "asks for a plugin"),
        (b'{"signatures": ["a.b"]}', "it is no JSON Web Token"),
        (b'{"signatures": ["a.b.c=="]}', "it is no JSON Web Token"),
        (b'{"signatures": ["YQ.YQ.YQ"]}', "a part of the token is not JSON"),
        (b'{"signatures": ["e.e.e"]}', "a part of the token is not"),
        (b'{"signatures": ["W10.e30.YQ"]}', "a part of the token is no object"),
        (token({"alg": "HS256"}, {}), "is not covered by it"),
        (token({"alg": "HS256"}, {"files": {}}), "is not covered by it"),
        (token({"alg": "HS256"}, {"files": [1]}), "its list of files is malformed"),
        (
            token({"alg": "HS256"}, {"files": [{"name": "main.rego", "hash": "é", "algorithm": "SHA-256"}]}),
            "was changed",
        ),
        (
            token({"alg": "HS256"}, {"files": [{"name": SIGNATURES, "hash": "", "algorithm": "SHA-256"}]}),
            "listed twice",
        ),
    ],
)
def test_what_is_no_signature_says_why(content: bytes, said: str) -> None:
    assert said in refused({**FILES, SIGNATURES: content}, SECRET)


def test_a_file_that_is_listed_twice_is_refused() -> None:
    listed = payload_of(signed(SECRET))
    listed["files"] += listed["files"][:1]  # type: ignore[operator,index]
    assert "is listed twice" in refused({**FILES, SIGNATURES: token({"alg": "HS256"}, listed)}, SECRET)


def test_keys_that_are_none_say_so(pairs: dict[str, Pair], tmp_path: Path) -> None:
    whole = signed(Key(pairs["RS"].private))
    small = pair(tmp_path, "small", rsa.generate_private_key(65537, 1024))
    other = tmp_path / "ed25519.pub"
    other.write_bytes(
        ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "empty").write_bytes(b"")
    wrong = {
        "cannot be read: No such file": Key(tmp_path / "nowhere"),
        "is no public key in PEM": Key(tmp_path / "empty"),
        "is a private one, which only the signer should have": Key(pairs["RS"].private),
        "is not one for RS256": Key(pairs["ES256"].public),
        "has 1024 bits: 2048 are the least": Key(small.public),
    }
    for said, key in wrong.items():
        assert said in refused(whole, key)
    assert "is not one for RS256" in refused(whole, Key(other))
    assert "is not one for ES256" in refused(
        signed(Key(pairs["ES256"].private, "ES256")), Key(pairs["ES384"].public, "ES256")
    )
    empty = Key(tmp_path / "empty", "HS256")
    assert "is empty" in refused(signed(SECRET), empty)
    for private in (
        Key(small.private),
        Key(pairs["RS"].public),
        Key(pairs["ES256"].private),
        empty,
        Key(tmp_path / "x"),
    ):
        with pytest.raises(PolicyError, match="the bundle cannot be signed"):
            sign(FILES, private)


def test_a_key_may_be_given_as_text_and_as_a_certificate(pairs: dict[str, Pair], tmp_path: Path) -> None:
    from tests.policy.test_opa import certificate

    assert verify(signed(Key(pairs["RS"].private.read_text())), [Key(pairs["RS"].public.read_text())], what="b")
    certificate(tmp_path, "signer")
    whole = signed(Key(tmp_path / "signer.key", "ES256"))
    assert verify(whole, [Key(tmp_path / "signer.pem", "ES256")], what="b")
    secret = tmp_path / "secret"
    secret.write_text("a shared secret")
    assert verify(signed(SECRET), [Key(secret, "HS256")], what="b")


def test_what_a_key_is_given_as() -> None:
    assert all_keys(None) == ()
    assert all_keys("key.pem") == (Key("key.pem"),)
    assert all_keys((SECRET,)) == (SECRET,)
    assert "a shared secret" not in repr(SECRET)
    with pytest.raises(ConfigurationError, match="`XS256` is no algorithm"):
        Key("k", "XS256")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="the key is empty"):
        Key("")
    with pytest.raises(ConfigurationError, match="no key is given"):
        BundleFile("b.tar.gz", key=())
    with pytest.raises(ConfigurationError, match="no key is given"):
        BundleServer("https://host/b.tar.gz", key=())


def test_a_bundle_is_verified_before_anything_else_of_it_is_looked_at() -> None:
    broken = {**FILES, ".manifest": b'{"roots": 5}'}
    with pytest.raises(PolicyError, match="is not signed"):
        unpack(pack(broken), shown="b", keys=[SECRET])
    assert unpack(pack(signed(SECRET)), shown="b", keys=[SECRET]).signed == "HS256"
