import socket

web = socket.create_server(("127.0.0.1", 0))


async def entrypoint(ctx): ...
