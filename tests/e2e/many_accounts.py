"""Accounts by the hundred, made by the code of sign-ups, without HTTP and passwords."""

from __future__ import annotations

from aiohttp.test_utils import TestServer

from pds.accounts.handle_rules import CheckedHandle
from pds.config import read_settings
from pds.context import open_app_context
from pds.dev.environment import dev_environment
from pds.dev.plc_directory import plc_application
from pds.dev.plc_store import PlcStore
from pds.lifecycle.signup import Signup, create_account
from pds.recovery.start import recover
from repo.syntax import Handle
from tests.e2e.forked import ForkedServer
from tests.e2e.promises import Person
from tests.e2e.world import ENVIRON


async def make_accounts(server: ForkedServer, count: int) -> list[Person]:
    """Add accounts to the data of a server that does not run just now."""
    ports = {"port": server.port, "plc_port": server.plc_port}
    settings = read_settings(
        dev_environment(server.data, host="127.0.0.1", environ=ENVIRON, **ports)
    )
    store = PlcStore(server.data / "plc.sqlite")
    directory = TestServer(plc_application(store), host="localhost", port=server.plc_port)
    await directory.start_server()
    ctx = await open_app_context(settings, recover)
    try:
        people = []
        for number in range(count):
            handle = Handle(f"person{number}.test")
            checked = CheckedHandle(handle, is_external=False)
            made = await create_account(ctx, Signup(checked, f"{number}@example.com", None))
            auth = {"Authorization": f"Bearer {made.access_jwt}"}
            people.append(Person(made.did, handle, auth))
        return people
    finally:
        await ctx.close()
        await directory.close()
        store.close()
