"""The formats say what the entries say, by the rules of those who defined them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded

from openclaw.audit import AuditLog, Draft, Entry, EntryKind
from openclaw.errors import ConfigurationError
from openclaw.review.export import Exporter, open_sink
from openclaw.review.export_formats import CloudEvents
from openclaw.review.export_ocsf import VERSION, Ocsf
from openclaw.review.export_otel import CONVENTIONS, REST_SECONDS, OtelGenAi
from tests.support.collector import Collector, attributes, collector
from tests.support.story import Story, tell_on, told


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with told(f"sqlite:///{tmp_path / 'openclaw.db'}", tmp_path) as whole:
        tell_on(whole)
        whole.governance.audit.checkpoint()
        yield whole


@pytest.fixture
def log(story: Story) -> AuditLog:
    return story.governance.audit


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with collector() as found:
        yield found


def send(log: AuditLog, form: Any, receiver: Collector) -> None:
    sink = open_sink(receiver.url)
    Exporter(log, form, sink).run()
    sink.close()


def to_lines(log: AuditLog, form: Any, path: Path) -> list[Any]:
    sink = open_sink(str(path), force=True)
    Exporter(log, form, sink).run()
    sink.close()
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# CloudEvents --------------------------------------------------------------------------------------------------------


def test_an_entry_is_a_cloudevent(log: AuditLog, tmp_path: Path, receiver: Collector) -> None:
    events = to_lines(log, CloudEvents(), tmp_path / "out")
    assert len(events) == log.size()
    for event, entry in zip(events, log.entries(), strict=True):
        # the required attributes of CloudEvents 1.0.2, their types and their rules
        assert event["specversion"] == "1.0"
        assert all(isinstance(event[name], str) and event[name] for name in ("id", "source", "type"))
        assert set(event) <= {"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"}
        assert dt.datetime.fromisoformat(event["time"]) == entry.at
        assert event["data"] == entry.model_dump(mode="json")
        assert event["type"] == f"openclaw.audit.{entry.kind}"
    assert len({(event["source"], event["id"]) for event in events}) == len(events)
    assert events == to_lines(log, CloudEvents(), tmp_path / "again")
    send(log, CloudEvents(), receiver)
    (got,) = receiver.got
    assert got.headers["Content-Type"] == "application/cloudevents-batch+json"
    assert json.loads(got.body) == events


# OCSF ---------------------------------------------------------------------------------------------------------------


def shape(required: list[str], **properties: Any) -> dict[str, Any]:
    """A closed object of texts, and of what is given."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


TEXT = {"type": "string"}
AI_MODEL = shape(["ai_provider"], name=TEXT, uid=TEXT, version=TEXT, ai_provider=TEXT, uid_numeric={"type": "integer"})
AI_AGENT = {
    **shape(
        [],
        **dict.fromkeys(("uid", "instance_uid", "name", "type", "version"), TEXT),
        type_id={"enum": [0, 1, 2, 3, 4, 99]},
        uid_numeric={"type": "integer"},
        ai_model=AI_MODEL,
    ),
    "anyOf": [{"required": ["name"]}, {"required": ["uid"]}],
}
"""As OCSF has published it in 1.9.0, but for ``charter``, which no event has."""


DELEGATION = shape(
    ["uid"], **dict.fromkeys(("uid", "parent_uid", "issuer_uid"), TEXT), created_time={"type": "integer"}
)


@pytest.fixture(scope="module")
def published() -> jsonschema.Draft202012Validator:
    """The published schema of the class, with the profiles that events claim: that of 1.8.0, which is packaged, and what 1.9.0
    has added to it (its changelog of 3 August 2026) and events use."""
    schema = json.loads(files("ocsf_json_schema").joinpath("ocsf/1.8.0.json").read_bytes())
    found = OcsfJsonSchemaEmbedded(schema).get_class_schema("api_activity", ["ai_operation", "security_control"])
    assert "ai_agent" not in found["properties"], "the package knows 1.9.0: take it from there"
    found["properties"]["ai_agent"] = AI_AGENT
    found["properties"]["delegation"] = DELEGATION
    actor = found["$defs"]["actor"]
    actor["properties"]["application"] = {"$ref": "#/$defs/application"}
    actor["anyOf"] = [*actor["anyOf"], {"required": ["application"]}]
    return jsonschema.Draft202012Validator(found)


def test_events_fit_the_published_schema(
    log: AuditLog, tmp_path: Path, published: jsonschema.Draft202012Validator
) -> None:
    events = to_lines(log, Ocsf(), tmp_path / "out")
    assert len(events) == log.size()
    for event in events:
        assert [f"{error.json_path}: {error.message}" for error in published.iter_errors(event)] == []
    assert {event["metadata"]["event_code"] for event in events} == {entry.kind for entry in log.entries()}


def test_every_kind_of_entry_fits_the_published_schema(
    log: AuditLog, tmp_path: Path, published: jsonschema.Draft202012Validator
) -> None:
    ocsf = Ocsf()
    ocsf.begin(log, {})
    for kind in get_args(EntryKind):
        entry = log.append(Draft(kind=kind))  # type: ignore[arg-type]
        assert [error.message for error in published.iter_errors(ocsf.event(entry))] == []


def test_the_schema_test_can_fail(log: AuditLog, published: jsonschema.Draft202012Validator) -> None:
    ocsf = Ocsf()
    ocsf.begin(log, {})
    event = ocsf.event(log.entry(3))
    for name in ("activity_id", "api", "actor", "src_endpoint", "metadata", "time"):
        assert not published.is_valid({key: value for key, value in event.items() if key != name})
    assert not published.is_valid({**event, "class_uid": 6004})
    assert not published.is_valid({**event, "ai_agent": {}})
    assert not published.is_valid({**event, "ai_agent": {"name": "a", "chain": []}})
    assert not published.is_valid({**event, "actor": {"application": {}}})


def test_what_an_event_says(log: AuditLog) -> None:
    ocsf = Ocsf()
    ocsf.begin(log, {})
    entries = log.entries()
    denied = ocsf.event(next(entry for entry in entries if entry.effect == "deny"))
    assert (denied["action"], denied["disposition"], denied["severity"], denied["status"]) == (
        "Denied",
        "Blocked",
        "Medium",
        "Failure",
    )
    assert denied["status_detail"] == "the account is not the customer's own"
    failed = ocsf.event(next(entry for entry in entries if entry.body.get("status") == "failed"))
    assert failed["api"]["response"] == {"message": "failed", "error": "KeyError", "error_message": "KeyError: 'B-1'"}  # type: ignore
    assert failed["end_time"] - failed["start_time"] == failed["duration"] == 5  # type: ignore
    model = ocsf.event(next(entry for entry in entries if entry.tool == "small-1"))
    assert model["ai_agent"] == {
        "uid": "returns/triage",
        "name": "triage",
        "instance_uid": "run-0001",
        "ai_model": {"name": "small-1", "ai_provider": "acme"},
    }
    assert "ai_model" not in model  # that one is of calls without an agent
    spent = ocsf.event(next(entry for entry in entries if entry.body.get("used", {}).get("input_tokens")))  # type: ignore
    assert (spent["message_context"]["ai_role"], spent["message_context"]["total_tokens"] > 0) == ("Agent", True)  # type: ignore
    assert VERSION == denied["metadata"]["version"] == "1.9.0"  # type: ignore


@pytest.mark.parametrize(
    ("principal", "names"),
    [
        ({"agent": "refunds", "chain": ["triage", "refunds"]}, ("run-7/triage/refunds", "run-7/triage")),
        ({"agent": "c", "chain": ["a", "b", "c"], "on_behalf_of": "user:eva"}, ("run-7/a/b/c", "run-7/a/b")),
        ({"agent": "triage", "chain": ["triage"], "on_behalf_of": "user:eva"}, ("run-7/triage", None)),
        ({"agent": "triage", "on_behalf_of": "user:eva"}, ("run-7/triage", None)),
        ({"agent": "triage", "chain": ["triage"]}, None),
        ({"agent": "c", "chain": ["a", {"$masked": "hmac-sha256:00"}, "c"]}, None),
        ({"agent": "c", "chain": {"$masked": "hmac-sha256:00"}}, None),
    ],
)
def test_whose_authority_an_agent_acts_under_is_a_delegation(
    log: AuditLog,
    published: jsonschema.Draft202012Validator,
    principal: dict[str, Any],
    names: tuple[str, str | None] | None,
) -> None:
    ocsf = Ocsf()
    ocsf.begin(log, {})
    body = {"input": {"kind": "tool", "principal": principal}}
    entry = log.append(Draft(kind="decision", run="run-7", agent=principal["agent"], effect="allow", body=body))
    event = ocsf.event(entry)
    assert [error.message for error in published.iter_errors(event)] == []
    if names is None:
        assert "delegation" not in event
        return
    uid, parent = names
    expected = {"uid": f"{log.origin}/{uid}", "issuer_uid": log.origin}
    assert event["delegation"] == (expected if parent is None else expected | {"parent_uid": f"{log.origin}/{parent}"})


# OpenTelemetry ------------------------------------------------------------------------------------------------------


def test_calls_are_spans_of_their_agents_turns(log: AuditLog, receiver: Collector) -> None:
    send(log, OtelGenAi(), receiver)
    spans = receiver.spans()
    turns = {span.span_id: span for span in spans if span.name.startswith("invoke_agent ")}
    calls = [span for span in spans if span.span_id not in turns]
    assert {span.name for span in turns.values()} == {"invoke_agent triage", "invoke_agent refunds"}
    assert {span.name for span in calls} == {"chat small-1", "execute_tool lookup_order", "execute_tool refund"}
    for call in calls:
        turn = turns[call.parent_span_id]
        assert call.trace_id == turn.trace_id
        assert attributes(call)["gen_ai.agent.name"] == attributes(turn)["gen_ai.agent.name"]
        assert (
            turn.start_time_unix_nano <= call.start_time_unix_nano <= call.end_time_unix_nano <= turn.end_time_unix_nano
        )
    assert len({span.trace_id for span in spans}) == 2  # one for each run
    assert all(len(span.trace_id) == 16 and len(span.span_id) == 8 for span in spans)


def test_spans_carry_what_the_conventions_require(log: AuditLog, receiver: Collector) -> None:
    send(log, OtelGenAi(), receiver)
    by_name = {span.name: span for span in receiver.spans()}
    chat, tool, turn = (by_name[name] for name in ("chat small-1", "execute_tool refund", "invoke_agent triage"))
    assert (chat.kind, tool.kind, turn.kind) == (3, 1, 1)  # CLIENT, INTERNAL, INTERNAL
    said = attributes(chat)
    assert (said["gen_ai.provider.name"], said["gen_ai.request.model"]) == ("acme", "small-1")
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (1220, 44)
    said = attributes(tool)
    assert said["gen_ai.operation.name"] == "execute_tool"
    assert (said["gen_ai.tool.name"], said["gen_ai.tool.type"]) == ("refund", "function")
    assert said["gen_ai.tool.call.id"].startswith("call_")
    assert attributes(turn)["gen_ai.operation.name"] == "invoke_agent"
    assert attributes(turn)["gen_ai.conversation.id"] in ("customer-17", "customer-18")


def test_what_went_wrong_has_an_error_type(log: AuditLog, receiver: Collector) -> None:
    send(log, OtelGenAi(), receiver)
    errors = {attributes(span)["error.type"] for span in receiver.spans() if span.status.code == 2}
    assert errors == {"KeyError", "refused_by_policy", "refused_by_budget"}


def test_tokens_are_counted(log: AuditLog, receiver: Collector) -> None:
    send(log, OtelGenAi(), receiver)
    counted = {
        metric.name: sum(point.as_int for point in metric.sum.data_points)
        for metric in receiver.metrics()
        if metric.sum.is_monotonic and metric.sum.aggregation_temporality == 1 and metric.unit == "{token}"
    }
    assert counted == {
        "gen_ai.client.inference.usage.input_tokens": 940 + 1220,
        "gen_ai.client.inference.usage.output_tokens": 61 + 44,
    }
    point = receiver.metrics()[0].sum.data_points[0]
    assert attributes(point) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "acme",
        "gen_ai.request.model": "small-1",
        "gen_ai.token.modality": "unknown",
    }


def test_a_failed_call_counts_nothing_and_is_counted_and_what_was_cached_is_a_part(log: AuditLog) -> None:
    form = OtelGenAi()
    form.begin(log, {})
    asked = {"input": {"kind": "model", "model": {"name": "m", "provider": "p"}}}
    first = log.append({"kind": "decision", "run": "r", "agent": "a", "tool": "m", "effect": "allow", "body": asked})
    used = {"calls": 1, "input_tokens": 900, "output_tokens": 7, "tokens": 907}
    cached = {"status": "done", "used": used, "cached": {"read": 800, "written": 50}}
    second = log.append({"kind": "outcome", "run": "r", "agent": "a", "body": {**cached, "decision": first.seq}})
    failed = log.append({"kind": "outcome", "run": "r", "body": {"status": "failed", "decision": first.seq}})
    lookup = next(entry.seq for entry in log.entries() if entry.tool == "lookup_order")
    tool = log.append({"kind": "outcome", "run": "r", "body": {"status": "done", "decision": lookup}})

    def counted(entry: Entry) -> dict[str, int]:
        found = {name: count for name, count, *_ in form._points(entry)}
        return {name.removeprefix("gen_ai.client.inference.usage."): count for name, count in found.items()}

    assert counted(second) == {
        "input_tokens": 900,
        "output_tokens": 7,
        "cache_read.input_tokens": 800,
        "cache_write.input_tokens": 50,
    }
    assert counted(failed) == {"input_tokens": 0, "output_tokens": 0}
    assert counted(tool) == {}
    spans = [span for span in form._spans(second) if span.name == "chat m"]
    said = attributes(spans[0])
    assert (said["gen_ai.usage.cache_read.input_tokens"], said["gen_ai.usage.cache_write.input_tokens"]) == (800, 50)


CONVENTIONAL = {
    "gen_ai.agent.name",
    "gen_ai.conversation.id",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.token.modality",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.id",
    "gen_ai.tool.call.result",
    "gen_ai.tool.name",
    "gen_ai.tool.type",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "error.type",
}
"""Attributes of the conventions' registry; a name of theirs that is not among them is one of our own making."""


def test_no_name_of_the_conventions_is_made_up(log: AuditLog, receiver: Collector) -> None:
    send(log, OtelGenAi(content=True), receiver)
    names = {name for span in receiver.spans() for name in attributes(span)}
    names |= {name for record in receiver.records() for name in attributes(record)}
    names |= {name for metric in receiver.metrics() for point in metric.sum.data_points for name in attributes(point)}
    assert {name for name in names if not name.startswith("openclaw.")} <= CONVENTIONAL
    required = {
        "chat": {"gen_ai.operation.name", "gen_ai.provider.name"},
        "execute_tool": {"gen_ai.operation.name", "gen_ai.tool.name"},
        "invoke_agent": {"gen_ai.operation.name"},
    }
    for span in receiver.spans():
        assert required[span.name.split()[0]] <= set(attributes(span))


def test_every_entry_is_a_log_record(log: AuditLog, receiver: Collector) -> None:
    send(log, OtelGenAi(), receiver)
    records = receiver.records()
    assert [attributes(record)["openclaw.seq"] for record in records] == list(range(1, log.size() + 1))
    assert {record.event_name for record in records} == {f"openclaw.audit.{entry.kind}" for entry in log.entries()}


def test_contents_are_sent_only_if_asked(log: AuditLog, receiver: Collector) -> None:
    send(log, OtelGenAi(), receiver)
    assert not any(b"DE-77" in got.body for got in receiver.got)
    send(log, OtelGenAi(content=True), receiver)
    refund = [span for span in receiver.spans() if "gen_ai.tool.call.arguments" in attributes(span)][1]
    assert json.loads(attributes(refund)["gen_ai.tool.call.arguments"])["order"].startswith(("A-", "B-"))


def test_an_entry_that_is_sent_again_has_the_same_identity(log: AuditLog, receiver: Collector) -> None:
    for _ in range(2):
        send(log, OtelGenAi(), receiver)
    spans = [(span.trace_id, span.span_id, span.name, span.start_time_unix_nano) for span in receiver.spans()]
    assert sorted(spans) == sorted(2 * [*set(spans)])


def test_a_turn_is_told_once_it_has_come_to_rest(story: Story, log: AuditLog, receiver: Collector) -> None:
    form = OtelGenAi()
    form.begin(log, {})
    form.pack(log.entries(), text=False)
    form.rest(story.clock.now(), text=False)
    assert [key for key in form.state()["turns"] if "refunds" in key]  # type: ignore[union-attr]
    story.clock.pass_ms(REST_SECONDS * 1000 + 1)
    rested = form.rest(story.clock.now(), text=True)
    names = [
        span["name"]
        for parcel in rested
        for span in json.loads(parcel.data)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]
    assert "invoke_agent refunds" in names
    assert form.state()["turns"] != {}  # a call of triage was cut off: its turn waits longer
    form.rest(None, text=True)
    assert form.state() == {"turns": {}}


def test_a_turn_goes_on_after_a_restart(log: AuditLog) -> None:
    whole, halves = OtelGenAi(), OtelGenAi()
    whole.begin(log, {})
    halves.begin(log, {})
    entries = log.entries()
    expected = [*whole.pack(entries, text=True), *whole.rest(None, text=True)]
    halves.pack(entries[:7], text=True)
    again = OtelGenAi()
    again.begin(log, json.loads(json.dumps(halves.state())))
    found = [*again.pack(entries[7:], text=True), *again.rest(None, text=True)]
    assert _turns(found) == _turns(expected)


def _turns(parcels: list[Any]) -> list[tuple[str, str, str]]:
    spans = [
        span
        for parcel in parcels
        if parcel.route == "/v1/traces"
        for span in json.loads(parcel.data)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]
    return sorted(
        (span["spanId"], span["startTimeUnixNano"], span["endTimeUnixNano"])
        for span in spans
        if span["name"].startswith("invoke_agent")
    )


def test_a_decision_on_a_result_is_a_record_and_no_span(log: AuditLog) -> None:
    form = OtelGenAi()
    form.begin(log, {})
    body = {"input": {"kind": "result"}}
    entry = log.append({"kind": "decision", "run": "r", "agent": "a", "tool": "t", "effect": "allow", "body": body})
    (parcel,) = form.pack([entry], text=True)
    assert (parcel.route, form.state()) == ("/v1/logs", {"turns": {}})


def test_in_a_file_it_is_otlp_json(log: AuditLog, tmp_path: Path) -> None:
    requests = to_lines(log, OtelGenAi(), tmp_path / "out")
    assert {next(iter(request)) for request in requests} == {"resourceSpans", "resourceMetrics", "resourceLogs"}
    scope = requests[0]["resourceSpans"][0]["scopeSpans"][0]
    assert scope["scope"]["attributes"] == [
        {"key": "openclaw.gen_ai.conventions", "value": {"stringValue": CONVENTIONS}}
    ]
    assert all(len(bytes.fromhex(span["traceId"])) == 16 for span in scope["spans"])
    assert all(isinstance(span["kind"], int) and span["startTimeUnixNano"].isdecimal() for span in scope["spans"])


def test_what_a_collector_leaves_out_is_counted(log: AuditLog, receiver: Collector) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 2
    answer.partial_success.error_message = "too old"
    receiver.behave.append(lambda _: (200, {}, answer.SerializeToString()))
    sink = open_sink(receiver.url)
    report = Exporter(log, OtelGenAi(), sink).run()
    sink.close()
    assert (report.rejected, report.complete) == (2, False)
    assert report.notes["rejected"] == "the sink left out 2 of what it took: too old"


def test_without_the_protocols_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.logs.v1", None)
    with pytest.raises(ConfigurationError, match="pip install 'openclaw-governance\\[otel\\]'"):
        OtelGenAi()
