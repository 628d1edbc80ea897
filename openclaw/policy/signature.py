"""The signature of a bundle: ``.signatures.json``, as Open Policy Agent defines it (openpolicyagent.org, "Signing").

One JSON Web Token in the compact form (RFC 7515) lists every file of the bundle with a digest. A file of JSON or YAML is
digested by its value, objects with their keys in order, so that its spacing does not matter; any other file by its bytes.

    INVARIANT: the algorithm is that of the given key. What a token says of itself only has to agree.
    INVARIANT: every file is listed and every listed file is there, so that nothing is added and nothing left out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import cast

import yaml
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509 import load_pem_x509_certificate
from pydantic import JsonValue

from openclaw.canonical import canonical
from openclaw.errors import PolicyError
from openclaw.policy.documents import number_text, parse_json
from openclaw.policy.spec import Key
from openclaw.policy.yaml_documents import parse_yaml

SIGNATURES = ".signatures.json"

RSA_BITS_MIN = 2048
"""Least size of an RSA key (RFC 7518 section 3.3)."""

_STRUCTURED = frozenset({"data.json", "data.yaml", ".manifest"})
_DIGESTS: Mapping[str, type[hashes.HashAlgorithm]] = {
    "SHA-224": hashes.SHA224,
    "SHA-256": hashes.SHA256,
    "SHA-384": hashes.SHA384,
    "SHA-512": hashes.SHA512,
    "SHA-512-224": hashes.SHA512_224,
    "SHA-512-256": hashes.SHA512_256,
}
"""Of OPA's digests all but MD5 and SHA-1, with which two files can be made to have one digest."""

_HASHES: Mapping[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_CURVES: Mapping[str, tuple[type[ec.EllipticCurve], int]] = {
    "ES256": (ec.SECP256R1, 32),
    "ES384": (ec.SECP384R1, 48),
    "ES512": (ec.SECP521R1, 66),
}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


class _Bad(Exception):
    """Why a token or a key is not taken."""


def verify(files: Mapping[str, bytes], keys: Sequence[Key], *, what: str) -> str:
    """With which key a bundle was signed, in words; empty where no key is given and nothing is signed.

    Raises:
        PolicyError: a key is given and the bundle is not signed with it; or none is given and it is signed, since then
            somebody meant it to be verified.
    """
    listed = files.get(SIGNATURES)
    if listed is None:
        if keys:
            raise PolicyError(f"{what} is not signed", hint=f"sign it: it has no `{SIGNATURES}`")
        return ""
    if not keys:
        raise PolicyError(f"{what} is signed, and no key is given to verify it with", hint="give the `key`")
    try:
        token = _token(listed)
        key, payload = _opened(token, keys)
        _compare(files, payload)
    except _Bad as error:
        raise PolicyError(f"the signature of {what} does not hold: {error}") from error
    return f"{key.algorithm} {key.id}".strip()


def sign(files: Mapping[str, bytes], key: Key) -> bytes:
    """The content of the ``.signatures.json`` of a bundle with these files.

    Raises:
        PolicyError: the key cannot be read, or is not one of its algorithm.
    """
    header: dict[str, JsonValue] = {"alg": key.algorithm, "typ": "JWT"}
    listed: list[JsonValue] = []
    try:
        for path, content in sorted(files.items()):
            value = _digest(path, content, "SHA-256").hex()
            listed.append({"name": path, "hash": value, "algorithm": "SHA-256"})
        payload: dict[str, JsonValue] = {"files": listed}
        if key.id:
            header["kid"] = payload["keyid"] = key.id
        if key.scope:
            payload["scope"] = key.scope
        signed = f"{_to_base64(canonical(header))}.{_to_base64(canonical(payload))}"
        signature = _to_base64(_signature(signed.encode(), key))
    except _Bad as error:
        raise PolicyError(f"the bundle cannot be signed: {error}") from error
    return json.dumps({"signatures": [f"{signed}.{signature}"]}, indent=1).encode() + b"\n"


def _digest(path: str, content: bytes, algorithm: str) -> bytes:
    """The digest of one file of a bundle."""
    made = _DIGESTS.get(algorithm)
    if made is None:
        raise _Bad(f"`{path}` is listed with the digest `{algorithm}`: {', '.join(_DIGESTS)} are taken")
    whole = hashes.Hash(made())
    if PurePosixPath(path).name not in _STRUCTURED:
        whole.update(content)
        return whole.finalize()
    try:
        text = content.decode()
        value = parse_yaml(text) if path.endswith(".yaml") else parse_json(text, literal=True)
        for part in _parts(value):
            whole.update(part)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise _Bad(f"`{path}` cannot be read: {str(error).splitlines()[0]}") from error
    return whole.finalize()


def _parts(value: object) -> Iterator[bytes]:
    """What is digested of a structured document: its JSON without spaces, as the JSON encoder of Go writes it."""
    if isinstance(value, dict):
        fields = cast("dict[object, object]", value)
        yield b"{"
        for at, key in enumerate(sorted(fields, key=str)):
            if not isinstance(key, str):
                raise ValueError("a key is no text")  # noqa: TRY004 - of the document, not of the caller
            yield (b"," if at else b"") + _go_text(key) + b":"
            yield from _parts(fields[key])
        yield b"}"
    elif isinstance(value, list):
        yield b"["
        for at, item in enumerate(cast("list[object]", value)):
            if at:
                yield b","
            yield from _parts(item)
        yield b"]"
    elif isinstance(value, str):
        yield _go_text(value)
    else:
        yield (number_text(value) or "").encode() or canonical(value)


def _go_text(text: str) -> bytes:
    whole = json.dumps(text, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return re.sub("[\ud800-\udfff]", "\ufffd", whole).encode()


# -- tokens --------------------------------------------------------------------------------------------------------------


def _token(content: bytes) -> str:
    try:
        document = parse_json(content.decode())
    except ValueError as error:
        raise _Bad(f"`{SIGNATURES}` is not JSON: {error}") from error
    fields = cast("dict[str, object]", document) if isinstance(document, dict) else {}
    if fields.get("plugin", "_default") not in ("", "_default"):
        raise _Bad(f"`{SIGNATURES}` asks for a plugin")
    tokens = fields.get("signatures")
    if not isinstance(tokens, list) or len(cast("list[object]", tokens)) != 1:
        raise _Bad(f"`{SIGNATURES}` must hold one signature")
    token = cast("list[object]", tokens)[0]
    if not isinstance(token, str):
        raise _Bad(f"`{SIGNATURES}` holds a signature that is no text")
    return token


def _opened(token: str, keys: Sequence[Key]) -> tuple[Key, dict[str, object]]:
    """The payload of a token, and the key that has signed it."""
    parts = token.split(".")
    if len(parts) != 3 or not all(map(_BASE64URL.fullmatch, parts)):
        raise _Bad("it is no JSON Web Token")
    header, payload = _object(parts[0]), _object(parts[1])
    signature = _from_base64(parts[2])
    if "crit" in header:
        raise _Bad("its header has extensions that must be understood and are not")
    named = header.get("kid") or payload.get("keyid") or ""
    why = f"it is of the key `{named}`, which is not given"
    for key in keys:
        if key.id and named and key.id != named:
            continue
        if header.get("alg") != key.algorithm:
            why = f"it says `{header.get('alg')}`, and the key is one for {key.algorithm}"
            continue
        if not _is_signed(f"{parts[0]}.{parts[1]}".encode(), signature, key):
            why = "it was not made with this key, or something was changed"
            continue
        if (payload.get("scope") or "") != key.scope:
            raise _Bad(f"its scope is `{payload.get('scope') or ''}`, not `{key.scope}`")
        return key, payload
    raise _Bad(why)


def _compare(files: Mapping[str, bytes], payload: Mapping[str, object]) -> None:
    listed = payload.get("files")
    left = dict(files)
    left.pop(SIGNATURES)
    for item in cast("list[object]", listed) if isinstance(listed, list) else []:
        fields = cast("dict[str, object]", item) if isinstance(item, dict) else {}
        name, value = fields.get("name"), fields.get("hash")
        if not isinstance(name, str) or not isinstance(value, str):
            raise _Bad("its list of files is malformed")
        content = left.pop(name, None)
        if content is None:
            raise _Bad(f"`{name}` is listed twice" if name in files else f"`{name}` is missing")
        found = _digest(name, content, str(fields.get("algorithm")))
        if not hmac.compare_digest(found.hex(), value.lower().encode("ascii", "replace").decode()):
            raise _Bad(f"`{name}` was changed")
    if left:
        raise _Bad(f"`{min(left)}` is not covered by it")


def _object(part: str) -> dict[str, object]:
    try:
        value = parse_json(_from_base64(part).decode())
    except ValueError as error:
        raise _Bad(f"a part of the token is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _Bad("a part of the token is no object")
    return cast("dict[str, object]", value)


def _to_base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _from_base64(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise _Bad("a part of the token is not base64") from error


# -- keys ----------------------------------------------------------------------------------------------------------------


def _is_signed(message: bytes, signature: bytes, key: Key) -> bool:
    if key.algorithm.startswith("HS"):
        return hmac.compare_digest(_mac(message, key), signature)
    public, made = _public(key), _HASHES[key.algorithm[2:]]()
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            size = _CURVES[key.algorithm][1]
            if len(signature) != 2 * size:
                return False
            r, s = (int.from_bytes(part) for part in (signature[:size], signature[size:]))
            public.verify(encode_dss_signature(r, s), message, ec.ECDSA(made))
        elif key.algorithm.startswith("PS"):
            public.verify(signature, message, padding.PSS(padding.MGF1(made), padding.PSS.AUTO), made)
        else:
            public.verify(signature, message, padding.PKCS1v15(), made)
    except InvalidSignature:
        return False
    return True


def _signature(message: bytes, key: Key) -> bytes:
    if key.algorithm.startswith("HS"):
        return _mac(message, key)
    try:
        private = serialization.load_pem_private_key(_pem(key), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _Bad(f"the {_of(key)} is no private key in PEM without a password") from error
    made = _HASHES[key.algorithm[2:]]()
    if isinstance(private, ec.EllipticCurvePrivateKey):
        _fits(private.public_key(), key)
        size = _CURVES[key.algorithm][1]
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(made)))
        return r.to_bytes(size) + s.to_bytes(size)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise _Bad(f"the {_of(key)} is not one for {key.algorithm}")
    _fits(private.public_key(), key)
    if key.algorithm.startswith("PS"):
        return private.sign(message, padding.PSS(padding.MGF1(made), padding.PSS.DIGEST_LENGTH), made)
    return private.sign(message, padding.PKCS1v15(), made)


def _mac(message: bytes, key: Key) -> bytes:
    secret = _read(key.value) if isinstance(key.value, Path) else key.value.encode()
    if not secret:
        raise _Bad(f"the {_of(key)} is empty")
    return hmac.new(secret, message, getattr(hashlib, f"sha{key.algorithm[2:]}")).digest()


def _public(key: Key) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    content = _pem(key)
    if b"PRIVATE KEY-----" in content:
        raise _Bad(f"the {_of(key)} is a private one, which only the signer should have: give its public half")
    try:
        if b"-----BEGIN CERTIFICATE-----" in content:
            public = load_pem_x509_certificate(content).public_key()
        else:
            public = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _Bad(f"the {_of(key)} is no public key in PEM") from error
    if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise _Bad(f"the {_of(key)} is not one for {key.algorithm}")
    _fits(public, key)
    return public


def _fits(public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, key: Key) -> None:
    curve = _CURVES.get(key.algorithm)
    if isinstance(public, rsa.RSAPublicKey):
        if curve is not None:
            raise _Bad(f"the {_of(key)} is not one for {key.algorithm}")
        if public.key_size < RSA_BITS_MIN:
            raise _Bad(f"the {_of(key)} has {public.key_size} bits: {RSA_BITS_MIN} are the least")
    elif curve is None or not isinstance(public.curve, curve[0]):
        raise _Bad(f"the {_of(key)} is not one for {key.algorithm}")


def _pem(key: Key) -> bytes:
    if isinstance(key.value, str) and key.value.lstrip().startswith("-----BEGIN"):
        return key.value.encode()
    return _read(Path(key.value))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise _Bad(f"the key `{path}` cannot be read: {said}") from error


def _of(key: Key) -> str:
    return f"key `{key.value}`" if isinstance(key.value, Path) else "key"
