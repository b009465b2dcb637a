"""How C spells each kind of column: the one place where the compiler knows C types.

Every fragment is an expression or statement over ``r`` (the row), ``l`` (the other row of two),
``base``, ``value``, ``cell``, ``in`` and ``out``, as the templates name them.
"""

from __future__ import annotations

from dataclasses import dataclass

from .defaults import INTEGER_RANGES
from .escape import c_string
from .model import Column, Default, Kind

_SCALARS: dict[Kind, str] = {
    Kind.BOOL: "uint8_t", Kind.INT8: "int8_t", Kind.INT16: "int16_t", Kind.INT32: "int32_t",
    Kind.INT64: "int64_t", Kind.UINT8: "uint8_t", Kind.UINT16: "uint16_t", Kind.UINT32: "uint32_t",
    Kind.UINT64: "uint64_t", Kind.FLOAT32: "float", Kind.FLOAT64: "double",
    Kind.TIMESTAMP: "int64_t", Kind.CHAR: "uint32_t", Kind.INET: "uint32_t",
}
_UNSIGNED = frozenset({Kind.UINT8, Kind.UINT16, Kind.UINT32, Kind.UINT64})
_REALS = frozenset({Kind.FLOAT32, Kind.FLOAT64})
_CELLS = frozenset({Kind.TEXT, Kind.BYTES})
_BLOCKS = frozenset({Kind.FIXED, Kind.IPV6, Kind.MAC})
_TEXTS = frozenset({Kind.TEXT, Kind.FIXED, Kind.BYTES})
_INT64_MIN = -(1 << 63)


@dataclass(frozen=True, slots=True)
class CType:
    """The C spelling of one column."""

    table: str
    column: Column
    size: int

    @property
    def _name(self) -> str:
        return self.column.name

    @property
    def _kind(self) -> Kind:
        return self.column.kind

    @property
    def kind_constant(self) -> str:
        """Return the enum member of aero_kind."""
        return f"AERO_KIND_{self._kind.name}"

    @property
    def member(self) -> str:
        """Return the declaration of the struct member, without its semicolon."""
        if self.is_cell:
            return f"aero_cell {self._name}"
        if self._kind is Kind.FIXED:
            return f"char {self._name}[{self.size}]"
        if self.is_block:
            return f"uint8_t {self._name}[{self.size}]"
        return f"{_SCALARS[self._kind]} {self._name}"

    @property
    def is_cell(self) -> bool:
        """Tell whether the column is an aero_cell, whose bytes may lie outside the row."""
        return self._kind in _CELLS

    @property
    def is_block(self) -> bool:
        """Tell whether the column is an array of bytes in the row."""
        return self._kind in _BLOCKS

    @property
    def is_text(self) -> bool:
        """Tell whether an empty cell of a TSV line is a value of the column."""
        return self._kind in _TEXTS

    @property
    def scalar(self) -> str:
        """Return the C type of a scalar column, "" for others."""
        return _SCALARS.get(self._kind, "")

    # ---- raw values ----------------------------------------------------------------------------

    @property
    def to_value(self) -> str:
        """Return the expression of the column's raw value."""
        at = f"r->{self._name}"
        if self.is_cell:
            kind = "TEXT" if self._kind is Kind.TEXT else "BYTES"
            return f"ae_value_cell(AERO_TYPE_{kind}, &{at}, base)"
        if self._kind is Kind.FIXED:
            return f"ae_value_fixed({at}, sizeof {at})"
        if self.is_block:
            return f"ae_value_data(AERO_TYPE_BYTES, (const char *){at}, sizeof {at})"
        if self._kind is Kind.BOOL:
            return f"ae_value_bool({at})"
        if self._kind is Kind.TIMESTAMP:
            return f"ae_value_time({at})"
        if self._kind in _REALS:
            return f"ae_value_real({self._cast('double')}{at})"
        return f"ae_value_{'uint' if self._kind in _UNSIGNED else 'int'}({at})"

    def _cast(self, target: str) -> str:
        return "" if _SCALARS[self._kind] == target else f"({target})"

    @property
    def from_value(self) -> str:
        """Return the statement that stores a raw value; a null stores the zero of the kind."""
        at = f"r->{self._name}"
        if self.is_cell:
            return f"ae_cell_store(&{at}, value);"
        if self.is_block:
            return f"ae_block_store_value({at}, sizeof {at}, value);"
        if self._kind in _REALS:
            number = f"{self._cast_to('double')}value->u.real + {self._zero}"
        elif self._kind in _UNSIGNED:
            number = f"{self._cast_to('uint64_t')}value->u.natural"
        else:
            number = f"{self._cast_to('int64_t')}value->u.integer"
        return f"{at} = null ? {self._zero} : {number};" if self.column.nullable else (
            f"{at} = {number};"
        )

    def _cast_to(self, wide: str) -> str:
        own = _SCALARS[self._kind]
        return "" if own == wide else f"({own})"

    @property
    def _zero(self) -> str:
        return {Kind.FLOAT64: "0.0", Kind.FLOAT32: "0.0f"}.get(self._kind, "0")

    @property
    def make_zero(self) -> str:
        """Return the statement that stores the zero of the kind, so that nulls look alike."""
        at = f"r->{self._name}"
        if self.is_cell:
            return f"memset(&{at}, 0, sizeof {at});"
        if self.is_block:
            return f"memset({at}, 0, sizeof {at});"
        return f"{at} = {self._zero};"

    @property
    def read_member(self) -> str:
        """Return the statement of the accessor that reads the member."""
        at = f"r->{self._name}"
        if self.scalar:
            return f"return {at};"
        if self.is_cell:
            data, length = f"ae_cell_data(&{at}, base)", f"{at}.length"
        elif self._kind is Kind.FIXED:
            data, length = at, f"ae_fixed_length({at}, sizeof {at})"
        else:
            data, length = f"(const char *){at}", f"sizeof {at}"
        return f"return (aero_span){{{data}, {length}}};"

    @property
    def write_member(self) -> str:
        """Return the statement of the accessor that writes the member."""
        at = f"r->{self._name}"
        if self.scalar:
            return f"{at} = value;"
        if self.is_cell:
            return f"ae_cell_set(&{at}, data, length);"
        return f"ae_block_store({at}, sizeof {at}, data, length);"

    # ---- order, hash, keys ---------------------------------------------------------------------

    @property
    def compare(self) -> str:
        """Return the expression of the three-way order of two non-null values."""
        left, right = f"l->{self._name}", f"r->{self._name}"
        if self.is_cell:
            return f"ae_cell_compare(&{left}, left_base, &{right}, right_base)"
        if self.is_block:
            return f"ae_block_compare({left}, {right}, sizeof {left})"
        return f"AE_ORDER({left}, {right})"

    @property
    def equal(self) -> str:
        """Return the expression that tells whether two non-null values are equal."""
        left, right = f"l->{self._name}", f"r->{self._name}"
        if self.is_cell:
            return f"ae_cell_equal(&{left}, left_base, &{right}, right_base)"
        if self.is_block:
            return f"memcmp({left}, {right}, sizeof {left}) == 0"
        return f"{left} == {right}"

    @property
    def normalize(self) -> str:
        """Return the expression of the order-preserving 8-byte key."""
        at = f"r->{self._name}"
        if self.is_cell:
            return f"ae_normal_bytes(ae_cell_data(&{at}, base), {at}.length)"
        if self._kind is Kind.FIXED:
            return f"ae_normal_bytes({at}, sizeof {at})"
        if self.is_block:
            return f"ae_normal_bytes((const char *){at}, sizeof {at})"
        if self._kind in _REALS:
            return f"ae_normal_real({self._cast('double')}{at})"
        if self._kind in _UNSIGNED or self._kind in (Kind.BOOL, Kind.CHAR, Kind.INET):
            return at
        return f"ae_normal_int({at})"

    @property
    def hash(self) -> str:
        """Return the expression of the hash of a key column."""
        at = f"r->{self._name}"
        if self.is_cell:
            return f"ae_hash_cell(&{at}, base)"
        if self.is_block:
            return f"ae_hash_bytes((const char *){at}, sizeof {at})"
        return f"ae_hash_u64({self._cast('uint64_t')}{at})"

    # ---- TSV and deltas ------------------------------------------------------------------------

    @property
    def read(self) -> str:
        """Return the expression that converts a cell of a TSV line."""
        at, kind = f"r->{self._name}", self._kind.name.lower()
        if self.is_cell:
            return f"ae_read_{kind}(cell, &{at}, {self.column.max_length}, reason)"
        if self._kind is Kind.FIXED:
            return f"ae_read_fixed(cell, {at}, sizeof {at}, reason)"
        return f"ae_read_{kind}(cell, {'' if self.is_block else '&'}{at}, reason)"

    @property
    def write(self) -> str:
        """Return the expression that appends the value to a TSV line."""
        at, kind = f"r->{self._name}", self._kind.name.lower()
        nullable = "true" if self.column.nullable else "false"
        if self.is_cell:
            return f"ae_write_{kind}(out, &{at}, base, {nullable})"
        if self._kind is Kind.FIXED:
            return f"ae_write_fixed(out, {at}, sizeof {at}, {nullable})"
        if self._kind is Kind.CHAR:
            return f"ae_write_char(out, {at}, {nullable})"
        if self._kind in INTEGER_RANGES:
            kind = "uint" if self._kind in _UNSIGNED else "int"
        return f"ae_write_{kind}(out, {at})"

    @property
    def take(self) -> str:
        """Return the expression that takes the value from a delta."""
        at, kind = f"r->{self._name}", self._kind.name.lower()
        if self._kind is Kind.TEXT:
            return f"ae_delta_take_text(in, &{at}, {self.column.max_length})"
        if self._kind is Kind.BYTES:
            return f"ae_delta_take_data(in, &{at}, {self.column.max_length})"
        if self._kind is Kind.FIXED:
            return f"ae_delta_take_fixed(in, {at}, sizeof {at})"
        if self.is_block:
            return f"ae_delta_take(in, {at}, sizeof {at})"
        if self._kind in _REALS or self._kind in (Kind.BOOL, Kind.CHAR):
            return f"ae_delta_take_{kind}(in, &{at})"
        return f"ae_delta_take(in, &{at}, sizeof {at})"

    # ---- defaults ------------------------------------------------------------------------------

    @property
    def default_name(self) -> str:
        """Return the name of the constant with the default's bytes."""
        return f"{self.table}_{self._name}_default"

    @property
    def default_literal(self) -> str:
        """Return the default's bytes as a C string, "" when there are none."""
        default = self.column.default
        return c_string(default) if isinstance(default, bytes) else ""

    @property
    def default_value(self) -> tuple[str, ...]:
        """Return the members of the descriptor's fallback value."""
        default = self.column.default
        if default is None:
            return (".type = AERO_TYPE_NULL",)
        if isinstance(default, bytes):
            kind = "TEXT" if self._kind in (Kind.TEXT, Kind.FIXED) else "BYTES"
            return (
                f".type = AERO_TYPE_{kind}",
                f".length = {len(default)}",
                f".u = {{.data = {self.default_name}}}",
            )
        name, member = "INT", "integer"
        if self._kind is Kind.BOOL:
            name = "BOOL"
        elif self._kind is Kind.TIMESTAMP:
            name = "TIME"
        elif self._kind in _REALS:
            name, member = "DOUBLE", "real"
        elif self._kind in _UNSIGNED:
            name, member = "UINT", "natural"
        return (f".type = AERO_TYPE_{name}", f".u = {{.{member} = {self._literal(default, True)}}}")

    @property
    def make_default(self) -> str:
        """Return the statement that stores the default, "" when there is none."""
        default = self.column.default
        if default is None:
            return ""
        at = f"r->{self._name}"
        if isinstance(default, bytes):
            text = f"{self.default_name}, {len(default)}"
            if self.is_cell:
                return f"ae_cell_set(&{at}, {text});"
            return f"ae_block_store({at}, sizeof {at}, {text});"
        return f"{at} = {self._literal(default, False)};"

    def _literal(self, default: Default, wide: bool) -> str:
        if isinstance(default, float):
            # Hexadecimal: exact, and the same in every locale.
            return default.hex() + ("" if wide or self._kind is Kind.FLOAT64 else "f")
        number = int(default)
        if self._kind is Kind.UINT64:
            return f"UINT64_C({number})"
        if self._kind in (Kind.INT64, Kind.TIMESTAMP):
            return "INT64_MIN" if number == _INT64_MIN else f"INT64_C({number})"
        if number == -(1 << 31):
            return "INT32_MIN"
        return f"{number}u" if number > (1 << 31) - 1 else str(number)
