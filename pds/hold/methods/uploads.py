"""io.atcr.hold: uploads of blobs by parts, which go to S3 or come to `uploadPart`."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

import orjson
from aiohttp import hdrs

from pds.hold.errors import answering, failing_as, named
from pds.hold.hold import hold_of
from pds.hold.methods.authenticators import CALLER, require
from pds.hold.oci.digest import parse_digest
from pds.hold.oci.errors import InvalidPartNumber
from pds.hold.oci.storage import MAX_PART_BYTES, Part
from pds.hold.oci.uploads import NUMBER_HEADER, UPLOAD_HEADER, Uploads
from pds.hold.permissions import Permission
from pds.xrpc.body import check_length, iter_packed_body
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.decoding import encoding_of
from pds.xrpc.errors import XrpcError
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.responses import json_response
from repo.syntax import Did

methods = XrpcMethods()

_MAX_DIGEST: Final = 128
_LIST_BYTES: Final = 3_000_000
"""A list of 10,000 parts with ETags of 256 characters."""
_NUMBER: Final = re.compile(r"[0-9]{1,5}", re.ASCII)


@methods.method("io.atcr.hold.initiateUpload", auth=CALLER)
async def initiate_upload(call: XrpcCall) -> Answer:
    """io.atcr.hold.initiateUpload: the digest is a placeholder; that of the completion counts"""
    did, uploads = await _writer(call)
    if not 1 <= len(call.body["digest"]) <= _MAX_DIGEST:
        raise named("InvalidDigest", f"the digest has 1 to {_MAX_DIGEST} characters")
    with answering():
        return {"uploadId": await uploads.begin(did)}


@methods.method("io.atcr.hold.getPartUploadUrl", auth=CALLER)
async def get_part_upload_url(call: XrpcCall) -> Answer:
    """io.atcr.hold.getPartUploadUrl"""
    did, uploads = await _writer(call)
    with answering():
        part = await uploads.part_url(call.body["uploadId"], did, call.body["partNumber"])
    answer: dict[str, Any] = {"url": part.url, "method": part.method}
    if part.headers:
        answer["headers"] = dict(part.headers)
    return answer


@methods.method("io.atcr.hold.uploadPart", auth=CALLER, like_s3=True)
async def upload_part(call: XrpcCall) -> Answer:
    """io.atcr.hold.uploadPart: the ETag is in a header as well, as in an answer of S3"""
    did, uploads = await _writer(call)
    request = call.request
    number = request.headers.get(NUMBER_HEADER, "")
    upload_id = request.headers.get(UPLOAD_HEADER, "")
    check_length(request, MAX_PART_BYTES)
    if encoding_of(request) not in ("", "identity"):
        # Two megabytes could become gigabytes on the disk.
        raise XrpcError(415, "UploadFailed", "a part is sent without a Content-Encoding")
    with answering(), failing_as("UploadFailed"):
        if not _NUMBER.fullmatch(number):
            raise InvalidPartNumber
        etag = await uploads.write_part(upload_id, did, int(number), iter_packed_body(request))
    # Again, as a part may take long: membership may have ended meanwhile.
    await require(call, Permission.WRITE)
    response = json_response(request, orjson.dumps({"etag": etag}), private=True)
    response.headers[hdrs.ETAG] = f'"{etag}"'
    return response


@methods.method("io.atcr.hold.completeUpload", auth=CALLER, max_body_bytes=_LIST_BYTES)
async def complete_upload(call: XrpcCall) -> Answer:
    """io.atcr.hold.completeUpload"""
    did, uploads = await _writer(call)
    upload_id = call.body["uploadId"]
    with answering(), failing_as("CompletionFailed"):
        digest = parse_digest(call.body["digest"])
        parts = await call.digest(partial(_take_parts, call.body))
        await uploads.complete(upload_id, did, digest, parts)
    return {"status": "completed", "digest": digest}


@methods.method("io.atcr.hold.abortUpload", auth=CALLER)
async def abort_upload(call: XrpcCall) -> Answer:
    """io.atcr.hold.abortUpload"""
    did, uploads = await _writer(call)
    with answering(), failing_as("AbortFailed"):
        await uploads.abort(call.body["uploadId"], did)
    return {"status": "aborted"}


async def _writer(call: XrpcCall) -> tuple[Did, Uploads]:
    did = await require(call, Permission.WRITE)
    return did, hold_of(call).oci.uploads


def _take_parts(body: dict[str, Any]) -> list[Part]:
    return [Part(part["partNumber"], part["etag"]) for part in body.pop("parts")]
