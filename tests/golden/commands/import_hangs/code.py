import time

time.sleep(600)


async def entrypoint(ctx): ...
