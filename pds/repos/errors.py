"""Errors about the contents of a repository, as one tree. Nothing here knows HTTP.

RepositoryError
├── UnreadableRepo
│   ├── UnknownRepo       no account on this server has the repository
│   ├── RepoTakendown     its account is taken down
│   └── RepoDeactivated   its account is deactivated
├── RecordRefused         a record that clients may not write
├── BlobRefused           bytes that no record of the account refers to
└── ImportRefused         a CAR that is not accepted as the account's repository

Errors of the actor stores are in `actor_store.errors`.
"""

from __future__ import annotations


class RepositoryError(Exception):
    """An error about a repository. The message may be shown to the client."""


class UnreadableRepo(RepositoryError):
    """This caller may not read the repository."""


class UnknownRepo(UnreadableRepo):
    """No account on this server has this DID or handle."""

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier
        super().__init__(f"Could not find repo for DID: {identifier}")


class RepoTakendown(UnreadableRepo):
    """The account is taken down."""

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier
        super().__init__(f"Repo has been takendown: {identifier}")


class RepoDeactivated(UnreadableRepo):
    """The account is deactivated."""

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier
        super().__init__(f"Repo has been deactivated: {identifier}")


class RecordRefused(RepositoryError):
    """The record violates a rule beyond its Lexicon."""


class BlobRefused(RepositoryError):
    """The bytes are not those of a blob that a record of the account refers to."""


class ImportRefused(RepositoryError):
    """The CAR is not accepted as the account's repository. The message says what would help."""
