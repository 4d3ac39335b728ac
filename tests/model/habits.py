"""Habits: what the note leaves open or relatives of the module do differently, per seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

Switch = Literal["stays", "ahead", "flushed"]


@dataclass(slots=True)
class Habits:
    """How this module does what the note leaves open.

    Attributes:
        colon: Behind the name of an information line or URC.
        prompt: The prompt as spelled.
        push_crlf: Whether pushed data have a CRLF of their own behind them.
        send_ok: ``"after"``: OK, later SEND OK. ``"burst"``: both at once. ``"omitted"``: no OK.
        send_ok_s: The longest time between OK and SEND OK.
        cfg_echo: Whether a write of AT+QICFG is answered with a line before OK.
        quotes: Whether hex digits of a read are in quotes.
        lowest: Whether an incoming connection gets the lowest free ID, or the highest.
        rearm: Whether ``"recv"`` comes again once the buffer is empty, or after ``+QIRD: 0``.
        suppress: Whether ``"recv"`` is swallowed in data mode.
        switch: What becomes of data in the buffer when push mode begins: they stay until read
            while new data are pushed, they stay and new data queue behind, they are pushed.
        answer_s: The longest time until an answer begins.
        gap_s: The longest time between two blocks of an answer.
        poke: How likely something of the network happens between two blocks.
        open_s: The longest time of an open.
        close_s: The longest time until CLOSE OK.
        freed: Whether a failed open frees its ID.
        refusal: ``<err>`` of a send on a socket that the peer has closed; 0 for none.
        fails: Whether a send whose socket died behind the prompt ends in SEND FAIL, or ERROR.
        baudrate: Bits per second, or ``None`` for a line that takes no time.
        cut: How the line cuts what it carries.
        view: ``viewmode`` left in NVRAM by another user.
        shown: ``showlength``, likewise.
        hex: ``recv_data_format``, likewise.

    """

    colon: bytes
    prompt: bytes
    push_crlf: bool
    send_ok: Literal["after", "burst", "omitted"]
    send_ok_s: float
    cfg_echo: bool
    quotes: bool
    lowest: bool
    rearm: bool
    suppress: bool
    switch: Switch
    answer_s: float
    gap_s: float
    poke: float
    open_s: float
    close_s: float
    freed: bool
    refusal: int
    fails: bool
    baudrate: int | None
    cut: str
    view: int
    shown: int
    hex: int


def habits_of(rng: Random) -> Habits:
    """Choose all habits."""
    return Habits(
        colon=rng.choice((b": ", b": ", b":")),
        prompt=rng.choice((b"\r\n> ", b"\r\n>", b"\r\n>\r\n")),
        push_crlf=rng.random() < 0.5,
        send_ok=rng.choice(("after", "after", "burst", "omitted")),
        send_ok_s=rng.choice((0.0, 0.02, 0.2, 1.5)),
        cfg_echo=rng.random() < 0.5,
        quotes=rng.random() < 0.5,
        lowest=rng.random() < 0.5,
        rearm=rng.random() < 0.5,
        suppress=rng.random() < 0.2,
        switch=rng.choice(("stays", "ahead", "flushed")),
        answer_s=rng.choice((0.0, 0.005, 0.05, 0.25)),
        gap_s=rng.choice((0.0, 0.002, 0.03)),
        poke=rng.choice((0.0, 0.1, 0.4)),
        open_s=rng.choice((0.05, 0.5, 3.0)),
        close_s=rng.choice((0.0, 0.1, 1.0, 8.0)),
        freed=rng.random() < 0.3,
        refusal=rng.choice((567, 567, 558, 550, 552, 553, 555, 0)),
        fails=rng.random() < 0.5,
        baudrate=rng.choice((None, 9600, 57600, 115200, 921600)),
        cut=rng.choice(("whole", "whole", "pieces", "pieces", "pieces", "bytes"))
        if rng.random() < 0.2
        else rng.choice(("whole", "pieces")),
        view=rng.randrange(2),
        shown=rng.randrange(2),
        hex=rng.randrange(2),
    )
