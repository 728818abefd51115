from livekit.agents import JobContext, WorkerOptions


async def entrypoint(ctx: JobContext) -> None: ...


options = WorkerOptions(entrypoint_fnc=entrypoint, port=8081, max_retry=5, multiprocessing_context="spawn")
