"""The operator's look: the pages have the name, colours, links and pictures of the settings."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pds.web.pages.pictures import BACKGROUNDS, LOGO
from tests.pds.readonly.conftest import OFFLINE, StartServer, copy_cars
from tests.pds.readonly.test_pages import page

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
def picture(tmp_path: Path) -> Iterator[str]:
    """The URL of a picture on another server."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/logo.png").write_bytes(PNG)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    site = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{site.server_port}/logo.png"
    site.shutdown()
    site.server_close()
    thread.join()


def test_the_pages_have_the_look_of_the_settings(
    start_server: StartServer, tmp_path: Path, picture: str
) -> None:
    server = start_server(
        copy_cars(tmp_path / "cars"),
        *OFFLINE,
        PDS_SERVICE_NAME="Old letters",
        PDS_PRIMARY_COLOR="#ff0",
        PDS_LOGO_URL=picture,
        PDS_BACKGROUND_LIGHT_URL=picture,
        PDS_SUPPORT_URL="https://help.example/",
        PDS_TERMS_OF_SERVICE_URL="https://terms.example/",
    )
    front = page(server, "/")
    assert f'<img src="{LOGO}" alt="Old letters">' in front
    for url in ("https://help.example/", "https://terms.example/"):
        assert f'<a href="{url}" rel="noopener">' in front
    sheet = server.client.request("GET", "/assets/style.css").body.decode()
    assert "--brand: #ff0;" in sheet
    assert f'url("{BACKGROUNDS["light"]}")' in sheet
    for path in (LOGO, BACKGROUNDS["light"]):
        reply = server.client.request("GET", path)
        assert (reply.status, reply.content_type, reply.body) == (200, "image/png", PNG)
    assert server.client.request("GET", BACKGROUNDS["dark"]).status == 404
