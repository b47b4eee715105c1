"""`Administration`: the parts of a running server that its administrator's pages need."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from actor_store.store import ActorStore
from database.connection import Database
from database.timestamps import Clock
from pds.administration.action_log import ActionLog
from pds.administration.crawl_log import CrawlLog
from pds.administration.examination import Examinations
from pds.administration.mail_log import MailLog
from pds.administration.samples import Counts, Sampler
from pds.administration.second_factor import AdminSecondFactor
from pds.administration.sessions import AdminSessions
from pds.config import Settings
from pds.crawlers import Crawlers
from pds.mail.mailer import Mailer
from pds.monitoring.requests.statistics import RequestStatistics
from pds.oauth.derived_secrets import derived_secret
from sequencer.remote import AnySequencer

_SERVER_ERROR: Final = 500


class Administration:
    """Opens the parts, and lets mailer and crawlers tell what they do."""

    def __init__(
        self,
        settings: Settings,
        stack: AsyncExitStack,
        db: Database,
        *,
        requests: RequestStatistics,
        actor_store: ActorStore,
        sequencer: AnySequencer,
        mailer: Mailer,
        crawlers: Crawlers,
        clock: Clock = time.time,
    ) -> None:
        """Open the parts on `db`, the service database; `stack` ends what runs."""
        jwt_secret = settings.secrets.jwt_secret
        secret = derived_secret(jwt_secret, "administrator's sessions")
        self.sessions = AdminSessions(
            db, password=settings.secrets.admin_password, secret=secret, clock=clock
        )
        self.second_factor = AdminSecondFactor(
            db, derived_secret(jwt_secret, "administrator's second factor"), clock=clock
        )
        self.actions = ActionLog(db, clock=clock)
        self.mails = MailLog(db, clock=clock)
        mailer.on_outcome = self.mails.note
        self.crawls = CrawlLog(db, settings.crawlers, clock=clock)
        crawlers.on_answer = self.crawls.note
        self.examinations = Examinations(db, clock=clock)
        stack.push_async_callback(self.examinations.close)
        read = partial(_read_counts, requests, actor_store, sequencer)
        self.sampler = Sampler(read, settings.data_directory, clock=clock)
        stack.push_async_callback(self.sampler.close)


def _read_counts(
    requests: RequestStatistics, actor_store: ActorStore, sequencer: AnySequencer
) -> Counts:
    answers = [
        (status, count)
        for method in requests.methods.values()
        for status, count in method.answers.items()
    ]
    newest = sequencer.current_seq
    lags = [max(0, newest - at.seq) for at in sequencer.subscriptions.positions]
    return Counts(
        requests=sum(count for _, count in answers),
        failures=sum(count for status, count in answers if status >= _SERVER_ERROR),
        writes=actor_store.record_writes.total(),
        events=sequencer.events_by_type.total(),
        subscribers=len(lags),
        lag_events=max(lags, default=0),
    )
