"""Who may act: in which states, and what is said of an account that is not there."""

from __future__ import annotations

from typing import Any

import pytest

from pds.accounts.errors import (
    AccountDeactivated,
    AccountError,
    AccountTakendown,
    ActorNotFound,
    UnknownAccount,
)
from pds.lifecycle import states
from pds.lifecycle.acting import get_acting_account
from repo.syntax import Did
from tests.pds.conftest import Account, Pds

REFUSE_BOTH = {"refuse_takendown": True, "refuse_deactivated": True}


@pytest.mark.parametrize("identifier", ["did:plc:nobodyaaaaaaaaaaaaaaaaaa", "nobody.test"])
def test_an_account_that_is_not_there_is_told_of_as_the_method_says(
    pds: Pds, identifier: str
) -> None:
    with pytest.raises(ActorNotFound, match="Account not found"):
        get_acting_account(pds.ctx, identifier)
    with pytest.raises(UnknownAccount, match="nobody like this"):
        get_acting_account(pds.ctx, identifier, absent=UnknownAccount("nobody like this"))


@pytest.mark.parametrize(
    ("rules", "takendown", "deactivated"),
    [
        ({}, None, None),
        ({"refuse_takendown": True}, AccountTakendown, None),
        ({"refuse_deactivated": True}, None, AccountDeactivated),
        (REFUSE_BOTH, AccountTakendown, AccountDeactivated),
        ({"hide_takendown": True}, ActorNotFound, None),
        ({"hide_takendown": True, **REFUSE_BOTH}, ActorNotFound, AccountDeactivated),
    ],
)
async def test_a_state_is_refused_or_hidden_only_where_that_is_asked_for(
    pds: Pds,
    alice: Account,
    bob: Account,
    rules: dict[str, Any],
    takendown: type[AccountError] | None,
    deactivated: type[AccountError] | None,
) -> None:
    await states.takedown(pds.ctx, Did(alice.did), ref=None)
    await states.deactivate(pds.ctx, Did(bob.did))
    for account, refusal in ((alice, takendown), (bob, deactivated)):
        if refusal is None:
            assert get_acting_account(pds.ctx, account.handle, **rules).did == account.did
        else:
            with pytest.raises(refusal):
                get_acting_account(pds.ctx, account.handle, **rules)
