"""Turns: who uses the line next."""

from itertools import pairwise
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.core.turns import Cursor, Turn, TurnKind, next_turn

Waiting: TypeAlias = tuple[list[int], list[int], bool]
"""Who could read, who could send, and whether a command waits."""

ids = st.integers(0, 63).map(lambda bits: [i for i in range(6) if bits >> i & 1])
# A few dozen turns drawn, then the same again: enough for any bound below.
waiting = st.lists(st.tuples(ids, ids, st.booleans()), min_size=1, max_size=12).map(
    lambda rounds: (rounds * 84)[:84]
)


def play(rounds: list[Waiting]) -> list[Turn | None]:
    """Take one turn for each row of readable, sendable, commands."""
    cursor, turns = Cursor(), []
    for readable, sendable, commands in rounds:
        turn, cursor = next_turn(
            cursor, closes=False, commands=commands, readable=readable, sendable=sendable
        )
        turns.append(turn)
    return turns


def kinds(turns: list[Turn | None]) -> str:
    """Write turns in short: R and S with the connect ID, C for a command."""
    return " ".join(
        "-" if t is None else t.kind.name[0] + (str(t.connect_id) if t.connect_id >= 0 else "")
        for t in turns
    )


class TestOrder:
    """Rule 8: closes first, then round robin, one send after each round of reads."""

    def test_nothing_waits(self) -> None:
        """Then nobody has the turn."""
        assert play([([], [], False)]) == [None]

    def test_closes_go_first(self) -> None:
        """A connect ID that is given up is wanted by others; the rounds stay as they are."""
        before = Cursor(frozenset({1}), True, 2, True)
        turn, after = next_turn(before, closes=True, commands=True, readable=[0], sendable=[0])
        assert (turn, after) == (Turn(TurnKind.CLOSE), before)

    def test_one_send_follows_each_round_of_reads(self) -> None:
        """Neither direction starves the other."""
        assert kinds(play([([0, 1], [3], False)] * 6)) == "R0 R1 S3 R0 R1 S3"

    def test_senders_take_turns(self) -> None:
        """The next one behind the last has its turn, going round."""
        assert kinds(play([([], [0, 2, 5], False)] * 4)) == "S0 S2 S5 S0"

    def test_reads_go_on_without_senders(self) -> None:
        """A round that is over is followed by another."""
        assert kinds(play([([1, 4], [], False)] * 5)) == "R1 R4 R1 R4 R1"

    def test_a_sender_that_comes_in_mid_round_waits_for_its_end(self) -> None:
        """At most for the reads that are left of it."""
        assert kinds(play([([0, 1, 2], [], False)] + [([0, 1, 2], [4], False)] * 3)) == (
            "R0 R1 R2 S4"
        )

    def test_a_send_that_was_due_comes_as_soon_as_it_can(self) -> None:
        """The round was over while another send was outstanding."""
        assert kinds(play([([0], [], False), ([0], [], False), ([0], [3], False)])) == "R0 R0 S3"

    def test_commands_alternate_with_sockets(self) -> None:
        """Neither an unending row of commands nor busy sockets block the other."""
        assert kinds(play([([0], [1], True)] * 6)) == "C R0 C S1 C R0"

    def test_commands_alone_follow_each_other(self) -> None:
        """There is nobody to take turns with."""
        assert kinds(play([([], [], True)] * 3)) == "C C C"


class TestFairness:
    """Whatever comes and goes, whoever keeps waiting has a turn soon."""

    @given(rounds=waiting, who=st.integers(0, 5))
    def test_a_reader_never_starves(self, rounds: list[Waiting], who: int) -> None:
        """Five others, one send, and a command in front of each."""
        turns = play([(sorted({*r, who}), s, c) for r, s, c in rounds])
        assert Turn(TurnKind.READ, who) in turns[:14]

    @given(rounds=waiting, who=st.integers(0, 5))
    def test_a_sender_never_starves(self, rounds: list[Waiting], who: int) -> None:
        """Five other senders, six reads in front of each, a command in front of all."""
        turns = play([(r, sorted({*s, who}), c) for r, s, c in rounds])
        assert Turn(TurnKind.SEND, who) in turns[:84]

    @given(rounds=waiting)
    def test_a_command_never_starves(self, rounds: list[Waiting]) -> None:
        """It has every other turn."""
        turns = play([(r, s, True) for r, s, _ in rounds])
        assert all(Turn(TurnKind.COMMAND) in pair for pair in pairwise(turns))

    @given(rounds=waiting)
    def test_only_who_waits_has_a_turn(self, rounds: list[Waiting]) -> None:
        """And the line is idle only if nobody waits."""
        for turn, (readable, sendable, commands) in zip(play(rounds), rounds, strict=True):
            if turn is None:
                assert [readable, sendable, commands] == [[], [], False]
            elif turn.kind is TurnKind.COMMAND:
                assert commands
            else:
                assert turn.connect_id in (readable if turn.kind is TurnKind.READ else sendable)


class TestShortMessages:
    """A short message waits for one quantum, not for one of each bulk writer."""

    def senders(self, turns: int, small: set[int], waiting: list[int]) -> list[int]:
        """Who sends, if nobody stops waiting."""
        cursor, found = Cursor(), []
        few = [i for i in waiting if i in small]
        for _ in range(turns):
            turn, cursor = next_turn(
                cursor, closes=False, commands=False, readable=[], sendable=waiting, small=few
            )
            assert turn is not None
            found.append(turn.connect_id)
        return found

    def test_every_other_send_is_a_short_one(self) -> None:
        """Whoever has much to send goes on meanwhile, in turns."""
        assert self.senders(8, {2}, [0, 1, 2, 3]) == [2, 0, 2, 1, 2, 3, 2, 0]

    def test_short_ones_take_turns_too(self) -> None:
        """Each in its own round."""
        assert self.senders(8, {4, 5}, [0, 1, 4, 5]) == [4, 0, 5, 1, 4, 0, 5, 1]

    @given(small=st.sets(st.integers(0, 5)), waiting=ids.filter(bool), who=st.integers(0, 5))
    def test_nobody_starves(self, small: set[int], waiting: list[int], who: int) -> None:
        """Whatever the sizes, everyone sends within twelve sends."""
        everyone = sorted({*waiting, who})
        assert who in self.senders(12, small, everyone)

    def test_reads_go_between(self) -> None:
        """One round of them before each send, whatever its size."""
        cursor, found = Cursor(), []
        for _ in range(6):
            turn, cursor = next_turn(
                cursor, closes=False, commands=False, readable=[0], sendable=[1, 2], small=[1]
            )
            found.append(turn)
        assert kinds(found) == "R0 S1 R0 S2 R0 S1"
