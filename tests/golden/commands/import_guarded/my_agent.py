from livekit.agents import AgentServer, JobContext, cli

server = AgentServer()


if __name__ == "__main__":

    @server.rtc_session()
    async def entrypoint(ctx: JobContext) -> None: ...

    cli.run_app(server)
