"""Values as plain data: rebuilt by exact type, compared, shown, and encoded."""

import dataclasses
import json
import math

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.grading import values
from common.grading.values import EXACT, Odd, Tolerance, difference, plain, show

NEAR = Tolerance(1e-6, 1e-9)
LEAF = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()
)
ANY = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers()), inner, max_size=3),
    ),
    max_leaves=12,
)


class AnyText(str):
    """Claims to be every text."""

    __hash__ = str.__hash__

    def __eq__(self, other):
        return True


class ClaimsInt(type):
    """A metaclass whose classes say that they are int."""

    def __eq__(cls, other):
        return True

    def __hash__(cls):
        return hash(int)


class NotInt(metaclass=ClaimsInt):
    """Equals everything, and so does its class."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


class Number(int):
    """An int that is not exactly one."""


class Items(list):
    """A list that refuses to be read."""

    def __iter__(self):
        raise RuntimeError("read")


class Spoofed:
    """Says that it is an array."""

    __class__ = np.ndarray

    def __array__(self, *_, **__):
        return np.ones(2)


class Unprintable:
    """Its repr fails."""

    def __repr__(self):
        raise RuntimeError("no repr")


@dataclasses.dataclass
class Point:
    """Two numbers, and one more inside."""

    x: float
    y: object


@dataclasses.dataclass
class Evil:
    """Answers every attribute with a lie."""

    x: int = 1

    def __getattribute__(self, name):
        raise RuntimeError("touched")


@dataclasses.dataclass(frozen=True)
class Key:
    """May stand in a set."""

    x: int


# --- plain -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [AnyText("x"), Number(1), Items([1]), NotInt(), Spoofed(), (i for i in ()), len],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_exactly_a_known_type_is_odd_at_any_depth(value):
    assert type(plain(value)) is Odd
    assert type(plain([value])[0]) is Odd
    assert type(plain({"k": (value,)})["k"][0]) is Odd


@pytest.mark.parametrize("expected", [1, "x", [1], ["x"], np.ones(2), {1}, {1: 1}])
def test_objects_that_equal_everything_equal_nothing(expected):
    for liar in (NotInt(), AnyText("x")):
        for got in (liar, [liar], {liar}, {liar: 1}):
            assert difference(plain(got), plain(expected)) is not None


def test_an_object_array_of_liars_equals_nothing():
    got = np.array([AnyText("a"), NotInt()], dtype=object)
    expected = np.array(["a", 1], dtype=object)
    assert difference(plain(got), plain(expected)).kind == "type"
    assert difference(plain(expected), plain(expected.copy())) is None
    ragged = np.empty(2, dtype=object)
    ragged[0], ragged[1] = [1, 2], np.arange(2)
    other = ragged.copy()
    other[1] = np.arange(1, 3)
    assert difference(plain(ragged), plain(ragged.copy())) is None
    assert difference(plain(other), plain(ragged)).kind == "value"


def test_odd_values_equal_only_themselves():
    one, other = object(), object()
    assert difference(plain(one), plain(one)) is None
    assert difference(plain([one]), plain([other])) is not None
    assert difference(plain(iter([1])), plain(iter([1]))) is not None


def test_an_array_subclass_becomes_an_array_and_a_copy():
    class Liar(np.ndarray):
        def __eq__(self, other):
            return True

    given = np.array([1.0, 2.0]).view(Liar)
    rebuilt = plain(given)
    given[0] = 7.0
    assert type(rebuilt) is np.ndarray
    assert rebuilt.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.int8(3), 3),
        (np.bool_(True), True),
        (np.complex64(1j), 1j),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
    ],
)
def test_numpy_scalars_become_python_values(value, expected):
    assert type(plain(value)) is type(expected)
    assert plain(value) == expected


def test_a_subclass_of_a_numpy_scalar_is_odd():
    class Half(np.float64):
        def item(self):
            return 1.0

    assert type(plain(Half(0.5))) is Odd


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float16", "bfloat16", "int64", "bool", "complex64", "float8_e4m3fn"],
)
def test_tensors_keep_their_dtype(dtype):
    dtype = getattr(torch, dtype)
    tensor = torch.tensor([1, 0]).to(dtype)
    rebuilt = plain(tensor)
    assert rebuilt.dtype == str(dtype)
    assert rebuilt.data.astype(complex).tolist() == [1, 0]
    found = difference(rebuilt, plain(torch.tensor([1, 0], dtype=torch.int16)))
    assert found.kind == "dtype"


def test_tensors_with_gradients_views_and_attributes_of_their_own():
    parameter = torch.nn.Parameter(torch.ones(2))
    assert difference(plain(parameter), plain(torch.ones(2))) is None
    assert plain(torch.ones(2, requires_grad=True) * 2).data.tolist() == [2.0, 2.0]
    turned = torch.tensor([1 + 2j]).conj()
    assert plain(turned).data.tolist() == [1 - 2j]
    assert plain(turned.imag).data.tolist() == [-2.0]
    spoofed = torch.zeros(2)
    spoofed.detach = lambda: torch.ones(2)
    assert plain(spoofed).data.tolist() == [0.0, 0.0]


def test_tensors_without_numbers_to_show_are_odd():
    for tensor in (torch.eye(2).to_sparse(), torch.ones(2, device="meta")):
        assert type(plain(tensor)) is Odd


def test_sparse_matrices_are_compared_with_their_format():
    rows = scipy.sparse.csr_matrix(np.eye(2))
    found = difference(plain(rows), plain(rows.tocsc()))
    assert (found.kind, found.got) == ("format", "csr_matrix")
    found = difference(plain(rows * 2), plain(rows))
    assert (found.kind, found.where, found.agree) == ("value", "[0, 0]", (2, 4))

    class Lies(scipy.sparse.csr_matrix):
        def toarray(self, *_, **__):
            return np.eye(2)

    assert type(plain(Lies(np.zeros((2, 2))))) is Odd


def test_dataclasses_are_compared_by_field():
    assert difference(plain(Point(1.0, [Point(2.0, "a")])), plain(Point(1.0, [1])))
    inner = difference(
        plain(Point(1.0, [Point(2.0, "a")])), plain(Point(1.0, [Point(3.0, "a")]))
    )
    assert (inner.where, inner.got) == ("field y[0], field x", "2.0")
    assert difference(plain(Point(1.0, 2)), plain(Key(1))).kind == "type"


def test_code_of_a_dataclass_is_not_called():
    assert plain(Evil()).values == {"x": 1}


def test_sets_and_dictionaries_may_hold_what_is_rebuilt():
    weight = torch.nn.Parameter(torch.ones(1))
    assert difference(plain({Key(1)}), plain({Key(1)})) is None
    assert difference(plain({Key(1)}), plain({Key(2)})) is not None
    assert difference(plain({weight: 1}), plain({weight: 1})) is None
    assert difference(plain({weight: 1}), plain({weight: 2})).kind == "value"
    assert plain(frozenset([frozenset([1])])) == frozenset([frozenset([1])])


def test_values_inside_themselves_end():
    items, table, array = [], {}, np.empty(1, dtype=object)
    items += [items, items]
    table["k"], array[0] = table, array
    holder = Point(1.0, None)
    holder.y = holder
    for value in (items, table, array, holder):
        rebuilt = plain(value)
        assert len(show(rebuilt)) < 80
        assert values.encode(rebuilt)
        assert difference(rebuilt, plain(value)) is None
    assert "inside itself" in repr(plain(items))


def test_deep_values_end_and_differ():
    def nested(depth, leaf):
        value = [leaf]
        for _ in range(depth):
            value = [value]
        return value

    deep = nested(5000, 1)
    rebuilt = plain(deep)
    assert len(show(rebuilt)) <= 60
    assert values.encode(rebuilt)
    assert difference(rebuilt, plain(nested(5000, 1))) is not None
    shallow = plain(nested(90, 1))
    assert difference(shallow, plain(nested(90, 1))) is None
    assert difference(shallow, plain(nested(90, 2))).kind == "value"


def test_long_lists_are_copied():
    given = list(range(200_000))
    rebuilt = plain(given)
    given[-1] = 0
    found = difference(plain(given), rebuilt)
    assert (found.where, found.agree) == ("[199999]", (199_999, 200_000))


@given(ANY)
@settings(max_examples=100)
def test_plain_keeps_plain_data(value):
    assert repr(plain(value)) == repr(value)
    assert difference(plain(value), value) is None


# --- difference --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "expected", "kind"),
    [
        ([1.0], (1.0,), "type"),
        (True, 1, "type"),
        (1, 1.0, "type"),
        (1.0, 1, "type"),
        ([True], [1], "type"),
        ({1}, {True}, "value"),
        ({1: 2}, {1.0: 2}, "keys"),
        (b"a", "a", "type"),
        (None, 0, "type"),
        (np.ones(2), [1.0, 1.0], "type"),
        (np.ones(2, "f4"), np.zeros(3), "dtype"),
        (np.ones(2), np.zeros(3), "shape"),
        (np.ones((2, 1)), np.ones(2), "shape"),
        (np.array(1.0), 1.0, "type"),
        (np.ones(2), np.array([1.0, 20.0]), "value"),
        ({"a": 1}, {"a": 1, "b": 2}, "keys"),
        ({"a": 1, "b": 2}, {"a": 1}, "keys"),
        ({1, 2}, frozenset([1, 2]), "type"),
        ([], (), "type"),
        ({}, set(), "type"),
        (np.zeros((0, 3)), np.zeros((3, 0)), "shape"),
    ],
)
def test_type_before_dtype_before_shape_before_values(got, expected, kind):
    assert difference(plain(got), plain(expected), Tolerance(0.5, 0.5)).kind == kind


@pytest.mark.parametrize("empty", [[], (), {}, set(), "", b"", np.zeros((0, 3))])
def test_empty_equals_empty(empty):
    assert difference(plain(empty), plain(empty)) is None


def test_nan_comes_first_and_equals_only_nan():
    nan = math.nan
    found = difference(np.array([9.0, nan, 3.0]), np.array([1.0, 2.0, 3.0]), NEAR)
    assert (found.kind, found.where, found.agree) == ("nan", "[1]", (1, 3))
    found = difference([[9.0], [nan]], [[1.0], [2.0]], NEAR)
    assert (found.kind, found.where) == ("nan", "[1][0]")
    wide = Tolerance(math.inf, math.inf)
    assert difference(nan, 1.0, wide).kind == "nan"
    assert difference(1.0, nan, wide).kind == "value"
    assert difference(nan, nan) is None
    assert difference(np.array([nan]), np.array([nan])) is None


def test_infinity_is_near_nothing_but_itself():
    inf = math.inf
    for got, expected in [(1.0, inf), (inf, 1.0), (inf, -inf), (-inf, inf)]:
        assert difference(got, expected, NEAR) is not None
        assert difference([got], [expected], NEAR) is not None
        assert difference(np.array([got]), np.array([expected]), NEAR) is not None
    assert difference(inf, inf) is None
    assert difference(-0.0, 0.0) is None


def test_integers_are_exact_whatever_the_tolerance():
    wide = Tolerance(1.0, 10.0)
    assert difference(np.array([1]), np.array([2]), wide) is not None
    assert difference(np.array([True]), np.array([False]), wide) is not None
    assert difference(1, 2, wide) is not None
    for dtype in ("int64", "uint64"):
        big = np.array([2**62 + 1, 5], dtype=dtype)
        near = np.array([2**62, 5], dtype=dtype)
        assert difference(big, near).agree == (1, 2)


def test_the_worst_place_is_the_largest_gap():
    expected = np.arange(12.0).reshape(3, 4)
    got = expected.copy()
    got[0, 1] += 0.5
    got[2, 3] -= 4.0
    found = difference(got, expected, NEAR)
    assert (found.where, found.expected, found.got) == ("[2, 3]", "11.0", "7.0")
    assert found.agree == (10, 12)
    whole = difference(np.array([0, 200], "u1"), np.array([255, 201], "u1"))
    assert whole.where == "[0]"


@pytest.mark.parametrize("wrap", [float, lambda x: np.array([7.0, x])])
def test_numbers_that_differ_late_do_not_look_equal(wrap):
    found = difference(wrap(1.49999925), wrap(1.5))
    assert (found.expected, found.got) == ("1.5", "1.49999925")
    found = difference(wrap(math.nan), wrap(1.5))
    assert (found.expected, found.got) == ("1.5", "nan")


def test_the_path_to_a_nested_difference():
    expected = {"a": {"b": [1.0, 2.0]}, "c": [(1, [2, 3])]}
    got = {"a": {"b": [1.0, 5.0]}, "c": [(1, [2, 3])]}
    assert difference(got, expected).where == "key 'a', key 'b'[1]"
    got = {"a": {"b": [1.0, 2.0]}, "c": [(1, [2, 4])]}
    assert difference(got, expected).where == "key 'c'[0][1][1]"
    assert difference([[1]], [[1, 2]]).where == "[0][1]"
    found = difference({"a": {"b": [1.0, 2.0], "z": 1}, "c": []}, expected)
    assert (found.kind, found.where) == ("keys", "key 'a', key 'z'")


def test_lists_of_different_length():
    shorter = difference([1, 2], [1, 2, 3])
    assert (shorter.kind, shorter.where, shorter.agree) == ("length", "[2]", (2, 3))
    assert (shorter.expected, shorter.got) == ("3", "the end, after 2 items")
    longer = difference([1.0, 2.0], [1.0])
    assert (longer.got, longer.expected) == ("2.0", "the end, after 1 item")
    early = difference([9, 2], [1, 2, 3])
    assert (early.kind, early.where, early.agree) == ("value", "[0]", (1, 3))


def test_missing_and_extra_keys():
    missing = difference({"a": 1}, {"a": 1, "b": 2})
    assert (missing.where, missing.got, missing.agree) == (
        "key 'b'",
        "no such key",
        (1, 2),
    )
    extra = difference({"a": 1, "b": 2}, {"a": 1})
    assert (extra.where, extra.expected) == ("key 'b'", "no such key")
    assert difference({"a": 1, "b": 2}, {"b": 2, "a": 1}) is None


def test_long_texts_show_the_place():
    found = difference("a" * 1000 + "b" + "c" * 500, "a" * 1000 + "d")
    assert found.where == "character 1000"
    assert "d" in found.expected and "b" in found.got
    assert len(found.got) < 40
    assert difference("abc", "abd").where == ""
    assert difference("a" * 40, "a" * 39).where == "character 39"


def test_sets_name_one_member():
    found = difference({1, 2}, {2, 3})
    assert (found.expected, found.got, found.agree) == ("with 3", "without 3", (1, 3))
    assert difference({1, 2}, {1}).got == "with 2"


def test_the_edge_of_a_tolerance():
    edge = Tolerance(rtol=0.0, atol=0.5)
    assert difference(1.5, 1.0, edge) is None
    assert difference(math.nextafter(1.5, 2), 1.0, edge) is not None
    relative = Tolerance(rtol=0.25)
    assert difference(5.0, 4.0, relative) is None
    assert difference(4.0, 5.0, Tolerance(rtol=0.2)) is None
    assert difference(4.0, 5.1, Tolerance(rtol=0.2)) is not None


FLOATS = hnp.arrays(
    st.sampled_from([np.float64, np.float32]),
    hnp.array_shapes(min_dims=0, max_dims=2, max_side=3, min_side=0),
    elements=st.sampled_from([0.0, -0.0, 1.0, 1.0000005, 1.1, -3.0, 1e9])
    | st.sampled_from([math.inf, -math.inf, math.nan]),
)


@given(FLOATS, st.data())
@settings(max_examples=100)
def test_agrees_with_numpy(expected, data):
    moved = hnp.arrays(
        expected.dtype, expected.shape, elements=st.sampled_from([0.0, 1e-7, 1e-3])
    )
    with np.errstate(all="ignore"):
        got = np.asarray(expected + data.draw(moved))
    if data.draw(st.booleans()):
        got = got[::-1].copy() if got.ndim else np.asarray(-got)
    try:
        np.testing.assert_allclose(
            got.astype(float), expected.astype(float), rtol=1e-6, atol=1e-9
        )
        agree = True
    except AssertionError:
        agree = False
    assert (difference(got, expected, NEAR) is None) == agree
    as_lists = difference(got.tolist(), expected.tolist(), NEAR)
    assert (as_lists is None) == agree


@given(ANY, ANY)
@settings(max_examples=100)
def test_equality_is_symmetric_and_encoded(a, b):
    there, back = difference(a, b), difference(b, a)
    assert (there is None) == (back is None)
    alike = values.same(values.encode(a), values.encode(b), EXACT)
    assert alike == (there is None)
    if there is not None and there.agree:
        assert there.agree == back.agree or there.kind in ("keys", "type", "length")
        assert 0 <= there.agree[0] < there.agree[1]


# --- show and describe -------------------------------------------------------------


@given(ANY, st.integers(1, 80))
@settings(max_examples=100)
def test_show_keeps_its_width(value, width):
    assert len(show(value, width)) <= max(width, 12)


def test_show_of_large_and_broken_things():
    assert len(show(["x" * 10_000] * 10_000)) <= 60
    assert show([3] * 600) == f"[{'3, ' * 15}… 600 items]"
    assert show(["x" * 99] * 99).startswith("['xxx")
    assert show(["x" * 99] * 99).endswith(", … 99 items]")
    assert len(show("x" * 10**7)) <= 60
    assert len(show({i: i for i in range(10**5)})) <= 60
    assert show(10**10_000) == "an int of 33,220 bits"
    assert show(Unprintable()) == "<Unprintable, repr fails: RuntimeError>"
    assert show(plain(Unprintable())) == "<Unprintable>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (math.inf, "inf"),
        (math.nan, "nan"),
        (-0.0, "-0.0"),
        (3, "3"),
        ([1.0, "a"], "[1.0, 'a']"),
        ((1,), "(1,)"),
        ((1, 2), "(1, 2)"),
    ],
)
def test_show_of_small_things(value, text):
    assert show(value) == text


def test_describe_names_dtype_and_shape():
    assert values.describe(np.zeros((2, 3))) == "float64 array of shape (2, 3)"
    tensor = plain(torch.zeros(2, dtype=torch.bfloat16))
    assert values.describe(tensor) == "bfloat16 tensor of shape (2,)"
    assert values.describe(plain(iter([]))) == "list_iterator"
    assert values.describe(None) == "None"
    assert values.describe(1) == "int 1"


# --- encode and same ---------------------------------------------------------------

LOOK_ALIKE = [
    1,
    1.0,
    True,
    "1",
    b"1",
    [1],
    (1,),
    [1.0],
    ["1"],
    [True],
    [1, 1.0],
    [1.0, 1],
    [[1]],
    [1, 1],
    {1},
    {1.0},
    {"1"},
    frozenset([1]),
    {1: 1},
    {1.0: 1},
    {"1": 1},
    {1: 1.0},
    np.array(1),
    np.array([1]),
    np.array([[1]]),
    np.array([1.0]),
    np.array([1.0], "f4"),
    np.array([1 + 0j]),
    1 + 0j,
    torch.tensor([1.0]),
    torch.tensor([1.0], dtype=torch.bfloat16),
    scipy.sparse.csr_matrix([[1.0]]),
    scipy.sparse.csc_matrix([[1.0]]),
    Point(1.0, 1),
    Point(1, 1.0),
    Key(1),
    None,
    math.nan,
    math.inf,
    -math.inf,
    2**70_000,
    2**70_000 + 1,
    [],
    (),
    {},
    [[]],
]


def test_values_that_look_alike_are_told_apart():
    encoded = [values.encode(plain(value)) for value in LOOK_ALIKE]
    for i, a in enumerate(encoded):
        for j, b in enumerate(encoded):
            assert values.same(a, b, EXACT) == (i == j), (LOOK_ALIKE[i], LOOK_ALIKE[j])


def test_records_are_small_json():
    for value in [*LOOK_ALIKE, np.full(10**5, math.nan), [10.0**300] * 10**5]:
        text = json.dumps(values.encode(plain(value)), allow_nan=False)
        assert len(text) < 100_000


def test_tolerance_holds_for_floats_and_complex():
    for a, b in [(1.0, 1.0 + 1e-9), ([1 + 1j], [1 + 1.000000001j])]:
        assert values.same(values.encode(a), values.encode(b), NEAR)
        assert not values.same(values.encode(a), values.encode(b), EXACT)
        arrays = values.encode(np.array(a)), values.encode(np.array(b))
        assert values.same(*arrays, NEAR)


def test_order_of_keys_does_not_matter():
    a, b = {"a": 1.0, "b": 2}, {"b": 2, "a": 1.0}
    assert values.encode(a) == values.encode(b)
    assert values.encode({"x", "y", "z"}) == values.encode({"z", "y", "x"})


@given(st.integers(0, 19_999), st.sampled_from([1.0, math.nan, math.inf, -0.05]))
@settings(max_examples=60)
def test_one_place_of_a_large_array_is_seen(place, change):
    a = np.sin(np.arange(20_000.0))
    b = a.copy()
    b[place] += change
    one, other = values.encode(a), values.encode(b)
    assert not values.same(one, other, NEAR)
    assert not values.same(other, one, NEAR)
    assert not values.same(one, other, EXACT)


@given(st.integers(0, 19_997))
@settings(max_examples=60)
def test_two_places_of_a_large_list_exchanged_are_seen(place):
    a = np.random.default_rng(1).normal(size=20_000)
    b = a.copy()
    b[[place, place + 2]] = b[[place + 2, place]]
    one, other = values.encode(a.tolist()), values.encode(b.tolist())
    assert values.same(one, other, NEAR) == (abs(a[place] - a[place + 2]) < 1e-3)


def test_noise_within_the_tolerance_keeps_large_arrays_the_same():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(200, 300)) * 10.0 ** rng.integers(-3, 6, size=(200, 300))
    b = a * (1 + 0.9e-6 * rng.uniform(-1, 1, size=a.shape))
    one, other = values.encode(a), values.encode(b)
    assert values.same(one, other, NEAR)
    assert not values.same(one, other, EXACT)
    assert not values.same(one, values.encode(a * (1 + 1e-4)), NEAR)


def test_not_finite_places_of_large_arrays_must_be_the_same():
    a = np.ones(30_000)
    a[12_345] = math.inf
    b = np.roll(a, 1)
    assert values.same(values.encode(a), values.encode(a.copy()), NEAR)
    assert not values.same(values.encode(a), values.encode(b), NEAR)


def test_large_arrays_of_one_content_and_two_shapes():
    a = np.arange(6000.0)
    one, other = values.encode(a.reshape(60, 100)), values.encode(a.reshape(100, 60))
    assert not values.same(one, other, NEAR)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([[1.0, -2.5], [1 / 3, 1e6]]), "array([[1, -2.5], [0.3333, 1e+06]])"),
        (np.array([1.0, np.nan], np.float32), "array([1, nan], float32)"),
        (np.array([True, False]), "array([True, False])"),
        (np.arange(13), "int64 array of shape (13,)"),
        (np.zeros((0, 2)), "float64 array of shape (0, 2)"),
        (np.array(["a"]), "<U1 array of shape (1,)"),
        (np.full(12, 1.2345e-100), "float64 array of shape (12,)"),
        ([1, 2], "[1, 2]"),
        (2.0, "2.0"),
    ],
)
def test_small_arrays_are_spelled_out(value, text):
    assert values.spell(value, 60) == text
