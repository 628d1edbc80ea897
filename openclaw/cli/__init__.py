"""The command ``openclaw``: tables for people, JSON for programs, exit codes 0 holds, 1 does not hold, 2 wrong usage."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

HOLDS = 0
DOES_NOT_HOLD = 1
WRONG_USAGE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    # Late, so that `import openclaw.cli` costs nothing and Ctrl-C during the imports is quiet too.
    own_process = arguments is None
    if own_process:
        # What is imported is never freed: looking through it for garbage, while it comes and once more at the end, is a
        # quarter of what a small command takes. `late` lets the collector go on when the command is there.
        gc.disable()
    try:
        from openclaw.cli import show
        from openclaw.cli.app import app
        from openclaw.errors import OpenClawError, Refused, VerificationError
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    code = HOLDS
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="openclaw", standalone_mode=True)
    except OpenClawError as error:
        show.failure(str(error))
        code = DOES_NOT_HOLD if isinstance(error, VerificationError | Refused) else WRONG_USAGE
    except BrokenPipeError:
        show.leave_quietly()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else HOLDS if end.code is None else DOES_NOT_HOLD
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        show.leave_quietly()
    sys.exit(code)
