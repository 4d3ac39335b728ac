"""errors: one row per exception: its errno, its text, what else it is, and pickling."""

import copy
import errno
import pickle
import socket

import pytest

from aiobc9x import errors
from aiobc9x.errors import (
    ERRNO_OF,
    BudgetExceeded,
    CommandError,
    ConnectFailed,
    LinkLost,
    LinkTimeout,
    ModemError,
    ModuleReset,
    NetworkLost,
    NoFreeSocket,
    PinRequired,
    PortBusy,
    PortDenied,
    PortNotFound,
    StageTimeout,
    StreamBroken,
    UnexpectedAnswer,
    command_error,
    connect_error,
)
from aiobc9x.spec import ERR_TEXT

LINE = 'AT+QIOPEN=1,0,"TCP","example.com",80'
TARGET = ("example.com", 80)

CONNECT_ROWS: list[tuple[int, type[ConnectFailed], type[OSError], int]] = [
    (550, ConnectFailed, OSError, errno.EIO),
    (551, errors.ConnectBlocked, BlockingIOError, errno.EAGAIN),
    (552, ConnectFailed, OSError, errno.EINVAL),
    (553, ConnectFailed, OSError, errno.ENOBUFS),
    (554, ConnectFailed, OSError, errno.EMFILE),
    (555, ConnectFailed, OSError, errno.EOPNOTSUPP),
    (556, errors.AddressBusy, OSError, errno.EADDRINUSE),
    (557, errors.AddressBusy, OSError, errno.EADDRINUSE),
    (558, errors.ConnectWriteFailed, BrokenPipeError, errno.EPIPE),
    (559, errors.ConnectReadFailed, ConnectionResetError, errno.ECONNRESET),
    (560, errors.ConnectAborted, ConnectionAbortedError, errno.ECONNABORTED),
    (561, errors.NetworkUnreachable, OSError, errno.ENETUNREACH),
    (562, errors.NetworkDown, OSError, errno.ENETDOWN),
    (563, errors.ConnectIdBusy, OSError, errno.EBUSY),
    (564, errors.NameBusy, socket.gaierror, socket.EAI_AGAIN),
    (565, errors.NameNotFound, socket.gaierror, socket.EAI_NONAME),
    (566, errors.ConnectRefused, ConnectionRefusedError, errno.ECONNREFUSED),
    (567, errors.ConnectClosed, ConnectionResetError, errno.ECONNRESET),
    (568, ConnectFailed, OSError, errno.EBUSY),
    (569, errors.ConnectTimedOut, TimeoutError, errno.ETIMEDOUT),
    (570, errors.NetworkDown, OSError, errno.ENETDOWN),
    (571, ConnectFailed, OSError, errno.ECANCELED),
    (572, errors.ConnectNotAllowed, PermissionError, errno.EPERM),
    (573, errors.NetworkUnreachable, OSError, errno.ENETUNREACH),
    (574, errors.AddressBusy, OSError, errno.EADDRINUSE),
]
"""What a failed connection raises, by ``<err>`` (table 2)."""

COMMAND_ROWS: list[tuple[int, type[CommandError], type[OSError], int]] = [
    (551, errors.OperationBlocked, BlockingIOError, errno.EAGAIN),
    (552, CommandError, OSError, errno.EINVAL),
    (558, errors.WriteFailed, BrokenPipeError, errno.EPIPE),
    (559, errors.ReadFailed, ConnectionResetError, errno.ECONNRESET),
    (560, errors.AcceptFailed, ConnectionAbortedError, errno.ECONNABORTED),
    (564, CommandError, OSError, errno.EBUSY),
    (565, CommandError, OSError, errno.EHOSTUNREACH),
    (566, CommandError, OSError, errno.ECONNREFUSED),
    (567, errors.SocketClosed, ConnectionResetError, errno.ECONNRESET),
    (569, errors.OperationTimedOut, TimeoutError, errno.ETIMEDOUT),
    (572, errors.OperationNotAllowed, PermissionError, errno.EPERM),
]
"""What any other refused command raises."""

OTHER_ROWS: list[tuple[ModemError, type[OSError], int, str]] = [
    (LinkLost("unplugged"), ConnectionAbortedError, errno.ECONNABORTED, "unplugged"),
    (PortNotFound("no /dev/x"), FileNotFoundError, errno.ENOENT, "no /dev/x"),
    (PortDenied("not yours"), PermissionError, errno.EACCES, "not yours"),
    (PortBusy("in use"), OSError, errno.EBUSY, "in use"),
    (LinkTimeout("no answer"), TimeoutError, errno.ETIMEDOUT, "no answer"),
    (
        StageTimeout("waiting for the network", 2.5),
        TimeoutError,
        errno.ETIMEDOUT,
        "timed out after 2.5 s, waiting for the network",
    ),
    (
        StageTimeout("waiting for the SIM", 30, "is one in?"),
        TimeoutError,
        errno.ETIMEDOUT,
        "timed out after 30 s, waiting for the SIM: is one in?",
    ),
    (
        BudgetExceeded(1000, "day", 1010),
        OSError,
        errno.EDQUOT,
        "the budget of 1000 bytes for this day is spent (about 1010 bytes over the air): wait for"
        " the next day, or set another one by modem.usage.budget()",
    ),
    (ModuleReset("RDY"), ConnectionResetError, errno.ECONNRESET, "RDY"),
    (NetworkLost("detached"), ConnectionResetError, errno.ECONNRESET, "detached"),
    (StreamBroken("a hole"), ConnectionResetError, errno.ECONNRESET, "a hole"),
    (
        NoFreeSocket(),
        OSError,
        errno.EMFILE,
        "all six connect IDs of the module are in use; close a connection first",
    ),
    (
        PinRequired("AT+CPIN?"),
        OSError,
        errno.EACCES,
        "the SIM wants its PIN; pass pin=… to open_modem()",
    ),
    (
        PinRequired("AT+CPIN?", "16"),
        OSError,
        errno.EACCES,
        "the SIM refused the PIN: the password or PIN is wrong (+CME ERROR: 16);"
        " pass the right pin=… to open_modem()",
    ),
    (
        errors.PukRequired("AT+CPIN?", "12"),
        PermissionError,
        errno.EACCES,
        "wrong PINs have locked the SIM, which wants its PUK (+CME ERROR: 12); unlock it by"
        " unblock_sim(puk, new_pin), or in a phone; ten wrong PUKs destroy it",
    ),
    (
        errors.PukRequired("AT+CPIN?", "SIM PUK", 1),
        PermissionError,
        errno.EACCES,
        "wrong PINs have locked the SIM, which wants its PUK (SIM PUK); unlock it by"
        " unblock_sim(puk, new_pin), or in a phone; 1 try of the PUK is left",
    ),
    (
        PinRequired("AT+CPIN?", "16", 2),
        OSError,
        errno.EACCES,
        "the SIM refused the PIN: the password or PIN is wrong (+CME ERROR: 16);"
        " pass the right pin=… to open_modem(); 2 tries of the PIN are left",
    ),
    (
        errors.SimLocked("AT+CPIN?", "PH-NET PIN"),
        PermissionError,
        errno.EACCES,
        "the module is locked to SIMs of another operator (PH-NET PIN); use such a SIM, or ask"
        " the seller of the module to unlock it",
    ),
    (
        errors.SimMissing("AT+CPIN?", "10"),
        OSError,
        errno.ENODEV,
        "the SIM is not inserted (+CME ERROR: 10); insert one, check its holder, and restart the"
        " module",
    ),
    (
        errors.SimError("AT+CPIN?", "13"),
        OSError,
        errno.EIO,
        "the SIM can't be used: the SIM has failed (+CME ERROR: 13); take it out and put it in"
        " again, or try another",
    ),
    (
        errors.SettingRefused("ATE0", "nothing is sure", None, 30),
        OSError,
        errno.EOPNOTSUPP,
        "the module refused 'ATE0' for 30 s: ERROR, without a reason; without this setting nothing"
        " is sure; restart the module, or check that it is a BC65 or BC92",
    ),
    (
        errors.WrongModule("SIM7000E", "/dev/ttyUSB0"),
        OSError,
        errno.ENODEV,
        "SIM7000E answers on /dev/ttyUSB0, not a BC65/BC92; profile= overrides",
    ),
    (
        UnexpectedAnswer("AT+CSQ", [b"+CSQ: x"], "no signal"),
        OSError,
        errno.EPROTO,
        "the answer to 'AT+CSQ' can't be read: no signal; got ['+CSQ: x']",
    ),
]
"""Exceptions that no ``<err>`` stands for."""

EVERY: list[ModemError] = [
    *(row[0] for row in OTHER_ROWS),
    *(command_error("AT+QISEND=0", row[0]) for row in COMMAND_ROWS),
    *(connect_error(LINE, row[0], target=TARGET) for row in CONNECT_ROWS),
    command_error("AT+CPIN?", cme="SIM failure"),
    command_error("AT"),
    connect_error(LINE),
    connect_error(LINE, 777),
    ModemError("anything"),
]


class TestCmeCode:
    """What follows ``+CME ERROR:``."""

    @pytest.mark.parametrize(
        ("cme", "code"),
        [
            ("14", 14),
            (" 10 ", 10),
            ("9" * 5000, 999999999),
            ("SIM busy", 14),
            ("SIM PUK REQUIRED", 12),
            ("(U)SIM not inserted", 10),
            ("out of coffee", None),
            ("", None),
            (None, None),
        ],
    )
    def test_numbers_and_words(self, cme: str | None, code: int | None) -> None:
        """AT+CMEE=2 has 27.007's words."""
        assert errors.cme_code(cme) == code


class TestConnectFailed:
    """What connecting raises."""

    @pytest.mark.parametrize(("err", "cls", "builtin", "number"), CONNECT_ROWS)
    def test_rows(
        self, err: int, cls: type[ConnectFailed], builtin: type[OSError], number: int
    ) -> None:
        """It is what asyncio callers already catch, and says the code and the target."""
        exc = connect_error(LINE, err, target=TARGET)
        assert type(exc) is cls
        assert isinstance(exc, builtin)
        assert (exc.errno, exc.err, exc.command, exc.target) == (number, err, LINE, TARGET)
        where = "example.com" if err in {564, 565} else "example.com:80"
        assert f": {where} (module error {err})" in str(exc)

    @pytest.mark.parametrize(
        ("err", "host", "text"),
        [
            (566, "8.8.8.8", "connection refused: 8.8.8.8:80 (module error 566)"),
            (566, "2001:db8::1", "connection refused: [2001:db8::1]:80 (module error 566)"),
            (569, "8.8.8.8", "connection timed out: 8.8.8.8:80 (module error 569)"),
            (
                565,
                "example.invalid",
                "no such name: example.invalid (module error 565); check the spelling and the DNS"
                " servers",
            ),
            (
                561,
                "8.8.8.8",
                "no data connection to the network: 8.8.8.8:80 (module error 561); check"
                " registration and APN",
            ),
            (
                567,
                "8.8.8.8",
                "the connection was closed while it was being opened: 8.8.8.8:80"
                " (module error 567)",
            ),
            (
                777,
                "8.8.8.8",
                "the module failed with a code that its manual does not list: 8.8.8.8:80"
                " (module error 777)",
            ),
        ],
    )
    def test_texts(self, err: int, host: str, text: str) -> None:
        """What happened, to what, the module's code, and what to do about it."""
        exc = connect_error(LINE, err, target=(host, 80))
        assert str(exc) == f"[Errno {exc.errno}] {text}"

    @pytest.mark.parametrize(
        "command",
        [
            'AT+QIDNSGIP=1,"example.invalid"',
            'AT+QPING=1,"example.invalid",4,4,32',
            'at+qntp=1,"example.invalid",123',
        ],
    )
    def test_a_query_about_a_host_names_the_host(self, command: str) -> None:
        """There is no target then, and the command is nobody's words but ours."""
        exc = connect_error(command, 565)
        assert "] no such name: example.invalid (module error 565); " in str(exc)

    @pytest.mark.parametrize(
        ("err", "code"), [(None, "the module gave no result"), (566, "module error 566")]
    )
    def test_a_timeout_keeps_its_errno(self, err: int | None, code: str) -> None:
        """The module may say 566 for it, or nothing at all (§2.2.1, note 2)."""
        exc = errors.ConnectTimedOut(LINE, err, target=TARGET)
        assert (exc.errno, exc.err) == (errno.ETIMEDOUT, err)
        assert str(exc).endswith(f"] connection timed out: example.com:80 ({code})")

    def test_without_a_target_the_command_is_named(self) -> None:
        """As with any other command."""
        text = f"connection refused: {LINE!r} (module error 566)"
        assert str(connect_error(LINE, 566)) == f"[Errno {errno.ECONNREFUSED}] {text}"

    @pytest.mark.parametrize(
        ("cme", "text"),
        [
            (
                None,
                "the module refused to connect to example.com:80 (ERROR, without a reason)",
            ),
            ("516", "the module refused to connect to example.com:80 (516)"),
            (
                "SIM not inserted",
                "the SIM is not inserted (+CME ERROR: SIM not inserted): the module refused to"
                " connect to example.com:80",
            ),
        ],
    )
    def test_without_a_code(self, cme: str | None, text: str) -> None:
        """What the module did say is in the message."""
        exc = connect_error(LINE, None, cme, TARGET)
        assert type(exc) is ConnectFailed
        assert str(exc) == f"[Errno {errno.EIO}] {text}"
        assert exc.cme == cme


class TestCommandError:
    """What any other command raises."""

    @pytest.mark.parametrize("name", ["AT+QISEND", "AT+QISENDEX", "at+qisendex"])
    def test_what_was_sent_is_not_repeated(self, name: str) -> None:
        """A payload may be long, and may be secret; the attribute has it all."""
        command = f'{name}=1,8,"4142,4344"'
        exc = CommandError(command, 552)
        assert exc.command == command
        assert str(exc).endswith(f": '{name}=1,8,...' (module error 552)")

    def test_passwords_of_raw_commands_are_not_repeated(self) -> None:
        """Messages end up in logs and tickets; the attribute has the line."""
        command = 'AT+CGAUTH=1,1,"user","s3cret"'
        exc = command_error(command, cme="16")
        assert exc.command == command
        assert str(exc).endswith(
            "the password or PIN is wrong (+CME ERROR: 16): the module refused 'AT+CGAUTH=1,1,...'"
        )

    def test_a_long_line_is_cut(self) -> None:
        """A message is to be read."""
        assert len(str(CommandError("AT+X=" + "9" * 3000))) < 200

    @pytest.mark.parametrize(("err", "cls", "builtin", "number"), COMMAND_ROWS)
    def test_rows(
        self, err: int, cls: type[CommandError], builtin: type[OSError], number: int
    ) -> None:
        """It is what asyncio callers already catch, and no ConnectFailed."""
        exc = command_error("AT+QISEND=0", err)
        assert type(exc) is cls
        assert isinstance(exc, builtin)
        assert not isinstance(exc, ConnectFailed)
        assert (exc.errno, exc.err, exc.command, exc.cme) == (number, err, "AT+QISEND=0", None)
        assert f": 'AT+QISEND=0' (module error {err})" in str(exc)

    @pytest.mark.parametrize(
        ("err", "cme", "text"),
        [
            (None, None, "the module refused 'AT+X' (ERROR, without a reason)"),
            (
                None,
                "SIM failure",
                "the SIM has failed (+CME ERROR: SIM failure): the module refused 'AT+X'",
            ),
            (
                777,
                None,
                "the module failed with a code that its manual does not list: 'AT+X'"
                " (module error 777)",
            ),
        ],
    )
    def test_codes_that_are_missing_or_unlisted(
        self, err: int | None, cme: str | None, text: str
    ) -> None:
        """The errno is EIO then, and the message has what there is."""
        exc = command_error("AT+X", err, cme)
        assert type(exc) is CommandError
        assert (exc.errno, exc.err, exc.cme) == (errno.EIO, err, cme)
        assert str(exc) == f"[Errno {errno.EIO}] {text}"


class TestOthers:
    """Failures of the link, the module and the network."""

    @pytest.mark.parametrize(("exc", "builtin", "number", "text"), OTHER_ROWS)
    def test_rows(self, exc: ModemError, builtin: type[OSError], number: int, text: str) -> None:
        """Each has a real errno, a sentence, and a class that asyncio callers catch."""
        assert isinstance(exc, builtin)
        assert exc.errno == number
        assert str(exc) == f"[Errno {number}] {text}"

    def test_a_stage_is_an_attribute(self) -> None:
        """So that nobody has to read the sentence."""
        exc = StageTimeout("waiting for the network", 2.5)
        assert (exc.stage, exc.timeout) == ("waiting for the network", 2.5)

    def test_an_answer_that_cannot_be_read_keeps_its_lines(self) -> None:
        """As they came."""
        exc = UnexpectedAnswer("AT+CSQ", [b"\xff"], "no signal")
        assert (exc.command, exc.lines, exc.err, exc.cme) == ("AT+CSQ", (b"\xff",), None, None)

    def test_an_answer_may_hold_the_payload_of_somebody_else(self) -> None:
        """Lines that bytes were lost from may be anybody's: their length must do."""
        exc = UnexpectedAnswer("AT+CSQ", [b"password=secret", b"+CSQ: x"], "no signal")
        assert str(exc).endswith("got ['(15 bytes)', '+CSQ: x']")

    @pytest.mark.parametrize("exc", [PortNotFound("x"), PortDenied("x"), PortBusy("x")])
    def test_a_port_that_does_not_open_is_a_lost_link(self, exc: LinkLost) -> None:
        """One clause catches a port that fails before or after."""
        assert isinstance(exc, LinkLost)
        assert isinstance(exc, ConnectionAbortedError)


@pytest.mark.parametrize("exc", EVERY, ids=lambda exc: type(exc).__name__)
class TestEvery:
    """What holds for each of them."""

    def test_one_root_catches_it(self, exc: ModemError) -> None:
        """ModemError is the root, and all but the root itself are OSErrors."""
        assert isinstance(exc, ModemError)
        assert isinstance(exc, OSError) or type(exc) is ModemError

    def test_it_survives_pickling_and_copying(self, exc: ModemError) -> None:
        """Type, text, arguments and attributes are the same."""
        for twin in (pickle.loads(pickle.dumps(exc)), copy.copy(exc)):
            assert type(twin) is type(exc)
            assert (str(twin), twin.args, vars(twin)) == (str(exc), exc.args, vars(exc))
            assert getattr(twin, "errno", None) == getattr(exc, "errno", None)
            assert getattr(twin, "strerror", None) == getattr(exc, "strerror", None)


@pytest.mark.parametrize(
    ("cme", "said"),
    [
        ("10", "the SIM is not inserted (+CME ERROR: 10): the module refused 'AT+CPIN?'"),
        ("40", "network personalization PIN required (+CME ERROR: 40): the module refused"),
        ("9999", "the module refused 'AT+CPIN?' (9999)"),
        ("SIM busy", "the SIM is busy (+CME ERROR: SIM busy): the module refused 'AT+CPIN?'"),
    ],
)
def test_numbers_of_27_007_are_worded(cme: str, said: str) -> None:
    """AT+CMEE=1 gives a number; those that a gateway meets have words."""
    exc = command_error("AT+CPIN?", cme=cme)
    assert exc.cme == cme
    assert str(exc).startswith(f"[Errno {errno.EIO}] {said}")


class TestTable2BehindCmeError:
    """Some firmwares give the code of table 2 at once: ``+CME ERROR: 563``."""

    @pytest.mark.parametrize(("err", "cls", "builtin", "number"), CONNECT_ROWS)
    def test_it_means_the_same(
        self, err: int, cls: type[ConnectFailed], builtin: type[OSError], number: int
    ) -> None:
        """Class, errno and words are those of the code; ``cme`` has it too."""
        exc = connect_error(LINE, None, str(err), TARGET)
        twin = connect_error(LINE, err, None, TARGET)
        assert (type(exc), exc.errno, str(exc)) == (cls, number, str(twin))
        assert (exc.err, exc.cme) == (err, str(err))
        assert isinstance(exc, builtin)

    @pytest.mark.parametrize("line", ["AT+QISEND=0,5", "at+qiopen=1", "AT+QPING=1", "AT+QNTP=1"])
    def test_any_command_of_the_note(self, line: str) -> None:
        """Connecting or not."""
        exc = command_error(line, cme="572")
        assert (type(exc), exc.err) == (errors.OperationNotAllowed, 572)

    @pytest.mark.parametrize(
        ("line", "cme"),
        [
            ("AT+CMGS=1", "563"),  # a vendor's code for a text message
            ("AT+QCFG", "563"),
            (LINE, "0"),
            (LINE, "30"),
            (LINE, "549"),
            (LINE, "575"),
            (LINE, "56300"),
            (LINE, "SIM busy"),
            (LINE, "²"),
        ],
    )
    def test_other_codes_are_none_of_it(self, line: str, cme: str) -> None:
        """27.007 has its own."""
        assert command_error(line, cme=cme).err is None


@pytest.mark.parametrize("err", [None, *ERR_TEXT, 777])
def test_only_resolver_errors_have_eai_codes(err: int | None) -> None:
    """What :func:`os.strerror` can't word is no errno."""
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    failures = [kind for kind in classes if issubclass(kind, ConnectFailed)]
    for exc in [CommandError("AT", err), *(kind(LINE, err) for kind in failures)]:
        number = exc.errno
        assert number is not None
        assert number > 0 or isinstance(exc, socket.gaierror)


def test_every_code_of_the_note_has_an_errno() -> None:
    """Table 2 is covered, and nothing else but the missing code."""
    assert set(ERRNO_OF) == {None, *ERR_TEXT}


def test_every_code_of_the_note_is_tested() -> None:
    """0 is no error."""
    assert {row[0] for row in CONNECT_ROWS} == set(ERR_TEXT) - {0}


def test_every_exception_is_exported_and_tested() -> None:
    """A new class needs a row here and a name in ``__all__``."""
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, ModemError)
    }
    tested = {type(exc).__name__ for exc in EVERY} | {"CommandError", "ConnectFailed"}
    assert classes == tested
    assert classes <= set(errors.__all__)
