"""Serves only rooms whose metadata names a customer that is known here, and appears under the customer's name.

`answer` runs in a process of its own, one per agent; it may keep state, ask a database, or call another service.
"""

import json

from agenthost import JobContext, JobRequest

CUSTOMERS = {"acme": "ACME Inc.", "globex": "Globex Corporation"}


async def answer(req: JobRequest) -> None:
    customer = customer_of(req.room.metadata)
    if customer is None:
        await req.reject()  # for good: no other worker is asked either
    else:
        await req.accept(name=f"Support for {CUSTOMERS[customer]}", attributes={"customer": customer})


def customer_of(metadata: str) -> str | None:
    """The `customer` of a room's metadata (JSON), if it is one of ours."""
    try:
        customer = json.loads(metadata)["customer"]
    except (ValueError, KeyError, TypeError):
        return None
    return customer if customer in CUSTOMERS else None


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    caller = await ctx.wait_for_participant()
    customer = ctx.agent.attributes["customer"]
    await ctx.agent.send_text(f"Welcome to the {CUSTOMERS[customer]} help desk, {caller.identity}.", topic="lk.chat")
