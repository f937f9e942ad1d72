"""llama.cpp's own server, from a Python package, as a program of its own.

python tests/llama_server.py MODEL.gguf PORT
"""

from __future__ import annotations

import sys
import threading

import xllamacpp

__all__ = ["main"]


def main(model: str, port: int) -> None:
    """Serve until the process is ended."""
    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.port = port
    settings.n_parallel = 4
    settings.n_ctx = 4 * 512
    settings.cpuparams.n_threads = 1  # two wait for each other by spinning
    settings.warmup = False
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
