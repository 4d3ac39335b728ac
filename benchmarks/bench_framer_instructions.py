"""How many machine instructions does a frame take?

    python -m benchmarks framer_instructions

Counted by ``valgrind --tool=callgrind``, or else ``perf stat``: a figure that does not
depend on how busy the machine is. The same stream goes through the framer twice and eight
times in processes of their own, so that what starting takes cancels out.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.contenders import MAKERS
from benchmarks.harness import Options, Table, run
from benchmarks.workloads import stream

SEED: Final = 1  # a fixed workload: the figure is to be the same in each run
STREAM_BYTES: Final = 12_000
CELLS: Final = (("urc_small", 64), ("urc_small", 0), ("mixed", 64), ("mixed", 0), ("push_64", 64))
CONTENDERS: Final = ("ours", "plain", "tokenizer")
TIMES: Final = (2, 8)
COLUMNS: Final = (
    "workload",
    "chunk_bytes",
    "contender",
    "instructions_per_byte",
    "instructions_per_frame",
    "counted_by",
)
_COLLECTED: Final = re.compile(r"Collected : (\d+)")
_PERF: Final = re.compile(r"^(\d+);[^;]*;instructions", re.MULTILINE)


def tables(options: Options) -> Iterator[Table]:
    """Count for a few workloads; say so where nothing can count."""
    tool = counter()
    if tool is None:
        yield Table(("note",), [("neither valgrind nor perf counts instructions here",)])
        return
    cells = CELLS[:1] if options.smoke else CELLS
    contenders = CONTENDERS[:1] if options.smoke else CONTENDERS
    yield Table(COLUMNS, (_row(tool, *cell, name) for cell in cells for name in contenders))


def counter() -> str | None:
    """The program that can count instructions on this machine."""
    if shutil.which("valgrind"):
        return "valgrind"
    if shutil.which("perf") and _PERF.search(_perf([sys.executable, "-c", ""])):
        return "perf"
    return None


def _row(tool: str, workload: str, chunk: int, contender: str) -> tuple[object, ...]:
    few, many = (_count(tool, workload, chunk, contender, times) for times in TIMES)
    each = (many - few) / (TIMES[1] - TIMES[0])
    made = stream(workload, SEED, STREAM_BYTES)
    return (
        workload,
        str(chunk or "whole"),
        contender,
        each / len(made.data),
        round(each / len(made.frames)),
        tool,
    )


def _count(tool: str, workload: str, chunk: int, contender: str, times: int) -> int:
    code = "import sys; from benchmarks.bench_framer_instructions import work; work(*sys.argv[1:])"
    command = [sys.executable, "-c", code, workload, str(chunk), contender, str(times)]
    if tool == "perf":
        match = _PERF.search(_perf(command))
    else:
        valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        match = _COLLECTED.search(_errors([*valgrind, *command]))
    if match is None:
        raise SystemExit(f"{tool} counted nothing")
    return int(match[1])


def _perf(command: list[str]) -> str:
    return _errors(["perf", "stat", "-x;", "-e", "instructions:u", *command])


def _errors(command: list[str]) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    here = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment, cwd=here
    )
    return done.stderr


def work(workload: str, chunk: str, contender: str, times: str) -> None:
    """Do what is counted; the arguments come from a command line."""
    chunks = stream(workload, SEED, STREAM_BYTES).chunks(int(chunk))
    made = MAKERS[contender]()
    for _ in range(int(times)):
        made.run(chunks)


if __name__ == "__main__":
    run(__name__)
