"""``aiobc9x trace``: show a recorded dialogue, replay it, or give it to Wireshark.

Layer: cli. What is done with a trace is in :mod:`aiobc9x.trace`; here are arguments and printing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, time
from itertools import chain
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from aiobc9x.cli.opening import runs
from aiobc9x.cli.output import AS_JSON_LINES, console, print_json
from aiobc9x.cli.simulate import host_and_port, run_simulation
from aiobc9x.cli.terminal import terminal
from aiobc9x.sim.options import SimOptions
from aiobc9x.spec import CONNECT_IDS
from aiobc9x.trace.capture import write_capture
from aiobc9x.trace.dialogue import Entry, EntryKind, decode
from aiobc9x.trace.records import Record, follow_trace, read_trace
from aiobc9x.trace.replaying import RecordMode
from aiobc9x.trace.showing import Selection, rows

_TRACE: Final = click.argument(
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="AIOBC9X_TRACE",
)
_TLS_KEYS: Final = click.option(
    "--tls-keys",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Put the TLS keys of this file (SSLKEYLOGFILE) into the capture: whoever has it can"
    " decrypt the connections.",
)
_STYLES: Final = {">": "cyan", "<": "", "=": "yellow", "-": "bold"}
"""Of rows, by the mark that tells their direction; of heads."""

_MARK_AT: Final = len("12:34:56.789 ")


@click.group(no_args_is_help=False)
def command() -> None:
    """Show a recorded dialogue, replay it, or give it to Wireshark.

    A trace is what --trace FILE, AIOBC9X_TRACE or open_modem(trace=...) has written.
    """


@command.command()
@_TRACE
@click.option(
    "--socket",
    "sockets",
    type=click.IntRange(CONNECT_IDS[0], CONNECT_IDS[-1]),
    multiple=True,
    metavar="ID",
    help="Only what is about this socket, 0-5; repeatable.",
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice([kind.value for kind in EntryKind]),
    multiple=True,
    help="Only entries of this kind; repeatable.",
)
@click.option(
    "--link", "links", type=int, multiple=True, metavar="N", help="Only this link; repeatable."
)
@click.option(
    "--since", metavar="TIME", help="From then on: 2026-01-31T12:00, or 12:00 of the first day."
)
@click.option("--until", metavar="TIME", help="Up to then.")
@click.option(
    "--no-payloads", is_flag=True, help="Say how long payloads are, and not what they begin with."
)
@click.option("-f", "--follow", is_flag=True, help="Go on while the trace grows.")
@AS_JSON_LINES
def show(
    file: Path,
    sockets: tuple[int, ...],
    kinds: tuple[str, ...],
    links: tuple[int, ...],
    since: str | None,
    until: str | None,
    no_payloads: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """Print the dialogue of FILE, one row for each command, line, payload and decision.

    > was written to the module, < came from it, = was decided by the library. Times are local. A
    terminal gets rows that fit, a pipe gets them whole.
    """
    entries, day = _with_first_day(decode(_records(file, follow=follow)))
    selection = Selection(
        sockets or None,
        [EntryKind(kind) for kind in kinds] or None,
        _moment("--since", since, day),
        _moment("--until", until, day),
        links or None,
    )
    if as_json:
        for entry in entries:
            if selection.takes(entry):
                print_json(_plain(entry))
        return
    screen = console()
    for row in rows(entries, selection, shows_payloads=not no_payloads):
        if not screen.is_terminal:
            click.echo(row)
            continue
        mark = "-" if row.startswith("--") else row[_MARK_AT : _MARK_AT + 1]
        screen.print(Text(row, _STYLES.get(mark, "")), no_wrap=True, overflow="ellipsis")


@command.command()
@_TRACE
@click.option(
    "--record",
    type=click.Choice([RecordMode.NONE.value, RecordMode.NEW_EPISODES.value]),
    default=RecordMode.NONE.value,
    show_default=True,
    help="What becomes of commands that the trace lacks: none ends the replay, new_episodes has"
    " the virtual module answer them.",
)
@click.option(
    "--tcp", metavar="[HOST:]PORT", help="Raw bytes over TCP instead of a pty; 0 for any port."
)
@click.option("-v", "--verbose", is_flag=True, help="Show the AT dialogue.")
@runs
async def replay(file: Path, record: str, tcp: str | None, verbose: bool) -> None:
    """Be the module of FILE, until Ctrl-C: answer as it did, in the order of the commands.

    The first line printed is the device to open. In a test, open sim://?replay=FILE.
    """
    _check(file)
    at = None if tcp is None else host_and_port(tcp)
    mode: Any = record  # one of the words that SimOptions has
    options = SimOptions(replay=file, record=mode)
    await run_simulation(terminal(sys.stdout), options, at, verbose=verbose)


@command.command()
@_TRACE
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    required=True,
    metavar="FILE",
    help="Where to write the capture; - for stdout.",
)
@_TLS_KEYS
def pcap(file: Path, output: Path, tls_keys: Path | None) -> None:
    """Make a capture for Wireshark (pcapng) of FILE.

    One interface has the dialogue, the other the sockets as TCP and UDP, whose headers are made
    up: a module shows none.
    """
    _check(file)
    if str(output) == "-":
        write_capture(read_trace(file), _binary_stdout(), tls_keys=tls_keys)
        return
    with output.open("wb") as stream:
        count = write_capture(read_trace(file), stream, tls_keys=tls_keys)
    click.echo(f"{output}: {count} packets", err=True)


@command.command()
@_TRACE
@click.option("--new", is_flag=True, help="Leave out what the trace already holds.")
@_TLS_KEYS
def live(file: Path, new: bool, tls_keys: Path | None) -> None:
    """Write a capture of FILE to stdout while the trace grows, until Ctrl-C.

    aiobc9x trace live FILE | wireshark -k -i -
    """
    records = follow_trace(file, from_start=not new)
    write_capture(records, _binary_stdout(), tls_keys=tls_keys)


def _binary_stdout() -> Any:
    if sys.stdout.isatty():
        raise click.UsageError(
            "a capture is no text: put '| wireshark -k -i -' behind the command",
            click.get_current_context(),
        )
    return sys.stdout.buffer


def _check(file: Path) -> None:
    """Raise for a trace that can't be read, before anything is written or begun."""
    next(read_trace(file), None)


def _records(file: Path, *, follow: bool) -> Iterator[Record]:
    return follow_trace(file) if follow else read_trace(file)


def _with_first_day(entries: Iterator[Entry]) -> tuple[Iterable[Entry], datetime]:
    """Return the entries, and the local day of the first one."""
    first = next(entries, None)
    if first is None:
        return (), datetime.now().astimezone()
    return chain([first], entries), datetime.fromtimestamp(first.wall).astimezone()


def _moment(option: str, text: str | None, day: datetime) -> float | None:
    """Read a moment: a date with a time, or a time of the first day."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        pass
    try:
        at = time.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(
            f"{option} is {text!r}: write a time of the first day, as 12:30, or 2026-01-31T12:30"
        ) from exc
    return datetime.combine(day.date(), at, at.tzinfo or day.tzinfo).timestamp()


def _plain(entry: Entry) -> dict[str, object]:
    """Return an entry as JSON has it; bytes as text, with escapes where they are none."""
    return {
        "time": datetime.fromtimestamp(entry.wall).astimezone().isoformat(),
        "mono": entry.mono,
        "session": entry.session,
        "link": entry.link,
        "kind": entry.kind.value,
        "socket": entry.connect_id,
        "text": entry.text,
        "meaning": entry.meaning,
        "size_bytes": entry.size_bytes,
        "data": entry.data.decode("ascii", "backslashreplace"),
        "facts": entry.facts,
    }
