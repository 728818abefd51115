import importlib

SECONDS = importlib.import_module("polling").SECONDS


async def entrypoint(ctx): ...
