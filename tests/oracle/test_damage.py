"""GGUF files of small models whose metadata lies: used where it makes sense all the same, else refused in one sentence, quickly."""
from __future__ import annotations

import struct
import subprocess

import gguf
import numpy as np
import pytest

import gguf_models
import small_models
import test_models

LIES = {4: [struct.pack("<I", number) for number in (0, 1, 3, 4097, 2**27, 2**31 - 1, 2**31, 2**32 - 1)],
        6: [struct.pack("<f", number) for number in (0.0, -1.0, 1e-38, 1e38, float("inf"), float("nan"))]}


def expect_told(path, where: str):
    done = subprocess.run([test_models.PROGRAM, "logits", path, "--ids", "1,2,3", "-o", path.parent / "o.npy"], capture_output=True, text=True,
                          timeout=20)
    assert done.returncode in (0, 3), f"{where}: exit {done.returncode}: {done.stderr[-300:]}"
    if done.returncode == 3:
        assert 0 < len(done.stderr) < 3000 and done.stderr.count("\n") == 1, f"{where}: {done.stderr[-300:]}"


def numbers_of(content: bytes, architecture: str):
    """Every key of the architecture whose value is one u32 or f32: key, kind, place of the value."""
    start = 0
    while (start := content.find(architecture.encode() + b".", start)) >= 0:
        length = struct.unpack("<Q", content[start - 8:start])[0]
        if length < 100:
            key = content[start:start + length]
            kind = struct.unpack("<I", content[start + length:start + length + 4])[0]
            if kind in LIES:
                yield key.decode(), kind, start + length + 4
        start += 1


@pytest.mark.parametrize("family", ["llama", "llama-yarn", "llama-longrope-attention", "qwen2", "qwen3", "smollm3", "gpt2", "gemma3", "phi3", "mixtral",
                                    "qwen2-moe", "qwen3-moe"])
def test_metadata_that_lies(family, tmp_path):
    model = small_models.drawn(family, 1)
    path = tmp_path / "m.gguf"
    gguf_models.write(path, model, np.random.default_rng(1))
    good = path.read_bytes()
    found = list(numbers_of(good, gguf.MODEL_ARCH_NAMES[gguf_models.ARCHITECTURES[model.config.model_type]]))
    assert len(found) >= 6
    for key, kind, place in found:
        for lie in LIES[kind]:
            path.write_bytes(good[:place] + lie + good[place + 4:])
            expect_told(path, f"{key} {lie.hex()}")
        # A value of another kind, of the same size.
        path.write_bytes(good[:place - 4] + struct.pack("<I", 10 - kind) + good[place:])
        expect_told(path, f"{key} of another kind")


@pytest.mark.parametrize("seed", range(3))
def test_bytes_changed_at_random(seed, tmp_path):
    rng = np.random.default_rng(seed)
    for family in ("llama", "gpt2", "gemma3"):
        path = tmp_path / "m.gguf"
        gguf_models.write(path, small_models.drawn(family, seed), rng, "F16")
        good = path.read_bytes()
        for i in range(25):
            bad = bytearray(good)
            for at in rng.integers(0, 3000, rng.integers(1, 6)):
                bad[at] = rng.integers(256)
            path.write_bytes(bad)
            expect_told(path, f"{family} {i}")
