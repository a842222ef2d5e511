"""What is put around an app: one module a library or a set of them, each a set of functions named for what they do.

A peer module has `NAME`, `DISTRIBUTIONS` (whose versions go into the result) and any of these functions.

    first(place)                          before the app is made, for what must be there by then
    starlette(app, place) -> Layered      around a Starlette app, with files and a sink at `place`
    fastapi(app, place) -> Layered        around a FastAPI app, which uvicorn serves
    counting(folder) -> scrape            counts `counts()` where other processes do, too; `scrape()` tells all

Each is called in a process of its own, so it may change what is global. What a `Layered` claims is looked at first.

`NOTES` says what an offer leaves out, by scenario, `WITHOUT` why one is missing, and `REFERENCE` what is a yardstick
and no peer.
"""
