"""AT+QISEND and AT+QISENDEX (§2.2.4, §2.2.5)."""

import pytest

from aiobc9x.sim.options import PROMPTS, SimOptions
from aiobc9x.spec import Err
from tests.sim.desk import Desk, lines
from tests.sim.test_commands import err
from tests.support.words import ERROR, OK, PROMPT, SEND_FAIL, SEND_OK

EVERY_BYTE = bytes(range(256))


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.open()
    return desk


class TestInline:
    """Data in double quotes, with its length."""

    @pytest.mark.parametrize(
        "arguments",
        [
            '0,0,""',
            '0,1441,"x"',
            '0,5,"1234"',
            '0,5,"123456"',
            "0,5,12345",
            '6,1,"x"',
            '0,1,"x",1',
            '0,3,"a"b"',
            '0,1,"x',
        ],
    )
    def test_refused(self, desk: Desk, arguments: str) -> None:
        """Wrong lengths, missing quotes, and a quote inside."""
        assert desk.type(f"AT+QISEND={arguments}") == ERROR
        assert err(desk) == Err.INVALID_PARAMETERS

    @pytest.mark.parametrize("digits", ["3", "3g", "30 1", "303132"])
    def test_hex_refused(self, desk: Desk, digits: str) -> None:
        """Two digits for each byte, no more, no less."""
        assert desk.type(f'AT+QISENDEX=0,2,"{digits}"') == ERROR

    def test_commas_belong_to_the_data(self, desk: Desk) -> None:
        assert desk.run('AT+QISEND=0,5,"a,b,c"') == OK + SEND_OK
        assert bytes(desk.peer.received) == b"a,b,c"

    def test_longest(self, desk: Desk) -> None:
        """1440 bytes, as text or as 2880 hex digits."""
        assert desk.run(f'AT+QISEND=0,1440,"{"x" * 1440}"') == OK + SEND_OK
        assert desk.run(f'AT+QISENDEX=0,1440,"{"7f" * 1440}"') == OK + SEND_OK
        assert bytes(desk.peer.received) == b"x" * 1440 + b"\x7f" * 1440


class TestFixedLength:
    """Prompt, then exactly ``<send_length>`` bytes."""

    def test_every_byte_value(self, desk: Desk) -> None:
        """Also CR, LF, Ctrl-Z, ESC and quotes are data."""
        assert desk.type("AT+QISEND=0,256") == PROMPT
        assert desk.feed(EVERY_BYTE) == OK
        assert desk.wait(1) == SEND_OK
        assert bytes(desk.peer.received) == EVERY_BYTE

    def test_byte_by_byte(self, desk: Desk) -> None:
        """Nothing is said until the last byte is there."""
        desk.type("AT+QISEND=0,256")
        assert [desk.feed(bytes([byte])) for byte in EVERY_BYTE[:-1]] == [b""] * 255
        assert desk.feed(b"\xff") == OK

    def test_surplus_is_the_next_command(self, desk: Desk) -> None:
        desk.type("AT+QISEND=0,2")
        assert desk.feed(b"hiAT\r") == OK + OK

    def test_hex_takes_two_digits_a_byte(self, desk: Desk) -> None:
        assert desk.type("AT+QISENDEX=0,3") == PROMPT
        assert desk.feed(b"00ff1") == b""
        assert desk.feed(b"A") == OK
        assert bytes(desk.peer.received) == b"\x00\xff\x1a"

    def test_hex_that_is_none(self, desk: Desk) -> None:
        """ERROR once all digits are there."""
        desk.type("AT+QISENDEX=0,2")
        assert desk.feed(b"00xx") == ERROR
        assert err(desk) == Err.INVALID_PARAMETERS

    @pytest.mark.parametrize("length", ["0", "1441", "x", ""])
    def test_lengths_refused(self, desk: Desk, length: str) -> None:
        """No prompt, but ERROR."""
        assert desk.type(f"AT+QISEND=0,{length}") == ERROR

    def test_lf_behind_cr_is_not_data(self, desk: Desk) -> None:
        """A line feed in the same breath as the ``<CR>`` belongs to the command."""
        assert desk.feed(b"AT+QISEND=0,2\r\nhi") == PROMPT + OK

    def test_payload_before_the_prompt(self) -> None:
        """Bytes that come too early wait for the prompt; they are no command."""
        desk = Desk(SimOptions(latency=0.1))
        desk.open()
        assert desk.feed(b"AT+QISEND=0,3\rAT\r") == b""
        assert desk.wait(0.5) == PROMPT + OK + SEND_OK
        assert bytes(desk.peer.received) == b"AT\r"

    def test_echo_in_data_mode(self) -> None:
        """Off, but for ``echo_data``, even with ATE1."""
        for echo_data in (False, True):
            desk = Desk(SimOptions(echo_data=echo_data), echo=True)
            desk.type("ATE0")
            desk.open()
            desk.type("ATE1")
            desk.type("AT+QISEND=0,2")
            assert desk.feed(b"hi") == (b"hi" if echo_data else b"") + OK


class TestVariableLength:
    """Prompt, data, then Ctrl-Z or ESC."""

    def test_ctrl_z_sends(self, desk: Desk) -> None:
        assert desk.type("AT+QISEND=0") == PROMPT
        assert desk.feed(b"one\r\ntwo") == b""
        assert desk.feed(b"\x1a") == OK
        assert desk.wait(1) == SEND_OK
        assert bytes(desk.peer.received) == b"one\r\ntwo"

    def test_esc_cancels(self, desk: Desk) -> None:
        """The note gives no answer to ESC; it is OK here, and 571."""
        desk.type("AT+QISEND=0")
        assert desk.feed(b"one\x1b") == OK
        assert desk.wait(1) == b""
        assert err(desk) == Err.SEND_CANCELLED
        assert not desk.peer.received

    def test_nothing_sent_is_send_fail(self, desk: Desk) -> None:
        """Note 4 of §2.2.4, at once."""
        desk.type("AT+QISEND=0")
        assert desk.feed(b"\x1a") == SEND_FAIL

    def test_full_length_is_sent_by_itself(self, desk: Desk) -> None:
        """At 1440 bytes no Ctrl-Z is awaited."""
        desk.type("AT+QISEND=0")
        assert desk.feed(b"x" * 1439) == b""
        assert desk.feed(b"x") == OK
        assert len(desk.peer.received) == 1440

    def test_hex(self, desk: Desk) -> None:
        desk.type("AT+QISENDEX=0")
        assert desk.feed(b"30313\x1a") == ERROR
        desk.type("AT+QISENDEX=0")
        assert desk.feed(b"303132\x1a") == OK
        assert bytes(desk.peer.received) == b"012"


@pytest.mark.parametrize("prompt", ["space", "bare", "crlf"])
def test_spellings_of_the_prompt(prompt: str) -> None:
    desk = Desk(SimOptions(prompt=prompt))  # type: ignore[arg-type]  # one of three
    desk.open()
    assert desk.type("AT+QISEND=0,2") == PROMPTS[prompt]


class TestOutcome:
    """What follows the data."""

    @pytest.mark.parametrize("line", ['AT+QISEND=1,1,"x"', "AT+QISEND=1,1", "AT+QISEND=1"])
    def test_not_open(self, desk: Desk, line: str) -> None:
        assert desk.type(line) == ERROR
        assert err(desk) == Err.SOCKET_CLOSED

    def test_listener(self, desk: Desk) -> None:
        """§2.2.4, note 3."""
        desk.type('AT+QIOPEN=1,1,"TCP LISTENER","127.0.0.1",1,2020')
        assert desk.type('AT+QISEND=1,1,"x"') == ERROR
        assert err(desk) == Err.NOT_ALLOWED

    def test_one_send_at_a_time_in_the_whole_module(self, desk: Desk) -> None:
        """§4.1.2: another socket has to wait as well, other commands needn't."""
        desk.open(1)
        assert desk.type('AT+QISEND=0,1,"x"') == OK
        assert desk.type('AT+QISEND=1,1,"x"') == ERROR
        assert err(desk) == Err.BUSY
        assert desk.type("AT+QISEND=1,1") == ERROR
        assert desk.type("AT+QIRD=1,10") == lines("+QIRD: 0") + OK
        assert desk.wait(1) == SEND_OK
        assert desk.run('AT+QISEND=1,1,"x"') == OK + SEND_OK

    def test_one_send_at_a_time_for_each_socket(self) -> None:
        """A module may count by socket: only the same one has to wait."""
        desk = Desk(SimOptions(pending="socket"))
        desk.open(0)
        desk.open(1)
        assert desk.type('AT+QISEND=0,1,"x"') == OK
        assert desk.type('AT+QISEND=0,1,"x"') == ERROR
        assert err(desk) == Err.BUSY
        assert desk.type('AT+QISEND=1,1,"x"') == OK
        assert desk.wait(1) == SEND_OK + SEND_OK
        assert desk.run('AT+QISEND=0,1,"x"') == OK + SEND_OK

    def test_full_send_buffer(self, desk: Desk) -> None:
        """OK, then SEND FAIL; nothing was sent, and the socket lives."""
        desk.peer.accepts = False
        assert desk.run('AT+QISEND=0,1,"x"') == OK + SEND_FAIL
        assert err(desk) == Err.WRITE_FAILED
        desk.peer.accepts = True
        assert desk.run('AT+QISEND=0,1,"y"') == OK + SEND_OK
        assert bytes(desk.peer.received) == b"y"

    def test_socket_dies_in_data_mode(self, desk: Desk) -> None:
        """All bytes are still taken; then ERROR."""
        desk.type("AT+QISEND=0,4")
        desk.peer.close()
        assert desk.output() == lines('+QIURC: "closed",0')
        assert desk.feed(b"AT\r") == b""
        assert desk.feed(b"x") == ERROR
        assert err(desk) == Err.SOCKET_CLOSED

    def test_after_the_peer_closed(self, desk: Desk) -> None:
        desk.peer.close()
        desk.output()
        assert desk.type('AT+QISEND=0,1,"x"') == ERROR

    def test_datagrams_keep_their_edges(self, desk: Desk) -> None:
        peer = desk.open(1, "UDP")
        desk.run('AT+QISEND=1,2,"ab"')
        desk.run('AT+QISEND=1,2,"cd"')
        assert peer.datagrams == [b"ab", b"cd"]
