"""The log against a plain list and the definition of the tree: any order of appending, failing, signing and reopening."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openclaw.action import utc
from openclaw.audit import AuditLog, Draft, Signer
from openclaw.store import Store, Transaction
from tests.support.story import StillClock

TEXTS = st.text(st.characters(max_codepoint=0xD7FF), max_size=5)
BODIES = st.dictionaries(TEXTS, st.none() | st.booleans() | st.text(max_size=5), max_size=3)


class Broken(Exception):
    """What a unit raises that must leave nothing behind."""


def root_of(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash as RFC 9162 section 2.1.1 defines it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


class LogMachine(RuleBasedStateMachine):
    """``model`` is the list: the canonical bytes of every entry."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = StillClock()
        self.model: list[bytes] = []
        self.open()

    def open(self) -> None:
        folder = Path(self.folder.name)
        self.store = Store.open(f"sqlite:///{folder / 'log.db'}", clock=self.clock)
        key = Signer.load(folder / "log.key", self.store.origin)
        self.log = AuditLog(self.store, key, outside=folder / "log.checkpoints")

    def shut(self) -> None:
        self.log.close()
        self.store.close()

    def teardown(self) -> None:
        self.store.flush()
        self.log.verify().require()
        self.shut()
        self.folder.cleanup()

    def expect(self, body: dict[str, object], **others: str) -> None:
        entry = dict.fromkeys(("call_id", "effect", "run", "tool", "workflow"), "") | {"agent": "a", "kind": "halt"}
        whole = {**entry, "at": utc(self.clock.now()), **others, "seq": len(self.model) + 1, "body": body}
        # RFC 8785 orders keys by UTF-16 units; below the surrogates that is the order by code points.
        text = json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        self.model.append(text.encode())

    @rule(body=BODIES)
    def append(self, body: dict[str, object]) -> None:
        entry = self.log.append({"kind": "halt", "agent": "a", "body": body})
        self.expect(dict(entry.body))
        assert entry.seq == len(self.model)
        assert bytes.fromhex(entry.leaf) == hashlib.sha256(b"\x00" + self.model[-1]).digest()

    @rule(bodies=st.lists(st.integers(0, 9), min_size=1, max_size=6), broken=st.sets(st.integers(0, 5)))
    def commit_together(self, bodies: list[int], broken: set[int]) -> None:
        """One commit of several units, some of which write and then fail."""

        def unit(transaction: Transaction, at: int, number: int) -> int:
            seq = self.log.record(transaction, Draft(kind="halt", agent="a", body={"n": number}))
            if at in broken:
                raise Broken
            return seq

        jobs = [
            self.store.submit(lambda transaction, at=at, number=number: unit(transaction, at, number))
            for at, number in enumerate(bodies)
        ]
        for at, job in enumerate(jobs):
            try:
                seq = job.wait()
            except Broken:
                assert at in broken
                continue
            self.expect({"n": bodies[at]})
            assert seq == len(self.model)

    @rule(number=st.integers(0, 9))
    def defer(self, number: int) -> None:
        self.store.defer(
            lambda transaction: self.log.record(transaction, Draft(kind="halt", agent="a", body={"n": number}))
        )
        self.expect({"n": number})

    @rule()
    def reopen(self) -> None:
        self.shut()
        self.open()

    @rule(ms=st.integers(1, 10_000))
    def wait(self, ms: int) -> None:
        self.store.flush()  # what is deferred gets the time of its commit
        self.clock.pass_ms(ms)

    @precondition(lambda self: bool(self.model))
    @rule()
    def checkpoint(self) -> None:
        made = self.log.checkpoint()
        assert (made.size, made.root) == (len(self.model), root_of(self.model))
        self.take_what_was_signed()

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data())
    def prove(self, data: st.DataObject) -> None:
        seq = data.draw(st.integers(1, len(self.model)))
        proof = self.log.prove(seq)
        assert proof.entry.encode() == self.model[seq - 1]
        covered = proof.check(self.log.verifier)
        self.take_what_was_signed()
        assert covered.root == root_of(self.model[: covered.size])

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data())
    def prove_growth(self, data: st.DataObject) -> None:
        old = data.draw(st.integers(1, len(self.model)))
        new = data.draw(st.integers(old, len(self.model)))
        first, second = self.log.prove_consistency(old, new).check(self.log.verifier)
        assert (first.root, second.root) == (root_of(self.model[:old]), root_of(self.model[:new]))
        self.take_what_was_signed()

    def take_what_was_signed(self) -> None:
        """A proof signs a checkpoint where none covers its entry; that is an entry too."""
        for seq in range(len(self.model) + 1, self.log.size() + 1):
            entry = self.log.entry(seq)
            assert entry.kind == "checkpoint"
            self.expect(dict(entry.body), kind="checkpoint", agent="", at=utc(entry.at))

    @invariant()
    def the_log_is_the_list(self) -> None:
        entries = self.log.entries()
        assert [entry.seq for entry in entries] == list(range(1, len(self.model) + 1))
        leaves = [hashlib.sha256(b"\x00" + each).hexdigest() for each in self.model]
        assert [entry.leaf for entry in entries] == leaves


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
