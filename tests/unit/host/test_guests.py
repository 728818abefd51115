"""Identities that the host makes up: whose they are, and how long they are remembered."""

from agenthost.host.guests import GuestList


def test_an_identity_is_new_and_of_one_room() -> None:
    """Nobody can guess it, and another room does not know it."""
    guests = GuestList()
    one, two = (guests.invite("a", until=10, now=0, busy=("a",)) for _ in range(2))
    assert one != two
    assert min(len(one), len(two)) > 20
    assert dict(guests.of("a")) == {one: "", two: ""}
    assert dict(guests.of("b")) == {}


def test_the_first_participant_that_is_seen_stays() -> None:
    """Whoever comes later under the same identity is somebody else; identities of nobody are passed over."""
    guests = GuestList()
    identity = guests.invite("a", until=10, now=0, busy=())
    for room, who, sid in (
        ("b", identity, "PA_0"),
        ("a", "ann", "PA_0"),
        ("a", identity, "PA_1"),
        ("a", identity, "PA_2"),
    ):
        guests.seen(room, who, sid)
    assert dict(guests.of("a")) == {identity: "PA_1"}
    assert dict(guests.of("b")) == {}


def test_a_room_without_jobs_forgets_who_is_too_late_to_join() -> None:
    """One with jobs forgets nobody: who has joined stays in the room."""
    guests = GuestList()
    early = {room: guests.invite(room, until=10, now=0, busy=()) for room in ("busy", "idle")}
    late = guests.invite("idle", until=30, now=9, busy=("busy",))
    assert set(guests.of("idle")) == {early["idle"], late}
    guests.invite("other", until=40, now=20, busy=("busy",))
    assert set(guests.of("busy")) == {early["busy"]}
    assert set(guests.of("idle")) == {late}
