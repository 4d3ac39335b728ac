"""Modules that moved: their names can be imported from where they were."""

from aiobc9x.wire import base, commands


def test_former_module_has_the_same_classes() -> None:
    """Scripts that were written before the move go on."""
    assert base.Raw is commands.Raw
