import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from livekit.agents import AgentServer, JobContext, cli

server = AgentServer(port=8081)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None: ...


if __name__ == "__main__":
    threading.Thread(target=cli.run_app, args=(server,), daemon=True).start()
    HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler).serve_forever()
