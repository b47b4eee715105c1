"""The page of a move from the copy on: what is done, what is next, and how to go back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final, TypeAlias

from aiohttp import web

from pds.accounts.moves import COPYING, UNDOABLE, Move, Step
from pds.lifecycle.migration.copying import Copier
from pds.lifecycle.migration.errors import MoveProblem, Problem
from pds.lifecycle.migration.moving import Moving
from pds.lifecycle.migration.web_document import Lack, WebDocument
from pds.translations.language import deferred as _
from pds.web.account.session import People, Person
from pds.web.migrate.moving_in import MOVE_PATH
from pds.web.migrate.problems import problem_text, said_text
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit

Do: TypeAlias = Callable[[Visit, Move, Form], Awaitable[str]]
"""Takes a step, and returns what the next page says of it."""

_LOOK_S: Final = "5"
_STEPS: Final = (
    (_("Copy what you have published"), (Step.REPOSITORY,)),
    (_("Copy pictures and other files"), (Step.BLOBS,)),
    (_("Copy preferences"), (Step.PREFERENCES,)),
    (_("Look at what was copied"), (Step.REVIEW,)),
    (_("Point your identity to the new server"), (Step.CODE,)),
    (_("Activate the account at the new server"), (Step.ACTIVATE,)),
    (_("Deactivate the account at the old server"), (Step.LEAVE,)),
)
_LACKS: Final = {
    Lack.DOCUMENT: _("No document can be fetched there."),
    Lack.SERVICE: _("It does not name the new server yet."),
    Lack.KEY: _("It does not have the key of the new server yet."),
    Lack.HANDLE: _("It does not have your handle at the new server yet."),
}


class ProgressPage:
    """The page, and the forms on it."""

    def __init__(self, people: People, moving: Moving, copier: Copier) -> None:
        self._people = people
        self._moving = moving
        self._copier = copier
        self._moves = moving.ctx.accounts.moves

    def routes(self) -> Iterator[web.RouteDef]:
        """Yield the page and its forms."""
        yield self._people.get(MOVE_PATH, self._show)
        forms: dict[str, Do] = {
            "copy": self._copy_again,
            "code": self._send_code,
            "identity": self._point_did,
            "finish": self._finish,
            "skip": self._skip,
            "sign-in": self._reconnect,
            "cancel": self._cancel,
            "forget": self._forget,
        }
        for name, do in forms.items():
            is_grave = name == "identity"
            path = f"{MOVE_PATH}/{name}"
            yield self._people.post(path, partial(self._do, do), recent=is_grave)
            # Whoever is asked for the password in between comes back here.
            yield self._people.get(path, self._to_page)

    async def _show(self, visit: Visit, person: Person) -> web.StreamResponse:
        return await self._page(visit, person)

    async def _to_page(self, visit: Visit, _person: Person) -> web.StreamResponse:
        return visit.redirect(MOVE_PATH)

    async def _do(self, do: Do, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        move = self._moves.find(person.account.did)
        if move is None:
            return visit.redirect("/migrate")
        try:
            # Another browser may have gone on with the same move.
            if form.text("step") != move.step:
                raise MoveProblem(Problem.STEP)
            notice = await do(visit, move, form)
        except MoveProblem as exc:
            return await self._page(visit, person, exc)
        is_there = self._moves.find(move.did) is not None
        path = MOVE_PATH if is_there else "/migrate"
        return visit.redirect(path, notice=visit.gettext(notice) if notice else "")

    async def _copy_again(self, _visit: Visit, move: Move, _form: Form) -> str:
        await self._moving.copy_again(move)
        return ""

    async def _send_code(self, visit: Visit, move: Move, form: Form) -> str:
        nsid = "com.atproto.identity.requestPlcOperationSignature"
        await visit.count(nsid, caller=move.did)
        if move.step is Step.REVIEW and form.has("accept"):
            await self._moving.accept_loss(move)
            move = self._moves.find(move.did) or move
        await self._moving.send_code(move)
        return _("The old server sends you a mail with a code.") if move.is_plc else ""

    async def _point_did(self, visit: Visit, move: Move, form: Form) -> str:
        await visit.count("com.atproto.identity.signPlcOperation", caller=move.did)
        if not form.has("sure"):
            raise MoveProblem(Problem.UNSURE)
        code, keep = form.text("code").strip(), form.values("keep")
        await self._moving.point_did(move, code, keep=keep)
        return await self._finish(visit, self._moves.find(move.did) or move, form)

    async def _finish(self, _visit: Visit, move: Move, _form: Form) -> str:
        await self._moving.finish(move)
        return _("The move is complete.")

    async def _skip(self, _visit: Visit, move: Move, _form: Form) -> str:
        await self._moving.skip_leaving(move)
        return _("The move is complete.")

    async def _reconnect(self, visit: Visit, move: Move, form: Form) -> str:
        await visit.count("com.atproto.server.createSession", identifier=move.did)
        code = form.text("code").strip()
        await self._moving.reconnect(move, password=form.text("password"), code=code)
        return ""

    async def _cancel(self, _visit: Visit, move: Move, _form: Form) -> str:
        await self._moving.cancel(move)
        return _("The move is cancelled. Your account is where it was.")

    async def _forget(self, _visit: Visit, move: Move, _form: Form) -> str:
        if move.step is Step.DONE:
            await self._moves.forget(move)
        return ""

    async def _page(
        self, visit: Visit, person: Person, problem: MoveProblem | None = None
    ) -> web.StreamResponse:
        move = self._moves.find(person.account.did)
        if move is None:
            return visit.redirect("/migrate")
        try:
            await self._moving.adopt(move)
        except MoveProblem as exc:
            problem = problem or exc
        self._copier.start(move.did)
        move = self._moves.find(move.did)
        if move is None:
            return visit.redirect("/migrate")
        kind, said = (problem.kind, problem.said) if problem else (move.problem, move.said)
        keys: list[str] = []
        document: WebDocument | None = None
        missing = 0
        try:
            if move.step is Step.REVIEW:
                missing = await self._moving.new(move).count_missing()
            if move.step is Step.CODE and not move.is_plc:
                document = await self._moving.web_document(move)
            elif move.step is Step.CODE:
                keys = await self._moving.other_keys(move)
        except MoveProblem as exc:
            kind, said = exc.kind, exc.said
        is_copying = move.step in COPYING and not move.problem
        response = visit.page(
            "migrate/move.html",
            status=400 if problem else 200,
            account=person.account,
            move=move,
            step=str(move.step),
            steps=_states(visit, move.step),
            is_copying=is_copying,
            document=document,
            lacks=[visit.gettext(_LACKS[each]) for each in document.lacks] if document else [],
            can_cancel=move.step in UNDOABLE,
            percent=100 * (move.blobs_done + move.blobs_lost) // move.blobs if move.blobs else 0,
            missing=missing,
            keys=keys,
            signs_in=kind in (Problem.SIGNED_OUT, Problem.PASSWORD, Problem.FACTOR),
            asks_for_code=kind == Problem.FACTOR,
            problem=problem_text(visit, kind),
            said=said_text(kind, said),
        )
        if is_copying:
            response.headers["Refresh"] = _LOOK_S
        return response


def _states(visit: Visit, step: Step) -> list[tuple[str, str]]:
    """Return the steps in words, each with whether it is done, current or to come."""
    order = list(Step)
    now = order.index(step)
    return [
        (
            visit.gettext(text),
            "done" if order.index(each[-1]) < now else "now" if step in each else "later",
        )
        for text, each in _STEPS
    ]
