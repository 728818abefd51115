import threading
import time

threading.Thread(target=time.sleep, args=(600,), name="poller", daemon=True).start()


async def entrypoint(ctx): ...
