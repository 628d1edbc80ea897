"""`--model provider:name`: what is missing is said; and the way is real up to the network, where a server of ours answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from examples.stage import NEEDED
from openclaw import Governance
from tests.examples.test_stories import POLICIES, ROOT, SHOWN

MODEL = "openai:gpt-4o-mini"


class Provider(ThreadingHTTPServer):
    """Answers as OpenAI's chat completions do: with what ``lines`` say for so many answers of its own, and then with a text."""

    daemon_threads = True

    def __init__(self, lines: list[dict[str, Any]], status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.lines, self.status = lines, status
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request."""
        behind = sum(message["role"] == "assistant" for message in asked["messages"])
        said = self.lines[behind] if behind < len(self.lines) else {"content": "That is all I can say."}
        message = {"role": "assistant", "content": None, **said}
        return {
            "id": f"chatcmpl-{behind}",
            "object": "chat.completion",
            "created": 0,
            "model": asked["model"],
            "choices": [
                {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in said else "stop"}
            ],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }


class _Answering(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        self.server.keys.add(self.headers.get("Authorization", ""))
        found = self.path == "/v1/chat/completions"
        status = self.server.status if found else 404
        reply = self.server.answer(asked) if status == 200 else {"error": {"message": "that key is not one of ours"}}
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def provider(lines: list[dict[str, Any]], status: int = 200) -> Iterator[Provider]:
    pytest.importorskip("langchain_openai")
    with Provider(lines, status) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def called(name: str, **args: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(args)}
    return {"tool_calls": [{"id": f"call_{name}", "type": "function", "function": function}]}


def play(name: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    keys = {key for _, key in NEEDED.values()}
    kept = {name: value for name, value in os.environ.items() if name not in keys and "proxy" not in name.lower()}
    command = [sys.executable, "-m", f"examples.{name}", *options]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=kept | environment, timeout=120
    )


@pytest.mark.parametrize("name", SHOWN)
def test_each_example_asks_the_real_model_and_what_it_says_is_governed(name: str, tmp_path: Path) -> None:
    if name == "mcp_shop":
        pytest.importorskip("langchain_mcp_adapters")
    url = f"sqlite:///{tmp_path / 'kept.db'}"
    with provider([]) as server:
        played = play(name, "--model", MODEL, "--store", url, OPENAI_API_KEY="test-key", OPENAI_BASE_URL=server.url)
    assert played.returncode == 0, played.stderr
    assert "That is all I can say." in played.stdout
    assert server.keys == {"Bearer test-key"}
    assert {asked["model"] for asked in server.asked} == {"gpt-4o-mini"}
    assert all(asked["tools"] for asked in server.asked)
    with Governance.open(url, policies=POLICIES / name) as gov:
        models = [entry for entry in gov.audit.entries(kind="decision") if entry.tool == "gpt-4o-mini"]
        assert len(models) == len(server.asked)
        assert {entry.body["input"]["model"]["provider"] for entry in models} == {"openai"}  # type: ignore[index, call-overload]
        outcomes = [entry for entry in gov.audit.entries(kind="outcome") if entry.tool == "gpt-4o-mini"]
        assert {entry.body["used"]["input_tokens"] for entry in outcomes} == {11}  # type: ignore[index, call-overload]


def test_the_calls_of_a_real_model_are_decided_and_their_answers_go_back_to_it(tmp_path: Path) -> None:
    lines = [called("weather", city="Bergen"), called("delete_notes", folder="notes"), {"content": "It rains."}]
    with provider(lines) as server:
        played = play("assistant", "--model", MODEL, OPENAI_API_KEY="test-key", OPENAI_BASE_URL=server.url)
    assert played.returncode == 0, played.stderr
    assert "< Bergen: 12 degrees, rain" in played.stdout
    assert "! Refused by policy: an assistant deletes nothing" in played.stdout
    assert "It rains." in played.stdout
    last = server.asked[-1]["messages"]
    assert [message["tool_call_id"] for message in last if message["role"] == "tool"] == [
        "call_weather",
        "call_delete_notes",
    ]


@pytest.mark.parametrize("name", SHOWN)
def test_a_key_that_is_missing_is_named_before_anything_runs(name: str) -> None:
    pytest.importorskip("langchain_openai")
    if name == "mcp_shop":
        pytest.importorskip("langchain_mcp_adapters")
    played = play(name, "--model", MODEL)
    assert played.returncode == 1
    needed = f"the model `{MODEL}` needs a key, and there is none: set OPENAI_API_KEY in the environment"
    assert played.stderr.strip() == needed


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("mistralai:small", "needs a package that is not installed: pip install langchain-mistralai"),
        ("nobody:nothing", "the model `nobody:nothing` cannot be opened"),
        ("gpt-4o", "`gpt-4o` names no model: write `provider:name`, such as `--model openai:gpt-4o-mini`"),
    ],
)
def test_what_else_is_missing_is_said_in_one_line(model: str, said: str) -> None:
    played = play("own_graph", "--model", model)
    assert played.returncode == 1
    assert said in played.stderr
    assert len(played.stderr.strip().splitlines()) == 1


def test_a_provider_that_refuses_and_one_that_is_not_there_are_one_line_each() -> None:
    with provider([], status=401) as server:
        refused = play("own_graph", "--model", MODEL, OPENAI_API_KEY="wrong", OPENAI_BASE_URL=server.url)
    assert refused.returncode == 2
    assert f"error: the model `{MODEL}` failed: " in refused.stderr
    assert "that key is not one of ours" in refused.stderr
    gone = play("own_graph", "--model", MODEL, OPENAI_API_KEY="k", OPENAI_BASE_URL=server.url)
    assert gone.returncode == 2
    assert "Connection" in gone.stderr
    assert "Traceback" not in refused.stderr + gone.stderr
