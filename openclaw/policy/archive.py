"""Bundles as files: a tar archive in a gzip stream, as Open Policy Agent writes and reads them.

Nothing of a bundle is ever written to the disk: its files become texts in memory. What is refused is what two programs
could read as two different bundles (a path twice, links, an archive that is cut off), and what is too large.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Mapping, Sequence

from openclaw.errors import PolicyError
from openclaw.policy.contents import MANIFEST, Contents, is_read
from openclaw.policy.manifest import Manifest, read_manifest
from openclaw.policy.signature import SIGNATURES, verify
from openclaw.policy.spec import BYTES_MAX, Key
from openclaw.policy.tar import BadArchive, read_tar

_COMPILED = ("policy.wasm", "plan.json", "plan.pb", "patch.json")
"""What `opa build` makes for other targets, and what changes a bundle that is there already."""


def unpack(content: bytes, *, shown: str, keys: Sequence[Key] | None = (), bytes_max: int = BYTES_MAX) -> Contents:
    """The contents of a bundle.

    Args:
        content: of the .tar.gz.
        shown: how people know it.
        keys: one of these must have signed it; empty: it must not be signed; None: whoever signed it, nobody asks, which
            is for looking into a bundle and not for deciding by it.
        bytes_max: most bytes, packed and unpacked.

    Raises:
        PolicyError: it is no bundle, is too large, is not signed as it must be, or holds what no bundle holds.
    """
    what = f"bundle `{shown}`"
    try:
        files = read_tar(_decompressed(content, bytes_max))
    except BadArchive as error:
        raise PolicyError(
            f"{what} cannot be read: {error}", hint="build it with `opa build` or `openclaw policy bundle`"
        ) from error
    signed = verify(files, keys, what=what) if keys is not None else "somebody" if SIGNATURES in files else ""
    compiled = next((name for name in files if name.rpartition("/")[2] in _COMPILED), None)
    if compiled is not None:
        raise PolicyError(
            f"{what} holds `{compiled}`, which no engine here runs", hint="build a whole bundle with `--target rego`"
        )
    manifest = Manifest()
    if MANIFEST in files:
        manifest = read_manifest(files[MANIFEST], f"{shown}/{MANIFEST}")
    wanted = {path: data for path, data in files.items() if is_read(path)}
    return Contents(what, shown, wanted, manifest, signed=signed)


def pack(files: Mapping[str, bytes]) -> bytes:
    """These files as a bundle: the same files give the same bytes, on every machine and at any time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in sorted(files.items()):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    # Not the gzip module, which writes the time into its header.
    stream = zlib.compressobj(9, wbits=31)
    return stream.compress(packed.getvalue()) + stream.flush()


def _too_large(bytes_max: int) -> str:
    return f"it has more than {bytes_max:,} bytes"


def _decompressed(content: bytes, bytes_max: int) -> bytes:
    """The stream within the gzip file, whole and with its checksum right, or nothing."""
    if len(content) > bytes_max:
        raise BadArchive(_too_large(bytes_max))
    whole = bytearray()
    while content:
        stream = zlib.decompressobj(wbits=31)
        while content and not stream.eof:
            try:
                # One byte more than may be, so that a bomb is known when it begins to grow.
                whole += stream.decompress(content, bytes_max - len(whole) + 1)
            except zlib.error as error:
                raise BadArchive("it is no intact gzip file") from error
            if len(whole) > bytes_max:
                raise BadArchive(_too_large(bytes_max))
            content = stream.unconsumed_tail
        if not stream.eof:
            raise BadArchive("it is cut off")
        content = stream.unused_data.lstrip(b"\0")  # A file may have several streams, with zeros after each.
    return bytes(whole)
