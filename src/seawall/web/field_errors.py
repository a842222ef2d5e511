"""What a validation says about fields: where, why, and never what was sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seawall.core import SeawallError
from seawall.web.disclosure import members_of, message_for_callers

_LONGEST = 100
_MOST = 100
_NOT_VALID = "Input is not valid"

# Pydantic's messages that consist of what the model says. Others quote the input, or an exception that may.
_SAYS_NO_INPUT = frozenset(
    """
    arguments_type bool_parsing bool_type bytes_too_long bytes_too_short bytes_type
    callable_type complex_str_parsing complex_type counter_type dataclass_exact_type dataclass_type
    date_from_datetime_inexact date_future date_past date_type datetime_future datetime_past datetime_type
    decimal_max_digits decimal_max_places decimal_parsing decimal_type decimal_whole_digits deque_type dict_type
    enum extra_forbidden finite_number float_parsing float_type fraction_parsing fraction_type frozen_field
    frozen_instance frozen_set_type greater_than greater_than_equal int_from_float int_parsing int_parsing_size
    int_type invalid_key is_instance_of is_subclass_of iterable_type json_type less_than less_than_equal list_type
    literal_error missing missing_argument model_type model_attributes_type multiple_argument_values multiple_of
    named_tuple_type none_required set_item_not_hashable set_type string_not_ascii string_pattern_mismatch
    string_too_long string_too_short string_type string_unicode time_delta_type time_type timezone_aware
    timezone_naive too_long too_short tuple_type unexpected_keyword_argument union_tag_not_found url_scheme
    url_too_long url_type uuid_type uuid_version
    """.split()  # noqa: SIM905 - seventy quoted names are not easier to read
)

_INSTEAD = {
    "date_parsing": "Input should be a valid date",
    "date_from_datetime_parsing": "Input should be a valid date",
    "datetime_parsing": "Input should be a valid date and time",
    "datetime_from_date_parsing": "Input should be a valid date and time",
    "time_parsing": "Input should be a valid time",
    "time_delta_parsing": "Input should be a valid duration",
    "timezone_offset": "Input has another time zone",
    "url_parsing": "Input should be a valid URL",
    "url_syntax_violation": "Input should be a valid URL",
    "uuid_parsing": "Input should be a valid UUID",
    "json_invalid": "Invalid JSON",
    "union_tag_invalid": "Input is of none of the allowed kinds",
}


def field_errors(found: Iterable[Mapping[str, Any]], *, development: bool = False) -> list[dict[str, str]]:
    """Each wrong field as `field`, `message` and `code`; a hundred at most, as whoever sent them chose how many.

    The message is pydantic's where that holds nothing of the input. What a validator raises is not passed on, since
    such texts tend to quote the value; one that raises a `SeawallError` with a message for callers is. development:
    all messages are passed on.
    """
    return [_told(one, development) for _, one in zip(range(_MOST), found, strict=False)]


def _told(one: Mapping[str, Any], development: bool) -> dict[str, str]:
    code = str(one.get("type", "value_error"))
    message = str(one.get("msg", _NOT_VALID)) if development or code in _SAYS_NO_INPUT else None
    raised = (one.get("ctx") or {}).get("error")
    if isinstance(raised, SeawallError):
        own = members_of(raised)
        message = own["reason"] if isinstance(own.get("reason"), str) else message_for_callers(raised) or message
        code = "invalid" if "reason" in own else raised.code
    field = ".".join(_short(part) for part in one.get("loc", ()))
    return {"field": field, "message": message or _INSTEAD.get(code, _NOT_VALID), "code": code}


def _short(part: object) -> str:
    text = str(part)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
