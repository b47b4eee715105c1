"""`Administration`: the parts of a running server that its administrator's pages need."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from database.connection import Database
from database.timestamps import Clock
from pds.administration.action_log import ActionLog
from pds.administration.crawl_log import CrawlLog
from pds.administration.examination import Examinations
from pds.administration.mail_log import MailLog
from pds.administration.samples import Load, Sampler
from pds.administration.second_factor import AdminSecondFactor
from pds.administration.sessions import AdminSessions
from pds.config import Settings
from pds.crawlers import Crawlers
from pds.mail.mailer import Mailer
from pds.oauth.derived_secrets import derived_secret


class Administration:
    """Opens the parts, and lets mailer and crawlers tell what they do."""

    def __init__(
        self,
        settings: Settings,
        stack: AsyncExitStack,
        db: Database,
        *,
        read_load: Callable[[], Awaitable[Load]],
        mailer: Mailer,
        crawlers: Crawlers,
        clock: Clock = time.time,
    ) -> None:
        """Open the parts on `db`, the service database; `stack` ends what runs.

        `read_load` returns what all processes of the server have to do.
        """
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
        self.sampler = Sampler(read_load, settings.data_directory, clock=clock)
        stack.push_async_callback(self.sampler.close)
