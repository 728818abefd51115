import polling

SECONDS = polling.SECONDS


async def entrypoint(ctx): ...
