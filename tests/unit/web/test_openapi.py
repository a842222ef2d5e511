"""What an app's OpenAPI schema says of errors."""

import json
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette

from seawall import errors
from seawall.core import OptionError, SeawallError
from seawall.testing import virtual_time
from seawall.web import problems
from seawall.web.openapi import PROBLEM, describe_problems

OURS = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


class Mine(BaseModel):
    why: str


def site() -> FastAPI:
    app = FastAPI()

    @app.get("/plain")
    async def plain() -> str:
        return "plain"

    @app.post("/checked/{number}")
    async def checked(number: int) -> int:
        return number

    @app.get(
        "/declared",
        responses={
            404: {"model": Mine},
            409: {"description": "Taken"},
            "5XX": {"description": "Broken", "content": {"text/plain": {}}},
            "default": {"model": Mine, "description": "My own"},
            304: {"description": "As it was"},
        },
    )
    async def declared() -> None: ...

    return app


def operation(app: FastAPI, path: str, method: str = "get") -> dict[str, Any]:
    found: dict[str, Any] = app.openapi()["paths"][path][method]
    return found


def assert_references_resolve(schema: dict[str, Any]) -> None:
    text = json.dumps(schema)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        found: Any = schema
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


def test_every_operation_may_end_in_a_problem():
    app = site()
    describe_problems(app)
    for path in ("/plain", "/checked/{number}"):
        for found in app.openapi()["paths"][path].values():
            assert found["responses"]["default"]["content"] == OURS
            assert found["responses"]["default"]["description"]
    assert app.openapi()["components"]["schemas"]["Problem"] == PROBLEM
    assert_references_resolve(app.openapi())


def test_what_succeeds_stays_as_it_was():
    app, described = site(), site()
    describe_problems(described)
    for path in ("/plain", "/declared"):
        assert operation(described, path)["responses"]["200"] == operation(app, path)["responses"]["200"]


def test_fastapis_own_validation_error_is_replaced_and_gone():
    app = site()
    assert "HTTPValidationError" in json.dumps(app.openapi())
    describe_problems(app)
    app.openapi_schema = None
    responses = operation(app, "/checked/{number}", "post")["responses"]
    assert responses["422"] == {"description": "Validation Error", "content": OURS}
    assert "ValidationError" not in json.dumps(app.openapi())


def test_what_the_app_declares_stays():
    app = site()
    describe_problems(app)
    responses = operation(app, "/declared")["responses"]
    assert responses["404"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Mine"}
    assert responses["default"]["description"] == "My own"
    assert "application/problem+json" not in responses["default"]["content"]
    assert responses["5XX"]["content"] == {"text/plain": {}}
    assert "content" not in responses["304"]


def test_an_error_that_is_declared_without_a_content_gets_one():
    app = site()
    describe_problems(app)
    found = operation(app, "/declared")["responses"]["409"]
    assert (found["description"], found["content"]) == ("Taken", OURS)


def test_it_is_made_once_and_described_once():
    app = site()
    describe_problems(app)
    wrapped = app.openapi
    describe_problems(app)
    assert app.openapi is wrapped
    schema = app.openapi()
    before = json.dumps(schema)
    assert app.openapi() is schema is app.openapi_schema
    assert json.dumps(schema) == before
    del schema["paths"]["/plain"]["get"]["responses"]["default"]
    assert "default" not in operation(app, "/plain")["responses"], "what the app changes in it stays"


def test_routes_added_later_are_described_too():
    app = site()
    describe_problems(app)
    app.openapi()

    @app.get("/later")
    async def later() -> None: ...

    app.openapi_schema = None
    assert operation(app, "/later")["responses"]["default"]["content"] == OURS


def test_routers_are_described_by_the_app_that_includes_them():
    app = site()
    inner = APIRouter(prefix="/inner", responses={404: {"model": Mine}})
    outer = APIRouter(prefix="/outer")

    @inner.get("/{number}")
    async def one(number: int) -> int:
        return number

    outer.include_router(inner)
    app.include_router(outer)
    describe_problems(app)
    responses = operation(app, "/outer/inner/{number}")["responses"]
    assert responses["422"]["content"] == responses["default"]["content"] == OURS
    assert "application/json" in responses["404"]["content"]
    assert_references_resolve(app.openapi())


def test_a_mounted_app_has_a_schema_of_its_own():
    app, mounted = site(), site()
    app.mount("/sub", mounted)
    describe_problems(app)
    assert "/sub/plain" not in app.openapi()["paths"]
    assert "Problem" not in mounted.openapi()["components"]["schemas"]
    describe_problems(mounted)
    mounted.openapi_schema = None
    assert operation(mounted, "/plain")["responses"]["default"]["content"] == OURS


def test_webhooks_stay_since_others_answer_them():
    app = site()

    @app.webhooks.post("paid")
    async def paid(amount: int) -> None: ...

    alone = json.loads(json.dumps(app.openapi()["webhooks"]))
    app.openapi_schema = None
    describe_problems(app)
    assert app.openapi()["webhooks"] == alone
    assert "HTTPValidationError" in app.openapi()["components"]["schemas"]
    assert_references_resolve(app.openapi())


def test_an_app_may_have_a_model_of_that_name():
    class Problem(BaseModel):
        mine: int

    app = site()

    @app.get("/mine")
    async def mine() -> Problem:
        return Problem(mine=1)

    describe_problems(app)
    schemas = app.openapi()["components"]["schemas"]
    assert "mine" in schemas["Problem"]["properties"]
    reference = operation(app, "/plain")["responses"]["default"]["content"][problems.MEDIA_TYPE]["schema"]["$ref"]
    assert schemas[reference.rpartition("/")[2]] == PROBLEM


def test_an_app_may_make_its_schema_itself():
    app = site()
    made = app.openapi

    def own() -> dict[str, Any]:
        return made() | {"info": {"title": "Own", "version": "1"}}

    app.openapi = own  # type: ignore[method-assign]
    describe_problems(app)
    for _ in range(2):
        assert app.openapi()["info"]["title"] == "Own"
        assert operation(app, "/plain")["responses"]["default"]["content"] == OURS


def test_changing_the_schema_changes_no_other_app():
    first, second = site(), site()
    for app in (first, second):
        describe_problems(app)
    first.openapi()["components"]["schemas"]["Problem"]["properties"].clear()
    assert second.openapi()["components"]["schemas"]["Problem"]["properties"]


def test_an_app_without_routes_stays_as_it_is():
    app = FastAPI()
    describe_problems(app)
    assert app.openapi()["paths"] == {}
    assert "components" not in app.openapi()


def test_only_apps_with_a_schema_can_be_described():
    with pytest.raises(OptionError, match="a FastAPI app"):
        describe_problems(Starlette())


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFoundError("campaign", 7),
        errors.ValidationError("end", "is too early"),
        errors.ExternalApiError("stripe"),
        RuntimeError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_schema_says_what_problems_have(error):
    app = site()
    describe_problems(app)
    answering = problems.Problems()
    app.add_exception_handler(SeawallError, answering.on_seawall_error)
    app.add_exception_handler(Exception, answering.on_unexpected_error)

    @app.get("/fails")
    async def fails() -> None:
        raise error

    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            schema, body = (await http.get("/openapi.json")).json(), (await http.get("/fails")).json()
            return schema["components"]["schemas"]["Problem"], body

    schema, body = virtual_time.run(main())
    assert body.keys() <= schema["properties"].keys()
    assert set(schema["required"]) <= body.keys()
    kinds: dict[str, type] = {"string": str, "integer": int, "boolean": bool}
    for name, value in body.items():
        expected = schema["properties"][name].get("type")
        assert expected is None or isinstance(value, kinds[expected]), name
