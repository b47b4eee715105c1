"""What can go wrong with the contents of a repository, as one tree. Nothing here knows HTTP.

RepositoryError
├── UnreadableRepo
│   ├── UnknownRepo       no account here has the repository
│   ├── RepoTakendown     its account has been taken down
│   └── RepoDeactivated   its account is deactivated
├── RecordRefused         a record that no client may write
├── BlobRefused           bytes that no record of the account refers to
└── ImportRefused         a CAR that the account does not get its repository from

The stores of repositories have a tree of their own, in `actor_store.errors`.
"""

from __future__ import annotations


class RepositoryError(Exception):
    """Something about a repository. The message is fit to be shown to the client."""


class UnreadableRepo(RepositoryError):
    """This caller may not read the repository."""


class UnknownRepo(UnreadableRepo):
    """No account here has this DID or handle."""

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier
        super().__init__(f"Could not find repo for DID: {identifier}")


class RepoTakendown(UnreadableRepo):
    """The account has been taken down."""

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier
        super().__init__(f"Repo has been takendown: {identifier}")


class RepoDeactivated(UnreadableRepo):
    """The account is deactivated."""

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier
        super().__init__(f"Repo has been deactivated: {identifier}")


class RecordRefused(RepositoryError):
    """The record breaks a rule that is not one of its Lexicon."""


class BlobRefused(RepositoryError):
    """The bytes are not those of a blob that a record of the account refers to."""


class ImportRefused(RepositoryError):
    """The account does not get its repository from this CAR. The message says what would help."""
