"""Every error that openclaw raises, in one small tree.

    OpenClawError            .code  .hint
     ├ Refused               .source .reasons .seq      a governed action may not happen (an answer, not a fault)
     │  ├ BudgetExceeded     .account .unit .requested .remaining .kept
     │  ├ RateLimited        .calls .seconds .retry_after  too many of these calls in too short a time
     │  ├ Misrouted          .model                     a model that runs where the policy does not want it
     │  ├ Halted             .by .halt                  a person has stopped it
     │  ├ ApprovalRequired   .approval                  a person has been asked
     │  └ Ungoverned         .name                      something reached for a raw tool or model
     ├ PolicyError           .diagnostics               policies that cannot be loaded
     │  └ PolicyUnavailable                             where they come from cannot be reached: later it may be
     ├ AuditError                                       the log cannot be read or written
     │  └ VerificationError  .seq                       the log does not prove what it claims
     ├ BudgetError                                      the ledger was asked for something meaningless
     ├ ApprovalError                                    an answer or an exception that cannot be given
     ├ ExportError                                      the log cannot be sent where it was to go
     ├ StoreError                                       the database cannot be opened, read or written
     └ ConfigurationError                               openclaw was put together wrongly

Names of refusals are participles, names of faults end in ``Error``. ``str(error)`` is one line: what is wrong, then what
to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

RefusalSource = Literal["policy", "audit", "budget", "approval", "exception", "halt", "gate"]
"""Which part said no: the three of "no record, no action", a person's answer, exception or halt, or the door itself."""


class OpenClawError(Exception):
    """Base of every error here.

    Args:
        message: what is wrong: one line, lower case, values in backticks.
        hint: what to do about it, or the empty string where the message already says it.
    """

    code: ClassVar[str] = "openclaw"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class Refused(OpenClawError):
    """A governed action was refused. ``reasons`` are for people, ``seq`` is the entry that records the refusal."""

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        source: RefusalSource,
        reasons: Sequence[str] = (),
        seq: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.source: RefusalSource = source
        self.reasons = tuple(reasons) or (message,)
        self.seq = seq


class BudgetExceeded(Refused):
    """An account cannot carry the reservation. ``requested``, ``remaining`` and ``kept`` are in ``unit``.

    ``kept`` is what is left besides, but kept for the shares of others (``openclaw.budget.shares``).
    """

    code = "budget_exceeded"

    def __init__(
        self,
        *,
        account: str,
        unit: str,
        requested: int,
        remaining: int,
        window: str = "total",
        kept: int = 0,
        kept_from: str = "",
        seq: int | None = None,
    ) -> None:
        span = "" if window == "total" else f" in this {window}"
        message = (
            f"the budget of `{account}` is overdrawn by {_amount(-remaining, unit)}{span}"
            if remaining < 0 and not kept
            else f"the budget of `{account}` cannot carry {_amount(requested, unit)}: {_amount(remaining, unit)} left{span}"
        )
        hint = "raise it with `openclaw budget set`"
        if kept:
            message = (
                f"the budget of `{account}` cannot carry {_amount(requested, unit)} for `{kept_from}`: "
                f"{_amount(max(0, remaining), unit)} left{span} besides {_amount(kept, unit)} that are kept for other shares"
            )
            hint = "wait until shares are lent, raise it or give a priority with `openclaw budget set`"
        super().__init__(message, source="budget", seq=seq, hint=hint)
        self.account = account
        self.unit = unit
        self.requested = requested
        self.remaining = remaining
        self.window = window
        self.kept = kept


def _amount(amount: int, unit: str) -> str:
    if unit == "microusd":
        return f"${amount / 1_000_000:,.6f}"
    if unit == "milliseconds":
        return f"{amount / 1_000:,.3f} seconds"
    if unit == "mwh":
        return f"{amount:,} mWh"
    name = unit.replace("_", " ")
    return f"{amount:,} {name.removesuffix('s') if amount == 1 else name}"


class RateLimited(Refused):
    """A limit of the policy is reached: ``calls`` in ``seconds``. ``retry_after`` is when the next may pass, in seconds;
    None where none ever may."""

    code = "rate_limited"

    def __init__(
        self, *, key: str, calls: int, seconds: int, span: str, retry_after: int | None, seq: int | None = None
    ) -> None:
        amount = f"{calls:,} {'call' if calls == 1 else 'calls'} per {span}"
        again = "" if retry_after is None else f": try again in {retry_after:,} s"
        super().__init__(f"the limit of {amount} for `{key}` is reached{again}", source="policy", seq=seq)
        self.key = key
        self.calls = calls
        self.seconds = seconds
        self.retry_after = retry_after


class Misrouted(Refused):
    """A model runs where the policy does not want it, or nobody knows where. Another model may do."""

    code = "misrouted"

    def __init__(self, message: str, *, model: str, seq: int | None = None, hint: str = "") -> None:
        super().__init__(message, source="policy", seq=seq, hint=hint)
        self.model = model


class Halted(Refused):
    """A person has stopped the agent, its workflow, its run or everything. ``halt`` is the entry that says so, ``by`` who did."""

    code = "halted"

    def __init__(self, message: str, *, by: str, halt: int, seq: int | None = None) -> None:
        super().__init__(message, source="halt", seq=seq, hint="`openclaw halts` lists it, `openclaw resume` lifts it")
        self.by = by
        self.halt = halt


class ApprovalRequired(Refused):
    """A person must answer first; ``approval`` is the identifier to answer to."""

    code = "approval_required"

    def __init__(self, message: str, *, approval: str, reasons: Sequence[str] = (), seq: int | None = None) -> None:
        super().__init__(
            message,
            source="approval",
            reasons=reasons,
            seq=seq,
            hint=f"answer with `openclaw approvals approve {approval}` or `reject`",
        )
        self.approval = approval


class Ungoverned(Refused):
    """A raw tool or model was reached inside a run, or a governed one outside of any run."""

    code = "ungoverned"

    def __init__(self, message: str, *, name: str, hint: str = "") -> None:
        super().__init__(message, source="gate", hint=hint)
        self.name = name


Severity = Literal["error", "warning"]
"""An error is wrong; a warning is legal, and does not do what it seems to."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding in a policy file. ``line`` and ``column`` are 1-based; 0 where the engine gives no position.

    ``code`` names the kind of finding for programs, such as ``unknown-input``; empty where it comes from an engine.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    severity: Severity = "error"
    code: str = ""

    def __str__(self) -> str:
        where = self.file if not self.line else f"{self.file}:{self.line}:{self.column}"
        kind = "" if self.severity == "error" else f"{self.severity}: "
        return f"{where}: {kind}{self.message}" + (f"; {self.hint}" if self.hint else "")


class PolicyError(OpenClawError):
    """Policies cannot be loaded. ``diagnostics`` name each place."""

    code = "policy"

    def __init__(self, message: str, *, diagnostics: Sequence[Diagnostic] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        return "\n  ".join([super().__str__(), *map(str, self.diagnostics)])


class PolicyUnavailable(PolicyError):
    """Where policies come from, or are decided, cannot be reached, or does not give them. Later it may."""

    code = "policy_unavailable"


class AuditError(OpenClawError):
    """The log cannot be read or written."""

    code = "audit"


class VerificationError(AuditError):
    """The log, or a proof from it, does not hold. ``seq`` is the first entry that shows it, where one does."""

    code = "verification"

    def __init__(self, message: str, *, seq: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.seq = seq


class BudgetError(OpenClawError):
    """The ledger was asked for something that has no meaning: a negative amount, an unknown unit or reservation."""

    code = "budget"


class ApprovalError(OpenClawError):
    """An answer that cannot be given: to no question, twice, or too late; or an exception that cannot be opened or closed."""

    code = "approval"


class ExportError(OpenClawError):
    """The log cannot be exported: to no such place, in no such form, or the sink does not take it."""

    code = "export"


class StoreError(OpenClawError):
    """The database cannot be opened, read or written."""

    code = "store"


class ConfigurationError(OpenClawError):
    """Parts were put together in a way that cannot be governed."""

    code = "configuration"
