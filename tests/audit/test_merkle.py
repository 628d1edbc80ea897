"""The tree against the naive definition of RFC 6962 section 2.1, known roots, and mutated proofs."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw.audit.merkle import (
    EMPTY_ROOT,
    Edge,
    check_consistency,
    consistency_proof,
    fold,
    inclusion_proof,
    leaf_hash,
    node_hash,
    peaks,
    root_from_inclusion,
    rows_of,
)
from openclaw.errors import VerificationError

# The inputs and roots that implementations of RFC 6962 have tested themselves with since the first log.
KNOWN_INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZE = 40
LEAVES = [leaf_hash(str(number).encode()) for number in range(SIZE)]


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def subtrees(leaves: list[bytes]) -> dict[tuple[int, int], bytes]:
    edge, nodes = Edge(), {}
    for number, leaf in enumerate(leaves):
        nodes[0, number] = leaf
        nodes |= {(level, index): digest for level, index, digest in edge.append(leaf)}
    return nodes


NODES = subtrees(LEAVES)


def subtree(level: int, index: int) -> bytes:
    return NODES[level, index]


def named_tree() -> dict[str, bytes]:
    """The tree of seven leaves d0 to d6 that RFC 6962 section 2.1.3 (RFC 9162 section 2.1.5) draws, node by node:

                hash
               /    \\
              k      l
             / \\    / \\
            g   h  i   j
           /\\  /\\ /\\  |
          a b c d e f  d6
    """
    d = [leaf_hash(bytes([number])) for number in range(7)]
    tree = dict(zip("abcdefj", d, strict=True))
    tree |= {"g": node_hash(d[0], d[1]), "h": node_hash(d[2], d[3]), "i": node_hash(d[4], d[5])}
    tree |= {"k": node_hash(tree["g"], tree["h"]), "l": node_hash(tree["i"], tree["j"])}
    return tree | {"hash": node_hash(tree["k"], tree["l"])}


# What the section says of it: the proof for d0 is [b, h, l], that from the first three leaves to all is [c, d, g, l], and so on.
RFC_INCLUSIONS = {0: "bhl", 3: "cgl", 4: "fjk", 6: "ik"}
RFC_CONSISTENCIES = {3: "cdgl", 4: "l", 6: "ijk"}


def flips(data: bytes) -> list[bytes]:
    return [data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :] for at in range(len(data)) for bit in range(8)]


def test_the_known_roots_come_out() -> None:
    edge = Edge()
    for text, root in zip(KNOWN_INPUTS, KNOWN_ROOTS, strict=True):
        edge.append(leaf_hash(bytes.fromhex(text)))
        assert edge.root().hex() == root


@pytest.mark.parametrize(("index", "named"), RFC_INCLUSIONS.items())
def test_the_inclusion_proofs_of_the_rfc_come_out(index: int, named: str) -> None:
    tree = named_tree()
    nodes = subtrees([tree[name] for name in "abcdefj"])
    path = inclusion_proof(index, 7, lambda level, at: nodes[level, at])
    assert path == [tree[name] for name in named]
    assert root_from_inclusion(nodes[0, index], index, 7, path) == tree["hash"]


@pytest.mark.parametrize(("old", "named"), RFC_CONSISTENCIES.items())
def test_the_consistency_proofs_of_the_rfc_come_out(old: int, named: str) -> None:
    tree = named_tree()
    leaves = [tree[name] for name in "abcdefj"]
    nodes = subtrees(leaves)
    path = consistency_proof(old, 7, lambda level, at: nodes[level, at])
    assert path == [tree[name] for name in named]
    check_consistency(old, 7, naive_root(leaves[:old]), tree["hash"], path)


@given(st.integers(1, 400), st.data())
def test_proofs_hold_at_any_size_and_at_none_of_another_height(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(number.to_bytes(2, "big")) for number in range(size)]
    nodes, root = subtrees(leaves), naive_root(leaves)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    path = inclusion_proof(index, size, lambda level, at: nodes[level, at])
    assert root_from_inclusion(leaves[index], index, size, path) == root
    joined = consistency_proof(old, size, lambda level, at: nodes[level, at])
    check_consistency(old, size, naive_root(leaves[:old]), root, joined)
    # A path does not fix the size for every leaf: the signed checkpoint does. Of another height it is refused always.
    for other in (size * 2, max(1, size // 2), size << 20):
        if other.bit_length() == size.bit_length():
            continue
        at = min(index, other - 1)
        with contextlib.suppress(VerificationError):  # mostly it has not even the length
            assert root_from_inclusion(leaves[at], at, other, path) != root
        with pytest.raises(VerificationError):
            check_consistency(old, other, naive_root(leaves[:old]), root, joined)


@given(st.integers(0, 300), st.integers(0, 300))
def test_whole_subtrees_join_an_edge_as_their_leaves_would(begin: int, count: int) -> None:
    leaves = [leaf_hash(number.to_bytes(2, "big")) for number in range(begin + count)]
    one, other = Edge(), Edge()
    for leaf in leaves:
        one.append(leaf)
    for leaf in leaves[:begin]:
        other.append(leaf)
    while other.size < begin + count:
        at = other.size
        level = min((at & -at).bit_length() - 1 if at else 12, (begin + count - at).bit_length() - 1)
        rows = rows_of(leaves[at : at + (1 << level)])
        other.absorb(level, rows[level][0])
    assert (one.size, one.hashes) == (other.size, other.hashes)
    built = rows_of(leaves)
    assert fold([built[level][at] for level, at in peaks(0, len(leaves))]) == one.root() or not leaves


def test_the_edge_has_the_naive_root_at_every_size() -> None:
    edge = Edge()
    assert edge.root() == EMPTY_ROOT
    for size in range(1, SIZE + 1):
        edge.append(LEAVES[size - 1])
        assert edge.root() == naive_root(LEAVES[:size])
        assert Edge.from_bytes(size, edge.to_bytes()).root() == edge.root()


def test_an_edge_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(VerificationError, match="a tree of 3 leaves has 2 subtrees at its edge, not 1"):
        Edge.from_bytes(3, b"\x00" * 32)


def test_every_inclusion_proof_leads_to_the_root() -> None:
    for size in range(1, SIZE + 1):
        root = naive_root(LEAVES[:size])
        for index in range(size):
            path = inclusion_proof(index, size, subtree)
            assert root_from_inclusion(LEAVES[index], index, size, path) == root


def test_every_consistency_proof_joins_its_roots() -> None:
    for new in range(1, SIZE + 1):
        for old in range(1, new + 1):
            path = consistency_proof(old, new, subtree)
            check_consistency(old, new, naive_root(LEAVES[:old]), naive_root(LEAVES[:new]), path)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 7), (3, 7), (6, 7), (5, 8), (12, 13)])
def test_every_bit_flip_of_an_inclusion_proof_is_found(index: int, size: int) -> None:
    root, path = naive_root(LEAVES[:size]), inclusion_proof(index, size, subtree)
    for at, step in enumerate(path):
        for flipped in flips(step):
            assert root_from_inclusion(LEAVES[index], index, size, [*path[:at], flipped, *path[at + 1 :]]) != root
    for flipped in flips(LEAVES[index]):
        assert root_from_inclusion(flipped, index, size, path) != root


@pytest.mark.parametrize(("index", "size"), [(0, 7), (3, 7), (6, 7), (5, 8), (12, 13)])
def test_a_proof_for_another_place_or_length_is_found(index: int, size: int) -> None:
    root, path = naive_root(LEAVES[:size]), inclusion_proof(index, size, subtree)
    mutations = [(other, size, path) for other in range(size) if other != index]
    mutations += [(index, size, path[:-1]), (index, size, [*path, b"\x00" * 32])]
    for other_index, other_size, other_path in mutations:
        try:
            assert root_from_inclusion(LEAVES[index], other_index, other_size, other_path) != root
        except VerificationError:
            continue


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 7), (6, 8), (7, 13), (8, 8)])
def test_every_bit_flip_of_a_consistency_proof_or_root_is_found(old: int, new: int) -> None:
    first, second, path = naive_root(LEAVES[:old]), naive_root(LEAVES[:new]), consistency_proof(old, new, subtree)
    mutated = [(flipped, second, path) for flipped in flips(first)]
    mutated += [(first, flipped, path) for flipped in flips(second)]
    mutated += [
        (first, second, [*path[:at], flipped, *path[at + 1 :]])
        for at, step in enumerate(path)
        for flipped in flips(step)
    ]
    mutated += [(first, second, path[:-1])] if path else []
    mutated += [(first, second, [*path, b"\x00" * 32])]
    for one, other, proof in mutated:
        with pytest.raises(VerificationError):
            check_consistency(old, new, one, other, proof)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(VerificationError, match="has no leaf"):
        inclusion_proof(index, size, subtree)
    with pytest.raises(VerificationError, match="has no leaf"):
        root_from_inclusion(LEAVES[0], index, size, [])


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 4), (5, 0), (5, 4)])
def test_a_tree_is_not_consistent_with_a_smaller_one(old: int, new: int) -> None:
    with pytest.raises(VerificationError, match="there is no consistency proof"):
        check_consistency(old, new, EMPTY_ROOT, EMPTY_ROOT, [])
