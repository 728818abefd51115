"""The words for numbers of LiveKit's enums; a newer server may send numbers that the installed package has none for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper


def enum_name(enum: "_EnumTypeWrapper[Any]", number: int) -> str:
    """The value's name in lower case; `unknown-99` for a number that `enum` does not know."""
    known = enum.DESCRIPTOR.values_by_number.get(number)
    return f"unknown-{number}" if known is None else str(known.name).lower()
