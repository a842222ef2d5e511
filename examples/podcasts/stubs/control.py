"""The control API: which provider has which fault, and what each received."""

import json
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from podcasts.stubs.faults import Fault, FaultError
from podcasts.stubs.server import ProviderServer


def control_application(servers: Mapping[str, ProviderServer]) -> Starlette:
    """Build the control API over `servers`, by name.

    - `GET /faults`, `PUT /faults/{provider}`, `DELETE /faults/{provider}`, `DELETE /faults`
    - `GET /requests`, `DELETE /requests`

    An unknown provider is answered 404, a body that is not JSON 400, an impossible fault 422; each with `error`,
    `given` and `allowed`.
    """

    async def list_faults(_request: Request) -> Response:
        return JSONResponse({name: server.fault and server.fault.as_json() for name, server in servers.items()})

    async def set_fault(request: Request) -> Response:
        name = request.path_params["provider"]
        if name not in servers:
            return _no_such(name, servers)
        body = (await request.body()).decode(errors="replace")
        try:
            fault = Fault.parse(json.loads(body))
        except json.JSONDecodeError as error:
            return _rejection(400, f"the body is not JSON: {error}", given=body, allowed="a JSON object with a 'kind'")
        except FaultError as error:
            return _rejection(422, str(error), given=error.given, allowed=error.allowed)
        await servers[name].set_fault(fault)
        return JSONResponse(fault.as_json())

    async def clear_fault(request: Request) -> Response:
        name = request.path_params["provider"]
        if name not in servers:
            return _no_such(name, servers)
        await servers[name].clear_fault()
        return Response(status_code=204)

    async def clear_faults(_request: Request) -> Response:
        for server in servers.values():
            await server.clear_fault()
        return Response(status_code=204)

    async def list_requests(_request: Request) -> Response:
        return JSONResponse({name: server.traffic.as_json() for name, server in servers.items()})

    async def zero_requests(_request: Request) -> Response:
        for server in servers.values():
            server.traffic.zero()
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/faults", list_faults, methods=["GET"]),
            Route("/faults", clear_faults, methods=["DELETE"]),
            Route("/faults/{provider}", set_fault, methods=["PUT"]),
            Route("/faults/{provider}", clear_fault, methods=["DELETE"]),
            Route("/requests", list_requests, methods=["GET"]),
            Route("/requests", zero_requests, methods=["DELETE"]),
        ]
    )


def _no_such(name: str, servers: Mapping[str, ProviderServer]) -> Response:
    return _rejection(404, f"no provider '{name}'", given=name, allowed=list(servers))


def _rejection(status: int, message: str, *, given: object, allowed: object) -> Response:
    return JSONResponse({"error": message, "given": given, "allowed": allowed}, status_code=status)
