"""Serves one model file over the OpenAI API under several names until told to stop; run as a module."""

import importlib
import os
import signal
import sys
from typing import Any

_NAMES = {"phi-3.5-mini", "mistral-7b", "llama-3.1-70b"}


def main() -> None:
    """Take the weights, the port and the number of threads from the command line, the key from the environment."""
    # Its names live in a compiled module without stubs.
    xllamacpp: Any = importlib.import_module("xllamacpp")

    weights, port, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    stopping = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the server's threads exist, so that this one alone hears them.
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = _NAMES
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [os.environ.pop("SWITCHDESK_MODELS_API_KEY")]
    params.n_parallel = 4
    params.n_ctx = 8192
    params.cache_ram_mib = 64
    params.endpoint_metrics = True
    params.warmup = False
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.n_threads_http = 4
    server = xllamacpp.Server(params)
    signal.sigwait(stopping)
    del server


if __name__ == "__main__":
    main()
