"""The protocol's formats as pure functions and values: no files, SQL, asyncio or HTTP."""
