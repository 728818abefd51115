import random
import socket

dice = random.Random()
metrics = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
metrics.connect(("127.0.0.1", 8125))
calls = open("calls.log", "a")  # noqa: SIM115


async def entrypoint(ctx): ...
