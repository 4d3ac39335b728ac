"""Conversations: packets that say what the dialogue says."""

from __future__ import annotations

import ipaddress
import struct

from aiobc9x.trace import Header, Kind, Record, decode
from aiobc9x.trace.conversations import Conversations, Outcome, names_of
from tests.trace.test_dialogue import Step, records

OPEN: Step = (">", b'AT+QIOPEN=1,0,"TCP","10.0.0.1",80,5000,0,0\r')
OPENED: Step = ("<", b"\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n")
SEND: Step = (">", b'AT+QISEND=0,3,"abc"\r')
ACCEPTED: Step = ("<", b"\r\nOK\r\n\r\nSEND OK\r\n")
READ: list[Step] = [(">", b"AT+QIRD=0,1024\r"), ("<", b"\r\n+QIRD: 2,0\r\nhi\r\n\r\nOK\r\n")]
EMPTY: list[Step] = [(">", b"AT+QIRD=0,1024\r"), ("<", b"\r\n+QIRD: 0\r\n\r\nOK\r\n")]
CLOSED: Step = ("<", b'\r\n+QIURC: "closed",0\r\n')
CLOSE: list[Step] = [(">", b"AT+QICLOSE=0\r"), ("<", b"\r\nOK\r\n\r\nCLOSE OK\r\n")]

FLAGS = {0x01: "F", 0x02: "S", 0x04: "R", 0x08: "P", 0x10: "A"}


def outcomes(*steps: Step, decided: str = "") -> list[Outcome]:
    """The packets of some steps, and of a decision at their end."""
    conversations = Conversations()
    trace = list(records(list(steps)))
    if decided:
        facts = {"socket": 0, "error": "StreamBroken: gone"}
        trace.append(Record(Kind.DECISION, 99, 99, 1, Header("s"), event=decided, facts=facts))
    return [found for entry in decode(trace) for found in conversations.take(entry)]


def worded(outcome: Outcome) -> str:
    """A TCP packet over IPv4 in one word: direction, flags, numbers, payload."""
    data = outcome.packet.data
    assert data[9] == 6
    seq, ack, _, flags = struct.unpack("!IIBB", data[24:34])
    letters = "".join(letter for bit, letter in FLAGS.items() if flags & bit)
    size = outcome.packet.size_bytes - 40
    return f"{'>' if outcome.is_outbound else '<'}{letters}{seq}/{ack}+{size}"


def story(*steps: Step, decided: str = "") -> list[str]:
    """All packets, each in one word."""
    return [worded(outcome) for outcome in outcomes(*steps, decided=decided)]


SHAKEN = [">S0/0+0", "<SA0/1+0", ">A1/1+0"]


class TestTcp:
    """One connection, from its first packet to its last."""

    def test_a_whole_one(self) -> None:
        """Data both ways, then our close."""
        found = story(OPEN, OPENED, SEND, ACCEPTED, *READ, *CLOSE)
        assert found == [*SHAKEN, ">PA1/1+3", "<PA1/4+2", ">FA4/3+0", "<FA3/5+0", ">A5/4+0"]

    def test_addresses(self) -> None:
        """Those of the dialogue, as far as it has them."""
        told: list[Step] = [
            (">", b"AT+CGPADDR?\r"),
            ("<", b'\r\n+CGPADDR: 1,"100.64.0.9"\r\n\r\nOK\r\n'),
        ]
        first, *_ = outcomes(*told, OPEN, OPENED)
        source, target = first.packet.data[12:16], first.packet.data[16:20]
        assert (source, target) == (bytes([100, 64, 0, 9]), bytes([10, 0, 0, 1]))
        assert struct.unpack("!HH", first.packet.data[20:24]) == (5000, 80)
        first, *_ = outcomes(("<", b'\r\n+CGPADDR: 1,"1.2.3.4.5.6.7.8"\r\n'), OPEN)
        assert first.packet.data[12:16] == bytes([192, 0, 2, 1])

    def test_the_peer_closes_and_is_read_empty(self) -> None:
        """Its FIN stands behind what it has sent."""
        found = story(OPEN, OPENED, CLOSED, *READ, *EMPTY, *CLOSE)
        assert found == [*SHAKEN, "<PA1/1+2", "<FA3/1+0", ">FA1/4+0", "<A4/2+0"]

    def test_a_refused_one(self) -> None:
        """SYN, RST; the ID can be used again."""
        refused: Step = ("<", b"\r\nOK\r\n\r\n+QIOPEN: 0,566\r\n")
        assert story(OPEN, refused) == [">S0/0+0", "<RA0/1+0"]
        assert story(OPEN, refused, OPEN, OPENED)[2:] == SHAKEN

    def test_bytes_that_are_sent_again(self) -> None:
        """A retransmission, with the same numbers."""
        failed: Step = ("<", b"\r\nOK\r\n\r\nSEND FAIL\r\n")
        found = story(OPEN, OPENED, SEND, failed, SEND, ACCEPTED, SEND, ACCEPTED)
        assert found[3:] == [">PA1/1+3", ">PA1/1+3", ">PA4/1+3"]

    def test_bytes_that_the_module_refused(self) -> None:
        """They never were on the air."""
        found = story(OPEN, OPENED, SEND, ("<", b"\r\nERROR\r\n"), SEND, ACCEPTED)
        assert found[3:] == [">PA1/1+3"]

    def test_data_behind_a_prompt(self) -> None:
        """Once the module has accepted them; its result may come ahead of OK."""
        steps: list[Step] = [
            (">", b"AT+QISEND=0,2\r", "prompt"),
            ("<", b"\r\n> "),
            (">", b"hi", "payload"),
        ]
        assert story(OPEN, OPENED, *steps) == SHAKEN
        assert story(OPEN, OPENED, *steps, ACCEPTED)[3:] == [">PA1/1+2"]
        early: Step = ("<", b"\r\nSEND OK\r\n\r\nOK\r\n")
        assert story(OPEN, OPENED, *steps, early)[3:] == [">PA1/1+2"]

    def test_data_ahead_of_the_result(self) -> None:
        """They prove that the socket is connected; the result comes late, or never (F32)."""
        found = story(OPEN, ("<", b"\r\nOK\r\n"), *READ, ("<", b"\r\n+QIOPEN: 0,0\r\n"))
        assert found == [*SHAKEN, "<PA1/1+2"]

    def test_ones_that_break(self) -> None:
        """An RST, once, for whatever reason."""
        for decided in ("Failed", "LinkEnded", "Reset"):
            assert story(OPEN, OPENED, decided=decided) == [*SHAKEN, ">RA1/1+0"]
        assert story(OPEN, OPENED, ("<", b"\r\nRDY\r\n"), decided="Reset")[3:] == [">RA1/1+0"]
        assert story(OPEN, OPENED, *CLOSE, decided="Failed")[3:] == [
            ">FA1/1+0",
            "<FA1/2+0",
            ">A2/2+0",
        ]

    def test_one_whose_opening_the_trace_lacks(self) -> None:
        """It goes on in the middle, with addresses that are made up whole."""
        found = outcomes(*READ, SEND, ACCEPTED)
        assert [worded(each) for each in found] == ["<PA0/0+2", ">PA0/2+3"]
        source = ipaddress.ip_address(found[0].packet.data[12:16])
        assert source in ipaddress.ip_network("198.18.0.0/15")

    def test_an_incoming_one(self) -> None:
        """Its SYN comes from outside, to the listener's port."""
        found = outcomes(
            (">", b'AT+QIOPEN=1,3,"TCP LISTENER","127.0.0.1",0,2020,0,0\r'),
            ("<", b"\r\nOK\r\n\r\n+QIOPEN: 3,0\r\n"),
            ("<", b'\r\n+QIURC: "incoming",0,3,"10.0.0.7",4444\r\n'),
            *READ,
        )
        assert [worded(each) for each in found] == ["<S0/0+0", ">SA0/1+0", "<A1/1+0", "<PA1/1+2"]
        assert struct.unpack("!HH", found[0].packet.data[20:24]) == (4444, 2020)

    def test_ipv6(self) -> None:
        """Both ends have addresses of the same kind."""
        first, *_ = outcomes((">", b'AT+QIOPEN=1,0,"TCP","2001:db8::9",80,0,0,0\r'))
        assert first.packet.data[0] >> 4 == 6


class TestNames:
    """Of hosts."""

    def test_a_name_that_nobody_has_looked_up(self) -> None:
        """It gets an address, the same each time."""
        conversations = Conversations()
        steps: list[Step] = [
            (">", b'AT+QIOPEN=1,0,"TCP","a.example",80,0,0,0\r'),
            (">", b'AT+QIOPEN=1,1,"TCP","b.example",80,0,0,0\r'),
            (">", b'AT+QIOPEN=1,2,"TCP","a.example",80,0,0,0\r'),
        ]
        found = [o for entry in decode(records(steps)) for o in conversations.take(entry)]
        targets = [each.packet.data[16:20] for each in found]
        assert targets[0] == targets[2] != targets[1]
        known = names_of(conversations.names)
        assert known == {targets[0]: "a.example", targets[1]: "b.example"}

    def test_a_name_that_was_looked_up(self) -> None:
        """It has its own."""
        conversations = Conversations()
        steps: list[Step] = [
            (">", b'AT+QIDNSGIP=1,"a.example"\r'),
            ("<", b'\r\nOK\r\n\r\n+QIURC: "dnsgip",0,2,60\r\n\r\n+QIURC: "dnsgip","10.9.8.7"\r\n'),
            ("<", b'\r\n+QIURC: "dnsgip","10.9.8.6"\r\n'),
            (">", b'AT+QIOPEN=1,0,"TCP","a.example",80,0,0,0\r'),
        ]
        (found,) = [o for entry in decode(records(steps)) for o in conversations.take(entry)]
        assert found.packet.data[16:20] == bytes([10, 9, 8, 7])
        assert names_of(conversations.names) == {bytes([10, 9, 8, 7]): "a.example"}


class TestUdp:
    """Datagrams need no opening."""

    OPEN: Step = (">", b'AT+QIOPEN=1,0,"UDP","10.0.0.1",53,0,0,0\r')

    def test_datagrams(self) -> None:
        """Each is one packet, and a close is none."""
        found = outcomes(self.OPEN, OPENED, SEND, ACCEPTED, *READ, *CLOSE)
        assert [each.packet.data[28:] for each in found] == [b"abc", b"hi"]
        assert [each.is_outbound for each in found] == [True, False]

    def test_one_that_is_read_in_parts(self) -> None:
        """It was one on the air (§2.2.6)."""
        parts: list[Step] = [
            (">", b"AT+QIRD=0,2\r"),
            ("<", b"\r\n+QIRD: 2,2\r\nhi\r\n\r\nOK\r\n"),
            *READ,
        ]
        (found,) = outcomes(self.OPEN, OPENED, *parts)
        assert found.packet.data[28:] == b"hihi"

    def test_a_refused_one(self) -> None:
        """There is nothing to see."""
        assert outcomes(self.OPEN, ("<", b"\r\nOK\r\n\r\n+QIOPEN: 0,566\r\n")) == []
        assert outcomes(self.OPEN, OPENED, decided="Failed") == []
