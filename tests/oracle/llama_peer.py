"""Scores of a GGUF file by llama.cpp, through the plain C functions: files without a vocabulary too."""
from __future__ import annotations

import ctypes
import pathlib

import llama_cpp
import numpy as np

_messages: list[str] = []


@llama_cpp.llama_log_callback
def _listen(level, text, _):
    if level >= 4:  # errors
        _messages.append(text.decode(errors="replace"))


llama_cpp.llama_log_set(_listen, ctypes.c_void_p(0))
llama_cpp.llama_backend_init()


class Peer:
    """One file, opened; keys and values cached in f32."""

    def __init__(self, path: pathlib.Path, context: int = 512, threads: int = 2):
        _messages.clear()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        assert self.model, f"llama.cpp does not load {path}: {' '.join(_messages)}"
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = context
        settings.n_threads = settings.n_threads_batch = threads
        settings.type_k = settings.type_v = 0  # GGML_TYPE_F32
        settings.flash_attn_type = 0
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        assert self.context, f"llama.cpp gives no context for {path}: {' '.join(_messages)}"
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.width = llama_cpp.llama_vocab_n_tokens(self.vocabulary)

    def logits(self, ids) -> np.ndarray:
        """[ids, vocabulary], of a text that begins anew."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = int(token), i, 1, 1
            batch.seq_id[i][0] = 0
        assert llama_cpp.llama_decode(self.context, batch) == 0
        rows = [np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, i), (self.width,)).copy() for i in range(len(ids))]
        llama_cpp.llama_batch_free(batch)
        return np.stack(rows)

    def tokenize(self, text: str) -> list[int]:
        data = text.encode()
        out = (llama_cpp.llama_token * (len(data) + 16))()
        count = llama_cpp.llama_tokenize(self.vocabulary, data, len(data), out, len(out), True, True)
        assert count >= 0
        return list(out[:count])

    def close(self):
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)


def quantise(source: pathlib.Path, target: pathlib.Path, file_type: int, importance: dict[str, np.ndarray] | None = None, pure=False, threads=2):
    """llama.cpp's own quantiser; `importance`: mean squares of input columns by tensor name."""
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype, settings.nthread, settings.pure, settings.allow_requantize = file_type, threads, pure, True
    keep = []
    if importance:
        rows = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
        for row, (name, values) in zip(rows, importance.items()):
            values = np.ascontiguousarray(values, np.float32)
            keep.append(values)
            row.name, row.size = name.encode(), values.size
            row.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        settings.imatrix = ctypes.cast(rows, ctypes.POINTER(llama_cpp.llama_model_imatrix_data))
    assert llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(settings)) == 0, _messages
