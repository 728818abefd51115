import threading
import time


def trace():
    time.sleep(3600)


threading.Thread(target=trace, name="tracer", daemon=True).start()
