"""The one table from the errors of every package to XRPC statuses and names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp.web import RequestPayloadError

from actor_store import errors as actor_errors
from actor_store.blob_store import base as blob_errors
from actor_store.preferences import InvalidPreference
from database import errors as database_errors
from database.files import has_no_space
from identity.plc import PlcError
from identity.plc_data import InvalidPlcOperation
from pds.accounts import errors as account_errors
from pds.accounts.invite_codes import InvalidInviteCursor
from pds.disk.spool import BodyTooLarge, SpoolFull
from pds.fairness.turns import TooBusy
from pds.lifecycle import errors as lifecycle_errors
from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent
from pds.oauth.entryway.scope_references import ScopesUnavailable
from pds.oauth.errors import OAuthError
from pds.oauth.scopes.missing import ScopeMissing
from pds.peers.link import PeerGone
from pds.pending.import_turns import ImportUnderWay
from pds.rate_limits.errors import TooManyRequests
from pds.repos import errors as repo_errors
from pds.second_factors import errors as factor_errors
from pds.service_auth.jwt import ServiceJwtError
from pds.xrpc.errors import XrpcError, out_of_files
from pds.xrpc.oauth_access import DpopChallenge
from repo.car import InvalidCar
from repo.cid import InvalidCid
from repo.datamodel import InvalidDataModel
from repo.lexicon import InvalidLexicon
from repo.mst import InvalidMst
from repo.syntax import InvalidSyntax
from repo.verify import InvalidRepo
from sequencer.sequencer import SeqTooHigh

XRPC_ERRORS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    # Formats
    RequestPayloadError: (400, "InvalidRequest"),
    InvalidCar: (400, "InvalidRequest"),
    InvalidCid: (400, "InvalidRequest"),
    InvalidDataModel: (400, "InvalidRequest"),
    InvalidLexicon: (400, "InvalidRequest"),
    InvalidMst: (400, "InvalidRequest"),
    InvalidPlcOperation: (400, "InvalidRequest"),
    InvalidRepo: (400, "InvalidRequest"),
    InvalidSyntax: (400, "InvalidRequest"),
    SeqTooHigh: (400, "InvalidRequest"),
    # Actor stores
    actor_errors.RepoNotFound: (400, "RepoNotFound"),
    actor_errors.RepoExists: (400, "AlreadyExists"),
    actor_errors.ActorStoreDamaged: (503, "RepoUnavailable"),
    actor_errors.RecordNotFound: (400, "RecordNotFound"),
    actor_errors.RecordExists: (400, "RecordAlreadyExists"),
    actor_errors.SwapMismatch: (400, "InvalidSwap"),
    actor_errors.TooManyWrites: (400, "InvalidRequest"),
    actor_errors.QuotaExceeded: (400, "QuotaExceeded"),
    actor_errors.BlobNotFound: (400, "BlobNotFound"),
    actor_errors.BlobTakendown: (400, "InvalidRequest"),
    actor_errors.InvalidMimeType: (400, "InvalidMimeType"),
    actor_errors.InvalidSize: (400, "InvalidSize"),
    actor_errors.InvalidStoreName: (400, "InvalidRequest"),
    actor_errors.TooManyReservedKeys: (503, "NotEnoughResources"),
    InvalidPreference: (400, "InvalidRequest"),
    blob_errors.BlobTooLarge: (413, "PayloadTooLarge"),
    blob_errors.BlobStoreFull: (503, "NotEnoughResources"),
    blob_errors.BlobStoreUnavailable: (503, "NotEnoughResources"),
    blob_errors.BlobStoreMisconfigured: (503, "NotEnoughResources"),
    blob_errors.InvalidBlobRange: (416, "InvalidRange"),
    blob_errors.BlobUploadMissing: (400, "InvalidRequest"),
    blob_errors.BlobPartsRefused: (400, "InvalidRequest"),
    BodyTooLarge: (413, "PayloadTooLarge"),
    SpoolFull: (503, "NotEnoughResources"),
    # Repositories
    repo_errors.UnknownRepo: (400, "RepoNotFound"),
    repo_errors.RepoTakendown: (400, "RepoTakendown"),
    repo_errors.RepoDeactivated: (400, "RepoDeactivated"),
    repo_errors.RecordRefused: (400, "InvalidRequest"),
    repo_errors.BlobRefused: (400, "InvalidRequest"),
    repo_errors.ImportRefused: (400, "InvalidRequest"),
    # Turns
    TooBusy: (503, "NotEnoughResources"),
    TooManyRequests: (429, "RateLimitExceeded"),
    ImportUnderWay: (503, "NotEnoughResources"),
    PeerGone: (503, "NotEnoughResources"),
    # Databases
    database_errors.DatabaseBusy: (503, "NotEnoughResources"),
    database_errors.DatabaseFull: (503, "NotEnoughResources"),
    database_errors.DatabaseOutOfFiles: (503, "NotEnoughResources"),
    # Accounts
    account_errors.AccountNotFound: (400, "AccountNotFound"),
    account_errors.ActorNotFound: (403, "AccountNotFound"),
    account_errors.UnknownAccount: (400, "InvalidRequest"),
    account_errors.AccountExists: (400, "AlreadyExists"),
    account_errors.AccountTakendown: (401, "AccountTakedown"),
    account_errors.AccountDeactivated: (401, "AccountDeactivated"),
    account_errors.NoLogin: (400, "InvalidRequest"),
    account_errors.HandleTaken: (400, "InvalidRequest"),
    account_errors.HandleNotAvailable: (400, "HandleNotAvailable"),
    account_errors.InvalidHandle: (400, "InvalidHandle"),
    account_errors.UnsupportedDomain: (400, "UnsupportedDomain"),
    account_errors.HandleNotResolved: (400, "InvalidRequest"),
    account_errors.EmailTaken: (400, "InvalidRequest"),
    account_errors.EmailNotSupported: (400, "InvalidRequest"),
    account_errors.InvalidEmail: (400, "InvalidEmail"),
    account_errors.NoEmailAddress: (400, "InvalidRequest"),
    account_errors.InvalidInviteCode: (400, "InvalidInviteCode"),
    InvalidInviteCursor: (400, "InvalidRequest"),
    account_errors.AdminInvitesNotDisabled: (400, "InvalidRequest"),
    account_errors.InvalidCredentials: (401, "AuthenticationRequired"),
    account_errors.PasswordTooLong: (401, "AuthenticationRequired"),
    account_errors.InvalidPasswordLength: (400, "InvalidRequest"),
    account_errors.AppPasswordExists: (400, "InvalidRequest"),
    account_errors.TokenRequired: (400, "TokenRequired"),
    account_errors.MissingTokenId: (401, "MissingTokenId"),
    account_errors.InvalidToken: (400, "InvalidToken"),
    account_errors.ExpiredToken: (400, "ExpiredToken"),
    # Second factors
    factor_errors.SecondFactorRequired: (401, "AuthFactorTokenRequired"),
    factor_errors.WrongCode: (400, "InvalidToken"),
    factor_errors.TooManyWrongCodes: (429, "RateLimitExceeded"),
    factor_errors.PasskeyRefused: (400, "InvalidRequest"),
    factor_errors.TooManyPasskeys: (400, "InvalidRequest"),
    factor_errors.AppExists: (400, "InvalidRequest"),
    factor_errors.AddressNotConfirmed: (400, "InvalidRequest"),
    # Changes of accounts
    lifecycle_errors.DidMismatch: (400, "InvalidRequest"),
    lifecycle_errors.HoldAccount: (400, "InvalidRequest"),
    lifecycle_errors.NoSignups: (400, "InvalidRequest"),
    lifecycle_errors.PlcOperationRefused: (400, "InvalidRequest"),
    ScopeMissing: (403, "ScopeMissingError"),
    ScopesUnavailable: (502, "UpstreamFailure"),
    # Mail
    InvalidMail: (400, "InvalidRequest"),
    MailNotSent: (502, "UpstreamFailure"),
}
"""By class; a class that is not listed is looked up by its nearest listed ancestor."""

_OUT_OF_SPACE: Final = "The server is out of disk space."
_MESSAGES: Final = {
    RequestPayloadError: "The request body is cut off or damaged",
    blob_errors.BlobTooLarge: "request entity too large",
    BodyTooLarge: "request entity too large",
    # Their own messages name files of the server.
    actor_errors.ActorStoreDamaged: (
        "The files of this account are damaged. The operator of the server has been told."
    ),
    database_errors.DatabaseBusy: "The server is busy. Try again.",
    database_errors.DatabaseFull: _OUT_OF_SPACE,
    blob_errors.BlobStoreFull: _OUT_OF_SPACE,
    blob_errors.BlobStoreUnavailable: "The store of blobs does not answer. Try again.",
    blob_errors.BlobStoreMisconfigured: "The store of blobs refuses this server. Try again later.",
    blob_errors.InvalidBlobRange: "The range begins after the end of the blob",
    blob_errors.BlobUploadMissing: "There is no such upload, or it has ended",
    blob_errors.BlobPartsRefused: "A part is missing, too small, out of order or was replaced",
    SpoolFull: _OUT_OF_SPACE,
}
"""What callers are told instead of an error's own message."""


def to_xrpc(exc: Exception) -> XrpcError:
    """Map an error to an answer. An unexpected one is a 500 without detail."""
    if isinstance(exc, XrpcError):
        return exc
    if is_out_of_files(exc):
        return out_of_files()
    if isinstance(exc, OSError) and has_no_space(exc):
        return XrpcError(503, "NotEnoughResources", _OUT_OF_SPACE)
    if isinstance(exc, PeerGone) and exc.was_called:
        # Not a 503, after which clients repeat what may have been done.
        return XrpcError(500, message=str(exc))
    if isinstance(exc, ScopeMissing):
        return DpopChallenge.for_missing(exc.scope, str(exc))
    if isinstance(exc, OAuthError):
        return DpopChallenge.refusing(exc)
    if isinstance(exc, ServiceJwtError):
        return XrpcError(401, exc.error, str(exc))
    if isinstance(exc, PlcError):
        if exc.is_failure:
            return XrpcError(502, "UpstreamFailure", exc.message)
        return XrpcError(400, "InvalidRequest", exc.message)
    listed = next((kind for kind in type(exc).__mro__ if kind in XRPC_ERRORS), None)
    if listed is None:
        return XrpcError(500)
    status, name = XRPC_ERRORS[listed]
    return XrpcError(
        status,
        name,
        _MESSAGES.get(listed, str(exc)),
        retry_after_s=getattr(exc, "retry_after_s", None),
    )


def is_out_of_files(exc: Exception) -> bool:
    """Return whether an error says that too many files are open, whatever was being opened."""
    if isinstance(exc, OSError):
        return exc.errno in database_errors.OUT_OF_FILES
    return isinstance(exc, database_errors.DatabaseOutOfFiles)
