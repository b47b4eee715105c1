"""com.atproto.sync.getBlob of a hold: blobs of images by their digest, and those of records by CID.

The Lexicon knows CIDs only, so the parameters are parsed here; what has no colon is a CID, and goes
to the handler of every PDS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import hdrs, web

from pds.api.sync import reads
from pds.hold.errors import answering
from pds.hold.hold import HOLD, Hold
from pds.hold.methods.authenticators import OPTIONAL_CALLER, require
from pds.hold.methods.byte_range import parse_range
from pds.hold.oci.digest import Digest, InvalidDigest, parse_digest
from pds.hold.oci.errors import BlobBeingChecked, BlobNotFound
from pds.hold.oci.storage import StoredBlob
from pds.hold.permissions import Permission
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.credentials import Anonymous, Credentials, demands
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.query import parse_query
from pds.xrpc.responses import SAFE_CONTENT, add_common_headers
from pds.xrpc.streaming import send_stream
from repo.syntax import is_did

if TYPE_CHECKING:
    from pds.context import AppContext

methods = XrpcMethods()

NSID: Final = "com.atproto.sync.getBlob"
_STANDARD: Final = next(method for method in reads.methods if method.nsid == NSID)
_PAIRS: Final = web.RequestKey("hold_blob_query", dict[str, str])
_DIGEST_HEADER: Final = "Docker-Content-Digest"
_MAX_REPOSITORY: Final = 256
_CHECK_WAIT_S: Final = 10.0
"""How long a reader waits for the check of a blob that has just been uploaded."""


@demands("a digest: none on a public hold, else a service token; a CID: as everywhere")
async def _reader(ctx: AppContext, request: web.Request) -> Credentials:
    query = dict(reversed(parse_query(request.rel_url.raw_query_string)))
    if ":" in query.get("cid", ""):
        request[_PAIRS] = query
        return await OPTIONAL_CALLER(ctx, request)
    return Anonymous() if _STANDARD.auth is None else await _STANDARD.auth(ctx, request)


@methods.method(NSID, auth=_reader, own_params=True)
async def get_blob(call: XrpcCall) -> Answer:
    """com.atproto.sync.getBlob, also of digests: a presigned URL, or the bytes without S3"""
    request = call.request
    query = request.get(_PAIRS)
    if query is None:
        pairs = parse_query(request.rel_url.raw_query_string)
        call.params = call.ctx.lexicons.parse_params(NSID, pairs)
        return await _STANDARD.handler(call)
    digest, verb, repository = _parse(query)
    # First, so that callers who may not read do not learn what exists.
    await require(call, Permission.READ)
    hold = request.app[HOLD]
    is_head = request.method == hdrs.METH_HEAD
    with answering():
        blob = await _find(hold, digest, wait_long=not is_head and verb == hdrs.METH_GET)
    if is_head:
        return web.Response(headers=_headers(blob) | {hdrs.CONTENT_LENGTH: str(blob.size_bytes)})
    answer: Answer
    url = await hold.oci.storage.presign(digest, verb)
    if url is not None:
        answer = {"url": url}
    elif verb == hdrs.METH_HEAD:
        answer = {"url": f"{hold.url}/xrpc/{NSID}?did={query['did']}&cid={digest}"}
    else:
        answer = await _send(call, hold, blob)
    if repository is not None and verb == hdrs.METH_GET and _is_download(answer):
        hold.stats.count_pull(query["did"], repository)
    return answer


def _parse(query: dict[str, str]) -> tuple[Digest, str, str | None]:
    """Return digest, method and repository. Raises `XrpcError` 400."""
    try:
        digest = parse_digest(query["cid"])
    except InvalidDigest as exc:
        raise invalid_request(str(exc)) from exc
    if not is_did(query.get("did", "")):
        raise invalid_request("did must be the DID of the image's owner")
    verb = query.get("method", hdrs.METH_GET).upper()
    if verb == hdrs.METH_PUT:
        raise invalid_request("blobs are uploaded by parts: see io.atcr.hold.initiateUpload")
    if verb not in (hdrs.METH_GET, hdrs.METH_HEAD):
        raise invalid_request("method must be GET or HEAD")
    repository = query.get("repo") or None
    if repository is not None and len(repository) > _MAX_REPOSITORY:
        raise invalid_request(f"repo has at most {_MAX_REPOSITORY} characters")
    return digest, verb, repository


async def _find(hold: Hold, digest: Digest, *, wait_long: bool) -> StoredBlob:
    """Return a blob, or raise `BlobNotFound`.

    A blob that is still being checked counts as absent: a client that asks whether it exists should
    upload it as well, and one that wants the bytes is told to try again.
    """
    blobs, finisher = hold.oci.blobs, hold.oci.finisher
    blob = await blobs.find(digest)
    if blob is None and finisher.is_finishing(digest):
        await finisher.wait(digest, seconds=_CHECK_WAIT_S)
        blob = await blobs.find(digest)
        if blob is None and wait_long and finisher.is_finishing(digest):
            raise BlobBeingChecked(digest)
    if blob is None:
        raise BlobNotFound(digest)
    return blob


async def _send(call: XrpcCall, hold: Hold, blob: StoredBlob) -> web.StreamResponse:
    """Send the bytes, or the range of them that is asked for."""
    request, headers = call.request, call.request.headers
    tag = _etag(blob)
    if headers.get(hdrs.IF_NONE_MATCH) == tag:
        return web.Response(status=304, headers={hdrs.ETAG: tag})
    # A range of what the client has begun to fetch, if it is still that.
    ranged = headers.get(hdrs.IF_RANGE, tag) == tag
    chosen = parse_range(headers.get(hdrs.RANGE) if ranged else None, blob.size_bytes)
    start, end = chosen or (0, blob.size_bytes)
    response = web.StreamResponse(status=200 if chosen is None else 206, headers=_headers(blob))
    response.content_length = end - start
    if chosen is not None:
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{end - 1}/{blob.size_bytes}"
    add_common_headers(response.headers, private=True)
    async with call.ctx.streams.blobs.turn(request, call.address_group):
        try:
            parts = hold.oci.storage.read(blob.digest, start, end)
            return await send_stream(request, response, parts)
        except BlobNotFound:
            hold.oci.blobs.forget(blob.digest)
            with answering():
                raise


def _is_download(answer: Answer) -> bool:
    """Whether the client gets a blob, from its first byte on."""
    if not isinstance(answer, web.StreamResponse):
        return True
    begins = answer.headers.get(hdrs.CONTENT_RANGE, "bytes 0-").startswith("bytes 0-")
    return answer.status in (200, 206) and begins


def _headers(blob: StoredBlob) -> dict[str, Any]:
    return {
        hdrs.CONTENT_TYPE: "application/octet-stream",
        hdrs.ETAG: _etag(blob),
        hdrs.ACCEPT_RANGES: "bytes",
        _DIGEST_HEADER: blob.digest,
        **SAFE_CONTENT,
    }


def _etag(blob: StoredBlob) -> str:
    return f'"{blob.digest}"'
