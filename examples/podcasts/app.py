"""The podcast sponsorship service: `uvicorn --factory podcasts.app:create`."""

from __future__ import annotations

from fastapi import FastAPI

from podcasts.api import Parts, router
from podcasts.billing import Billing
from podcasts.catalogue import CATEGORIES, Catalogue
from podcasts.config import Config
from podcasts.copywriting import Copywriter
from podcasts.mail import Mailer
from podcasts.migrations import Migrations
from podcasts.store import Store
from seawall import Seawall


def create() -> FastAPI:
    """The app, made from the environment."""
    sea = Seawall.from_env(service="podcasts", categories=CATEGORIES)
    config = Config.from_env()
    store = Store(sea.database)
    sea.add(Migrations(sea.database))
    catalogue = Catalogue(sea, store)
    copywriter = Copywriter(sea, config)
    billing = Billing(sea, config)
    mailer = Mailer(sea, config)
    for part in (copywriter, billing, mailer):
        sea.add(part)
    app = FastAPI(
        title="Podcasts",
        version="0.1.0",
        description="Sponsors find podcasts, campaigns get ad-reads and invoices.",
    )
    parts = Parts(store=store, catalogue=catalogue, copywriter=copywriter, billing=billing, mailer=mailer)
    app.include_router(router(parts))
    return sea.install(app)
