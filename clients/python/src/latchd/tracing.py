"""The trace that a program is in, where it uses OpenTelemetry: a request belongs to the span that is current when it is sent."""

from __future__ import annotations

import sys


def headers() -> dict[str, str]:
    """What tells the service of it; empty where there is none."""
    # Whoever has a span has imported this.
    if "opentelemetry.trace" not in sys.modules:
        return {}
    try:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:
        return {}
    carrier: dict[str, str] = {}
    # Without the baggage, which is no business of a lock service.
    TraceContextTextMapPropagator().inject(carrier)
    return carrier
