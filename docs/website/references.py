"""Say what a name in a docstring or a signature leads to, where Sphinx doesn't find it by itself.

Every name must mean something: one that can't be imported stays a warning, and a warning ends the
build. Nothing is fetched: a name of another library is checked by importing it, and a name of
Python's own leads to a page of its manual, by the table below.
"""

from __future__ import annotations

import inspect
import sys
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from docutils import nodes

from docs.website import names

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

INTERNAL: Final = {
    "aiobc9x.adapters.anyio.socket.ModuleSocket": "the base of two streams, which have its calls",
    "aiobc9x.adapters.http.network.HttpBackend": "the base of two backends, which have its calls",
    "aiobc9x.adapters.http.network.HttpStream": "the base of two streams, which have its calls",
    "aiobc9x.adapters.http.transport.HttpTransport": "the base of two transports, the same",
    "aiobc9x.aio.line.link.ByteTransport": "what a transport needs; the page about streams says it",
    "aiobc9x.aio.transports.base.ModuleTransport": "the base of transports, which have its calls",
    "aiobc9x.aio.transports.socket_view.SocketView": "what asyncio calls a TransportSocket",
    "aiobc9x.open.ModemOpening": "to be awaited or entered, and nothing else",
    "aiobc9x.pool.PoolOpening": "the same",
    "aiobc9x.sim.options.Host": "what a host= of a sim:// address becomes",
    "aiobc9x.sim.links.VirtualModule": "what VirtualModem shows the use of",
    "aiobc9x.trace.capture.Sink": "anything with write()",
    "aiobc9x.wire.host.Host": "the union of what a host may be, which the text says",
}
"""Names of the package that signatures mention and the reference leaves out, and why."""

MANUAL: Final = "https://docs.python.org/3/"

_PAGES: Final = {
    "asyncio.AbstractEventLoop": "library/asyncio-eventloop.html",
    "asyncio.AbstractServer": "library/asyncio-eventloop.html",
    "asyncio.BaseProtocol": "library/asyncio-protocol.html",
    "asyncio.BaseTransport": "library/asyncio-protocol.html",
    "asyncio.DatagramProtocol": "library/asyncio-protocol.html",
    "asyncio.DatagramTransport": "library/asyncio-protocol.html",
    "asyncio.Protocol": "library/asyncio-protocol.html",
    "asyncio.StreamReader": "library/asyncio-stream.html",
    "asyncio.StreamWriter": "library/asyncio-stream.html",
    "asyncio.Transport": "library/asyncio-protocol.html",
    "asyncio.loop.create_connection": "library/asyncio-eventloop.html",
    "asyncio.open_connection": "library/asyncio-stream.html",
    "asyncio.start_server": "library/asyncio-stream.html",
    "contextlib.AbstractContextManager": "library/contextlib.html",
    "functools.partial": "library/functools.html",
    "socket.gaierror": "library/socket.html",
    "socket.socket": "library/socket.html",
    "ssl.SSLContext": "library/ssl.html",
}
"""Where Python's manual has a name; a name without a page is shown without a link."""

_SPELT: Final = {
    "asyncio.events": "asyncio",
    "asyncio.loop": "asyncio.AbstractEventLoop",
    "asyncio.protocols": "asyncio",
    "asyncio.streams": "asyncio",
    "asyncio.transports": "asyncio",
}
"""How Python's manual calls some modules, and where their names are."""


_SHOWN: Final = {"Buffer", "Password", "ReadableBuffer"}
"""Names that only a type checker can import."""


@cache
def _modules_behind(module: str | None) -> list[str]:
    """Give a module, and those that its names really come from."""
    if not module:
        return []
    inside = [each for each in names.documented() if each.rpartition(".")[0] == module]
    found = [getattr(names.find(each), "__module__", module) for each in inside]
    return [*dict.fromkeys([module, *found])]


def _homes(node: pending_xref) -> list[str]:
    """Give the places in which a bare name of a docstring is looked up, the nearest first."""
    module, owner = node.get("py:module"), node.get("py:class")
    homes = []
    if module and owner:
        found = names.find(f"{module}.{owner}")
        homes += [f"{module}.{owner}", getattr(found, "__module__", module)]
    if module and module.startswith("aiobc9x.adapters."):
        homes.append(module.rpartition(".")[2])  # one adapter serves two libraries of one interface
    return [*homes, *_modules_behind(module), "aiobc9x", "builtins"]


def meaning(target: str, node: pending_xref) -> tuple[str, object] | None:
    """Import what a reference means; give its full name too, or None if it means nothing."""
    for home in ["", *(f"{each}." for each in _homes(node))]:
        try:
            return f"{home}{target}", names.find(f"{home}{target}")
        except ImportError:
            continue
    # autodoc shows some annotations as they are written, and doesn't say in which module.
    inside = [each for each in sorted(sys.modules) if each.startswith("aiobc9x")]
    place = next((each for each in inside if target in vars(sys.modules[each])), None)
    return (f"{place}.{target}", names.find(f"{place}.{target}")) if place else None


def _is_told(node: pending_xref) -> bool:
    """Say whether a reference is to an attribute of which the same class's docstring tells."""
    module, owner = node.get("py:module"), node.get("py:class")
    if node["reftype"] != "attr" or not (module and owner):
        return False
    told = inspect.getdoc(names.find(f"{module}.{owner}")) or ""
    return f"\n    {node['reftarget']}: " in told


def _owner(name: str) -> str | None:
    """Find which documented name an object has, whatever module it was imported from."""
    value = names.find(name)
    if isinstance(value, ModuleType | str | int | tuple | dict | None):
        return None  # equal ones may be the same object
    return next((known for known in names.documented() if names.find(known) is value), None)


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element
) -> Element | None:
    """Resolve a name that Sphinx's own search has not found."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    head, _, last = target.rpartition(".")
    if target in _SHOWN or _is_told(node):
        return contnode
    found = meaning(f"{_SPELT[head]}.{last}" if head in _SPELT else target, node)
    if found is None:
        return None
    name, value = found
    if name.startswith("aiobc9x"):
        return _of_the_package(app, env, node, contnode, name)
    shown = f"{head if head == 'asyncio.loop' else getattr(value, '__module__', head)}.{last}"
    for spelt, public in _SPELT.items():
        if shown.startswith(f"{spelt}.") and spelt != "asyncio.loop":
            shown = f"{public}.{last}"
    if page := _PAGES.get(shown) or _PAGES.get(target):
        anchor = shown if shown in _PAGES else target
        return nodes.reference("", "", contnode, internal=False, refuri=f"{MANUAL}{page}#{anchor}")
    return contnode


def _of_the_package(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element, name: str
) -> Element | None:
    if name in INTERNAL or name.rpartition(".")[2].startswith("_"):
        return contnode
    known = _owner(name)
    if known is None and "." in name:
        home, _, last = name.rpartition(".")
        above = _owner(home) if inspect.isclass(names.find(home)) else None
        known = f"{above}.{last}" if above else None
    value = names.find(name)
    if known is None:
        # A module, a type variable, a union, or what the package has from elsewhere: by its name.
        is_ours = getattr(value, "__module__", "").startswith("aiobc9x")
        is_missing = is_ours and (isinstance(value, type) or inspect.isroutine(value))
        return None if is_missing else contnode
    domain = env.domains.python_domain
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", known, node, contnode)


# What napoleon would take for a type: in a text about an attribute, all before its first colon.
_told: dict[str, list[str]] = {}


def keep_text(
    _app: Sphinx, what: str, name: str, _value: Any, _opts: Any, lines: list[str]
) -> None:
    """Remember the text of an attribute before napoleon reads it."""
    if what in {"attribute", "data", "property"}:
        _told[name] = list(lines)


def restore_text(
    _app: Sphinx, _what: str, name: str, _value: Any, _opts: Any, lines: list[str]
) -> None:
    """Give an attribute its own text back."""
    if name in _told:
        lines[:] = _told.pop(name)


def tell_making(
    _app: Sphinx, what: str, _name: str, value: Any, _opts: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Leave the signature out of a class that the package makes: its arguments are no promise.

    A class that programs make is a dataclass, or documents its arguments.
    """
    if not signature or what not in {"class", "exception"}:
        return None
    if hasattr(value, "__dataclass_fields__"):
        # As autodoc writes a default that is made anew each time, it is no Python.
        return signature.replace("<factory>", "..."), returns
    told = f"{value.__doc__}{value.__init__.__doc__}"
    return None if "Args:" in told else ("", "")


def skip(_app: Sphinx, _what: str, name: str, value: Any, skipped: bool, _opts: Any) -> bool | None:
    """Leave out what the driver calls on transports and servers: programs don't."""
    is_ours = str(getattr(value, "__module__", "")).startswith("aiobc9x.aio.")
    return True if is_ours and name.rpartition(".")[2].startswith("on_") else None


def connect(app: Sphinx) -> None:
    """Have Sphinx ask."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", keep_text, priority=400)
    app.connect("autodoc-process-docstring", restore_text, priority=600)
    app.connect("autodoc-process-signature", tell_making)
    app.connect("autodoc-skip-member", skip)
