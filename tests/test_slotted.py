"""slotted: what it makes behaves as what the standard library's decorator makes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import (
    KW_ONLY,
    Field,
    FrozenInstanceError,
    InitVar,
    asdict,
    dataclass,
    field,
    fields,
    replace,
)
from functools import partial
from typing import Any, ClassVar, Final, Generic, TypeVar, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiobc9x.slotted import slotted

T = TypeVar("T")

# Any throughout: these classes are made at run time.
Body = dict[str, Any]
Decorator = Callable[[type], Any]


@slotted(frozen=True)
class Point:
    """A class as the package has many."""

    kind: ClassVar[str] = "point"

    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list, compare=False)


@slotted(frozen=True)
class Named(Point):
    """A subclass with a field of its own."""

    name: str = field(default="", repr=False, kw_only=True)


@slotted()
class Counter:
    """Can be changed, compared and not hashed."""

    count: int = 0
    seen: list[Counter] = field(default_factory=list)


@slotted(eq=False)
class Owner:
    """Is itself alone."""

    name: str


@slotted(frozen=True)
class Line:
    """Works out a field when it is made."""

    text: str
    length: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", len(self.text))


@slotted(frozen=True)
class Base(ABC, Generic[T]):
    """Abstract and generic, as commands are."""

    value: T

    @abstractmethod
    def parse(self) -> T:
        """Give a value."""


@slotted(frozen=True)
class Number(Base[int]):
    """One that can be made."""

    def parse(self) -> int:
        return self.value


@dataclass(frozen=True, slots=True)
class OfTheLibrary(Point):
    """A user's own subclass."""

    z: int = 0


@slotted(frozen=True)
class OnTopOfIt(OfTheLibrary):
    """Both decorators in turns."""

    w: int = 0


class Plain(Named):
    """A subclass that is no dataclass, so it has attributes of its own."""


def never_called(point: Point, counter: Counter) -> None:
    """What is wrong here is wrong for the checker, as in test_typing.py."""
    point.x = 2  # type: ignore[misc]
    Point("1")  # type: ignore[arg-type]
    Point(1, 2, [], 3)  # type: ignore[call-arg]
    Named(1, 2, [], "n")  # type: ignore[call-arg]
    Point(x=1, z=2)  # type: ignore[call-arg]
    replace(point, x="1")  # type: ignore[arg-type]
    counter.count = 2


EXAMPLES: Final = [
    Point(1),
    Point(1, 2, ["a"]),
    Named(3, name="n"),
    Counter(),
    Counter(2, [Counter()]),
    Line("text"),
    Number(3),
    OfTheLibrary(1, z=2),
    OnTopOfIt(1, 2, z=3, w=4),
    Plain(1, name="p"),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
class TestCopies:
    """What the standard library does with dataclasses."""

    def test_pickle(self, example: object) -> None:
        """By each protocol that can store slots."""
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(example, protocol)) == example

    def test_copy(self, example: Any) -> None:
        """Copies are equal; a deep one shares nothing that could change."""
        assert copy.copy(example) == copy.deepcopy(example) == example
        if isinstance(example, Point):
            assert copy.copy(example).tags is example.tags
            assert copy.deepcopy(example).tags is not example.tags

    def test_replace(self, example: Any) -> None:
        """By the function, and by the method that copy.replace() calls from Python 3.13 on."""
        assert replace(example) == example.__replace__() == example
        if hasattr(example, "x"):
            assert replace(example, x=9) == example.__replace__(x=9) != example

    def test_no_dict(self, example: object) -> None:
        """Slots are all there is, save where a subclass has none."""
        assert hasattr(example, "__dict__") is isinstance(example, Plain)
        assert dataclasses.is_dataclass(example)


def test_match() -> None:
    """Fields match by their places."""
    match Named(1, 2, ["t"], name="n"):
        case Named(x, y, tags, name=name):
            assert (x, y, tags, name) == (1, 2, ["t"], "n")


def test_only_the_very_same_class_is_equal() -> None:
    """Not a subclass, and not another class with the same values."""
    assert Point(1) != OfTheLibrary(1)
    assert Point(1) != Plain(1)
    assert Point(1).__eq__(1) is NotImplemented
    assert Owner("a") != Owner("a")
    assert len({Point(1), Point(1, tags=["x"]), Point(2)}) == 2


def test_what_can_change_has_no_hash() -> None:
    """As with any class that has ``__eq__()`` alone."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Counter())
    assert hash(Owner("a")) != hash(Owner("a"))


def test_frozen() -> None:
    """Nothing is set or deleted, neither fields nor anything else."""
    point: Any = Point(1)
    for name in ("x", "kind", "unheard_of"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(point, name, 2)
        with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(point, name)
    assert point == Point(1)


def test_what_a_subclass_adds_can_change() -> None:
    """The fields it inherits can't."""
    plain: Any = Plain(1)
    plain.note = "n"
    del plain.note
    for name in ("x", "name"):
        with pytest.raises(FrozenInstanceError):
            setattr(plain, name, 2)
        with pytest.raises(FrozenInstanceError):
            delattr(plain, name)


def test_an_object_that_holds_itself_is_shown() -> None:
    """Not for ever."""
    counter = Counter()
    counter.seen.append(counter)
    assert repr(counter) == "Counter(count=0, seen=[...])"


def test_factories_make_one_for_each() -> None:
    """The signature says that there is one."""
    assert Counter().seen is not Counter().seen
    assert str(inspect.signature(Counter)).endswith("seen: 'list[Counter]' = <factory>) -> None")


def test_an_abstract_class_stays_abstract() -> None:
    """Methods that are made don't count as the ones that are missing."""
    with pytest.raises(TypeError, match="abstract"):
        Base(1)  # type: ignore[abstract]
    assert Number.__orig_bases__ == (Base[int],)  # type: ignore[attr-defined]


def test_a_method_in_the_body_stays() -> None:
    """What somebody wrote goes before what is made."""

    @slotted(frozen=True)
    class Own:  # noqa: PLW1641  # it gets a hash
        value: int

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __getstate__(self) -> object:
            return ["state"]

    assert repr(Own(1)) == "own"
    assert Own(1) == 3
    assert hash(Own(1)) == hash(Own(1)) != hash(Own(2))
    assert Own(1).__getstate__() == ["state"]


def test_errors_name_the_class() -> None:
    """As if somebody had written ``__init__()``."""
    with pytest.raises(TypeError, match=r"^Point\.__init__\(\) missing 1 required positional arg"):
        Point()  # type: ignore[call-arg]
    assert Point.__init__.__module__ == __name__
    assert get_type_hints(Point) == {"kind": ClassVar[str], "x": int, "y": int, "tags": list[str]}


def test_frozen_and_own_setattr_is_refused() -> None:
    """One of the two would not be what it says."""
    for name in ("__setattr__", "__delattr__"):
        with pytest.raises(TypeError, match="is frozen, and has a method"):
            slotted(frozen=True)(type("Thawed", (), {name: lambda *_: None}))


@pytest.mark.parametrize(
    "body",
    [
        {"__annotations__": {"a": "int", "b": "int"}, "a": 1},
        {"__annotations__": {"a": "int", "b": "int"}, "a": field(default_factory=int)},
        {"__annotations__": {"a": "list[int]"}, "a": []},
        {"a": field()},
    ],
)
def test_what_the_library_refuses_is_refused(body: Body) -> None:
    """With an exception of the same class."""
    with pytest.raises((TypeError, ValueError)) as expected:
        dataclass(slots=True)(type("Wrong", (), dict(body)))
    with pytest.raises(expected.type):
        slotted()(type("Wrong", (), dict(body)))


@pytest.mark.parametrize("annotation", ["InitVar[int]", InitVar[int], "KW_ONLY", KW_ONLY])
def test_what_is_not_there_is_told(annotation: object) -> None:
    """And is no field by mistake."""
    with pytest.raises(TypeError, match=r"^Made\.x: slotted\(\) takes no .*(InitVar|KW_ONLY)"):
        slotted()(type("Made", (), {"__annotations__": {"x": annotation}}))


def test_annotations_may_be_objects() -> None:
    """As they are in a module without ``from __future__ import annotations``."""
    made: Any = slotted()(type("Made", (), {"__annotations__": {"k": ClassVar[int], "x": int}}))
    assert [(each.name, each.type) for each in fields(made)] == [("x", int)]


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_or_not_is_inherited(frozen: bool) -> None:
    """By either decorator from either; otherwise a frozen object could be thawed."""
    makers: list[Callable[..., Decorator]] = [
        slotted,
        lambda *, frozen: dataclass(frozen=frozen, slots=True),
    ]
    for below in makers:
        for above in makers:
            base = below(frozen=frozen)(type("Below", (), {"__annotations__": {"a": "int"}}))
            assert above(frozen=frozen)(type("Above", (base,), {}))(1).a == 1
            with pytest.raises(TypeError):
                above(frozen=not frozen)(type("Above", (base,), {}))


VALUES: Final = st.integers(0, 2)
NAMES: Final = ("a", "b", "c", "self_", "of")


FLAGS: Final = st.fixed_dictionaries(
    {},
    optional={
        "repr": st.booleans(),
        "compare": st.booleans(),
        "hash": st.sampled_from([True, False, None]),
        "kw_only": st.booleans(),
    },
)
KINDS: Final = st.sampled_from(["bare", "value", "default", "factory", "set", "made"])


def declare(body: Body, name: str, kind: str, value: int, flags: Body) -> None:
    """Add a field to the body of a class, in one of the ways there are."""
    body["__annotations__"][name] = "int"
    match kind:
        case "bare" if flags:
            body[name] = field(**flags)
        case "value":
            body[name] = value
        case "default":
            body[name] = field(default=value, **flags)
        case "factory":
            body[name] = field(default_factory=int, **flags)
        case "set":
            body[name] = field(init=False, default=value, **flags)
        case "made":
            body[name] = field(init=False, default_factory=int, **flags)


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    """The body of a class that the library accepts."""
    body: Body = {"__annotations__": {}, "__module__": __name__, "__doc__": "Made."}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        declare(body, name, draw(KINDS), draw(VALUES), draw(FLAGS))
    if draw(st.booleans()):
        body["__annotations__"]["kind"] = "ClassVar[int]"
        body["kind"] = 1
    if draw(st.booleans()):
        body["__post_init__"] = lambda self: MADE.append(type(self).__name__)
    if draw(st.booleans()):
        body["__hash__"] = lambda _: 3
    return body


MADE: Final[list[str]] = []
"""What ``__post_init__()`` was called for."""


@dataclass(frozen=True)
class Options:
    """How classes are made."""

    frozen: bool
    eq: bool
    repr: bool


OPTIONS: Final = st.builds(Options, st.booleans(), st.booleans(), st.booleans())


def family(make: Callable[..., Decorator], line: list[Body], options: Options) -> type[Any]:
    """The last of a line of classes, each the base of the next; TypeError if one is refused."""
    made: type[Any] = object
    for number, body in enumerate(line):
        # A copy, because a field() belongs to the class that it is used in.
        copied = {**body, **{k: copy.copy(v) for k, v in body.items() if isinstance(v, Field)}}
        made = make(**vars(options))(type(f"Made{number}", (made,), copied))
    return made


def facts(cls: type[Any]) -> Body:
    """What can be asked about a class."""
    keys = ("name", "type", "default", "init", "repr", "hash", "compare", "kw_only")
    return {
        "fields": [[getattr(each, key) for key in keys] for each in fields(cls)],
        "factories": [each.default_factory for each in fields(cls)],
        "params": str(cls.__dataclass_params__),
        "signature": str(inspect.signature(cls)),
        "match": cls.__match_args__,
        "slots": cls.__slots__,
        "doc": cls.__doc__,
        # The first is the library's from Python 3.13 on, the other an oversight of older ones.
        "attributes": vars(cls).keys() - {"__replace__", "__weakref__"},
    }


def told(run: Callable[..., object], *given: object) -> object:
    """What a call gives, or which exception it raises."""
    try:
        return run(*given)
    except (TypeError, ValueError, AttributeError) as error:
        return type(error)


def arguments(cls: type[Any]) -> st.SearchStrategy[Body]:
    """Those of a class, often not all of them."""
    names = [each.name for each in fields(cls) if each.init]
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES))


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(line=st.lists(bodies(), min_size=1, max_size=3), options=OPTIONS, data=st.data())
def test_both_decorators_make_the_same(
    line: list[Body], options: Options, data: st.DataObject
) -> None:
    """Whatever is declared: the class, its objects, and what is refused."""

    theirs = told(family, partial(dataclass, slots=True), line, options)
    ours = told(family, slotted, line, options)
    if not (isinstance(theirs, type) and hasattr(theirs, "__dataclass_fields__")):
        assert ours is theirs
        return
    assert isinstance(ours, type)
    assert facts(ours) == facts(theirs)
    used = [data.draw(arguments(theirs)) for _ in range(2)]
    assert behaviour(ours, used) == behaviour(theirs, used)


def behaviour(cls: type[Any], used: list[Body]) -> list[object]:
    """What objects of a class do, those that are made of some arguments each."""
    MADE.clear()
    objects = [told(lambda given: cls(**given), each) for each in used]
    return [MADE.copy(), *(each if isinstance(each, type) else deeds(each) for each in objects)]


def deeds(each: Any) -> list[object]:
    """What an object does."""
    twin, other = copy.copy(each), told(replace, each)
    return [
        asdict(each),
        told(asdict, other),
        asdict(twin),
        each == twin,
        each == other,
        told(hash, each) == told(hash, twin),
        told(hash, each) == told(hash, other),
        isinstance(told(hash, each), int),
        # An object without a repr of its own shows its address.
        repr(each) if each.__dataclass_params__.repr else None,
        [told(delattr, twin, each.name) for each in fields(each)],
        [told(setattr, twin, each.name, 5) for each in fields(each)],
        asdict(twin),
    ]
