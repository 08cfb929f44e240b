"""A reader of the desk as simple as one can be: follows links and repeats nothing."""

from collections.abc import Iterator
from typing import Any

import httpx

from tests.fakes.desk import RunningDesk


class Reader:
    """Signs in once and reads."""

    def __init__(self, desk: RunningDesk) -> None:
        self.http = httpx.Client(base_url=desk.url, timeout=30, trust_env=False)
        grant = {"grant_type": "client_credentials", "client_id": desk.client_id, "client_secret": desk.client_secret}
        answer = self.http.post("/oauth/tokens", json=grant | {"scope": "read"})
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        self.secret = desk.client_secret

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.http.get(f"/api/v2/{path}", params=query or None, headers=self.headers)

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Pages of an export until the end of the stream."""
        page = self.get(path, **query).json()
        yield page
        while not page["end_of_stream"]:
            following = page["after_url"] if "after_url" in page else page["next_page"]
            page = self.http.get(following, headers=self.headers).json()
            yield page

    def rows(self, path: str, name: str, **query: Any) -> list[dict[str, Any]]:
        return [row for page in self.pages(path, **query) for row in page[name]]

    def truth(self, name: str, **query: Any) -> Any:
        return self.http.get(f"/_desk/truth/{name}", params=query, headers=self.door).json()

    @property
    def door(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    def close(self) -> None:
        self.http.close()
