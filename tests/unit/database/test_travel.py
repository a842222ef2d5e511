"""A caller's position on its way through a cookie."""

from typing import Any

import pytest

from seawall.database.position import Position
from seawall.database.routing import Caller, NodeState, Role
from seawall.database.travel import Signer, pack, unpack
from seawall.testing import FakeClock


class Server:
    """What `unpack` asks of a node."""

    def __init__(self, name: str, role: Role) -> None:
        self.state = NodeState(name)
        self.state.role = role
        self.state.incarnation = "monday"
        self.state.saw(Position(1, 10), 0.0)


@pytest.fixture
def servers() -> Any:
    return [Server("db-1:5432", Role.PRIMARY), Server("db-2:5432", Role.STANDBY)]


def elsewhere(packed: str) -> str:
    """`packed`, as if on a machine with another clock."""
    floor, nodes, _, flag = packed.split("|")
    return f"{floor}|{nodes}|another|{flag}"


def back(packed: str | None, servers: Any) -> Caller:
    clock = FakeClock()
    clock.advance(50.0)
    return unpack(packed, servers, servers[0], clock)


def test_a_floor_travels(servers):
    caller = back(pack(Caller(Position(3, 77))), servers)
    assert (caller.floor, caller.seen, caller.strict) == (Position(3, 77), None, False)


def test_a_server_that_was_read_travels_without_its_name(servers):
    caller = Caller()
    caller.read(servers[1].state, 20.0)
    packed = pack(caller)
    assert "db-2" not in packed
    found = back(packed, servers)
    assert (found.seen, found.seen_at) == (servers[1].state, 20.0)
    assert back(elsewhere(packed), servers).seen_at == 50.0, "nobody can tell when that was"


def test_the_next_probe_frees_who_has_read_from_the_primary(servers):
    caller = Caller()
    caller.read(servers[0].state, 20.0)
    packed = pack(caller)
    servers[0].state.saw(Position(1, 30), 21.0)
    found = back(packed, servers)
    found.settle()
    assert (found.floor, found.seen) == (Position(1, 30), None)
    found = back(elsewhere(packed), servers)
    found.settle()
    assert found.seen is servers[0].state


def test_all_servers_that_were_read_travel(servers):
    caller = Caller()
    caller.read(servers[1].state, 20.0)
    caller.read(servers[0].state, 20.5)
    found = back(pack(caller), servers)
    assert found.mixed == ((servers[1].state, 20.0),)
    assert (found.seen, found.seen_at, found.strict) == (servers[0].state, 20.5, False)


def test_a_moment_that_is_yet_to_come_is_now(servers):
    caller = Caller()
    caller.read(servers[1].state, 70.0)
    assert back(pack(caller), servers).seen_at == 50.0


def test_once_it_is_known_how_far_it_was_that_travels(servers):
    caller = Caller()
    caller.read(servers[1].state, 20.0)
    servers[1].state.saw(Position(1, 30), 21.0)
    assert back(pack(caller), servers).floor == Position(1, 30)


def test_a_server_that_was_restarted_may_have_gone_back(servers):
    caller = Caller()
    caller.read(servers[1].state, 20.0)
    packed = pack(caller)
    servers[1].state.incarnation = "tuesday"
    assert back(packed, servers).seen is servers[0].state


def test_doubt_travels(servers):
    caller = Caller()
    caller.strict = True
    assert back(pack(caller), servers).strict


@pytest.mark.parametrize(
    "packed", [None, "", "x", "|||", "1:0/0|-", "1:zz|-|-|-", "-|-|-", "-|-|-|-|-", "é|-|-|-", "-|a@b|-|-"]
)
def test_what_nobody_here_wrote_is_served_by_the_primary(servers, packed):
    assert back(packed, servers).seen is servers[0].state


def test_without_a_primary_there_is_nothing_but_doubt(servers):
    servers[0].state.role = Role.UNKNOWN
    assert back("garbage", servers).strict


def test_only_who_has_the_key_signs():
    one, same, other = Signer("a" * 20), Signer("a" * 20), Signer("b" * 20)
    signed = one.sign("1:0/0|-|-")
    assert same.verify(signed) == "1:0/0|-|-"
    assert other.verify(signed) is None
    assert Signer().verify(signed) is None
    for wrong in ("", ".", signed[:-1], "2" + signed[1:], signed + "é", signed.replace(".", "")):
        assert one.verify(wrong) is None
