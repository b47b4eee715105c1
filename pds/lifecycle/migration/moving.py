"""The steps of a move that a person takes. `copying` has those between them.

Every step can be taken again after a crash: it looks first at what has been done. Until the DID
names the new server nothing has changed for anybody, and the move can be undone.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from actor_store.errors import RepoExists
from identity.plc import PlcError
from identity.plc_data import InvalidPlcOperation, PlcData
from identity.plc_operation import PlcOperation
from identity.resolver import DidResolutionError
from pds.accounts.moves import COPYING, UNDOABLE, Move, Step
from pds.config.addresses import is_same_server
from pds.lifecycle.migration.beginning import CREATE
from pds.lifecycle.migration.errors import MoveProblem, Problem
from pds.lifecycle.migration.here import NewHere, OldHere
from pds.lifecycle.migration.other_server import OtherServer, text_in, texts_in
from pds.lifecycle.migration.other_sessions import OtherSessions
from pds.lifecycle.migration.servers import Contents, NewServer, OldServer
from pds.lifecycle.migration.there import NewThere, OldThere
from pds.lifecycle.migration.web_document import WebDocument, web_document
from pds.lifecycle.signup import Signup, create_account
from pds.service_auth.jwt import ServiceJwtError

if TYPE_CHECKING:
    from pds.context import AppContext

MAX_ROTATION_KEYS: Final = 10
_POINTING_S: Final = 150
"""Longer than the other server may take to sign an operation, or to send one."""


class Moving:
    """The moves of this server. Methods raise `MoveProblem`, and `DatabaseError`s."""

    def __init__(self, ctx: AppContext) -> None:
        self.ctx = ctx
        self._moves = ctx.accounts.moves
        self.sessions = OtherSessions(ctx)
        """Those at the other servers."""
        self.worker = secrets.token_hex(8)
        """The name under which this process copies."""

    # --- The two servers

    def old(self, move: Move) -> OldServer:
        """Return the server that the account leaves."""
        if not move.is_in:
            return OldHere(self.ctx, move.did)
        return OldThere(move.did, self.other(move))

    def new(self, move: Move) -> NewServer:
        """Return the server that the account moves to."""
        if move.is_in:
            return NewHere(self.ctx, move.did, move.old_key)
        return NewThere(self.ctx, move.did, self.other(move))

    def other(self, move: Move) -> OtherServer:
        """Return the other server, with the session there if it is kept."""
        return self.sessions.server(move)

    # --- Moving in

    async def reconnect(self, move: Move, *, password: str, code: str) -> None:
        """Sign in at the other server again, as its session is not kept for long."""
        server = OtherServer(self.ctx.proxy_http, move.url)
        session = await self.sessions.begin(server, move.did, password, code)
        await self.sessions.end(move)
        await self._moves.set_session(move, session)
        await self._moves.set_problem(move, "")

    async def contents(self, move: Move) -> Contents:
        """Return what there is to move."""
        return await self.old(move).contents()

    async def create(self, move: Move, signup: Signup) -> None:
        """Create the account here, deactivated, as its owner proves to want with the old server.

        Raises what `create_account` raises as well.
        """
        _expect(move, Step.DETAILS)
        answer = await self.other(move).query(
            "com.atproto.server.getServiceAuth",
            {"aud": self.ctx.settings.service_did, "lxm": CREATE},
        )
        try:
            owner = await self.ctx.service_auth.verify(text_in(answer, "token"), nsid=CREATE)
        except ServiceJwtError as exc:
            raise MoveProblem(Problem.WRONG, str(exc)) from exc
        if owner != move.did or signup.did != move.did:
            raise MoveProblem(Problem.WRONG)
        try:
            await create_account(self.ctx, signup)
        except RepoExists as exc:
            raise MoveProblem(Problem.HERE) from exc
        await self._moves.advance(move, Step.DETAILS, Step.REPOSITORY)

    async def adopt(self, move: Move) -> None:
        """Go on with an account that was created just before a crash.

        One that has been moved here by other means has newer data: nothing is copied over it.
        """
        if move.step is not Step.DETAILS:
            return
        account = self.ctx.accounts.find_account(move.did, include_inactive=True)
        if account is not None and (account.active or await self.new(move).is_named()):
            await self.sessions.end(move)
            await self._moves.forget(move)
        elif account is not None:
            await self._moves.advance(move, Step.DETAILS, Step.REPOSITORY)

    async def suggest_handle(self, move: Move, handle: str) -> str:
        """Return the handle if it is under a domain of the person's, else one of this server."""
        about = await self.other(move).query("com.atproto.server.describeServer", is_public=True)
        if not handle.endswith(tuple(texts_in(about, "availableUserDomains"))):
            return handle
        return handle.partition(".")[0] + self.ctx.settings.service_handle_domains[0]

    # --- Both

    async def accept_loss(self, move: Move) -> None:
        """Go on although blobs are missing."""
        _expect(move, Step.REVIEW)
        await self._moves.accept_loss(move)

    async def copy_again(self, move: Move) -> None:
        """Copy everything that is missing or has changed."""
        if move.step in COPYING:
            await self._moves.set_problem(move, "")
            return
        _expect(move, Step.REVIEW, Step.CODE)
        if not await self._moves.advance(move, move.step, Step.REPOSITORY):
            raise MoveProblem(Problem.STEP)

    async def send_code(self, move: Move) -> None:
        """Have the old server mail the code that agrees to the change of the DID."""
        _expect(move, Step.REVIEW, Step.CODE)
        await self._check_loss(move)
        if move.is_plc:
            await self.old(move).send_code()
        else:
            # The last moment before the person publishes the document.
            await self._check_unchanged(move)
        await self._moves.advance(move, Step.REVIEW, Step.CODE)

    async def other_keys(self, move: Move) -> list[str]:
        """Return rotation keys of the DID that are not the old server's: perhaps the person's."""
        if not move.is_plc:
            return []
        theirs = await self.old(move).rotation_keys()
        return [key for key in (await self._data(move)).rotation_keys if key not in theirs]

    async def web_document(self, move: Move) -> WebDocument:
        """Return the document that the owner of a did:web has to publish."""
        try:
            published = await self.ctx.did_resolver.resolve(move.did, force=True)
        except DidResolutionError:
            published = None
        fields = await self.new(move).did_fields()
        return web_document(move.did, fields, self._new_url(move), published)

    async def point_did(self, move: Move, code: str, *, keep: Collection[str] = ()) -> None:
        """Make the DID name the new server, or see that it does. There is no way back from here.

        `keep` are rotation keys to keep, stronger than those of the new server.
        """
        _expect(move, Step.CODE)
        # Nobody may cancel the move, and so delete the copy, while the operation is on its way.
        worker = secrets.token_hex(8)
        await self._claim(move, worker)
        try:
            await self._point_did(move, worker, code, keep)
        finally:
            await self._moves.release(move, worker)

    async def _point_did(self, move: Move, worker: str, code: str, keep: Collection[str]) -> None:
        new = self.new(move)
        if not move.is_plc:
            await self._check_loss(move)
            await self._check_unchanged(move, worker)
            if (await self.web_document(move)).lacks:
                raise MoveProblem(Problem.DOCUMENT)
        # The answer to an operation may have been lost.
        elif not await new.is_named():
            await self._check_loss(move)
            await self._check_unchanged(move, worker)
            operation = await self._signed(move, new, code, keep)
            await self._claim(move, worker)
            try:
                await new.submit(operation)
            except MoveProblem:
                if not await new.is_named():
                    raise
        if not await self._moves.advance(move, Step.CODE, Step.ACTIVATE, worker=worker):
            raise MoveProblem(Problem.STEP)

    async def finish(self, move: Move) -> None:
        """Activate the account at the new server, and deactivate it at the old one."""
        _expect(move, Step.ACTIVATE, Step.LEAVE)
        if move.step is Step.ACTIVATE:
            await self.new(move).activate()
            await self._moves.advance(move, Step.ACTIVATE, Step.LEAVE)
        await self.old(move).deactivate()
        await self._end(move, Step.LEAVE)

    async def skip_leaving(self, move: Move) -> None:
        """End the move although the old server cannot be told."""
        _expect(move, Step.LEAVE)
        await self._end(move, Step.LEAVE)

    async def cancel(self, move: Move) -> None:
        """Undo everything: delete the copy, and keep the account where it is."""
        if move.step is not Step.CANCEL:
            _expect(move, *UNDOABLE)
            # The answer to an operation may have been lost, or another tool has sent one.
            if move.step is not Step.DETAILS and await self.new(move).is_named():
                raise MoveProblem(Problem.TOO_LATE)
            if not await self._moves.advance(move, move.step, Step.CANCEL):
                raise MoveProblem(Problem.STEP)
        if not move.is_return and (move.is_in or move.session is not None):
            await self.new(move).discard()
        await self.sessions.end(move)
        await self._moves.forget(move)

    async def _claim(self, move: Move, worker: str) -> None:
        if not await self._moves.claim(move, worker, for_s=_POINTING_S):
            raise MoveProblem(Problem.STEP)

    async def _signed(
        self, move: Move, new: NewServer, code: str, keep: Collection[str]
    ) -> dict[str, Any]:
        """Return the operation, which is what the person has agreed to and no more."""
        fields = await new.did_fields()
        kept = [key for key in await self.other_keys(move) if key in keep]
        wanted = fields.get("rotationKeys")
        keys = [*kept, *(wanted if isinstance(wanted, list) else [])]
        fields["rotationKeys"] = list(dict.fromkeys(keys))[:MAX_ROTATION_KEYS]
        try:
            expected = PlcData.from_json({**(await self._data(move)).to_json(), **fields})
            service = expected.services.get("atproto_pds")
            if service is None or not is_same_server(service.endpoint, self._new_url(move)):
                raise MoveProblem(Problem.OPERATION)
            operation = await self.old(move).sign(code, fields)
            if PlcOperation.parse(operation).data != expected:
                raise MoveProblem(Problem.OPERATION)
        except InvalidPlcOperation as exc:
            raise MoveProblem(Problem.OPERATION, str(exc)) from exc
        return operation

    async def _data(self, move: Move) -> PlcData:
        try:
            return await self.ctx.plc.data(move.did)
        except PlcError as exc:
            raise MoveProblem(Problem.DIRECTORY, exc.message) from exc

    def _new_url(self, move: Move) -> str:
        return self.ctx.settings.public_url if move.is_in else move.url

    async def _check_unchanged(self, move: Move, worker: str = "") -> None:
        """Copy again what was written after the copy was made."""
        if await self.old(move).rev() != move.rev:
            await self._moves.advance(move, move.step, Step.REPOSITORY, worker=worker)
            raise MoveProblem(Problem.CHANGED)

    async def _check_loss(self, move: Move) -> None:
        if not move.loss_accepted and await self.new(move).count_missing():
            raise MoveProblem(Problem.LOST)

    async def _end(self, move: Move, before: Step) -> None:
        # Noted first: without the session, the last step could not be taken again.
        await self._moves.advance(move, before, Step.DONE)
        await self.sessions.end(move)


def _expect(move: Move, *steps: Step) -> None:
    if move.step not in steps:
        raise MoveProblem(Problem.STEP)
