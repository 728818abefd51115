import telemetry

CONNECTION = telemetry.connection


async def entrypoint(ctx): ...
