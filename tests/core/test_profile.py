"""ModuleProfile: what a module is known to do where note and field differ."""

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.core.profile import ModuleProfile, profile_for

PROFILES = st.builds(
    ModuleProfile,
    on_buffer_full=st.sampled_from(["fail", "continue"]),
    send_fail_is_atomic=st.booleans(),
    concurrent_opens=st.integers(1, 6),
    command_gap_ms=st.floats(0, allow_infinity=False) | st.integers(0, 1000),
    inline_limit_bytes=st.integers(0, 1440),
    hex_inline_limit_bytes=st.integers(0, 1440),
    keeps_unread=st.booleans(),
    suspect_after_send=st.booleans(),
)


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
            ("command_gap_ms", float("inf")),
            ("command_gap_ms", float("nan")),
            ("inline_limit_bytes", -1),
            ("inline_limit_bytes", 1441),
            ("hex_inline_limit_bytes", 1441),
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


def written(folder: Path, content: object) -> Path:
    """A file with this content as JSON."""
    path = folder / "module.json"
    path.write_text(json.dumps(content))
    return path


def profile_file(**content: object) -> dict[str, object]:
    """The content of a file of defaults, with these parts changed."""
    return {"format": "aiobc9x module profile", "version": 1, "profile": {}, **content}


class TestFile:
    """A profile outlives the program that has made it."""

    @given(PROFILES)
    def test_what_is_saved_is_loaded(self, profile: ModuleProfile) -> None:
        """Every field, whatever its value."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "module.json")
            profile.save(path)
            assert ModuleProfile.load(path) == profile

    def test_what_else_was_measured_stands_beside_it(self, tmp_path: Path) -> None:
        """It is for people: loading ignores it."""
        profile, path = ModuleProfile(concurrent_opens=1), tmp_path / "module.json"
        profile.save(str(path), measured={"latency_ms": 12.5, "module": "BC65 \N{DEGREE SIGN}"})
        content = json.loads(path.read_text())
        assert content["measured"] == {"latency_ms": 12.5, "module": "BC65 \N{DEGREE SIGN}"}
        assert ModuleProfile.load(str(path)) == profile

    def test_what_the_file_held_before_is_replaced(self, tmp_path: Path) -> None:
        """The last one counts."""
        path = tmp_path / "module.json"
        ModuleProfile(concurrent_opens=1).save(path, measured={"a": 1})
        ModuleProfile().save(path)
        assert ModuleProfile.load(path) == ModuleProfile()
        assert "measured" not in json.loads(path.read_text())

    def test_a_field_that_is_missing_has_its_default(self, tmp_path: Path) -> None:
        """So that a file may name only what is particular."""
        path = written(tmp_path, profile_file(profile={"command_gap_ms": 20}))
        assert ModuleProfile.load(path) == ModuleProfile(command_gap_ms=20)

    @pytest.mark.parametrize("text", ["", "{", "on_buffer_full = 1", "[" * 100_000, "\xff"])
    def test_no_json(self, tmp_path: Path, text: str) -> None:
        """The message says where a file comes from."""
        path = tmp_path / "module.json"
        path.write_bytes(text.encode("latin-1"))
        words = r"module\.json is no profile, because it is no JSON .*: write one by 'aiobc9x char"
        with pytest.raises(ValueError, match=words):
            ModuleProfile.load(path)

    @pytest.mark.parametrize("content", [[], 5, None, {}, {"version": 1, "profile": {}}])
    def test_json_of_something_else(self, tmp_path: Path, content: object) -> None:
        """It must say that it is a profile."""
        words = r'module\.json is no profile, because it lacks "format"'
        with pytest.raises(ValueError, match=words):
            ModuleProfile.load(written(tmp_path, content))

    @pytest.mark.parametrize("version", [0, 2, "1", True, None])
    def test_another_version(self, tmp_path: Path, version: object) -> None:
        """Its fields may mean something else."""
        path = written(tmp_path, profile_file(version=version))
        with pytest.raises(ValueError, match=rf"module\.json is a profile of version {version!r}"):
            ModuleProfile.load(path)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ([], '"profile" is \\[\\]: use an object'),
            ({"gap": 5}, "'gap' is no field of a profile: use on_buffer_full, "),
            ({"on_buffer_full": 5}, "on_buffer_full is 5: use a string"),
            ({"on_buffer_full": "stop"}, "on_buffer_full is 'stop': use 'fail' or 'continue'"),
            ({"keeps_unread": 1}, "keeps_unread is 1: use true or false"),
            ({"concurrent_opens": True}, "concurrent_opens is True: use a whole number"),
            ({"concurrent_opens": 1.5}, "concurrent_opens is 1.5: use a whole number"),
            ({"concurrent_opens": 9}, "concurrent_opens is 9: use 1-6"),
            ({"command_gap_ms": "5"}, "command_gap_ms is '5': use a number"),
            ({"command_gap_ms": True}, "command_gap_ms is True: use a number"),
            ({"command_gap_ms": float("nan")}, "command_gap_ms is nan: use 0 or more"),
            ({"inline_limit_bytes": None}, "inline_limit_bytes is None: use a whole number"),
        ],
    )
    def test_a_field_that_makes_no_sense(self, tmp_path: Path, fields: object, words: str) -> None:
        """Is named, with the file that it is in and with what would be right."""
        path = written(tmp_path, profile_file(profile=fields))
        with pytest.raises(ValueError, match=rf"module\.json: {words}"):
            ModuleProfile.load(path)

    def test_no_file(self, tmp_path: Path) -> None:
        """As every function that opens one."""
        with pytest.raises(FileNotFoundError):
            ModuleProfile.load(tmp_path / "nothing.json")


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
