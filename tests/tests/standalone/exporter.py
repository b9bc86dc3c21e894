"""An exporter that is not ours: OpenTelemetry's SDK for Python, as its documentation has it. The receiver is named by OTEL_EXPORTER_OTLP_ENDPOINT."""

import logging

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

resource = Resource.create({"service.name": "python"})
traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
meters = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
logger = logging.getLogger("python")
logger.addHandler(LoggingHandler(logger_provider=logs))

tracer = traces.get_tracer("python")
with tracer.start_as_current_span("GET /orders", kind=trace.SpanKind.SERVER, attributes={"http.route": "/orders"}) as span:
    with tracer.start_as_current_span("SELECT orders", attributes={"db.query.text": "SELECT 1"}):
        logger.warning("it is late")
    span.set_attribute("http.response.status_code", 200)
counter = meters.get_meter("python").create_counter("orders.placed", unit="{order}")
counter.add(7, {"currency": "EUR"})

for provider in (traces, logs, meters):
    assert provider.force_flush()
    provider.shutdown()
print(f"{span.get_span_context().trace_id:032x}")
