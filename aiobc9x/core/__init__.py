"""The session with the module as a state machine: no I/O, no clock."""
