"""What a modem promises behind each fault, and whether it keeps it.

The whole library and the virtual module run under the virtual clock. In each run one fault strikes
while a program is at one position; the run notes what the program sees, and how long it takes
until a fresh connection of the same modem carries bytes again.

``python -m tests.reliability --seeds 200 --jobs 2 --write`` makes the table of
docs/reliability.md anew.
"""
