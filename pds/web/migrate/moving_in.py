"""The first pages of a move: the choice, and the way in until there is an account here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from aiohttp import web

from pds.accounts.errors import (
    AccountError,
    EmailNotSupported,
    EmailTaken,
    HandleNotAvailable,
    HandleNotResolved,
    HandleTaken,
    InvalidHandle,
    InvalidInviteCode,
    InvalidPasswordLength,
    UnsupportedDomain,
)
from pds.accounts.logins import Login
from pds.accounts.moves import Move, Step
from pds.accounts.passwords import MIN_CHOSEN_LENGTH
from pds.fairness.turns import TooBusy
from pds.lifecycle.errors import NoSignups
from pds.lifecycle.migration.beginning import CREATE, Beginning
from pds.lifecycle.migration.errors import MoveProblem, Problem
from pds.lifecycle.migration.moving import Moving
from pds.lifecycle.migration.servers import Contents
from pds.lifecycle.signup import Signup, check_signup
from pds.rate_limits.method_limits import FOREIGN_SIGN_INS
from pds.reporting import format_size
from pds.translations.language import deferred as _
from pds.web.account.session import SIGN_IN_PATH, People
from pds.web.account.signing_in import AccountPurpose
from pds.web.migrate.problems import problem_text, said_text
from pds.web.pages.errors import PageError
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit
from pds.web.sign_in.problems import problem_of
from repo.syntax import Did

MOVE_PATH: Final = "/migrate/move"
_IN_PATH: Final = "/migrate/in"
_DETAILS_PATH: Final = "/migrate/in/details"
_LOGIN: Final = "com.atproto.server.createSession"
_FIELDS: Final[Mapping[type[Exception], str]] = {
    InvalidHandle: "handle",
    HandleNotAvailable: "handle",
    HandleNotResolved: "handle",
    HandleTaken: "handle",
    UnsupportedDomain: "handle",
    EmailNotSupported: "email",
    EmailTaken: "email",
    InvalidPasswordLength: "password",
    InvalidInviteCode: "invite",
}
"""The field that an error is about."""


class MovingIn:
    """The pages for people who have no account here yet."""

    def __init__(self, people: People, moving: Moving, beginning: Beginning) -> None:
        self._people = people
        self._moving = moving
        self._beginning = beginning
        self._ctx = moving.ctx

    def routes(self) -> Iterator[web.RouteDef]:
        """Yield the pages and their forms."""
        site = self._people.site
        yield site.get("/migrate", self._show)
        yield site.get(_IN_PATH, self._show_sign_in)
        yield site.post(_IN_PATH, self._sign_in)
        yield site.get(_DETAILS_PATH, self._show_details)
        yield site.post(_DETAILS_PATH, self._create)
        yield site.post("/migrate/in/cancel", self._cancel)

    async def _show(self, visit: Visit) -> web.StreamResponse:
        person = self._people.find(visit)
        move = None if person is None else self._ctx.accounts.moves.find(person.account.did)
        begun = self._find(visit)
        return visit.page(
            "migrate/start.html",
            account=person and person.account,
            move=move,
            begun=begun,
            takes_imports=self._ctx.settings.service.accepting_repo_imports,
        )

    async def _show_sign_in(self, visit: Visit) -> web.StreamResponse:
        person = self._people.find(visit)
        # One whose account has moved away wants to come back.
        own = "" if person is None or person.account.active else person.account.did
        return self._sign_in_page(visit, visit.request.query.get("account", own))

    async def _sign_in(self, visit: Visit, form: Form) -> web.StreamResponse:
        """Sign in at the old server."""
        identifier, code = form.text("identifier").strip(), form.text("code").strip()
        await visit.count(_LOGIN, identifier=identifier)
        await visit.count(FOREIGN_SIGN_INS)
        try:
            if not self._ctx.settings.service.accepting_repo_imports:
                raise MoveProblem(Problem.NO_IMPORTS)
            did, url = await self._beginning.find_old_server(identifier)
            is_return = await self._beginning.begin_in(
                did,
                url,
                password=form.text("password"),
                code=code,
                device_id=visit.device.id,
                owns_copy=self._is_signed_in(visit, did),
            )
        except MoveProblem as exc:
            return self._sign_in_page(visit, identifier, exc)
        # Whoever has planted the cookies of this browser must not go on with the move.
        await visit.rotate()
        response = visit.redirect(MOVE_PATH if is_return else _DETAILS_PATH)
        if is_return:
            self._people.choose(response, did)
        return response

    def _is_signed_in(self, visit: Visit, did: Did) -> bool:
        return any(
            one.account.did == did and not one.is_stale for one in self._people.all_of(visit)
        )

    def _sign_in_page(
        self, visit: Visit, identifier: str, problem: MoveProblem | None = None
    ) -> web.StreamResponse:
        kind = "" if problem is None else problem.kind
        return visit.page(
            "migrate/sign_in.html",
            status=400 if problem else 200,
            identifier=identifier,
            problem=problem_text(visit, kind),
            said=said_text(kind, problem.said if problem else ""),
            is_about_account=kind in (Problem.UNKNOWN, Problem.OURS),
            is_about_password=kind == Problem.PASSWORD,
            asks_for_code=kind == Problem.FACTOR,
            is_here=kind == Problem.HERE,
            is_former=kind == Problem.FORMER,
            sign_in=SIGN_IN_PATH,
            paths={"in": _IN_PATH, "move": MOVE_PATH},
        )

    async def _show_details(self, visit: Visit) -> web.StreamResponse:
        move = self._find(visit)
        if move is None:
            return visit.redirect("/migrate")
        if self._ctx.accounts.find_account(move.did, include_inactive=True) is not None:
            return visit.redirect(f"{SIGN_IN_PATH}?next={MOVE_PATH}")
        try:
            contents = await self._moving.contents(move)
            handle = await self._moving.suggest_handle(move, contents.handle)
        except MoveProblem as exc:
            raise self._page_error(visit, exc) from exc
        values = {"handle": handle, "email": contents.email, "invite": ""}
        return self._details_page(visit, move, contents, values)

    async def _create(self, visit: Visit, form: Form) -> web.StreamResponse:
        """Create the account here."""
        await visit.count(CREATE)
        move = self._find(visit)
        if move is None:
            return visit.redirect("/migrate")
        values = {name: form.text(name).strip() for name in ("handle", "email", "invite")}
        try:
            contents = await self._moving.contents(move)
            try:
                await self._moving.create(move, self._signup(visit, move, form, values))
            except (AccountError, TooBusy) as exc:
                field, text = _FIELDS.get(type(exc), ""), problem_of(exc, visit.language).text
                return self._details_page(visit, move, contents, values, text, field)
            except NoSignups as exc:
                raise PageError(403, "%(said)s", said=exc) from exc
        except MoveProblem as exc:
            raise self._page_error(visit, exc) from exc
        await visit.rotate()
        account = self._ctx.accounts.get_account(move.did, include_inactive=True)
        login = Login(account, None, self._ctx.accounts.access_cutoffs.find(move.did))
        purpose = AccountPurpose(self._people, MOVE_PATH)
        return await purpose.signed_in(visit, login, remember=True)

    async def _cancel(self, visit: Visit, _form: Form) -> web.StreamResponse:
        move = self._find(visit)
        if move is not None:
            await self._moving.cancel(move)
        return visit.redirect("/migrate", notice=visit.gettext("The move is cancelled."))

    def _signup(self, visit: Visit, move: Move, form: Form, values: Mapping[str, str]) -> Signup:
        password = form.text("password")
        if len(password) < MIN_CHOSEN_LENGTH:
            raise InvalidPasswordLength
        service = self._ctx.settings.service
        if (service.terms_of_service_url or service.privacy_policy_url) and not form.has("agree"):
            raise AccountError(_("Please agree to the terms first."))
        email, code = values["email"], values["invite"] or None
        checked = check_signup(
            self._ctx,
            handle=values["handle"].removeprefix("@"),
            email=email,
            password=password,
            invite_code=code,
            did_known=True,
        )
        return Signup(checked, email, password, code, did=move.did, asker=visit.asker)

    def _details_page(
        self,
        visit: Visit,
        move: Move,
        contents: Contents,
        values: Mapping[str, str],
        problem: str = "",
        field: str = "",
    ) -> web.StreamResponse:
        settings = self._ctx.settings
        quota = settings.service.account_quota_bytes
        used = contents.used_bytes
        return visit.page(
            "migrate/details.html",
            status=400 if problem else 200,
            move=move,
            contents=contents,
            used=None if used is None else format_size(used),
            quota=None if quota is None else format_size(quota),
            is_too_small=quota is not None and used is not None and used > quota,
            values=values,
            problem=problem,
            problem_field=field,
            domains=settings.service_handle_domains,
            needs_invite=settings.invites.required,
            min_password_length=MIN_CHOSEN_LENGTH,
            terms=settings.service.terms_of_service_url,
            privacy=settings.service.privacy_policy_url,
        )

    def _find(self, visit: Visit) -> Move | None:
        """Return the move that this browser has begun, and that has no account here yet."""
        begun = self._ctx.accounts.moves.of_device(visit.device.id)
        return next((move for move in begun if move.step is Step.DETAILS), None)

    def _page_error(self, visit: Visit, exc: MoveProblem) -> PageError:
        text = problem_text(visit, exc.kind)
        return PageError(
            502, "%(problem)s %(said)s", problem=text, said=said_text(exc.kind, exc.said)
        )
