"""The repositories of a full server, as its pages show them: those that everybody may read."""

from __future__ import annotations

import asyncio
from typing import Final

from actor_store.errors import BlobNotFound
from actor_store.reader import ActorStoreReader
from identity.did_document import DidDocument
from identity.resolver import DidResolutionError
from pds.accounts.account import ActorAccount
from pds.config.addresses import is_same_server
from pds.context import AppContext
from pds.repos.errors import RepoDeactivated, RepoTakendown, UnreadableRepo
from pds.repos.readable import get_readable_account
from pds.translations.language import Language
from pds.translations.language import deferred as _
from pds.web.browse.profile_name import find_name
from pds.web.browse.shelf import Fact, ShownRepo
from pds.web.browse.times import time_of_tid
from pds.web.pages.errors import PageError
from pds.web.pages.public import PublicVisit
from pds.web.pages.strangers_texts import on_one_line
from repo.cid import Cid
from repo.commit import InvalidCommit, decode_commit
from repo.keys import InvalidKey, parse_did_key

_URL_CHARACTERS: Final = 300


class AccountShelf:
    """The accounts of a server."""

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx
        # Pictures at a bucket or a CDN are not loaded: pages ask nobody else for anything.
        self.shows_pictures = ctx.blob_links is None

    async def find(self, did: str) -> ShownRepo:
        """See `Shelf`. A handle names the repository, too."""
        account = find_public(self._ctx, did)
        name = await self._ctx.actor_store.read(account.did, find_name)
        return ShownRepo(account.did, account.handle, name)

    async def facts(self, visit: PublicVisit, repo: ShownRepo) -> list[Fact]:
        """See `Shelf`: the identity's state, and whether the commit is the account's."""

        def read(actor: ActorStoreReader) -> tuple[str, bytes]:
            head = actor.repo.head()
            return head.rev, actor.repo.get_block(head.cid)

        language = visit.language
        rev, commit = await self._ctx.actor_store.read(repo.did, read)
        committed_at = time_of_tid(rev)
        at = "" if committed_at is None else f"{committed_at:%Y-%m-%d %H:%M} UTC"
        try:
            document = await self._ctx.did_resolver.resolve(repo.did)
        except DidResolutionError:
            unknown = language.gettext("not known: the identity cannot be looked up just now")
            identity = [Fact(language.gettext("Identity"), unknown)]
        else:
            identity = [
                self._server_fact(language, document),
                _handle_fact(language, document, repo),
                await asyncio.to_thread(_signature_fact, language, document, commit),
            ]
        return [Fact(language.gettext("Last commit"), at, rev), *identity]

    async def media_type(self, repo: ShownRepo, cid: Cid) -> str | None:
        """See `Shelf`: the type that was found when the blob was uploaded."""
        try:
            blob = await self._ctx.actor_store.read_one(
                repo.did, lambda actor: actor.blob.get_servable(cid)
            )
        except BlobNotFound:
            return None
        return blob.mime_type

    def _server_fact(self, language: Language, document: DidDocument) -> Fact:
        endpoint = document.pds_endpoint or ""
        if is_same_server(endpoint, self._ctx.settings.public_url):
            return Fact(language.gettext("Server"), language.gettext("this one, as the DID says"))
        elsewhere = language.gettext(
            "the DID names another one: %(server)s", server=on_one_line(endpoint, _URL_CHARACTERS)
        )
        return Fact(language.gettext("Server"), elsewhere)


def find_public(ctx: AppContext, identifier: str) -> ActorAccount:
    """Return an account that everybody may look at. Raises `PageError`."""
    try:
        return get_readable_account(ctx, identifier, lambda _did: False)
    except RepoTakendown as exc:
        raise PageError(404, _("This account is taken down.")) from exc
    except RepoDeactivated as exc:
        raise PageError(404, _("This account is deactivated.")) from exc
    except UnreadableRepo as exc:
        raise PageError(404, _("There is no such account here.")) from exc


def _handle_fact(language: Language, document: DidDocument, repo: ShownRepo) -> Fact:
    label = language.gettext("Handle in the DID")
    if document.handle is not None and document.handle == repo.handle:
        return Fact(label, language.gettext("the same"))
    if document.handle is None:
        return Fact(label, language.gettext("none"))
    return Fact(label, language.gettext("another one: %(handle)s", handle=document.handle))


def _signature_fact(language: Language, document: DidDocument, block: bytes) -> Fact:
    label = language.gettext("Signature of the last commit")
    try:
        key = parse_did_key(document.signing_key() or "")
        is_valid = decode_commit(block).verify(key)
    except (InvalidCommit, InvalidKey):
        is_valid = False
    if is_valid:
        return Fact(label, language.gettext("verified"))
    return Fact(label, language.gettext("not by the key that the DID names"))
