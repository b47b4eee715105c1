"""What operators watch: metrics and the log."""

from __future__ import annotations

from pydantic import Field

from pds.config.groups import Group


class MetricsSettings(Group):
    """Metrics for Prometheus, on a separate address."""

    host: str = Field(
        "127.0.0.1", alias="PDS_METRICS_HOST", description="Address to bind for metrics"
    )
    port: int | None = Field(
        None, alias="PDS_METRICS_PORT", description="TCP port that serves /metrics; none if unset"
    )


class LoggingSettings(Group):
    """The log."""

    enabled: bool = Field(True, alias="LOG_ENABLED", description="Whether to log more than errors")
    level: str = Field("info", alias="LOG_LEVEL", description="debug, info, warning or error")
    systems: str | None = Field(
        None, alias="LOG_SYSTEMS", description="Loggers to show, separated by blanks"
    )
    destination: str | None = Field(
        None, alias="LOG_DESTINATION", description="File to log to; standard error if unset"
    )
