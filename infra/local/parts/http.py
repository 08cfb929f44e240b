"""One small request to a server of this machine."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from infra.local.parts.part import NotAnswering


def get_json(url: str, *, token: str | None = None) -> Any:
    """Return the JSON behind the URL; raise NotAnswering where there is none."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    # Never through a proxy: the server is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=3) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise NotAnswering(f"answered {error.code}") from None
    except urllib.error.URLError as error:
        raise NotAnswering(str(error.reason)) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotAnswering(str(error) or type(error).__name__) from None
