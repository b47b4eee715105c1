"""Invite codes: the account manager's part."""

from __future__ import annotations

from collections.abc import Sequence

from database.retry import write
from database.timestamps import epoch_ms_of
from pds.accounts.codes import new_invite_code
from pds.accounts.errors import AccountNotFound
from pds.accounts.invite_allowance import earned_codes_due
from pds.accounts.invites import ADMIN, InviteCode
from pds.accounts.stores import AccountStores
from repo.syntax import Did


class InviteOperations(AccountStores):
    """Giving out invite codes and taking them back. `invites` itself answers questions."""

    async def create_invite_codes(
        self, accounts: Sequence[str], *, count: int, uses: int
    ) -> dict[str, list[str]]:
        """`count` new codes for each of `accounts` (DIDs or `admin`), each for `uses` accounts."""
        codes = {
            account: [new_invite_code(self._hostname) for _ in range(count)] for account in accounts
        }

        def create() -> None:
            now_s = self._clock()
            for account, its_codes in codes.items():
                self.invites.add(
                    its_codes, available=uses, for_account=account, created_by=ADMIN, now_s=now_s
                )

        await write(self.db, create)
        return codes

    async def create_earned_invite_codes(
        self, did: Did, *, interval_ms: int, epoch_ms: int
    ) -> None:
        """Create the codes that the account has earned by now, see `earned_codes_due`.

        They start disabled if the account's invites are. Raises `AccountNotFound`.
        """

        def create() -> None:
            account = self.store.find(did)
            if account is None:
                raise AccountNotFound
            now_s = self._clock()
            due = earned_codes_due(
                self.invites.of_account(did),
                member_since_ms=epoch_ms_of(account.created_at),
                now_ms=int(now_s * 1000),
                interval_ms=interval_ms,
                epoch_ms=epoch_ms,
            )
            self.invites.add(
                [new_invite_code(self._hostname) for _ in range(due)],
                available=1,
                for_account=did,
                created_by=did,
                now_s=now_s,
                disabled=account.invites_disabled,
            )

        await write(self.db, create)

    def list_account_invite_codes(self, did: Did, *, include_used: bool) -> list[InviteCode]:
        """The account's enabled codes, oldest first."""
        codes = self.invites.of_account(did)
        return [code for code in codes if not code.disabled and (include_used or not code.used_up)]

    async def disable_invite_codes(self, codes: Sequence[str], accounts: Sequence[str]) -> None:
        """Disable codes, and all codes of some accounts. Raises `AdminInvitesNotDisabled`."""
        await write(self.db, lambda: self.invites.disable(codes, accounts))

    async def set_invites_disabled(self, did: Did, *, disabled: bool) -> None:
        """Say whether codes that the account earns start disabled.

        Raises `AccountNotFound`, or `NoLogin` for an account that cannot earn any.
        """

        def update() -> None:
            self._get_with_login(did)
            self.store.set_invites_disabled(did, disabled=disabled)

        await write(self.db, update)
