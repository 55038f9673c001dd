"""The routes of storage: what is there. Changes are operations of their own."""

from __future__ import annotations

from aiohttp import web

from eventd.api import answers
from eventd.api.routing import Api, Route
from eventd.api.storage_document import storage
from eventd.core.errors import PermanentError
from eventd.core.rights import Request, View


async def _storage(api: Api, _request: web.Request, view: View) -> web.Response:
    if api.storage is None:
        raise PermanentError("this daemon keeps no volumes", reason="no-storage")
    return answers.document(await storage(api.reconciler, api.storage, view))


ROUTES = (Route("GET", "/v1/storage", Request.STORAGE, _storage),)
