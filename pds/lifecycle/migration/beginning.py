"""How a move begins: which servers, who the person is there, and what was there before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from identity.handles import HandleUnresolvable
from identity.resolver import DidResolutionError
from pds.accounts.moves import Step
from pds.config.addresses import is_same_server, normal_base_url, parse_base_url
from pds.lifecycle.migration.errors import MoveProblem, OtherServerRefused, Problem
from pds.lifecycle.migration.other_server import OtherServer, text_in
from pds.lifecycle.migration.other_sessions import OtherSessions
from repo.syntax import Did, Handle, InvalidSyntax, is_did, normalize_handle

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.context import AppContext

CREATE: Final = "com.atproto.server.createAccount"


@dataclass(slots=True, frozen=True)
class Newcomer:
    """What an account is to have at another server."""

    handle: str
    email: str
    password: str
    """That of the copy, if the server has one from before the account moved away."""
    invite_code: str | None
    code: str = ""
    """The code of a second factor that such a copy has."""


class Beginning:
    """Begins moves. Methods raise `MoveProblem`, and `DatabaseError`s."""

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx
        self._moves = ctx.accounts.moves
        self._sessions = OtherSessions(ctx)

    async def find_old_server(self, identifier: str) -> tuple[Did, str]:
        """Return the DID of an account with a handle or DID, and the URL of its server."""
        name = identifier.strip().removeprefix("@")
        did: Did | None = Did(name) if is_did(name) else None
        try:
            if did is None:
                handle: Handle = normalize_handle(name)
                did = await self._ctx.handle_resolver.resolve(handle, fresh=True)
            if did is None:
                raise MoveProblem(Problem.UNKNOWN)
            document = await self._ctx.did_resolver.resolve(did, force=True)
        except (InvalidSyntax, HandleUnresolvable, DidResolutionError) as exc:
            raise MoveProblem(Problem.UNKNOWN, str(exc)) from exc
        url = document.pds_endpoint
        if url is None:
            raise MoveProblem(Problem.UNKNOWN)
        if is_same_server(url, self._ctx.settings.public_url):
            raise MoveProblem(Problem.OURS)
        return did, url

    async def begin_in(
        self,
        did: Did,
        url: str,
        *,
        password: str,
        code: str,
        device_id: str,
        owns_copy: bool = False,
    ) -> bool:
        """Sign in at the old server, and begin to move in.

        An account that has been here before comes back: its deactivated copy is brought up to date.
        For that, its owner must have signed in here as well: `owns_copy`. Returns whether it does.
        """
        account = self._ctx.accounts.find_account(did, include_inactive=True)
        if account is not None:
            self._check_return(account, owns_copy=owns_copy)
        session = await self._sessions.begin(
            OtherServer(self._ctx.proxy_http, url), did, password, code
        )
        try:
            document = await self._ctx.did_resolver.resolve(did)
        except DidResolutionError as exc:
            raise MoveProblem(Problem.UNKNOWN, str(exc)) from exc
        is_return = account is not None
        await self._begin(
            did,
            is_in=True,
            is_return=is_return,
            old_key=document.signing_key() or "",
            device_id=device_id,
            url=url,
            step=Step.REPOSITORY if is_return else Step.DETAILS,
            session=session,
        )
        return is_return

    def _check_return(self, account: ActorAccount, *, owns_copy: bool) -> None:
        move = self._moves.find(account.did)
        if move is not None and move.is_in and move.step is not Step.DONE:
            raise MoveProblem(Problem.HERE)
        if not owns_copy:
            raise MoveProblem(Problem.FORMER)
        if account.active:
            raise MoveProblem(Problem.ACTIVE)

    async def look_at(self, address: str) -> tuple[str, dict[str, Any]]:
        """Return the URL of a new server, and what it says of itself."""
        try:
            url = normal_base_url(parse_base_url(address))
            parts = urlsplit(url)
            if "@" in parts.netloc or parts.path or parts.query or parts.fragment:
                raise ValueError("the address of a server is its name alone")
        except ValueError as exc:
            raise MoveProblem(Problem.UNKNOWN, str(exc)) from exc
        if is_same_server(url, self._ctx.settings.public_url):
            raise MoveProblem(Problem.OURS)
        server = OtherServer(self._ctx.proxy_http, url)
        return url, await server.query("com.atproto.server.describeServer", is_public=True)

    async def begin_out(self, did: Did, url: str, wanted: Newcomer, *, device_id: str) -> None:
        """Create the account at a new server, deactivated, and begin to move out."""
        earlier = self._moves.find(did)
        if earlier is not None and earlier.step is not Step.DONE:
            raise MoveProblem(Problem.STEP)
        url, about = await self.look_at(url)
        server = OtherServer(self._ctx.proxy_http, url)
        body = {
            "did": did,
            "handle": wanted.handle,
            "email": wanted.email,
            "password": wanted.password,
            **({"inviteCode": wanted.invite_code} if wanted.invite_code else {}),
        }
        token = self._ctx.service_tokens.get(did, text_in(about, "did"), CREATE)
        try:
            answer = await server.procedure(CREATE, body, token=token)
        except OtherServerRefused as refused:
            # The answer of an earlier try may have been lost, or the account has been there before.
            try:
                session = await self._sessions.begin(server, did, wanted.password, wanted.code)
            except MoveProblem as exc:
                if exc.kind is Problem.FACTOR:
                    raise
                if await _has_copy(server, did):
                    raise MoveProblem(Problem.FORMER_THERE) from refused
                raise refused from None
        else:
            session = self._sessions.take(answer, did)
        await self._begin(
            did, is_in=False, device_id=device_id, url=url, step=Step.REPOSITORY, session=session
        )

    async def _begin(self, did: Did, *, url: str, session: bytes, **more: Any) -> None:
        """Begin it as `Moves.begin` does, and end the session that is not needed."""
        earlier = self._moves.find(did)
        if not await self._moves.begin(did, url=url, session=session, **more):
            self._sessions.end_one(did, url, session)
            raise MoveProblem(Problem.STEP)
        if earlier is not None and earlier.session is not None:
            self._sessions.end_one(did, earlier.url, earlier.session)


async def _has_copy(server: OtherServer, did: Did) -> bool:
    """Whether a server has the account, deactivated."""
    try:
        status = await server.query("com.atproto.sync.getRepoStatus", {"did": did}, is_public=True)
    except MoveProblem:
        return False
    return status.get("status") == "deactivated"
