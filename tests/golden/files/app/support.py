"""The code that the golden files name."""


async def entrypoint(ctx):
    pass


async def on_request(request):
    pass


async def session_end(ctx):
    pass


def prewarm(proc):
    pass


def load():
    return 0.5


settings = {"voice": "alba"}
