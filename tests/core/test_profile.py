"""ModuleProfile: what a module is known to do where note and field differ."""

import dataclasses
from typing import Any

import pytest

from aiobc9x.core.profile import ModuleProfile, profile_for


class TestDefaults:
    """What is assumed of a module that nobody knows."""

    def test_an_overflow_ends_a_connection(self) -> None:
        """Relatives drop acknowledged bytes, so the safe answer is an error."""
        assert ModuleProfile().on_buffer_full == "fail"

    def test_send_fail_means_that_nothing_was_taken(self) -> None:
        """§2.2.4: the send buffer is full."""
        assert ModuleProfile().send_fail_is_atomic

    def test_all_six_sockets_may_open_at_once(self) -> None:
        """The note names the connect ID in every result of an open."""
        assert ModuleProfile().concurrent_opens == 6

    def test_commands_follow_at_once(self) -> None:
        """The note asks for no gap."""
        assert ModuleProfile().command_gap_ms == 0

    def test_inline_data_may_be_as_long_as_the_note_says(self) -> None:
        """§2.2.4 and §2.2.5 give 1440 bytes."""
        made = ModuleProfile()
        assert (made.inline_limit_bytes, made.hex_inline_limit_bytes) == (1440, 1440)

    def test_data_mode_sends_are_suspect(self) -> None:
        """A relative swallows the announcements of received data meanwhile."""
        assert ModuleProfile().suspect_after_send

    def test_a_profile_never_changes(self) -> None:
        """What is learned makes a new profile."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(ModuleProfile(), "command_gap_ms", 5)  # noqa: B010


class TestRefusals:
    """Values that no module can have are refused by name."""

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("on_buffer_full", "stop"),
            ("concurrent_opens", 0),
            ("concurrent_opens", 7),
            ("command_gap_ms", -1),
        ],
    )
    def test_the_message_names_field_and_value(self, field: str, value: object) -> None:
        """Whoever made the profile can put it right."""
        values: dict[str, Any] = {field: value}  # Any: one of them is wrong on purpose
        with pytest.raises(ValueError, match=f"{field} is {value!r}"):
            ModuleProfile(**values)

    @pytest.mark.parametrize("opens", [1, 6])
    def test_the_limits_themselves_are_fine(self, opens: int) -> None:
        """1 serializes, 6 is all there are."""
        assert ModuleProfile(concurrent_opens=opens, command_gap_ms=20).concurrent_opens == opens


class TestChoice:
    """ATI tells which module it is."""

    @pytest.mark.parametrize(
        "identity", [("Quectel", "BC65", "Revision: BC65NAR01A04"), ("BC92",), ()]
    )
    def test_a_real_module_gets_the_safe_profile(self, identity: tuple[str, ...]) -> None:
        """Also one that doesn't say what it is."""
        assert profile_for(identity) == ModuleProfile()

    @pytest.mark.parametrize(
        "identity", [("Quectel", "BC65 virtual"), ("SIMULATED", "x"), ("a", "Simulator")]
    )
    def test_a_virtual_module_throttles(self, identity: tuple[str, ...]) -> None:
        """It loses nothing when its buffer is full, so a slow line is no error."""
        assert profile_for(identity) == ModuleProfile(on_buffer_full="continue")
