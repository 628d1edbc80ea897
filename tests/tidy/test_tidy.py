"""Style as a test: sizes, sources of time, imports, and words that have no place in this project."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MODULES = sorted((PROJECT / "openclaw").rglob("*.py"))

LINES_MAX = 600
FUNCTION_LINES_MAX = 80

# Where randomness is read besides clock.py, and why that is right. Nowhere else is the time.
CLOCK_EXCEPTIONS = {
    ("openclaw/audit/cipher.py", "os.urandom"): "keys and nonces",
    ("openclaw/policy/reach.py", "random.Random"): "of a fixed seed: the same samples every time",
}
CLOCK_READS = re.compile(
    r"^(time\.(time|time_ns|localtime|gmtime|ctime|strftime)"
    r"|(dt\.|datetime\.)?(datetime|date)\.(now|utcnow|today)"
    r"|uuid\.uuid\d|random\.\w+|secrets\.\w+|os\.urandom)$"
)

LOCK_FILES = {"Cargo.lock", "poetry.lock", "uv.lock", "pdm.lock", "package-lock.json", "yarn.lock", "go.sum"}
FORBIDDEN = {
    "an absolute path of one machine": re.compile(r"(?<![\w./-])/(work|root|tmp/w)/|/home/\w+/"),
    "the address of a package registry": re.compile(
        r"pythonhosted\.org|pypi\.org/simple|npmjs\.(org|com)|crates\.io|proxy\.golang\.org|repo1?\.maven",
        re.IGNORECASE,
    ),
}


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def tracked() -> list[Path]:
    """The project's own files: those that git knows, or all but what was installed or built where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False)
    if listed.returncode == 0:
        found = [PROJECT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        built = {".venv", ".tools", ".git", "target", "build", "dist"}
        found = [path for path in PROJECT.rglob("*") if not built.intersection(path.relative_to(PROJECT).parts)]
    return [path for path in found if path.is_file()]


def dotted(node: ast.expr) -> str:
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return f"{dotted(node.value)}.{node.attr}"
        case _:
            return ""


def test_imports_go_downwards_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--config", "pyproject.toml", "--no-cache"], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_modules_and_functions_stay_small_and_documented(module: Path) -> None:
    source = module.read_text()
    tree = ast.parse(source)
    assert ast.get_docstring(tree), "the module has no docstring"
    assert len(source.splitlines()) <= LINES_MAX
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [
        f"{node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in functions
        if node.end_lineno is not None and node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


@pytest.mark.parametrize("module", [path for path in MODULES if name_of(path) != "openclaw/clock.py"], ids=name_of)
def test_time_and_chance_come_from_the_clock(module: Path) -> None:
    tree = ast.parse(module.read_text())
    used = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in {"time", "uuid", "random", "secrets", "os"}
        for alias in node.names
    }
    found = {name for name in used if CLOCK_READS.match(name) and (name_of(module), name) not in CLOCK_EXCEPTIONS}
    assert found == set()


def test_the_exceptions_to_the_clock_rule_are_still_needed() -> None:
    for file, name in CLOCK_EXCEPTIONS:
        assert name in (PROJECT / file).read_text(), f"{file} no longer uses {name}: remove its exception"


def test_no_file_names_a_machine_or_a_registry() -> None:
    found: list[str] = []
    for path in tracked():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # Not text: a picture or a database.
        for what, pattern in FORBIDDEN.items():
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{name_of(path)}:{line}: {what}: {match.group()}")
    assert found == []


def test_no_lock_file_is_kept() -> None:
    assert [name_of(path) for path in tracked() if path.name in LOCK_FILES] == []


def test_importing_openclaw_opens_nothing_and_loads_nothing_heavy() -> None:
    program = """
import json, sys
opened = []
def hook(event, args):
    if event == "open" and isinstance(args[0], str) and not args[0].endswith((".py", ".pyc", ".so", ".cfg", ".pth")):
        opened.append(args[0])
    elif event.startswith(("socket.", "subprocess.", "sqlite3.", "os.mkdir", "os.system")):
        opened.append(event)
sys.addaudithook(hook)
import openclaw
heavy = ["langgraph", "langchain", "langchain_core", "rich", "typer", "sqlalchemy", "sqlmodel", "pydantic", "regopy", "requests"]
print(json.dumps({"opened": opened, "loaded": [name for name in heavy if name in sys.modules]}))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert seen == {"opened": [], "loaded": []}


def test_every_direct_dependency_has_a_lower_bound_and_an_exact_tested_version() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    pins = dict(
        line.lower().replace("_", "-").split("==")
        for line in (PROJECT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    for line in wanted:
        if line.startswith("openclaw-governance"):
            continue
        match = re.fullmatch(r"([a-z0-9-]+)(?:\[[a-z,]+\])?(?:>=|==)(\d+(?:\.\d+)+)(?:,<\d+)?", line)
        assert match, f"`{line}` is not of the form name>=1.2.3, name>=1.2.3,<2 or name==1.2.3"
        name, bound = match.groups()
        assert name in pins, f"`{name}` is not in constraints.txt"
        assert _numbers(pins[name]) >= _numbers(bound), f"constraints.txt has {name} {pins[name]}, below {bound}"


def test_constraints_hold_versions_only() -> None:
    lines = [line for line in (PROJECT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []


@pytest.mark.parametrize("file", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"])
def test_the_files_that_people_look_for_are_there(file: str) -> None:
    assert (PROJECT / file).read_text().strip()


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    assert "\n## Unreleased\n" in (PROJECT / "CHANGELOG.md").read_text()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
