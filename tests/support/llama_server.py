"""llama.cpp's own server, from a Python package, as a program of its own.

    python tests/support/llama_server.py MODEL.gguf PORT

Also the weights for it: the demo's model is stored in 4 bits, and llama.cpp would round what it
multiplies them with to 8 bits; in float32 both engines compute the same.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import gguf
import xllamacpp

__all__ = ["main", "write_float32"]


def write_float32(source: Path, target: Path) -> Path:
    """Write a copy of a GGUF file whose weights are all float32; returns its path."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    written_by_itself = {"general.architecture", "general.file_type"}
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in written_by_itself:
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, weights.astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def main(model: str, port: int) -> None:
    """Serve until the process is ended."""
    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.port = port
    settings.n_parallel = 4
    settings.n_ctx = 4 * 512
    settings.cpuparams.n_threads = 1  # two wait for each other by spinning
    settings.warmup = False
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
