"""Answer the 27.007 commands about SIM, registration, attach and context.

Layer: sim. The note names AT+CGATT, AT+CGPADDR and AT+CGACT (§4.1.1, §4.3.1); the
shapes of the rest are 27.007's.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Set

from aiobc9x.sim.board import Board
from aiobc9x.sim.params import Arguments, Command, Form, Refused
from aiobc9x.sim.timers import Timer
from aiobc9x.spec import CONTEXT_IDS

TAC, CELL, ACT_NB = "1A2B", "01A2B3C4", 9
"""Tracking area, cell and access technology (9: E-UTRAN NB-S1) of the one cell there is."""

PIN_TRIES, PUK_TRIES = 3, 10
"""Wrong PINs that lock a SIM, and wrong PUKs that destroy it."""

OPERATOR = "46000"
IMSI = "460001234567890"
ICCID = "89860012345678901234"

CME_NOT_ALLOWED, CME_NO_SIM, CME_PIN_REQUIRED, CME_WRONG_PASSWORD, CME_PARAMETERS = (
    3,
    10,
    11,
    16,
    50,
)
CME_PUK_REQUIRED, CME_NO_LOGIN, CME_SIM_BLOCKED = 12, 149, 262
"""The 27.007 error numbers used here."""


ACTIVE_UNITS_S = {"000": 2, "001": 60, "010": 360}
"""Units of T3324 by its upper three bits (24.008, 10.5.7.3)."""


class Stat(enum.IntEnum):
    """``<stat>`` of AT+CEREG."""

    IDLE = 0
    HOME = 1
    SEARCHING = 2
    DENIED = 3


class Radio:
    """The radio side of a module.

    Attributes:
        lost: Called with the contexts that have ended while sockets may be open.
        covered: Whether there is coverage; see :meth:`set_coverage`.
        reject_cause: Why the network denies registration; 0 if it doesn't, see :meth:`deny`.

    """

    function: int
    stat: Stat
    attached: bool

    def __init__(self, board: Board) -> None:
        self._board = board
        self.lost: Callable[[Set[int]], None] = lambda _contexts: None
        self.covered: bool = True
        self.reject_cause: int = board.options.reject_cause
        self._pin, self._pin_tries, self._puk_tries = board.options.pin, PIN_TRIES, PUK_TRIES
        self._timer: Timer | None = None
        self._default_context: tuple[str, str, tuple[int, str, str] | None] | None = None
        self.reset()
        self.handlers: dict[str, Callable[[Command], None]] = {
            "+CFUN": self._cfun,
            "+CPIN": self._cpin,
            "+CPINR": self._cpinr,
            "+QPINC": self._qpinc,
            "+CIMI": self._cimi,
            "+QCCID": self._qccid,
            "+CGDCONT": self._cgdcont,
            "+QCGDEFCONT": self._qcgdefcont,
            "+CGAUTH": self._cgauth,
            "+CEREG": self._registration,
            "+CGREG": self._registration,
            "+CREG": self._registration,
            "+COPS": self._cops,
            "+CSQ": self._csq,
            "+CESQ": self._cesq,
            "+CGATT": self._cgatt,
            "+CGACT": self._cgact,
            "+CGPADDR": self._cgpaddr,
            "+CGEREP": self._cgerep,
            "+CSCON": self._cscon,
        }

    def reset(self) -> None:
        """Go back to the state before power-on; coverage stays as it is."""
        self.function = int(self._board.options.cfun)
        self.stat = Stat.IDLE
        self.attached = False
        self._wants_attach = True
        self._active: set[int] = set()
        self._modes = {"+CEREG": 0, "+CGREG": 0, "+CREG": 0}
        self._connection_urc = self._event_urc = 0
        self._apns = {1: ("IP", self._board.options.apn)}
        self._logins: dict[int, tuple[int, str, str]] = {}
        if self._default_context is not None:
            kind, apn, login = self._default_context
            self._apns[1] = (kind, apn)
            if login is not None:
                self._logins[1] = login
        self._unlocked = not self._pin
        self._timer = None

    def power_on(self) -> None:
        """Begin to search, if AT+CFUN says so at boot."""
        self._search()

    def has_context(self, context_id: int) -> bool:
        """Tell whether sockets can be opened on a context."""
        return self.attached and context_id in self._active

    def set_coverage(self, covered: bool) -> None:
        """Take the network away, or give it back."""
        self.covered = covered
        if covered:
            self._search()
        else:
            self._leave(Stat.SEARCHING if self.function == 1 else Stat.IDLE, "NW")

    def deny(self, cause: int) -> None:
        """Have the network deny registration for a cause of 24.301, or take it again with 0."""
        self.reject_cause = cause
        if self.stat != Stat.IDLE:
            self._leave(Stat.SEARCHING, "NW")
        self._search()

    def _search(self) -> None:
        ready = self.function == 1 and self._unlocked and self._board.options.sim
        if not ready or self.stat == Stat.HOME:
            return
        self._set_stat(Stat.SEARCHING)
        if self.covered and self._timer is None:
            self._after(self._board.options.register_time, self._registered)

    def _registered(self) -> None:
        if self.reject_cause:
            self._set_stat(Stat.DENIED)
            return
        self._set_stat(Stat.HOME)
        if self._wants_attach:
            self._after(self._board.options.attach_time, self._attach)

    def _may_log_in(self, context_id: int) -> bool:
        """Whether the network lets a context in: with the user and password that it wants."""
        _, user, password = self._logins.get(context_id, (0, "", ""))
        return self._board.options.apn_login in ("", f"{user}:{password}")

    def _attach(self) -> None:
        if not self._may_log_in(1):
            return
        self.attached = True
        self._active.add(1)
        self._report("ME PDN ACT 1")

    def _after(self, delay: float, callback: Callable[[], None]) -> None:
        def run() -> None:
            self._timer = None
            callback()

        if delay <= 0:
            callback()
        else:
            self._timer = self._board.later(delay, run)

    def _report(self, event: str) -> None:
        """Say what becomes of a context, or of the attachment, if AT+CGEREP wants it."""
        if self._event_urc:
            self._board.urc(f"+CGEV: {event}")

    def _leave(self, stat: Stat, who: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._detach(who)
        self._set_stat(stat)

    def _detach(self, who: str) -> None:
        """End the attachment; ``who`` is ``ME`` or ``NW``."""
        was_attached, self.attached = self.attached, False
        ended, self._active = self._active, set()
        if was_attached:
            self.lost(ended)
            self._report(f"{who} DETACH")

    def _set_stat(self, stat: Stat) -> None:
        if stat == self.stat:
            return
        self.stat = stat
        for name, mode in self._modes.items():
            if mode:
                self._board.urc(f"{name}: {self._location(mode)}")

    def _location(self, mode: int) -> str:
        """Write ``<stat>`` and what the mode adds to it."""
        fields = [str(int(self.stat))]
        if mode >= 2 and self.stat in (Stat.HOME, Stat.DENIED):
            fields += [f'"{TAC}"', f'"{CELL}"', str(ACT_NB)]
            denied = self.stat == Stat.DENIED and mode in (3, 5)
            if mode >= 3:
                fields += ["0", str(self.reject_cause)] if denied else ["", ""]
            if mode >= 4 and self.stat == Stat.HOME:
                fields += [f'"{bits}"' if bits else "" for bits in self._granted()]
        return ",".join(fields)

    def _granted(self) -> tuple[str, str]:
        """Return the active time and the periodic TAU that the network grants, in bits."""
        psm, options = self._board.settings.psm, self._board.options
        if not psm.on:
            return "", ""
        return options.granted_active or psm.active_time, options.granted_tau or psm.periodic_tau

    @property
    def active_s(self) -> float | None:
        """Seconds from the last traffic to power saving; ``None`` if it never comes."""
        bits = self._granted()[0] if self.stat == Stat.HOME else ""
        unit = ACTIVE_UNITS_S.get(bits[:3])
        return None if unit is None else unit * int(bits[3:], 2)

    def announce(self) -> None:
        """Tell of a registration that has changed in what the network grants."""
        if self._modes["+CEREG"] >= 4 and self.stat == Stat.HOME:
            self._board.urc(f"+CEREG: {self._location(self._modes['+CEREG'])}")

    def _cfun(self, command: Command) -> None:
        board = self._board
        if command.form is Form.TEST:
            board.answer("+CFUN: (0,1,4),(0,1)")
        elif command.form is Form.READ:
            board.answer(f"+CFUN: {self.function}")
        else:
            given = _write(command, 1, 2)
            function = given.number(0, (0, 1, 4))
            if given.number(1, (0, 1), 0):
                board.answer()
                board.restart()
                return
            self.function = function
            board.answer()
            if function == 1:
                self._search()
            else:
                self._leave(Stat.IDLE, "ME")

    def _need_sim(self) -> None:
        if not self._board.options.sim:
            raise Refused(cme=CME_NO_SIM)
        if not self._puk_tries:
            raise Refused(cme=CME_SIM_BLOCKED)

    def _cpin(self, command: Command) -> None:
        self._need_sim()
        if command.form is Form.TEST:
            self._board.answer()
        elif command.form is Form.READ:
            self._board.answer(f"+CPIN: {self._sim_state()}")
        else:
            given = _write(command, 1, 2)
            if self._unlocked:
                raise Refused(cme=CME_NOT_ALLOWED)
            if self._pin_tries:
                self._take_pin(given.raw(0))
            else:
                self._take_puk(given)
            self._unlocked = True
            self._board.answer()
            self._search()

    def _sim_state(self) -> str:
        if self._unlocked:
            return "READY"
        return "SIM PIN" if self._pin_tries else "SIM PUK"

    def _take_pin(self, pin: str) -> None:
        if pin != self._pin:
            self._pin_tries -= 1
            raise Refused(cme=CME_WRONG_PASSWORD if self._pin_tries else CME_PUK_REQUIRED)
        self._pin_tries = PIN_TRIES

    def _take_puk(self, given: Arguments) -> None:
        if len(given) < 2:
            raise Refused(cme=CME_PUK_REQUIRED)
        if given.raw(0) != self._board.options.puk:
            self._puk_tries -= 1
            raise Refused(cme=CME_WRONG_PASSWORD if self._puk_tries else CME_SIM_BLOCKED)
        self._pin, self._pin_tries, self._puk_tries = given.raw(1), PIN_TRIES, PUK_TRIES

    def _cpinr(self, command: Command) -> None:
        self._need_sim()
        lines = [
            f"+CPINR: SIM PIN,{self._pin_tries},{PIN_TRIES}",
            f"+CPINR: SIM PUK,{self._puk_tries},{PUK_TRIES}",
        ]
        self._board.answer(*([] if command.form is Form.TEST else lines))

    def _qpinc(self, command: Command) -> None:
        self._need_sim()
        tries = f'+QPINC: "SC",{self._pin_tries},{self._puk_tries}'
        self._board.answer('+QPINC: ("SC","P2")' if command.form is Form.TEST else tries)

    def _cimi(self, command: Command) -> None:
        self._need_sim()
        if not self._unlocked:
            raise Refused(cme=CME_PIN_REQUIRED if self._pin_tries else CME_PUK_REQUIRED)
        self._board.answer(*([] if command.form is Form.TEST else [IMSI]))

    def _qccid(self, command: Command) -> None:
        self._need_sim()
        self._board.answer(*([] if command.form is Form.TEST else [f"+QCCID: {ICCID}"]))

    def _cgdcont(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer('+CGDCONT: (1-3),"IP",,,(0),(0)', '+CGDCONT: (1-3),"IPV6",,,(0),(0)')
        elif command.form is Form.READ:
            self._board.answer(
                *(
                    f'+CGDCONT: {cid},"{kind}","{apn}","",0,0'
                    for cid, (kind, apn) in sorted(self._apns.items())
                )
            )
        else:
            given = _write(command, 1, 11)
            cid = given.number(0, CONTEXT_IDS)
            if len(given) == 1:
                self._apns.pop(cid, None)
            else:
                kind = given.raw(1)
                if kind not in ("IP", "IPV6", "IPV4V6", "NONIP"):
                    raise Refused(cme=CME_PARAMETERS)
                self._apns[cid] = (kind, given.raw(2))
            self._board.answer()

    def _qcgdefcont(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer('+QCGDEFCONT: ("IP","IPV6","IPV4V6"),<apn>,<username>,<password>')
        elif command.form is Form.READ:
            kind, apn = self._apns.get(1, ("IP", ""))
            self._board.answer(f'+QCGDEFCONT: "{kind}","{apn}"')
        else:
            given = _write(command, 1, 5)
            self._apns[1] = (given.raw(0), given.raw(1) if len(given) > 1 else "")
            login = (1, given.raw(2), given.raw(3)) if len(given) > 3 else None
            if login is not None:
                self._logins[1] = login
            # In contrast to AT+CGDCONT and AT+CGAUTH it outlives a restart.
            self._default_context = (*self._apns[1], login)
            self._board.answer()

    def _cgauth(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+CGAUTH: (1-3),(0-2),64,64")
        elif command.form is Form.READ:
            self._board.answer(
                *(
                    f'+CGAUTH: {cid},{protocol},"{user}","{password}"'
                    for cid, (protocol, user, password) in sorted(self._logins.items())
                )
            )
        else:
            given = _write(command, 1, 4)
            cid = given.number(0, CONTEXT_IDS)
            protocol = given.number(1, range(3), 0)
            if (protocol == 0) == (len(given) > 2):
                raise Refused(cme=CME_PARAMETERS)
            self._logins.pop(cid, None)
            if protocol:
                password = given.raw(3) if len(given) > 3 else ""
                self._logins[cid] = (protocol, given.raw(2), password)
            self._board.answer()

    def _registration(self, command: Command) -> None:
        most = 5 if command.name == "+CEREG" else 2
        if command.form is Form.TEST:
            self._board.answer(f"{command.name}: (0-{most})")
        elif command.form is Form.WRITE:
            self._modes[command.name] = _write(command, 1, 1).number(0, range(most + 1))
            self._board.answer()
        else:
            mode = self._modes[command.name]
            self._board.answer(f"{command.name}: {mode},{self._location(mode)}")

    def _cops(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer(
                f'+COPS: (2,"{OPERATOR}","{OPERATOR}","{OPERATOR}",{ACT_NB}),,(0,1,2),(2)'
            )
        elif command.form is Form.WRITE:
            mode = _write(command, 1, 4).number(0, range(5))
            self._board.answer()
            if mode == 2:
                self._leave(Stat.IDLE, "ME")
            else:
                self._search()
        elif self.stat == Stat.HOME:
            self._board.answer(f'+COPS: 0,2,"{OPERATOR}",{ACT_NB}')
        else:
            self._board.answer("+COPS: 0")

    def _csq(self, command: Command) -> None:
        level = self._board.options.rssi if self.stat == Stat.HOME else 99
        test = command.form is Form.TEST
        self._board.answer("+CSQ: (0-31,99),(0-7,99)" if test else f"+CSQ: {level},0")

    def _cesq(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+CESQ: (0-63,99),(0-7,99),(255),(255),(0-34,255),(0-97,255)")
        elif self.stat == Stat.HOME:
            self._board.answer(f"+CESQ: {self._board.options.rssi},0,255,255,20,60")
        else:
            self._board.answer("+CESQ: 99,99,255,255,255,255")

    def _cgatt(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+CGATT: (0,1)")
        elif command.form is Form.READ:
            self._board.answer(f"+CGATT: {int(self.attached)}")
        else:
            self._wants_attach = bool(_write(command, 1, 1).number(0, (0, 1)))
            if self._wants_attach and self.stat != Stat.HOME:
                raise Refused(cme=CME_NOT_ALLOWED)
            self._board.answer()
            if not self._wants_attach:
                self._detach("ME")
            elif not self.attached:
                self._after(self._board.options.attach_time, self._attach)

    def _cgact(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+CGACT: (0,1)")
        elif command.form is Form.READ:
            self._board.answer(
                *(f"+CGACT: {cid},{int(cid in self._active)}" for cid in sorted(self._apns))
            )
        else:
            given = _write(command, 1, 2)
            state = given.number(0, (0, 1))
            cids = [given.number(1, CONTEXT_IDS)] if len(given) == 2 else sorted(self._apns)
            if not self.attached or any(cid not in self._apns for cid in cids):
                raise Refused(cme=CME_NOT_ALLOWED)
            if state and not all(map(self._may_log_in, cids)):
                raise Refused(cme=CME_NO_LOGIN)
            self._board.answer()
            changed = sorted(set(cids) - self._active if state else set(cids) & self._active)
            self._active = self._active | set(cids) if state else self._active - set(cids)
            if not state:
                self.lost(set(changed))
            for cid in changed:
                self._report(f"ME PDN {'ACT' if state else 'DEACT'} {cid}")

    def _cgpaddr(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer(f"+CGPADDR: ({','.join(map(str, sorted(self._apns)))})")
            return
        cids = sorted(self._apns)
        if command.form is Form.WRITE:
            cids = [_write(command, 1, 1).number(0, CONTEXT_IDS)]
        address = self._board.options.ip
        self._board.answer(
            *(
                f'+CGPADDR: {cid},"{address}"' if cid in self._active else f"+CGPADDR: {cid}"
                for cid in cids
            )
        )

    def _cgerep(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+CGEREP: (0-2),(0,1)")
        elif command.form is Form.READ:
            self._board.answer(f"+CGEREP: {self._event_urc},0")
        else:
            given = _write(command, 1, 2)
            given.number(1, (0, 1), 0)
            self._event_urc = given.number(0, range(3))
            self._board.answer()

    def _cscon(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+CSCON: (0,1)")
        elif command.form is Form.READ:
            self._board.answer(f"+CSCON: {self._connection_urc},{int(self.attached)}")
        else:
            self._connection_urc = _write(command, 1, 1).number(0, (0, 1))
            self._board.answer()


def _write(command: Command, least: int, most: int) -> Arguments:
    """Return the parameters of a write command; anything else is ``+CME ERROR: 50``."""
    if command.form is not Form.WRITE:
        raise Refused(cme=CME_PARAMETERS)
    return Arguments(command.arguments, least, most, err=None)
