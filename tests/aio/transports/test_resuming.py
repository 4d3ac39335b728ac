"""Resumed TLS sessions: when there is one, and above all when there must be none."""

from __future__ import annotations

import gc
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import trustme

import aiobc9x
from aiobc9x.aio.transports.resuming import PLACES, connecting_to
from tests.support.tls import NAME, authority

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS: Final = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
OTHER_NAME: Final = "other.example"


def server(version: ssl.TLSVersion = V13, name: str = NAME) -> ssl.SSLContext:
    """A server with keys of its own for its tickets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    authority().issue_cert(name).configure_cert(context)
    return context


def client() -> aiobc9x.ResumingContext:
    """A client that trusts the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return aiobc9x.resuming_context(context)


class Pair:
    """A connection in memory: a client's end and a server's."""

    def __init__(
        self, context: ssl.SSLContext, far: ssl.SSLContext, name: str | None = NAME
    ) -> None:
        self.to_near, self.to_far = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.near = context.wrap_bio(self.to_near, self.to_far, server_hostname=name)
        self.far = far.wrap_bio(self.to_far, self.to_near, server_side=True)

    def shake_hands(self, port: int | None = None) -> None:
        """Do the handshake."""
        with connecting_to(port):
            for _ in range(3):
                for end in (self.near, self.far):
                    try:
                        end.do_handshake()
                    except ssl.SSLWantReadError:
                        pass

    def talk(self) -> bool:
        """Have the server send something; tell whether the session was resumed."""
        self.far.write(b"hello")
        assert self.near.read(5) == b"hello"
        return bool(self.near.session_reused)


def connects(
    context: ssl.SSLContext,
    far: ssl.SSLContext,
    *,
    name: str | None = NAME,
    port: int | None = None,
) -> bool:
    """Make a connection that ends without a goodbye; tell whether it was resumed."""
    pair = Pair(context, far, name)
    pair.shake_hands(port)
    resumed = pair.talk()
    with pytest.raises(ssl.SSLWantReadError):
        pair.far.unwrap()  # else OpenSSL's servers let nobody resume the session
    return resumed


def begun_at_once(context: ssl.SSLContext, far: ssl.SSLContext, count: int) -> list[bool]:
    """Make connections that begin before any of them is answered; tell which were resumed."""
    pairs = [Pair(context, far) for _ in range(count)]
    for pair in pairs:
        with pytest.raises(ssl.SSLWantReadError):
            pair.near.do_handshake()
    for pair in pairs:
        pair.shake_hands()
    return [pair.talk() for pair in pairs]


class TestResuming:
    """What a session is used for."""

    @VERSIONS
    def test_the_next_connections_are_resumed(self, version: ssl.TLSVersion) -> None:
        """However often, and though none has said goodbye."""
        context, far = client(), server(version)
        assert [connects(context, far) for _ in range(4)] == [False, True, True, True]

    @VERSIONS
    def test_an_orderly_end(self, version: ssl.TLSVersion) -> None:
        """A connection gives its session with its goodbye, and is kept by nobody."""
        context, far = client(), server(version)
        pair = Pair(context, far)
        pair.shake_hands()
        pair.talk()
        with pytest.raises(ssl.SSLWantReadError):
            pair.near.unwrap()
        assert connects(context, far)

    @VERSIONS
    def test_while_the_first_is_open(self, version: ssl.TLSVersion) -> None:
        """A connection that lives for months is asked for its session."""
        context, far = client(), server(version)
        lasting = Pair(context, far)
        lasting.shake_hands()
        lasting.talk()
        assert connects(context, far)
        assert connects(context, far)

    @VERSIONS
    def test_side_by_side(self, version: ssl.TLSVersion) -> None:
        """Connections that begin at once never share a session; later as many can resume."""
        context, far = client(), server(version)
        connects(context, far)
        assert begun_at_once(context, far, 3) == [True, False, False]
        assert begun_at_once(context, far, 3) == [True, True, True]

    @VERSIONS
    def test_a_clients_certificate(self, version: ssl.TLSVersion) -> None:
        """The server knows the client again by the session."""
        context, far = client(), server(version)
        authority().configure_trust(far)
        far.verify_mode = ssl.CERT_REQUIRED
        authority().issue_cert("client.example").configure_cert(context)
        assert [connects(context, far) for _ in range(2)] == [False, True]

    def test_a_session_of_the_programs_own(self) -> None:
        """It is used instead of a remembered one."""
        context, far = client(), server()
        pair = Pair(context, far)
        pair.shake_hands()
        pair.talk()
        own, bios = pair.near.session, (ssl.MemoryBIO(), ssl.MemoryBIO())
        made = context.wrap_bio(*bios, server_hostname=NAME, session=own)
        with pytest.raises(ssl.SSLWantReadError):
            made.do_handshake()
        assert connects(context, far)  # the remembered one is still there


class TestWhose:
    """What keeps sessions apart."""

    def test_hosts_and_ports(self) -> None:
        """Each host and each port has sessions of its own, as far as the port is known."""
        context, far, other = client(), server(), server(name=OTHER_NAME)
        assert not connects(context, far, port=443)
        assert not connects(context, far, port=8883)
        assert not connects(context, far)
        assert not connects(context, other, name=OTHER_NAME, port=443)
        assert connects(context, far, port=443)
        assert connects(context, far, port=8883)

    def test_without_a_name(self) -> None:
        """Nobody knows whose session it is."""
        context, far = client(), server()
        context.check_hostname = False
        assert [connects(context, far, name=None) for _ in range(2)] == [False, False]
        assert not context._memory._kept

    @VERSIONS
    def test_a_context_that_begins_to_check(self, version: ssl.TLSVersion) -> None:
        """A session that was made unchecked is not used, so the wrong name is found."""
        context, impostor = client(), server(version, OTHER_NAME)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        assert [connects(context, impostor) for _ in range(2)] == [False, True]
        early = Pair(context, impostor)
        context.verify_mode = ssl.CERT_REQUIRED
        assert not connects(context, impostor)  # the authority is the right one
        context.check_hostname = True
        for _ in range(2):
            with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                connects(context, impostor)
        early.shake_hands()  # what was made before the change isn't checked, as in ssl
        early.talk()
        del early
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            connects(context, impostor)

    def test_wrong_names_stay_wrong(self) -> None:
        """A session of the right name doesn't help a server that has another certificate."""
        context = client()
        assert not connects(context, server())
        for _ in range(2):
            with pytest.raises(ssl.SSLCertVerificationError):
                connects(context, server(name=OTHER_NAME))

    @pytest.mark.parametrize(
        "change",
        [
            lambda context, path: trustme.CA().configure_trust(context),
            lambda context, path: context.load_default_certs(),
            lambda context, path: context.set_default_verify_paths(),
            lambda context, path: context.load_cert_chain(path),
            lambda context, path: context.set_ciphers("DEFAULT:@SECLEVEL=1"),
            lambda context, path: context.forget(),
            lambda context, path: setattr(context, "verify_flags", ssl.VERIFY_X509_STRICT),
            lambda context, path: setattr(context, "minimum_version", V13),
        ],
        ids=["authority", "defaults", "paths", "chain", "ciphers", "forget", "flags", "version"],
    )
    def test_other_settings(
        self, change: Callable[[aiobc9x.ResumingContext, Path], object], tmp_path: Path
    ) -> None:
        """What was remembered before is used no more, of connections that live on neither."""
        chain = tmp_path / "chain.pem"
        authority().issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(chain)
        context, far = client(), server()
        connects(context, far)
        lasting = Pair(context, far)
        lasting.shake_hands()
        lasting.talk()
        change(context, chain)
        assert not connects(context, far)
        assert connects(context, far)


class TestFailures:
    """A session that a server doesn't like costs one handshake at most."""

    @VERSIONS
    def test_a_server_with_new_keys(self, version: ssl.TLSVersion) -> None:
        """It can't read the ticket, and gives a new one behind a full handshake."""
        context, far, rotated = client(), server(version), server(version)
        assert not connects(context, far)
        assert [connects(context, rotated) for _ in range(2)] == [False, True]

    @VERSIONS
    def test_a_server_without_tickets(self, version: ssl.TLSVersion) -> None:
        """Every handshake is a full one, or, with TLS 1.2, may be resumed by the session's ID."""
        context, far = client(), server(version)
        far.options |= ssl.OP_NO_TICKET
        if version is V13:
            far.num_tickets = 0
        expected = [False, version is V12, version is V12]
        assert [connects(context, far) for _ in range(3)] == expected

    @VERSIONS
    def test_a_handshake_without_an_end(self, version: ssl.TLSVersion) -> None:
        """Where the server goes silent, or resets, the next handshake is a full one."""
        context, far = client(), server(version)
        connects(context, far)
        hanging = Pair(context, far)
        with pytest.raises(ssl.SSLWantReadError):
            hanging.near.do_handshake()
        assert not connects(context, far)
        assert connects(context, far)

    @VERSIONS
    def test_a_handshake_that_is_refused(self, version: ssl.TLSVersion) -> None:
        """An alert of the server's, too."""
        context, far = client(), server(version)
        connects(context, far)
        refused = Pair(context, far)
        with pytest.raises(ssl.SSLWantReadError):
            refused.near.do_handshake()
        refused.to_near.write(bytes((21, 3, 3, 0, 2, 2, 80)))  # fatal, internal_error
        with pytest.raises(ssl.SSLError, match=r"(?i)internal.error"):
            refused.near.do_handshake()
        assert not connects(context, far)
        assert connects(context, far)

    @VERSIONS
    def test_a_server_that_falls_silent_behind_the_handshake(self, version: ssl.TLSVersion) -> None:
        """The client's handshake is over first: only data show that the server's is, too."""
        context, far = client(), server(version)
        connects(context, far)
        silent = Pair(context, far)
        silent.shake_hands()
        assert silent.near.session_reused
        assert not connects(context, far)
        assert connects(context, far)

    @VERSIONS
    def test_an_alert_in_mid_connection(self, version: ssl.TLSVersion) -> None:
        """A connection that an alert has ended gives no session."""
        context, far = client(), server(version)
        broken = Pair(context, far)
        broken.shake_hands()
        broken.talk()
        broken.to_near.write(bytes((23, 3, 3, 0, 19)) + bytes(19))
        with pytest.raises(ssl.SSLError):
            broken.near.read(1)
        assert not connects(context, far)

    def test_a_session_of_another_context(self) -> None:
        """ssl refuses it with ValueError, which stays inside."""
        context, far = client(), server()
        pair, stranger = Pair(context, far), Pair(client(), far)
        stranger.shake_hands()
        stranger.talk()
        foreign = stranger.near.session
        assert foreign is not None
        pair.near._memory.give(pair.near._place, foreign)  # type: ignore[attr-defined]  # as no connection does
        pair.shake_hands()
        assert not pair.talk()

    def test_an_old_session(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not offered: the server would refuse it."""
        context, far = client(), server()
        connects(context, far)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 8000)
        assert not connects(context, far)


class TestMemory:
    """What is kept, and for how long."""

    def test_few_places(self) -> None:
        """The place that was used longest ago is forgotten first."""
        context, far = client(), server()
        for port in range(1, PLACES + 2):
            connects(context, far, port=port)
        assert not connects(context, far, port=1)
        assert connects(context, far, port=PLACES)

    def test_few_connections(self) -> None:
        """Many connections to one place leave four sessions."""
        context, far = client(), server()
        assert begun_at_once(context, far, 20).count(True) == 0
        assert begun_at_once(context, far, 20).count(True) == 4
        assert all(len(kept) <= 4 for kept in context._memory._kept.values())
        assert all(len(living) <= 8 for living in context._memory._living.values())

    def test_nobody_holds_a_connection(self) -> None:
        """It is collected when its program drops it."""
        context, far = client(), server()
        pair = Pair(context, far)
        pair.shake_hands()
        near = pair.near
        del pair
        gc.collect()
        assert not [each for each in gc.get_referrers(near) if isinstance(each, dict | list)]

    def test_another_threads_connection(self) -> None:
        """It is not asked, because its thread may use it just then; at its end it gives."""
        context, far = client(), server()
        lasting: list[Pair] = []

        def work() -> None:
            lasting.append(Pair(context, far))
            lasting[0].shake_hands()
            lasting[0].talk()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        pair = Pair(context, far)
        pair.shake_hands()
        assert not pair.talk()
        del pair
        lasting.clear()
        assert connects(context, far)
        assert connects(context, far)

    def test_several_threads(self) -> None:
        """They share the sessions of one context."""
        context, far = client(), server()
        connects(context, far)
        found: list[bool] = []

        def work() -> None:
            found.extend([connects(context, far) for _ in range(20)])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 80
        assert found.count(False) <= 8  # each thread may begin with a full handshake


class TestMaking:
    """resuming_context() itself."""

    def test_from_nothing(self) -> None:
        """It checks certificates and names, as ssl's default does."""
        context = aiobc9x.resuming_context()
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname

    def test_of_a_context(self) -> None:
        """The same context is changed; doing it again changes nothing."""
        own = ssl.create_default_context()
        made = aiobc9x.resuming_context(own)
        assert made is own
        far = server()
        authority().configure_trust(made)
        connects(made, far)
        assert aiobc9x.resuming_context(made) is own
        assert connects(own, far)

    def test_refusals(self) -> None:
        """A server's context, another library's, and what is none."""

        class Peculiar(ssl.SSLContext):
            pass

        with pytest.raises(ValueError, match="only clients resume"):
            aiobc9x.resuming_context(server())
        with pytest.raises(TypeError, match="SSLContext itself"):
            aiobc9x.resuming_context(Peculiar(ssl.PROTOCOL_TLS_CLIENT))
        with pytest.raises(TypeError, match="SSLContext itself"):
            aiobc9x.resuming_context(True)  # type: ignore[arg-type]

    def test_a_class_of_the_programs_own(self) -> None:
        """Its connections are left alone."""

        class Own(ssl.SSLObject):
            pass

        context, far = client(), server()
        context.sslobject_class = Own
        assert [connects(context, far) for _ in range(2)] == [False, False]
