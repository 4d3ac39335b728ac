"""The programs of examples/, each in a process of its own, against real servers on loopback."""
