"""``openclaw audit export``, ``lookup``, ``forget`` and ``show --reveal``: what people type, and what they are told."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from openclaw.action import Principal, ToolCall
from openclaw.decision import Decision, Effect, Obligation
from openclaw.gate import Permit, Request
from openclaw.governance import Governance
from tests.cli.conftest import Command
from tests.support.collector import collector
from tests.support.story import DeskPolicy


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


class TestExport:
    """Everything goes where it is said, or it is said why not."""

    def test_without_a_place_it_goes_to_stdout(self, desk: Path, openclaw: Command) -> None:
        said = openclaw("audit", "export")
        listed = openclaw("audit", "list", "--limit", "1000", "--json").json
        assert (said.code, lines(said.out), said.err) == (0, listed, "")

    def test_a_file_is_written_once(self, desk: Path, openclaw: Command) -> None:
        said = openclaw("audit", "export", "--to", "out")
        count = len(lines(Path("out").read_text()))
        assert said.err == f"{count} entries exported to out\n"
        again = openclaw("audit", "export", "--to", "out")
        assert (again.code, "is there already" in again.err) == (2, True)
        assert openclaw("audit", "export", "--to", "out", "--force").code == 0

    def test_a_cursor_goes_on(self, desk: Path, openclaw: Command) -> None:
        first = openclaw("audit", "export", "--to", "out", "--cursor", "siem")
        second = openclaw("audit", "export", "--to", "out", "--cursor", "siem")
        assert (first.code, second.err) == (0, "0 entries exported to out\n")
        assert Path("openclaw.db.siem.cursor").exists()
        other = openclaw("audit", "export", "--format", "ocsf", "--to", "out", "--cursor", "siem")
        assert (other.code, "is of format `jsonl`, not `ocsf`" in other.err) == (2, True)

    @pytest.mark.parametrize("form", ["jsonl", "cloudevents", "ocsf", "otel"])
    def test_every_format_goes_to_files_and_collectors(self, desk: Path, openclaw: Command, form: str) -> None:
        assert openclaw("audit", "export", "--format", form, "--to", "out").code == 0
        assert lines(Path("out").read_text())
        with collector() as receiver:
            said = openclaw("audit", "export", "--format", form, "--to", receiver.url, "--header", "X-Token: secret")
            assert said.code == 0, said.err
            assert receiver.got
            assert {got.headers["X-Token"] for got in receiver.got} == {"secret"}

    def test_headers_may_come_from_the_environment(
        self, desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENCLAW_EXPORT_HEADERS", "Authorization: Bearer x\nX-Other: y")
        with collector() as receiver:
            openclaw("audit", "export", "--to", receiver.url)
            (got,) = receiver.got
        assert (got.headers["Authorization"], got.headers["X-Other"]) == ("Bearer x", "y")

    def test_a_header_that_is_none_is_refused_and_not_shown(self, desk: Path, openclaw: Command) -> None:
        said = openclaw("audit", "export", "--to", "http://127.0.0.1:9", "--header", "supersecret")
        assert (said.code, "supersecret" in said.err) == (2, False)

    def test_a_sink_that_fails_is_an_error(self, desk: Path, openclaw: Command) -> None:
        with collector() as receiver:
            receiver.fail(401)
            said = openclaw("audit", "export", "--to", receiver.url)
        assert (said.code, "answered 401" in said.err) == (2, True)

    def test_a_sink_that_hangs_is_cut_off_and_counted(
        self, desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("openclaw.review.export.PAUSE_SECONDS", 0.01)
        with collector() as receiver:
            receiver.hang(times=2)
            said = openclaw("audit", "export", "--to", receiver.url, "--limit", "0.2")
        assert said.code == 0
        assert said.err.endswith("2 attempts failed, 2 of them cut off\n")

    @pytest.mark.parametrize(("option", "value"), [("--since", "2099-01-01"), ("--until", "2000-01-01")])
    def test_times_choose_entries(self, desk: Path, openclaw: Command, option: str, value: str) -> None:
        said = openclaw("audit", "export", option, value)
        assert (said.code, said.out) == (0, "")
        assert openclaw("audit", "export", option, "soon").code == 2

    def test_kinds_choose_entries(self, desk: Path, openclaw: Command) -> None:
        said = openclaw("audit", "export", "--kind", "approval", "--kind", "policy")
        assert {line["kind"] for line in lines(said.out)} == {"approval", "policy"}


class Sealing(DeskPolicy):
    """Seals the notes of patients."""

    def evaluate(self, input: object) -> Decision:  # noqa: A002
        duty = Obligation.model_validate({"kind": "mask", "fields": ["args.note"], "subject": "patient 7"})
        return Decision(effect=Effect.ALLOW, obligations=(duty,), revision=self.revision, engine=self.name)


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database in which one note of a patient is sealed."""
    monkeypatch.chdir(tmp_path)
    with Governance.open("sqlite:///openclaw.db", policies=Sealing()) as governance:
        action = ToolCall(principal=Principal(agent="nurse"), name="note", args={"note": "asthma", "pin": 4711})
        permit = governance.gate.admit(Request(action=action))
        assert isinstance(permit, Permit)
        assert permit.seq == 2
    return tmp_path


class TestPersons:
    """Sealed, shown to those with the key, and forgotten for good."""

    def test_a_sealed_value_is_shown_only_when_asked(self, ward: Path, openclaw: Command) -> None:
        assert "asthma" not in openclaw("audit", "show", "2").out
        assert '"note": "asthma"' in openclaw("audit", "show", "2", "--reveal").out
        assert (
            openclaw("audit", "show", "2", "--reveal", "--json").json["body"]["input"]["tool"]["args"]["note"]
            == "asthma"
        )  # type: ignore

    def test_without_the_key_nothing_is_shown(self, ward: Path, openclaw: Command) -> None:
        Path("openclaw.db.key").rename("elsewhere")
        said = openclaw("audit", "show", "2", "--reveal")
        assert (said.code, "signing key" in said.err) == (2, True)
        assert openclaw("audit", "show", "2").code == 0
        assert openclaw("audit", "lookup", "4711").code == 2
        assert openclaw("audit", "show", "2", "--reveal", "--key", "elsewhere").code == 0

    def test_forgetting_asks_first(self, ward: Path, openclaw: Command) -> None:
        said = openclaw("audit", "forget", "patient 7", "--by", "dpo")
        assert (said.code, "nothing was forgotten" in said.err) == (2, True)
        assert "asthma" in openclaw("audit", "show", "2", "--reveal").out

    def test_what_is_forgotten_is_gone_and_the_log_holds(self, ward: Path, openclaw: Command) -> None:
        said = openclaw("audit", "forget", "patient 7", "--by", "dpo", "--yes", "--json")
        assert said.code == 0
        assert said.json["subject"].startswith("hmac-sha256:")  # type: ignore[index, call-overload]
        assert "asthma" not in openclaw("audit", "show", "2", "--reveal").out
        assert openclaw("audit", "verify").code == 0
        assert "erasure" in openclaw("audit", "list").out
        assert openclaw("audit", "forget", "patient 7", "--by", "dpo", "--yes").code == 2
        assert openclaw("audit", "lookup", "asthma").code == 1


class TestLookup:
    """From the command line, a file or a pipe."""

    def test_from_all_three(self, ward: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("value").write_text("4711\n")
        spoken = openclaw("audit", "lookup", "4711")
        assert (spoken.code, "masked" in spoken.out) == (0, True)
        assert openclaw("audit", "lookup", "--file", "value").out == spoken.out
        for arguments in ((), ("-",)):
            monkeypatch.setattr(sys, "stdin", io.StringIO("4711\n"))
            assert openclaw("audit", "lookup", *arguments).out == spoken.out
        sealed = openclaw("audit", "lookup", "asthma", "--json").json
        assert [(match["how"], match["entry"]["seq"]) for match in sealed] == [("sealed", 2)]  # type: ignore

    def test_what_was_never_passed_is_exit_code_1(self, ward: Path, openclaw: Command) -> None:
        said = openclaw("audit", "lookup", "4712")
        assert (said.code, said.out, said.err) == (1, "", "no entry holds it\n")
        assert openclaw("audit", "lookup", "x", "--file", "value").code == 2
        assert openclaw("audit", "lookup", "--file", "missing").code == 2
