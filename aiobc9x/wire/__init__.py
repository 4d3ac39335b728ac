"""Bytes to frames and commands to bytes, without I/O, tasks or clocks.

Layer: wire. Imports ``spec`` and ``errors`` alone.
"""
