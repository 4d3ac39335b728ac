"""Tests of what ``aiobc9x proxy`` is besides a proxy."""
