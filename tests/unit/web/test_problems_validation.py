"""What callers are told of input that does not validate."""

import logging
import uuid
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticKnownError, core_schema

from seawall import errors
from seawall.web.disclosure import without_secrets
from seawall.web.field_errors import _SAYS_NO_INPUT, field_errors
from tests.unit.web.problem_site import SECRET, ask, site


def beware(value: str) -> str:
    if value == SECRET:
        raise ValueError(f"{value} is not allowed")
    return value


def told(value: str) -> str:
    raise errors.ValidationError("colour", "must be a colour", f"got {value}")


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Order(BaseModel):
    amount: int = 1
    at: datetime | None = None
    id: uuid.UUID | None = None
    size: Literal["s", "m"] = "s"
    code: Annotated[str, Field(max_length=4)] = ""
    name: Annotated[str, AfterValidator(beware)] = ""
    colour: Annotated[str, AfterValidator(told)] | None = None
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    counts: dict[str, int] = {}

    @model_validator(mode="after")
    def together(self) -> "Order":
        assert self.code != "bad", f"not {self.code} with {SECRET}"
        return self


@pytest.mark.parametrize(
    ("sent", "field", "message", "code"),
    [
        ({"amount": SECRET}, "body.amount", "unable to parse string as an integer", "int_parsing"),
        ({"at": SECRET}, "body.at", "Input should be a valid date and time", "datetime_from_date_parsing"),
        ({"id": SECRET}, "body.id", "Input should be a valid UUID", "uuid_parsing"),
        ({"size": SECRET}, "body.size", "Input should be 's' or 'm'", "literal_error"),
        ({"code": SECRET}, "body.code", "at most 4 characters", "string_too_long"),
        ({"name": SECRET}, "body.name", "Input is not valid", "value_error"),
        ({"colour": SECRET}, "body.colour", "must be a colour", "invalid"),
        ({"pet": {"kind": SECRET}}, "body.pet", "Input is of none of the allowed kinds", "union_tag_invalid"),
        ({"code": "bad"}, "body", "Input is not valid", "assertion_error"),
        ({"counts": {"x": SECRET}}, "body.counts.x", "unable to parse string", "int_parsing"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_validation_tells_fields_and_reasons_and_no_values(sent, field, message, code, caplog):
    caplog.set_level(logging.DEBUG, logger="seawall")
    app = site(RuntimeError)

    @app.post("/orders")
    async def order(order: Order) -> None: ...

    answer = ask(app, "POST", "/orders", json=sent)
    body = answer.json()
    assert SECRET not in answer.text + caplog.text
    assert (answer.status_code, body["code"], body["field"]) == (422, "validation", field)
    assert body["errors"] == [{"field": field, "message": body["errors"][0]["message"], "code": code}]
    assert message in body["errors"][0]["message"]


def test_a_body_that_is_no_json_is_not_quoted():
    app = site(RuntimeError)

    @app.post("/orders")
    async def order(order: Order) -> None: ...

    answer = ask(app, "POST", "/orders", content=f'{{"a": {SECRET}', headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (422, "Invalid JSON")
    assert SECRET not in answer.text


@pytest.mark.parametrize("kind", sorted(_SAYS_NO_INPUT))
def test_messages_that_are_passed_on_quote_nothing(kind):
    assert kind in get_args(core_schema.ErrorType)
    context: dict[str, Any] = dict.fromkeys(
        ["gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "max_digits", "decimal_places"], 1
    )
    context |= dict.fromkeys(["error", "tag", "tz_actual", "attribute", "encoding_error", "input"], SECRET)
    context |= dict.fromkeys(
        ["class_name", "class", "pattern", "expected", "field_type", "encoding", "discriminator", "expected_schemes"],
        "x",
    )
    context |= {"actual_length": 2, "whole_digits": 1, "expected_version": 4, "tz_expected": 1, "expected_tags": "x"}
    assert SECRET not in PydanticKnownError(kind, context).message()


def test_a_thousand_wrong_fields_are_a_hundred_lines():
    found = [{"loc": ("body", "x" * 1000), "type": "missing", "msg": "Field required"}] * 1000
    shown = field_errors(found)
    assert len(shown) == 100
    assert len(shown[0]["field"]) < 120


def test_what_is_called_a_secret_is_withheld_at_any_depth():
    given = {
        "user": 1,
        "Password": SECRET,
        "nested": [{"X-Api-Key": SECRET, "accessToken": SECRET, "ok": "yes"}],
        "card_number": SECRET,
        "spinning": "kept",
    }
    cleaned = without_secrets(given)
    assert SECRET not in repr(cleaned)
    assert (cleaned["user"], cleaned["spinning"], cleaned["nested"][0]["ok"]) == (1, "kept", "yes")
    assert given["Password"] == SECRET, "the error keeps what it has"
