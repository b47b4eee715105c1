"""Adding the routes for the operator."""

from __future__ import annotations

from aiohttp import web

from pds.web.operator.answers import for_operator
from pds.web.operator.firehose import list_subscribers
from pds.web.operator.imports import import_car, list_imports, missing_blobs, put_blob
from pds.web.operator.keys import replace_key
from pds.web.operator.quota import set_quota
from pds.web.operator.sequencer import raise_seq
from pds.web.operator.usage import account_usage, list_usage, server_storage


def add_operator_routes(app: web.Application) -> None:
    """Serve everything below `/_holdfast/`."""
    router = app.router
    router.add_get("/_holdfast/usage", for_operator(list_usage))
    router.add_get("/_holdfast/usage/{account}", for_operator(account_usage))
    router.add_get("/_holdfast/storage", for_operator(server_storage))
    router.add_get("/_holdfast/firehose/subscribers", for_operator(list_subscribers))
    router.add_post("/_holdfast/import", for_operator(import_car))
    router.add_get("/_holdfast/imports", for_operator(list_imports))
    router.add_get("/_holdfast/blobs/{account}", for_operator(missing_blobs))
    router.add_put("/_holdfast/blobs/{account}/{cid}", for_operator(put_blob))
    router.add_put("/_holdfast/signing-key/{account}", for_operator(replace_key))
    router.add_put("/_holdfast/quota/{account}", for_operator(set_quota))
    router.add_put("/_holdfast/sequencer", for_operator(raise_seq))
