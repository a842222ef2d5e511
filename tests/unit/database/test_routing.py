"""Routing against a model: standbys that replay at their own pace, and callers who must never miss what they saw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core import OptionError
from seawall.database.position import Position, lsn_of
from seawall.database.routing import Caller, NodeState, Role, pick_standby

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.just("read"), st.integers(0, 2), st.integers(0, 5)),
        st.tuples(st.just("replay"), st.integers(0, 2), st.integers(1, 9)),
        st.tuples(st.just("probe"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("away"), st.integers(0, 2), st.integers(0, 1)),
    ),
    max_size=120,
)


def server(name: str, role: Role) -> NodeState:
    state = NodeState(name)
    state.role, state.usable = role, True
    return state


class Model:
    """A primary, three standbys and three callers. Time is the number of steps; `truth` is where a server really is."""

    def __init__(self) -> None:
        self.now = 0.0
        self.primary = server("primary", Role.PRIMARY)
        self.standbys = [server(f"standby-{number}", Role.STANDBY) for number in range(3)]
        self.truth = {state.name: 1 for state in (self.primary, *self.standbys)}
        for state in (self.primary, *self.standbys):
            self.probe(state)
        self.callers = [Caller() for _ in range(3)]
        self.knows = [0, 0, 0]
        self.offloaded = 0

    def probe(self, state: NodeState) -> None:
        state.saw(Position(1, self.truth[state.name]), self.now)

    def step(self, what: str, which: int, amount: int) -> None:
        self.now += 1.0
        if what == "write":
            self.truth["primary"] += amount
            self.callers[which].wrote(Position(1, self.truth["primary"]))
            self.knows[which] = self.truth["primary"]
        elif what == "replay":
            state = self.standbys[which]
            self.truth[state.name] = min(self.truth["primary"], self.truth[state.name] + amount)
        elif what == "probe":
            self.probe([self.primary, *self.standbys][which])
        elif what == "away":
            self.standbys[which].usable = bool(amount)
        else:
            caller = self.callers[which]
            chosen = pick_standby(self.standbys, caller, amount)
            self.offloaded += chosen is not None
            node = chosen or self.primary
            assert node.usable
            shown = self.truth[node.name]
            assert shown >= self.knows[which], "it went back in time"
            self.knows[which] = shown
            caller.read(node, self.now)


@given(STEPS)
def test_nobody_ever_misses_what_he_has_written_or_seen(steps):
    model = Model()
    for step in steps:
        model.step(*step)


def test_a_standby_that_has_come_far_enough_serves():
    model = Model()
    model.step("write", 0, 3)
    model.step("read", 0, 0)
    assert model.offloaded == 0  # at the primary, and what that showed isn't known yet
    model.step("probe", 0, 0)
    model.step("replay", 1, 9)
    model.step("probe", 2, 0)
    model.step("read", 0, 0)
    assert model.offloaded == 1
    model.step("read", 1, 0)
    assert model.offloaded == 2  # somebody else doesn't care


def test_until_it_is_known_how_far_a_standby_was_the_same_one_serves():
    standbys = [server("a", Role.STANDBY), server("b", Role.STANDBY)]
    for state in standbys:
        state.saw(Position(1, 10), 0.0)
    caller = Caller()
    caller.read(standbys[1], 1.0)
    assert {pick_standby(standbys, caller, turn) for turn in range(4)} == {standbys[1]}
    standbys[1].saw(Position(1, 20), 2.0)
    assert {pick_standby(standbys, caller, turn) for turn in range(4)} == {standbys[1]}
    standbys[0].saw(Position(1, 20), 2.0)
    assert {pick_standby(standbys, caller, turn) for turn in range(4)} == set(standbys)


def test_positions_of_another_timeline_say_nothing():
    standby = server("a", Role.STANDBY)
    standby.saw(Position(2, 100), 0.0)
    assert pick_standby([standby], Caller(Position(1, 50)), 0) is None
    assert pick_standby([standby], Caller(Position(2, 50)), 0) is standby
    assert pick_standby([standby], Caller(Position(3, 50)), 0) is None


def test_a_server_that_has_gone_back_forgets_what_it_was():
    standby = server("a", Role.STANDBY)
    for moment, position in enumerate([Position(1, 10), Position(1, 20), Position(1, 15)]):
        standby.saw(position, float(moment))
    assert standby.positions == [Position(1, 15)]
    assert standby.bound(0.5) == Position(1, 15)
    assert standby.bound(2.5) is None


def test_the_tightest_bound_is_taken_and_few_probes_are_kept():
    standby = server("a", Role.STANDBY)
    for moment in range(1000):
        standby.saw(Position(1, moment), float(moment))
    assert standby.bound(990.5) == Position(1, 991)
    assert len(standby.started) <= 129


def test_who_may_have_written_is_served_by_the_primary():
    standby = server("a", Role.STANDBY)
    standby.saw(Position(1, 10), 0.0)
    caller = Caller()
    caller.strict = True
    assert pick_standby([standby], caller, 0) is None


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_a_position_is_read_back(timeline, lsn):
    position = Position(timeline, lsn)
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize("text", ["", "1", "1:", ":0/0", "1:0-0", "-1:0/0", "1:0/123456789", "１:0/0", "1:0/0 "])
def test_what_is_no_position_is_refused(text):
    with pytest.raises(OptionError):
        Position.parse(text)


def test_an_lsn_is_a_number():
    assert lsn_of("0/3000060") == 0x3000060
    assert lsn_of("1/0") == 2**32
