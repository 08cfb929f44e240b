"""The documentation page of the API."""

import re

import httpx
import pytest

from serving.app import create_app


@pytest.fixture
async def page() -> str:
    transport = httpx.ASGITransport(app=create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        html = (await client.get("/docs")).text
        for path in re.findall(r'(?:src|href)="(/[^"]+)"', html):
            assert (await client.get(path)).status_code == 200
    return html


async def test_the_documentation_page_comes_from_this_process_alone(page: str) -> None:
    assert "swagger-ui-bundle.js" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
