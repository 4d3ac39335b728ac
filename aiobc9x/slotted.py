"""Make dataclasses with slots that take little time to import.

Layer: slotted. Does no I/O, reads no clock.

A program that opens a modem makes about 170 dataclasses when it starts. For a frozen class with
slots :func:`dataclasses.dataclass` compiles six functions, up to Python 3.12 one by one, and that
was half of what the import of this package cost. :func:`slotted` compiles ``__init__`` alone,
because no other way makes an object as fast as a function written for its fields, and classes
whose fields have the same names share the code. The other methods are closures over the names.
``python -m benchmarks import`` has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
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
Method: TypeAlias = Callable[..., Any]
Values: TypeAlias = Callable[[object], tuple[object, ...]]


@dataclass_transform(field_specifiers=(Field, field))
def slotted(
    *, frozen: bool = False, eq: bool = True, repr: bool = True
) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass with slots: ``@dataclass(slots=True)`` in a fraction of the time.

    The class is a dataclass to whoever asks: ``fields()``, ``replace()``, ``asdict()`` and
    ``is_dataclass()`` of :mod:`dataclasses`, :mod:`copy`, :mod:`pickle` and ``match`` take it for
    one, and its bases and subclasses may be made by either decorator. Fields are declared as
    usual, with :func:`dataclasses.field` where a default is not enough; there is no ``InitVar``.

    Args:
        frozen: Refuse to assign to fields, with :exc:`dataclasses.FrozenInstanceError`. With
            ``eq``, objects can be hashed then.
        eq: Compare the values of the fields, with objects of the very same class only.
        repr: Show the fields in ``repr()``.

    Returns:
        The decorator. It gives a new class in place of the one that it gets, because slots can't
        be added to a class. It raises :exc:`TypeError` and :exc:`ValueError` where the standard
        library's does: for a field without a default behind one that has a default, for a mutable
        default, and for a frozen class whose bases are not frozen, or the other way round.

    """

    def decorated(cls: type[T]) -> type[T]:
        return _made(cls, frozen, eq, repr)

    return decorated


def _made(cls: type[T], frozen: bool, eq: bool, repr: bool) -> type[T]:
    _check_bases(cls, frozen)
    chosen = _fields_of(cls)
    init = _init(chosen, frozen, hasattr(cls, "__post_init__"))
    methods: dict[str, Method] = {"__init__": init, **_methods(chosen, frozen, eq, repr)}
    for name, method in methods.items():
        _call(method, cls, name)
    namespace: Namespace = {
        "__replace__": _replace,
        **({"__getstate__": _getstate, "__setstate__": _setstate} if frozen else {}),
        **methods,
        "__match_args__": tuple(each.name for each in _by_place(chosen)),
        **_own(cls, chosen),
        "__slots__": tuple(f.name for f in chosen if not _has_slot(cls.__mro__[1:], f.name)),
        "__dataclass_params__": _params(frozen, eq, repr),
    }
    metaclass: Any = type(cls)  # Any: mypy takes it for type(type)
    made: type[T] = metaclass(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    if frozen:
        _freeze(made, frozenset(each.name for each in chosen))
        # Setting by the slot takes two thirds of the time of object.__setattr__ with its name.
        for number, each in enumerate(_given(chosen)):
            init.__globals__[f"set_{number}"] = getattr(made, each.name).__set__
    return made


def _check_bases(cls: type, frozen: bool) -> None:
    params = [getattr(base, "__dataclass_params__", None) for base in cls.__mro__[1:]]
    kinds = [each.frozen for each in params if each is not None]
    if kinds and frozen != any(kinds):
        raise TypeError(f"{cls.__qualname__}: a dataclass and its bases are all frozen, or none is")


def _fields_of(cls: Any) -> Fields:
    """Tell a class all that it and its bases declare; return the fields that objects have."""
    declared: dict[str, Field[Any]] = {}
    for base in reversed(cls.__mro__[1:]):
        declared |= getattr(base, "__dataclass_fields__", {})
    cls.__dataclass_fields__ = declared | _declared(cls)
    return fields(cls)


def _declared(cls: type) -> dict[str, Field[Any]]:
    """Return what the class itself declares.

    The standard library reads it, by its own rules, from a class that has these declarations
    alone. It compiles nothing there, and writes no signature in place of a missing docstring.
    """
    own = cls.__annotations__
    namespace: Namespace = {
        name: value
        for name, value in cls.__dict__.items()
        if name in own or isinstance(value, Field)
    }
    if not own and not namespace:
        return {}
    namespace |= {"__annotations__": own, "__module__": cls.__module__, "__doc__": cls.__name__}
    read: dict[str, Field[Any]] = _READ(type(cls.__name__, (), namespace)).__dataclass_fields__
    return read


_READ: Final[Any] = dataclass(init=False, repr=False, eq=False, match_args=False)


@cache
def _params(frozen: bool, eq: bool, repr: bool) -> object:
    """Return what the standard library notes of a dataclass that is made with these options."""
    sample: Any = dataclass(frozen=frozen, eq=eq, repr=repr, slots=True)(
        type("Sample", (), {"__doc__": "…"})
    )
    noted: object = sample.__dataclass_params__
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
    given = _given(chosen)
    labels = {each.name: f"_{number}" for number, each in enumerate(given)}
    places = _by_place(chosen)
    words = [each for each in chosen if each.init and each.kw_only]
    params = ["self", *(labels[each.name] for each in places)]
    if words:
        params += ["*", *(labels[each.name] for each in words)]
    body = [_assignment(each, labels[each.name], frozen) for each in given]
    if post_init:
        body.append("self.__post_init__()")
    text = f"def __init__({', '.join(params)}):\n " + "\n ".join(body or ["pass"])
    scope: Namespace = {"factory": _FACTORY}
    for each in given:
        label = labels[each.name]
        scope |= {f"make{label}": each.default_factory, f"default{label}": each.default}
    exec(_compiled(text), scope)
    init: FunctionType = scope["__init__"]
    names = {label: name for name, label in labels.items()}
    init.__code__ = init.__code__.replace(
        co_varnames=tuple(names.get(label, label) for label in init.__code__.co_varnames),
        co_names=tuple(names.get(label, label) for label in init.__code__.co_names),
    )
    init.__defaults__ = _defaults(places)
    init.__kwdefaults__ = {each.name: _shown(each) for each in words if _has_default(each)}
    init.__annotations__ = {each.name: each.type for each in (*places, *words)} | {"return": None}
    return init


@cache
def _compiled(text: str) -> CodeType:
    return compile(text, f"<{__name__}>", "exec")


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


def _methods(chosen: Fields, frozen: bool, eq: bool, repr: bool) -> dict[str, Method]:
    methods: dict[str, Method] = {}
    if repr:
        methods["__repr__"] = _repr([each.name for each in chosen if each.repr])
    if eq:
        methods["__eq__"] = _eq(_values([each.name for each in chosen if each.compare]))
    if eq and frozen:
        used = [f.name for f in chosen if (f.compare if f.hash is None else f.hash)]
        methods["__hash__"] = _hash(_values(used))
    return methods


def _call(method: Method, cls: type, name: str) -> None:
    """Give a method the name that it would have if it stood in the body of a class."""
    method.__module__ = cls.__module__
    method.__name__ = name
    method.__qualname__ = f"{cls.__qualname__}.{name}"


def _values(names: Sequence[str]) -> Values:
    """Return what gives the values of some attributes of an object."""
    if len(names) > 1:
        return attrgetter(*names)
    # With one name an attrgetter gives the bare value, and it wants one at least.
    return lambda each: tuple(getattr(each, name) for name in names)


def _repr(names: Sequence[str]) -> Method:
    @recursive_repr()
    def show(self: object) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    return show


def _eq(values: Values) -> Method:
    def equal(self: object, other: object) -> object:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    return equal


def _hash(values: Values) -> Method:
    def hashed(self: object) -> int:
        return hash(values(self))

    return hashed


def _freeze(made: Any, names: Collection[str]) -> None:
    """Let objects of a class, and the fields that subclasses inherit, refuse to change."""

    def assign(self: object, name: str, value: object) -> None:
        if type(self) is made or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super(made, self).__setattr__(name, value)

    def delete(self: object, name: str) -> None:
        if type(self) is made or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super(made, self).__delattr__(name)

    methods: dict[str, Method] = {"__setattr__": assign, "__delattr__": delete}
    for name, method in methods.items():
        if name in made.__dict__:
            raise TypeError(f"{made.__qualname__} is frozen, and has a {name}() itself")
        _call(method, made, name)
        setattr(made, name, method)


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
