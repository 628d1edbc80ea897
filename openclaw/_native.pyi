# The native extension: the regorus engine, and the hashing of long logs. Built from native/, and optional.

from typing import Literal, final

REGORUS: str

class NativeError(Exception):
    # line and column are 1-based, 0 where the engine gives no position.
    kind: Literal["compile", "input", "evaluation", "deadline", "panic"]
    file: str
    line: int
    column: int

@final
class Policy:
    # Policies and data, compiled for one entry point. Immutable, and shared by all threads.
    @staticmethod
    def compile(files: list[tuple[str, str]], data_json: bytes, entry_point: str) -> Policy: ...
    def evaluate(self, input_json: bytes, deadline_us: int) -> bytes | None: ...
    def evaluate_plain(self, document: object, deadline_us: int) -> bytes | None: ...
    def coverage(self, input_json: bytes, deadline_us: int) -> tuple[bytes | None, bytes]: ...
    def packages(self) -> list[tuple[str, list[str]]]: ...

def parse(path: str, text: str) -> bytes: ...
def has_builtin(name: str) -> bool: ...

# All complete subtrees over rows of the log, each level joined; None where a row does not fit its leaf.
def subtrees(rows: list[tuple[object, ...]]) -> list[bytes] | None: ...
