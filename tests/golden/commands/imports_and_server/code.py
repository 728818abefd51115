import os

KEY = os.environ["PROVIDER_KEY"]


async def entrypoint(ctx): ...
