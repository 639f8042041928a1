"""A Django view that produces, with threads: python examples/django_view.py ENDPOINT PORT

One client for the process, which all threads share. It is opened with the first request and not at import: under a
server that forks (gunicorn with `--preload`) each worker then connects after the fork, as it must.
"""

# pyright: basic

from __future__ import annotations

import functools
import os
import sys
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from fluvio_cffi import Fluvio, FluvioError, Producer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

OPENING = threading.Lock()


@functools.cache
def opened() -> Producer:
    client = Fluvio.connect(os.environ["FLUVIO_ENDPOINT"])
    client.admin.topics.create("clicks", exist_ok=True)
    return client.producer("clicks")  # it is flushed and closed when the process ends


def producer() -> Producer:
    with OPENING:
        return opened()


@csrf_exempt  # type: ignore[untyped-decorator]
def click(request: HttpRequest) -> HttpResponse:
    try:
        meta = producer().send(request.body, timeout=5)
    except FluvioError as error:
        return JsonResponse({"error": str(error), "outcome": error.outcome}, status=503)
    return JsonResponse({"partition": meta.partition, "offset": meta.offset})


urlpatterns = [path("click", click)]


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each request."""


def main(endpoint: str, port: int) -> None:
    os.environ["FLUVIO_ENDPOINT"] = endpoint
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of an example", USE_TZ=True)
    django.setup()
    application: WSGIApplication = get_wsgi_application()  # pyright: ignore[reportAssignmentType]
    with make_server("127.0.0.1", port, application, Server) as server:
        print("ready", server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003", int(sys.argv[2]) if len(sys.argv) > 2 else 8000)
    except KeyboardInterrupt:
        print("ended")
