"""``aiobc9x doctor``: what is wrong between the port and an open connection, and what to do.

Layer: cli.
"""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from pathlib import Path
from typing import Final

import click

from aiobc9x.cli.examination import STEPS, Examination, Finding, as_object
from aiobc9x.cli.opening import Port, hush, runs, takes_port
from aiobc9x.cli.output import AS_JSON, plain, print_json
from aiobc9x.cli.report import Listening, Report
from aiobc9x.cli.terminal import Terminal, terminal

_NAME_COLUMNS: Final = max(map(len, STEPS)) + 2
_MARKS: Final = {True: ("✓", "ok", "green"), False: ("✗", "NO", "red"), None: ("–", "--", "dim")}


def host_and_port(
    _ctx: click.Context, _option: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    """Read ``HOST:PORT``."""
    if text is None:
        return None
    host, _, number = text.rpartition(":")
    if not host or not number.isdecimal() or not 1 <= int(number) <= 65535:
        raise click.BadParameter(f"{text!r} is not HOST:PORT with a port of 1-65535")
    return host.strip("[]"), int(number)


@click.command()
@click.option("--to", metavar="HOST:PORT", callback=host_and_port, help="Connect there at the end.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=180.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for the network.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the report there, not to stdout.",
)
@AS_JSON
@takes_port
@runs
async def command(
    to: tuple[str, int] | None, timeout: float, output: Path | None, as_json: bool, port: Port
) -> int:
    """Go from the cold port to an open connection step by step; say what is wrong and what to do.

    It ends with a report to attach to an issue: versions, statistics and the dialogue, without
    IMEI, IMSI, ICCID, PIN and payloads. The exit code is 1 if a step fails.
    """
    report = Report(port.address, port.settings["baudrate"])
    screen = Screen(terminal(sys.stdout), silent=as_json)
    examination = Examination(port, to, timeout, report, screen.step, screen.progress)
    hush()
    with Listening(report):
        await examination.run()
    if output is not None:
        text = _written(examination.steps, report)
        await asyncio.to_thread(output.write_text, text, encoding="utf-8")
    if as_json:
        print_json(as_object(examination.steps, report))
    else:
        screen.end(examination.steps, None if output else report, output)
    return int(any(step.ok is False for step in examination.steps))


class Screen:
    """Show the steps to people."""

    def __init__(self, screen: Terminal, *, silent: bool) -> None:
        self._screen, self._silent = screen, silent
        self._moves = screen.stream.isatty() and not silent

    def progress(self, words: str) -> None:
        """Show what is being waited for, on a line that the next one takes the place of."""
        if self._moves:
            text = self._screen.fit(f"  ... {words}", self._screen.columns - 1)
            self._screen.stream.write(f"\r{text}\x1b[K")
            self._screen.stream.flush()

    def step(self, step: Finding) -> None:
        """Show a step."""
        if self._silent:
            return
        if self._moves:
            self._screen.stream.write("\r\x1b[K")
        sign, ascii_sign, style = _MARKS[step.ok]
        mark = sign if self._screen.unicode else ascii_sign
        self._folded(f"{mark} {step.name:<{_NAME_COLUMNS}}", step.detail, style)
        if step.ok is False and step.advice:
            self._folded(" " * (len(mark) + 1 + _NAME_COLUMNS), f"What to do: {step.advice}", "")

    def _folded(self, head: str, text: str, style: str) -> None:
        room = self._screen.columns - len(head)
        first, *more = textwrap.wrap(text, room, break_long_words=True) or [""]
        self._screen.write(self._screen.paint(head, *filter(None, [style])) + first)
        for line in more:
            self._screen.write(" " * len(head) + line)

    def end(self, steps: list[Finding], report: Report | None, output: Path | None) -> None:
        """Show the report, or where it is, and what it all comes to."""
        if report is not None:
            self._screen.title("Report, to attach to an issue")
            for line in _written(steps, report).splitlines():
                self._screen.write(line)
            self._screen.title("The outcome")
        else:
            self._folded("", f"The report, to attach to an issue, is in {output}", "")
        failed = [step.name for step in steps if step.ok is False]
        if failed:
            self._screen.write(f"Not well: {', '.join(failed)}; what to do stands at the step.")
        else:
            self._screen.write("All is well, as far as it was tried.")


def _written(steps: list[Finding], report: Report) -> str:
    contents = report.contents()
    dialogue = contents.pop("dialogue")
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in contents.items()]
    lines += [json.dumps(plain(step), ensure_ascii=False) for step in steps]
    return "\n".join([*lines, "dialogue:", *dialogue]) + "\n"
