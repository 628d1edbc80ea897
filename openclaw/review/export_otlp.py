"""The messages of OTLP 1.x, built with the protocol's own package, and their two encodings: protobuf and JSON."""

# The protocol's classes are generated and have no types that a checker knows.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from openclaw.errors import ConfigurationError
from openclaw.review.export_sinks import Parcel, Rejected

_CONTENT_TYPE = "application/x-protobuf"
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})
_INTERNAL, _CLIENT = 1, 3
_ERROR = 2
_DELTA = 1
_INFO, _WARN = 9, 13

Point = tuple[str, int, int, int, dict[str, Any]]
"""A counter's name, what is added to it, from when to when (nanoseconds since 1970), and its attributes."""


class Otlp:
    """Builds requests for one resource and scope.

    Raises:
        ConfigurationError: the protocol's package is not installed.
    """

    def __init__(self, *, resource: Mapping[str, str], scope: tuple[str, str], attributes: Mapping[str, str]) -> None:
        try:
            from google.protobuf import json_format
            from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
            from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
            from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
            from opentelemetry.proto.common.v1 import common_pb2
            from opentelemetry.proto.logs.v1 import logs_pb2
            from opentelemetry.proto.metrics.v1 import metrics_pb2
            from opentelemetry.proto.resource.v1 import resource_pb2
            from opentelemetry.proto.trace.v1 import trace_pb2
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "OpenTelemetry needs the package of its protocol, which is not installed",
                hint="pip install 'openclaw-governance[otel]'",
            ) from error
        self._json: Any = json_format
        self._logs_service: Any = logs_service_pb2
        self._metrics_service: Any = metrics_service_pb2
        self._trace_service: Any = trace_service_pb2
        self._common: Any = common_pb2
        self._logs: Any = logs_pb2
        self._metrics: Any = metrics_pb2
        self._traces: Any = trace_pb2
        self._resource: Any = resource_pb2.Resource(attributes=self._attributes(resource))
        name, version = scope
        self._scope: Any = common_pb2.InstrumentationScope(
            name=name, version=version, attributes=self._attributes(attributes)
        )

    # -- parts ---------------------------------------------------------------------------------------------------

    def span(
        self,
        *,
        trace: bytes,
        span: bytes,
        name: str,
        client: bool,
        began: int,
        ended: int,
        attributes: Mapping[str, Any],
        parent: bytes = b"",
        error: str = "",
    ) -> Any:
        """A span; times in nanoseconds since 1970."""
        status = self._traces.Status(code=_ERROR, message=error) if error else self._traces.Status()
        return self._traces.Span(
            trace_id=trace,
            span_id=span,
            parent_span_id=parent,
            name=name,
            kind=_CLIENT if client else _INTERNAL,
            start_time_unix_nano=began,
            end_time_unix_nano=max(began, ended),
            attributes=self._attributes(attributes),
            status=status,
        )

    def record(
        self, *, at: int, name: str, body: str, warn: bool, attributes: Mapping[str, Any], trace: bytes, span: bytes
    ) -> Any:
        """A log record."""
        return self._logs.LogRecord(
            time_unix_nano=at,
            observed_time_unix_nano=at,
            severity_number=_WARN if warn else _INFO,
            severity_text="WARN" if warn else "INFO",
            event_name=name,
            body=self._value(body),
            attributes=self._attributes(attributes),
            trace_id=trace,
            span_id=span,
        )

    # -- requests ------------------------------------------------------------------------------------------------

    def traces(self, spans: Sequence[Any], *, text: bool) -> list[Parcel]:
        """A request that brings spans."""
        within = self._traces.ScopeSpans(scope=self._scope, spans=spans)
        request = self._trace_service.ExportTraceServiceRequest(
            resource_spans=[self._traces.ResourceSpans(resource=self._resource, scope_spans=[within])]
        )
        return [self._parcel(request, "/v1/traces", self._trace_service.ExportTraceServiceResponse, text)]

    def metrics(self, points: Sequence[Point], *, text: bool) -> list[Parcel]:
        """A request that brings counters, as deltas."""
        metrics = [
            self._metrics.Metric(
                name=name,
                unit="{token}",
                sum=self._metrics.Sum(
                    aggregation_temporality=_DELTA,
                    is_monotonic=True,
                    data_points=[self._point(point) for point in points if point[0] == name],
                ),
            )
            for name in sorted({point[0] for point in points})
        ]
        within = self._metrics.ScopeMetrics(scope=self._scope, metrics=metrics)
        request = self._metrics_service.ExportMetricsServiceRequest(
            resource_metrics=[self._metrics.ResourceMetrics(resource=self._resource, scope_metrics=[within])]
        )
        return [self._parcel(request, "/v1/metrics", self._metrics_service.ExportMetricsServiceResponse, text)]

    def logs(self, records: Sequence[Any], *, text: bool) -> list[Parcel]:
        """A request that brings log records."""
        within = self._logs.ScopeLogs(scope=self._scope, log_records=records)
        request = self._logs_service.ExportLogsServiceRequest(
            resource_logs=[self._logs.ResourceLogs(resource=self._resource, scope_logs=[within])]
        )
        return [self._parcel(request, "/v1/logs", self._logs_service.ExportLogsServiceResponse, text)]

    def _parcel(self, request: Any, route: str, response: Any, text: bool) -> Parcel:
        if text:
            document = self._json.MessageToDict(request, use_integers_for_enums=True)
            return Parcel(json.dumps(_hex_ids(document)).encode() + b"\n", route=route)

        def rejected(body: bytes) -> Rejected:
            answer = response()
            try:
                answer.ParseFromString(body)
            except Exception:  # noqa: BLE001 - protobuf's DecodeError has no public home; an answer in no known form says nothing
                return 0, ""
            said = answer.partial_success
            count = sum(int(value) for field, value in said.ListFields() if field.name.startswith("rejected_"))
            return count, str(said.error_message)

        return Parcel(request.SerializeToString(), _CONTENT_TYPE, route, rejected)

    def _point(self, point: Point) -> Any:
        _, value, began, ended, attributes = point
        return self._metrics.NumberDataPoint(
            as_int=value,
            start_time_unix_nano=began,
            time_unix_nano=max(began, ended),
            attributes=self._attributes(attributes),
        )

    def _attributes(self, values: Mapping[str, Any]) -> list[Any]:
        return [self._common.KeyValue(key=key, value=self._value(value)) for key, value in values.items()]

    def _value(self, value: Any) -> Any:
        if isinstance(value, bool):
            return self._common.AnyValue(bool_value=value)
        if isinstance(value, int):
            return self._common.AnyValue(int_value=value)
        if isinstance(value, list | tuple):
            return self._common.AnyValue(
                array_value=self._common.ArrayValue(values=[self._value(item) for item in value])
            )
        return self._common.AnyValue(string_value=str(value))


def _hex_ids(value: Any) -> Any:
    """OTLP's JSON writes identifiers in hex, where protobuf's writes bytes in base64 (OTLP specification, "JSON encoding")."""
    if isinstance(value, dict):
        return {
            name: base64.b64decode(item).hex() if name in _IDS else _hex_ids(item)  # type: ignore[arg-type]
            for name, item in value.items()
        }
    return [_hex_ids(item) for item in value] if isinstance(value, list) else value


__all__ = ["Otlp", "Point"]
