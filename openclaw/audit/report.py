"""What ``verify`` found, and how that reads."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from openclaw.errors import VerificationError


class Problem(BaseModel):
    """One thing that ``verify`` found; ``seq`` is the entry that shows it, where one does."""

    model_config = ConfigDict(frozen=True)

    message: str
    seq: int | None = None


class VerifyReport(BaseModel):
    """What ``verify`` found.

    Attributes:
        origin: the log's name.
        size: how many entries the log has had, pruned ones included.
        root: its root hash, hex.
        checkpoints: how many signed ones were compared.
        outside: those among them that are kept outside the database: without any, a cut tail cannot be noticed, and
            ``warnings`` says so.
        pruned: entries 1 to ``pruned`` were removed for their age; 0 where none were.
        pruned_by: the entry that records it, with the signed statement behind which the rest is checked.
        keys: the public keys that have signed, one after another.
        problems: what does not hold.
        warnings: what could not be compared.
    """

    model_config = ConfigDict(frozen=True)

    origin: str
    size: int
    root: str
    checkpoints: int
    outside: int
    pruned: int = 0
    pruned_by: int | None = None
    keys: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything that was checked holds."""
        return not self.problems

    def require(self) -> VerifyReport:
        """This report, if it holds.

        Raises:
            VerificationError: naming the first problem.
        """
        if self.problems:
            raise VerificationError(self.problems[0].message, seq=self.problems[0].seq)
        return self


__all__ = ["Problem", "VerifyReport"]
