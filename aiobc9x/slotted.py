"""Make dataclasses with slots that take little time to import.

Layer: slotted. Does no I/O, reads no clock.

A program that opens a modem makes about 170 dataclasses when it starts. For a frozen class with
slots :func:`dataclasses.dataclass` compiles six functions, up to Python 3.12 one by one, and that
was half of what the import of this package cost. :func:`slotted` compiles ``__init__`` alone,
because no other way makes an object as fast as a function written for its fields, and classes
with as many fields share the code. All classes share the other methods. ``python -m benchmarks
import`` has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields, replace
from functools import cache
from operator import attrgetter
from reprlib import recursive_repr
from types import CodeType, FunctionType, MemberDescriptorType
from typing import Any, Final, TypeAlias, TypeVar, dataclass_transform

__all__ = ["slotted"]

T = TypeVar("T")

# Any, because the fields of a class are of any type.
Fields: TypeAlias = Sequence[Field[Any]]
Namespace: TypeAlias = dict[str, Any]
Values: TypeAlias = Callable[[object], tuple[object, ...]]


@dataclass_transform(field_specifiers=(Field, field))
def slotted(
    *, frozen: bool = False, eq: bool = True, repr: bool = True
) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass with slots: ``@dataclass(slots=True)`` in a fraction of the time.

    The class is a dataclass to whoever asks: ``fields()``, ``replace()``, ``asdict()`` and
    ``is_dataclass()`` of :mod:`dataclasses`, :mod:`copy`, :mod:`pickle` and ``match`` take it for
    one, and its bases and subclasses may be made by either decorator. Fields are declared as
    usual, with :func:`dataclasses.field` where a default is not enough.

    Args:
        frozen: Refuse to assign to fields, with :exc:`dataclasses.FrozenInstanceError`. With
            ``eq``, objects can be hashed then.
        eq: Compare the values of the fields, with objects of the very same class only.
        repr: Show the fields in ``repr()``.

    Returns:
        The decorator. It gives a new class in place of the one that it gets, because slots can't
        be added to a class. It raises :exc:`TypeError` and :exc:`ValueError` where the standard
        library's does: for a field without a default behind one that has a default, for a mutable
        default, and for a frozen class whose bases are not frozen, or the other way round; and for
        ``InitVar`` and ``KW_ONLY``.

    """

    def decorated(cls: type[T]) -> type[T]:
        return _made(cls, frozen, eq, repr)

    return decorated


def _made(cls: type[T], frozen: bool, eq: bool, repr: bool) -> type[T]:
    _check_bases(cls, frozen)
    chosen = _fields_of(cls)
    init = _init(chosen, frozen, hasattr(cls, "__post_init__"))
    init.__module__ = cls.__module__
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    namespace: Namespace = {
        "__init__": init,
        "__match_args__": tuple(each.name for each in _by_place(chosen)),
        "__replace__": _replace,
        **({"__repr__": _repr} if repr else {}),
        **({"__eq__": _eq} if eq else {}),
        **({"__hash__": _hash} if eq and frozen else {}),
        **({"__getstate__": _getstate, "__setstate__": _setstate} if frozen else {}),
        **_own(cls, chosen),
        **({"__setattr__": _setattr, "__delattr__": _delattr} if frozen else {}),
        "__slots__": tuple(f.name for f in chosen if not _has_slot(cls.__mro__[1:], f.name)),
        "__dataclass_params__": _params(frozen, eq, repr),
    }
    metaclass: Any = type(cls)  # Any: mypy takes it for type(type)
    made: type[T] = metaclass(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    if frozen:
        # Setting by the slot takes two thirds of the time of object.__setattr__ with its name.
        for number, each in enumerate(_given(chosen)):
            init.__globals__[f"set_{number}"] = getattr(made, each.name).__set__
    return made


def _check_bases(cls: type, frozen: bool) -> None:
    if frozen and not _CHANGING.isdisjoint(cls.__dict__):
        raise TypeError(f"{cls.__qualname__} is frozen, and has a method that changes attributes")
    params = [getattr(base, "__dataclass_params__", None) for base in cls.__mro__[1:]]
    kinds = [each.frozen for each in params if each is not None]
    if kinds and frozen != any(kinds):
        raise TypeError(f"{cls.__qualname__}: a dataclass and its bases are all frozen, or none is")


def _fields_of(cls: Any) -> Fields:
    """Tell a class the fields that it and its bases declare; return them."""
    found: dict[str, Field[Any]] = {}
    for base in reversed(cls.__mro__[1:]):
        found |= getattr(base, "__dataclass_fields__", {})
    for name, annotation in cls.__annotations__.items():
        # A string, or what it means, in a module that has its annotations evaluated.
        kind = str(annotation).partition("[")[0].rpartition(".")[2]
        if kind == "ClassVar":
            continue
        if kind == "InitVar" or "KW_ONLY" in kind:
            raise TypeError(f"{cls.__qualname__}.{name}: slotted() takes no {kind}")
        found[name] = _field(name, annotation, cls.__dict__.get(name, MISSING))
    for name, value in cls.__dict__.items():
        if isinstance(value, Field) and name not in cls.__annotations__:
            raise TypeError(f"{cls.__qualname__}.{name} is a field without an annotation")
    cls.__dataclass_fields__ = found
    return fields(cls)


def _field(name: str, annotation: object, declared: object) -> Field[Any]:
    # Any: to a type checker, field() returns the default, and has no mark.
    each: Any = declared if isinstance(declared, Field) else field(default=declared)
    if type(each.default).__hash__ is None:
        raise ValueError(f"mutable default {type(each.default)} for field {name}: use a factory")
    each.name, each.type, each.kw_only = name, annotation, each.kw_only is True
    # The library's fields() gives those that have this mark.
    each._field_type = _MARK
    made: Field[Any] = each
    return made


_SAMPLE: Final[Any] = dataclass(slots=True)(
    type("Sample", (), {"__annotations__": {"value": "int"}, "__doc__": "A sample."})
)
"""What the standard library makes. Where its marks are not documented, they are taken from here."""

_MARK: Final = _SAMPLE.__dataclass_fields__["value"]._field_type


@cache
def _params(frozen: bool, eq: bool, repr: bool) -> object:
    """Return what the standard library notes of a dataclass that is made with these options."""
    noted = copy(_SAMPLE.__dataclass_params__)
    noted.frozen, noted.eq, noted.repr = frozen, eq, repr
    return noted


def _own(cls: type, chosen: Fields) -> Namespace:
    """Return what stands in the body of a class, which goes before what is made."""
    # A default as an attribute of the class would be in the way of the slot. The other two are
    # Python's, and belong to that class alone.
    left_out = {*(each.name for each in chosen), "__dict__", "__weakref__"}
    own = {name: value for name, value in cls.__dict__.items() if name not in left_out}
    if "__eq__" in own and own.get("__hash__", MISSING) is None:
        del own["__hash__"]  # Python's as well; it comes again if no method takes its place
    return own


def _has_slot(bases: Sequence[type], name: str) -> bool:
    return any(isinstance(base.__dict__.get(name), MemberDescriptorType) for base in bases)


class _Factory:
    """What a signature shows as the default of a field that has a factory."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY: Final = _Factory()


def _init(chosen: Fields, frozen: bool, post_init: bool) -> FunctionType:
    """Return ``__init__()``; where objects are frozen, its globals still lack the setters.

    It is compiled with numbers in place of the names of the fields, so that classes with as many
    fields can share the code, and gets the names then.
    """
    given, places = _given(chosen), _by_place(chosen)
    words = [each for each in given if each.init and each.kw_only]
    labels = {each.name: f"_{number}" for number, each in enumerate(given)}
    params = ["self", *(labels[each.name] for each in places)]
    if words:
        params += ["*", *(labels[each.name] for each in words)]
    body = [_assignment(each, labels[each.name], frozen) for each in given]
    if post_init:
        body.append("self.__post_init__()")
    code = _compiled(f"def __init__({', '.join(params)}):\n " + "\n ".join(body or ["pass"]))
    names = {label: name for name, label in labels.items()}
    code = code.replace(
        co_varnames=tuple(names.get(label, label) for label in code.co_varnames),
        co_names=tuple(names.get(label, label) for label in code.co_names),
    )
    init = FunctionType(code, _scope(given), "__init__", _defaults(places))
    init.__kwdefaults__ = {each.name: _shown(each) for each in words if _has_default(each)}
    init.__annotations__ = {each.name: each.type for each in (*places, *words)} | {"return": None}
    return init


@cache
def _compiled(text: str) -> CodeType:
    """Return the code of the one function that a text defines."""
    module = compile(text, f"<{__name__}>", "exec")
    return next(each for each in module.co_consts if isinstance(each, CodeType))


def _scope(given: Fields) -> Namespace:
    """Return the globals of ``__init__()``."""
    scope: Namespace = {"factory": _FACTORY}
    for number, each in enumerate(given):
        if each.default_factory is not MISSING:
            scope[f"make_{number}"] = each.default_factory
        elif not each.init:
            scope[f"default_{number}"] = each.default
    return scope


def _given(chosen: Fields) -> Fields:
    """Return the fields that ``__init__()`` sets."""
    return [each for each in chosen if each.init or _has_default(each)]


def _by_place(chosen: Fields) -> Fields:
    return [each for each in chosen if each.init and not each.kw_only]


def _has_default(each: Field[Any]) -> bool:
    return each.default is not MISSING or each.default_factory is not MISSING


def _shown(each: Field[Any]) -> object:
    return each.default if each.default_factory is MISSING else _FACTORY


def _defaults(places: Fields) -> tuple[object, ...]:
    defaults: list[object] = []
    for each in places:
        if _has_default(each):
            defaults.append(_shown(each))
        elif defaults:
            raise TypeError(f"non-default argument {each.name!r} follows default argument")
    return tuple(defaults)


def _assignment(each: Field[Any], label: str, frozen: bool) -> str:
    if each.default_factory is MISSING:
        value = label if each.init else f"default{label}"
    else:
        value = f"make{label}()" + (f" if {label} is factory else {label}" if each.init else "")
    return f"set{label}(self, {value})" if frozen else f"self.{label} = {value}"


# The methods below are those of all classes. None of them is called for each command or payload,
# and what is made for no class costs no class anything, neither here nor when garbage is collected.


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: object) -> object:
    if other.__class__ is not self.__class__:
        return NotImplemented
    cls: Any = type(self)
    values = _compared(cls)
    return values(self) == values(other)


def _hash(self: Any) -> int:
    cls: Any = type(self)
    return hash(_hashed(cls)(self))


@cache
def _compared(cls: Any) -> Values:
    return _values([each.name for each in fields(cls) if each.compare])


@cache
def _hashed(cls: Any) -> Values:
    used = [f.name for f in fields(cls) if (f.compare if f.hash is None else f.hash)]
    return _values(used)


def _values(names: Sequence[str]) -> Values:
    """Return what gives the values of some attributes of an object."""
    if len(names) > 1:
        return attrgetter(*names)
    # With one name an attrgetter gives the bare value, and it wants one at least.
    return lambda each: tuple(getattr(each, name) for name in names)


def _setattr(self: object, name: str, value: object) -> None:
    if _is_frozen(type(self), name):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _delattr(self: object, name: str) -> None:
    if _is_frozen(type(self), name):
        raise FrozenInstanceError(f"cannot delete field {name!r}")
    object.__delattr__(self, name)


def _is_frozen(cls: Any, name: str) -> bool:
    # A subclass that is no dataclass itself may have attributes of its own.
    return "__dataclass_params__" in cls.__dict__ or name in cls.__dataclass_fields__


_CHANGING: Final = {"__setattr__", "__delattr__"}


def _replace(self: Any, /, **changes: object) -> object:
    """Return a copy with other values of some fields, for ``copy.replace()`` of Python 3.13."""
    changed: object = replace(self, **changes)
    return changed


# What pickles by slots is refused where objects are frozen, because it assigns to them.
def _getstate(self: Any) -> list[object]:
    return [getattr(self, each.name) for each in fields(self)]


def _setstate(self: Any, state: Sequence[object]) -> None:
    for each, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)
