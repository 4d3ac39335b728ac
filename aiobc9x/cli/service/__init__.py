"""What ``aiobc9x proxy`` is besides a proxy: a service that tells how it is.

Layer: cli.
"""
