"""Behaviour of generated functions, called through the descriptors of schemas/kinds.py."""

import random
import struct

import pytest

from compiler.generated_code import BYTES, DOUBLE, INT, NULL, TEXT, TIME, UINT, GeneratedCode

PARSE, TYPE, NULL_VALUE, LENGTH, CORRUPT = 8, 2, 3, 4, 41

# Raw values in rising order, by the name of the kind.
ORDERED: dict[str, list[object]] = {
    "bool": [0, 1],
    "int8": [-128, -1, 0, 1, 127],
    "int16": [-32768, -5, 0, 32767],
    "int32": [-(1 << 31), -1, 0, (1 << 31) - 1],
    "int64": [-(1 << 63), -1, 0, 5, (1 << 63) - 1],
    "uint8": [0, 1, 255],
    "uint16": [0, 256, 65535],
    "uint32": [0, 1 << 31, (1 << 32) - 1],
    "uint64": [0, 1, 1 << 63, (1 << 64) - 1],
    "float32": [-3.0e38, -1.5, 0.0, 1e-45, 2.5],
    "float64": [-1e308, -1.5, 0.0, 5e-324, 2.5, 1e308],
    "timestamp": [-(1 << 63), -1, 0, 1533099600250000],
    "char": [0, 65, 0xE9, 0x1F600],
    "fixed": [b"", b"a", b"ab", b"b", b"\xc3\xa9"],
    "text": [b"", b"a", b"a\0", b"abcdefgh", b"abcdefghi", b"abcdefghijklm", b"abcdefghijkln",
             b"\xc3\xa9"],
    "bytes": [b"", b"\0", b"\0\0", b"\x01", b"\x7f" * 20, b"\xff" * 13, b"\xff" * 14],
    "inet": [0, 0x0A000001, 0xFFFFFFFF],
    "ipv6": [bytes(16), bytes(15) + b"\1", b"\xfe\x80" + bytes(14), b"\xff" * 16],
    "mac": [bytes(6), b"\0\x1bD\x11:\xb7", b"\xff" * 6],
}
TYPES = {"bool": 1, "uint8": UINT, "uint16": UINT, "uint32": UINT, "uint64": UINT,
         "float32": DOUBLE, "float64": DOUBLE, "timestamp": TIME, "fixed": TEXT, "text": TEXT,
         "bytes": BYTES, "ipv6": BYTES, "mac": BYTES}
KINDS = list(ORDERED)
CELLS = {
    "bool": b"1", "int8": b"-128", "int16": b"-32768", "int32": b"2147483647",
    "int64": b"-9223372036854775808", "uint8": b"255", "uint16": b"65535",
    "uint32": b"4294967295", "uint64": b"18446744073709551615", "float32": b"0.1",
    "float64": b"46.679232", "timestamp": b"1533099600.25", "char": b"\xc3\xa9",
    "fixed": b"B738", "text": b"longer than twelve bytes", "bytes": b"raw bytes",
    "inet": b"10.0.0.1", "ipv6": b"fe80::1", "mac": b"00:1b:44:11:3a:b7",
}


def single(value: float) -> float:
    """Round to 32 bits."""
    return struct.unpack("f", struct.pack("f", value))[0]


def line() -> list[bytes | None]:
    return [b"key", *CELLS.values(), *([None] * len(CELLS))]


def test_struct_of_each_table_is_what_cffi_makes_of_the_cdef(kinds: GeneratedCode) -> None:
    """Goal: C and the cdef agree.  Method: compare size and offsets of every column."""
    for table in kinds.model.tables:
        code = kinds.table(table.name)
        assert kinds.ffi.sizeof(code.struct) == code.table.row_size
        for name in code.names:
            column = code.column(name)
            assert kinds.ffi.offsetof(code.struct, name) == column.offset
            member = dict(kinds.ffi.typeof(code.struct).fields)[name]
            assert kinds.ffi.sizeof(member.type) == column.size


@pytest.mark.parametrize("kind", KINDS)
def test_raw_values_come_back_as_they_were_stored(kinds: GeneratedCode, kind: str) -> None:
    """Goal: get after set is the identity.  Method: every ordered value, and NULL, both columns."""
    code = kinds.table("Kinds")
    for column in (f"c_{kind}", f"n_{kind}"):
        for value in ORDERED[kind]:
            row = code.row()
            keep = code.put(row, column, value)
            got_type, got = code.get(row, column)
            expected = single(value) if kind == "float32" else value
            assert (got_type, got) == (TYPES.get(kind, INT), expected)
            assert keep is not None or not isinstance(value, bytes)
    row = code.row()
    keep = code.put(row, f"n_{kind}", ORDERED[kind][-1])
    code.put(row, f"n_{kind}", None)
    assert code.get(row, f"n_{kind}") == (NULL, None)
    assert code.dirty(row, code.row()) == set()
    assert keep is not None or not isinstance(ORDERED[kind][-1], bytes)


@pytest.mark.parametrize("kind", KINDS)
def test_order_and_normalised_keys_follow_the_values(kinds: GeneratedCode, kind: str) -> None:
    """Goal: compare is the order, normalize preserves it.  Method: all pairs of ordered values."""
    code = kinds.table("Kinds")
    column = code.column(f"c_{kind}")
    rows, keeps = [], []
    for value in ORDERED[kind]:
        row = code.row()
        keeps.append(code.put(row, f"c_{kind}", value))
        rows.append(row)
    null = kinds.ffi.NULL
    for i, left in enumerate(rows):
        for j, right in enumerate(rows):
            order = column.compare(left, null, right, null)
            assert (order > 0) - (order < 0) == (i > j) - (i < j), (kind, i, j)
            keys = column.normalize(left, null), column.normalize(right, null)
            assert i == j or (keys[0] <= keys[1]) == (i < j) or keys[0] == keys[1]
    assert len(keeps) == len(rows)


def test_negative_zero_is_stored_as_zero(kinds: GeneratedCode) -> None:
    """Goal: one zero.  Method: set and decode -0.0, look at the bits."""
    code = kinds.table("Kinds")
    for kind, format_ in (("float32", "<f"), ("float64", "<d")):
        row = code.row()
        code.put(row, f"c_{kind}", -0.0)
        assert struct.pack(format_, getattr(row, f"c_{kind}")) == struct.pack(format_, 0.0)
        cells = line()
        cells[code.names.index(f"c_{kind}")] = b"-0.0"
        status, row, _, _, _keep = code.decode(*cells)
        assert status == 0
        assert struct.pack(format_, getattr(row, f"c_{kind}")) == struct.pack(format_, 0.0)


KEYS = [
    ("Kinds", "name", b"short", b"other"),
    ("Kinds", "name", b"longer than twelve", b"longer than 12!"),
    ("Defaults", "number", 5, 6), ("ByFixed", "code", b"ab", b"abc"),
    ("ByBytes", "blob", b"\0", b"\0\0"), ("ByTime", "at", -1, 1), ("ByInet", "host", 1, 2),
    ("ByIPv6", "host", bytes(16), b"\1" + bytes(15)), ("ByMac", "host", bytes(6), b"\1" + bytes(5)),
    ("ByInt8", "number", -1, 1),
]


@pytest.mark.parametrize(("table", "key", "one", "other"), KEYS)
def test_equal_keys_hash_alike_and_others_differ(kinds, table, key, one, other) -> None:
    """Goal: hash_key and key_equal agree.  Method: the key in two images, private and shared."""
    code = kinds.table(table)
    ffi, null = kinds.ffi, kinds.ffi.NULL
    left, right, third = code.row(), code.row(), code.row()
    keeps = [code.put(left, key, one), code.put(right, key, one), code.put(third, key, other)]
    assert code.table.key_equal(left, null, right, null)
    assert not code.table.key_equal(left, null, third, null)
    assert code.table.hash_key(left, null) == code.table.hash_key(right, null)
    assert code.table.hash_key(left, null) != code.table.hash_key(third, null)
    if isinstance(one, bytes) and len(one) > 12 and hasattr(getattr(right, key), "u"):
        block = ffi.new("char[]", bytes(48) + one)
        getattr(right, key).u.where = 48
        assert code.table.key_equal(left, null, right, block)
        assert code.table.hash_key(left, null) == code.table.hash_key(right, block)
        assert code.get(right, key, block) == (TEXT, one)
    assert len(keeps) == 3


def test_a_line_of_every_kind_comes_back_to_the_byte(kinds: GeneratedCode) -> None:
    """Goal: encode after decode is the identity.  Method: one line, then all its nullable half."""
    code = kinds.table("Kinds")
    for cells in (line(), [b"key", *CELLS.values(), *CELLS.values()]):
        status, row, reason, _, _keep = code.decode(*cells)
        assert status == 0, reason
        shown = [
            b"" if cell is None else cell.hex().encode() if name.endswith("_bytes") else cell
            for name, cell in zip(code.names, cells, strict=True)
        ]
        assert code.encode(row) == b"\t".join(shown)


def test_encode_never_writes_past_the_capacity(kinds: GeneratedCode) -> None:
    """Goal: bounded output.  Method: every capacity up to the line, with a canary behind it."""
    code = kinds.table("Kinds")
    status, row, _, _, _keep = code.decode(*line())
    assert status == 0
    whole = code.encode(row)
    for capacity in range(len(whole) + 1):
        out = kinds.ffi.new("char[]", b"\xaa" * (len(whole) + 8))
        assert code.table.encode_tsv(row, kinds.ffi.NULL, out, capacity) == len(whole)
        tail = bytes(kinds.ffi.buffer(out))[capacity:-1]
        assert set(tail) <= {0xAA}, capacity


def test_empty_cells_are_null_only_where_columns_are_nullable(kinds: GeneratedCode) -> None:
    """Goal: the rule for empty cells and \\N.  Method: both in each column in turn."""
    code = kinds.table("Kinds")
    for at, name in enumerate(code.names):
        text = name == "name" or name.endswith(("_text", "_fixed", "_bytes"))
        for cell in (b"", None):
            cells: list[bytes | None] = [b"key", *CELLS.values(), *CELLS.values()]
            cells[at] = cell
            status, row, reason, where, _keep = code.decode(*cells)
            if name.startswith("n_"):
                assert status == 0
                assert code.get(row, name) == (NULL, None)
            elif text and cell is not None:
                assert (status, code.get(row, name)[1]) == (0, b"")
            else:
                assert (status, where) == (NULL_VALUE, at)
                assert "not nullable" in reason


def test_missing_and_extra_cells_are_named(kinds: GeneratedCode) -> None:
    """Goal: too short and too long lines.  Method: every length around the two bounds."""
    code = kinds.table("Kinds")
    required = 1 + len(CELLS)
    cells = line()
    for count in range(len(cells) + 1):
        status, row, reason, where, _keep = code.decode(*cells[:count])
        if count < required:
            assert (status, reason, where) == (PARSE, "missing column", count)
        else:
            assert status == 0
            assert code.get(row, "n_mac") == (NULL, None)
    status, _, reason, where, _keep = code.decode(*cells, b"more")
    assert (status, reason, where) == (PARSE, "unexpected extra columns", len(cells))


@pytest.mark.parametrize(("kind", "cell", "status"), [
    ("bool", b"maybe", TYPE), ("int8", b"128", TYPE), ("int32", b"1.5", TYPE),
    ("int64", b"9223372036854775808", TYPE), ("uint8", b"-1", TYPE), ("uint64", b"1" * 30, TYPE),
    ("float32", b"1e39", TYPE), ("float64", b"nan", TYPE), ("float64", b"inf", TYPE),
    ("float64", b" 1", TYPE), ("timestamp", b"soon", TYPE), ("char", b"ab", TYPE),
    ("fixed", b"sixsix", LENGTH), ("fixed", b"a\0", TYPE), ("text", b"\xff", TYPE),
    ("text", b"x" * 41, LENGTH), ("bytes", b"x" * 41, LENGTH), ("inet", b"10.0.0.256", TYPE),
    ("ipv6", b"fe80:::1", TYPE), ("mac", b"00:1b:44", TYPE),
])
def test_cells_that_do_not_fit_are_refused_by_number(kinds, kind, cell, status) -> None:
    """Goal: the failing cell is named.  Method: a bad cell in both columns of the kind."""
    code = kinds.table("Kinds")
    for name in (f"c_{kind}", f"n_{kind}"):
        cells: list[bytes | None] = line()
        cells[code.names.index(name)] = cell
        got, _, reason, where, _keep = code.decode(*cells)
        assert (got, where) == (status, code.names.index(name)), reason
        assert reason


def test_defaults_fill_what_a_line_leaves_out(kinds: GeneratedCode) -> None:
    """Goal: defaults to the bit.  Method: a line with the key alone, and the descriptor."""
    code = kinds.table("Defaults")
    status, row, _, _, _keep = code.decode(b"7")
    assert status == 0
    expected = {
        "d_bool": 1, "d_int8": -128, "d_int32": -(1 << 31), "d_int64": -(1 << 63),
        "d_uint32": (1 << 32) - 1, "d_uint64": (1 << 64) - 1,
        "d_float32": single(0.1), "d_float64": 0.0,
        "d_timestamp": 1533099600250000, "d_char": 0xE9, "d_fixed": b'a"?',
        "d_text": b'says "hi" ??/ \\ %n and more than twelve bytes', "d_bytes": b"\0\xff*/",
        "d_inet": 0x0A000001, "d_ipv6": bytes.fromhex("fe80" + "0" * 27 + "1"),
        "d_mac": bytes.fromhex("001b44113ab7"),
    }
    for name, value in expected.items():
        kind, got = code.get(row, name)
        assert got == value, name
        fallback = code.column(name).fallback
        assert (fallback.type, code.column(name).flags & 16) == (kind, 16)
        other = code.row()
        code.column(name).set(other, kinds.ffi.addressof(fallback))
        assert code.get(other, name) == (kind, value)
    assert struct.pack("<d", row.d_float64) == bytes(8)


def test_null_in_a_column_with_a_default_is_null(kinds: GeneratedCode) -> None:
    """Goal: a default stands for missing cells only.  Method: \\N where a nullable default is."""
    code = kinds.table("Defaults")
    cells: list[bytes | None] = [b"7", b"1", b"1", b"1", b"1", b"1", b"1", b"1", b"1", b"1", b"x",
                                 b"x", b"x", None]
    status, row, reason, _, _keep = code.decode(*cells)
    assert status == 0, reason
    assert code.get(row, "d_bytes") == (NULL, None)
    assert code.get(row, "d_mac") == (BYTES, bytes.fromhex("001b44113ab7"))


def random_row(kinds: GeneratedCode, random_: random.Random) -> tuple[object, list[object]]:
    code = kinds.table("Kinds")
    row, keeps = code.row(), []
    for name in code.names:
        kind = name[2:] if name != "name" else "text"
        value = random_.choice(ORDERED[kind])
        null = name.startswith("n_") and random_.random() < 0.3
        keeps.append(code.put(row, name, None if null else value))
    return row, keeps


def test_dirty_columns_and_deltas_carry_one_row_into_another(kinds: GeneratedCode) -> None:
    """Goal: apply(encode(dirty)) makes rows equal.  Method: random pairs of rows."""
    random_ = random.Random(20180801)
    code = kinds.table("Kinds")
    for _ in range(200):
        old, old_keeps = random_row(kinds, random_)
        new, new_keeps = random_row(kinds, random_)
        changed = code.dirty(old, new)
        different = {name for name in code.names if code.get(old, name) != code.get(new, name)}
        assert different == changed
        status, keep = code.apply(old, code.delta(new, changed))
        assert status == 0
        assert code.dirty(old, new) == set()
        assert code.encode(old) == code.encode(new)
        assert (len(old_keeps), len(new_keeps), keep is not None) == (41 - 2, 41 - 2, True)


def test_damaged_deltas_are_refused_and_never_read_past(kinds: GeneratedCode) -> None:
    """Goal: nothing read is trusted.  Method: every prefix, random bytes, and known lies."""
    random_ = random.Random(7)
    code = kinds.table("Kinds")
    new, _keeps = random_row(kinds, random_)
    whole = code.delta(new, set(code.names))
    ends = {len(code.delta(new, set(code.names[:count]))) for count in range(len(code.names) + 1)}
    for size in range(len(whole) + 1):
        status, _keep = code.apply(code.row(), whole[:size])
        assert status == (0 if size in ends else CORRUPT), size
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(random_.randint(1, 4)):
            damaged[random_.randrange(len(damaged))] = random_.randrange(256)
        row = code.row()
        status, _keep = code.apply(row, bytes(damaged))
        assert status in (0, CORRUPT)
        if status == 0:
            code.encode(row)
    column = {name: at for at, name in enumerate(code.names)}
    lies = [
        struct.pack("<H", 0x7FFF), struct.pack("<HB", column["c_bool"], 2),
        struct.pack("<H", 0x8000 | column["c_int8"]), struct.pack("<HI", column["c_char"], 0xD800),
        struct.pack("<Hd", column["c_float64"], float("nan")),
        struct.pack("<HI", column["c_text"], 0xFFFFFFFF),
        struct.pack("<HI", column["c_text"], 41) + b"x" * 41,
        struct.pack("<HI", column["c_text"], 1) + b"\xff",
        struct.pack("<HB", column["c_int8"], 1) * 2,
    ]
    for lie in lies:
        assert code.apply(code.row(), lie)[0] == CORRUPT, lie
