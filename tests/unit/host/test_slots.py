"""Who holds a slot, counted exactly."""

from agenthost.host.slots import Slot, Slots


def slot(job: str, *, agent: str = "a", receiver: str = "a", room: str = "r") -> Slot:
    return Slot(job_id=job, agent=agent, receiver=receiver, room=room)


def test_limit_of_the_host_holds_across_agents() -> None:
    """Two agents share the host's slots."""
    slots = Slots()
    assert slots.take(slot("1", agent="a"), host_limit=2, agent_limit=None)
    assert slots.take(slot("2", agent="b"), host_limit=2, agent_limit=None)
    assert not slots.take(slot("3", agent="a"), host_limit=2, agent_limit=None)


def test_limit_of_an_agent_counts_whose_code_runs() -> None:
    """A job routed to another agent's code uses that agent's slots, not the receiver's."""
    slots = Slots()
    assert slots.take(slot("1", agent="b", receiver="a"), host_limit=None, agent_limit=1)
    assert not slots.take(slot("2", agent="b", receiver="b"), host_limit=None, agent_limit=1)
    assert slots.take(slot("3", agent="a", receiver="a"), host_limit=None, agent_limit=1)
    assert (slots.used, slots.used_by("b"), slots.used_for("a")) == (2, 1, 2)


def test_freed_slot_is_free_and_freeing_twice_is_once() -> None:
    """A slot that is given back twice must not make room for two."""
    slots = Slots()
    slots.take(slot("1"), host_limit=1, agent_limit=None)
    slots.free("1")
    slots.free("1")
    assert slots.take(slot("2"), host_limit=1, agent_limit=None)
    assert not slots.take(slot("3"), host_limit=1, agent_limit=None)


def test_one_job_never_has_two_slots() -> None:
    """The same offer twice takes one."""
    slots = Slots()
    assert slots.take(slot("1"), host_limit=None, agent_limit=None)
    assert not slots.take(slot("1"), host_limit=None, agent_limit=None)


def test_room_is_served_from_the_slot_on() -> None:
    """unique_per_room sees a job that was accepted and has not started."""
    slots = Slots()
    slots.take(slot("1", receiver="a", room="x"), host_limit=None, agent_limit=None)
    assert slots.serves("a", "x")
    assert not slots.serves("b", "x")
    assert not slots.serves("a", "y")


def test_dispatch_is_served_from_the_slot_on() -> None:
    """Recovery leaves alone what this host has accepted."""
    slots = Slots()
    held = Slot(job_id="1", agent="a", receiver="a", room="x", dispatch_id="AD_1")
    slots.take(held, host_limit=None, agent_limit=None)
    assert slots.serves_dispatch("AD_1")
    assert not slots.serves_dispatch("AD_2")


def test_asking_for_room_takes_none() -> None:
    """Recovery asks before it has a dispatch offered again."""
    slots = Slots()
    slots.take(slot("1"), host_limit=None, agent_limit=None)
    assert slots.has_room("a", host_limit=2, agent_limit=2)
    assert not slots.has_room("a", host_limit=1, agent_limit=None)
    assert not slots.has_room("a", host_limit=None, agent_limit=1)
    assert slots.has_room("b", host_limit=None, agent_limit=1)
    assert slots.used == 1
