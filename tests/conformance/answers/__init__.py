"""Requests that both servers get, by topic, and the answers that may differ."""

from __future__ import annotations

from tests.conformance.answers import (
    admin,
    blobs,
    identity,
    mail,
    moderation,
    protocol,
    proxying,
    reads,
    service_auth,
    sessions,
    signup,
    sync,
    writes,
)
from tests.conformance.answers.case import Topic

TOPICS: tuple[Topic, ...] = (
    protocol.TOPIC,
    sessions.TOPIC,
    signup.TOPIC,
    writes.TOPIC,
    reads.TOPIC,
    sync.TOPIC,
    blobs.TOPIC,
    identity.TOPIC,
    mail.TOPIC,
    moderation.TOPIC,
    proxying.TOPIC,
    admin.TOPIC,
    service_auth.TOPIC,
)
