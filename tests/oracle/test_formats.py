"""Files of the formats room against the libraries that define them: safetensors, gguf, numpy.

Everything is drawn from a seed; nothing is recorded. The driver (formats_driver.cc) reads and writes with our library.
"""
from __future__ import annotations

import json
import os
import pathlib
import subprocess

import gguf
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16, "i8": torch.int8, "i32": torch.int32,
          "i64": torch.int64, "u8": torch.uint8, "bool": torch.bool}
SHAPES = [(), (1,), (7,), (0,), (3, 5), (0, 4), (2, 3, 4), (1, 1, 1, 1, 2)]
PACKED = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]


def driver(*arguments) -> dict:
    path = pathlib.Path(os.environ.get("MARTLET_FORMATS_DRIVER", ROOT / "build/release/tests/formats_driver"))
    if not path.is_file():
        pytest.fail(f"build formats_driver first: {path} is not there")
    done = subprocess.run([str(path), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def random_tensor(rng, dtype, shape) -> torch.Tensor:
    """Any bits for numbers, so also infinities, NaN and subnormals."""
    size = torch.empty((), dtype=dtype).element_size()
    count = int(np.prod(shape)) * size
    raw = rng.integers(0, 2 if dtype == torch.bool else 256, count, dtype=np.uint8)
    return torch.from_numpy(raw).view(dtype).reshape(shape) if count else torch.empty(shape, dtype=dtype)


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def random_tensors(seed) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return {f"层.{name}.{list(shape)}": random_tensor(rng, dtype, shape) for name, dtype in DTYPES.items() for shape in SHAPES}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_safetensors_writes_is_read(tmp_path, seed):
    tensors = random_tensors(seed)
    save_file(tensors, tmp_path / "m.safetensors", metadata={"format": "pt", "ключ": "\"\n"})
    answer = driver("read", tmp_path / "m.safetensors", tmp_path)["tensors"]
    assert answer.keys() == tensors.keys()
    for name, tensor in tensors.items():
        got = answer[name]
        assert DTYPES[got["type"]] == tensor.dtype and got["shape"] == list(tensor.shape), name
        assert pathlib.Path(got["file"] + ".bin").read_bytes() == raw(tensor), name


def specification(folder, tensors, **where) -> pathlib.Path:
    names = {dtype: name for name, dtype in DTYPES.items()}
    listed = []
    for i, (name, tensor) in enumerate(tensors.items()):
        (folder / f"in{i}.bin").write_bytes(raw(tensor))
        listed.append(dict(name=name, dtype=names[tensor.dtype], shape=list(tensor.shape), file=str(folder / f"in{i}.bin")))
    (folder / "specification.json").write_text(json.dumps(dict(tensors=listed, **where)))
    return folder / "specification.json"


def same_tensors(path, tensors):
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "origin": "driver"}
        for name in file.keys():
            got = file.get_tensor(name)
            assert got.dtype == tensors[name].dtype and got.shape == tensors[name].shape, name
            assert raw(got) == raw(tensors[name]), name
        return set(file.keys())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_written_here_safetensors_reads(tmp_path, seed):
    tensors = random_tensors(seed)
    driver("write", specification(tmp_path, tensors, path=str(tmp_path / "m.safetensors")))
    assert same_tensors(tmp_path / "m.safetensors", tensors) == tensors.keys()


def test_shards_and_their_index_are_what_others_expect(tmp_path):
    tensors = random_tensors(4)
    driver("write", specification(tmp_path, tensors, directory=str(tmp_path / "m"), shard_bytes=100))
    index = json.loads((tmp_path / "m/model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(len(raw(t)) for t in tensors.values())
    assert index["weight_map"].keys() == tensors.keys()
    for file in set(index["weight_map"].values()):
        held = same_tensors(tmp_path / "m" / file, tensors)
        assert held == {name for name, where in index["weight_map"].items() if where == file}
    assert driver("read", tmp_path / "m", tmp_path)["tensors"].keys() == tensors.keys()


def finite_blocks(rng, kind, rows, columns) -> np.ndarray:
    """Random blocks, drawn again where a scale came out infinite or NaN (two NaN need not have the same bits)."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // block, size), dtype=np.uint8)
    while True:
        with np.errstate(all="ignore"):
            bad = ~np.isfinite(gguf.quants.dequantize(blocks, kind).astype(np.float64)).all(-1)
        if not bad.any():
            return blocks.reshape(rows, -1)
        blocks[bad] = rng.integers(0, 256, (int(bad.sum()), size), dtype=np.uint8)


def lists_of_every_kind(rng) -> dict[str, tuple]:
    kind = gguf.GGUFValueType
    lists = {f"l.{name}{bits}": (kind[name.upper() + str(bits)], [int(x) for x in rng.integers(low, high, 9, dtype=dtype, endpoint=True)])
             for bits in (8, 16, 32, 64) for name, dtype, low, high in
             [("uint", f"u{bits // 8}", 0, 2**min(bits, 63) - 1), ("int", f"i{bits // 8}", -2**(bits - 1), 2**(bits - 1) - 1)]}
    lists["l.float32"] = (kind.FLOAT32, [float(x) for x in rng.normal(size=5).astype(np.float32)])
    lists["l.float64"] = (kind.FLOAT64, [float(x) for x in rng.normal(size=5)])
    lists["l.bool"] = (kind.BOOL, [bool(x) for x in rng.integers(0, 2, 7)])
    lists["l.text"] = (kind.STRING, [chr(x) * 3 for x in rng.integers(32, 50000, 7)])
    return lists


def write_gguf(path, rng, **options):
    writer = gguf.GGUFWriter(path, "llama", **options)
    tokens = [bytes(rng.integers(0, 256, rng.integers(0, 12), dtype=np.uint8)).decode("latin1") for _ in range(5000)]
    values = {"a.u8": (writer.add_uint8, 200), "a.i8": (writer.add_int8, -7), "a.u16": (writer.add_uint16, 60000), "a.i16": (writer.add_int16, -9),
              "a.u32": (writer.add_uint32, 4_000_000_000), "a.i32": (writer.add_int32, -5), "a.u64": (writer.add_uint64, 2**62), "a.i64": (writer.add_int64, -2**60),
              "a.f32": (writer.add_float32, 0.5), "a.f64": (writer.add_float64, 1 / 3), "a.bool": (writer.add_bool, True), "a.text": (writer.add_string, "日本\0語"),
              "a.tokens": (writer.add_array, tokens), "a.scores": (writer.add_array, [0.5, -1.25]), "a.types": (writer.add_array, [1, -2, 3]), "a.flags": (writer.add_array, [True, False])}
    for key, (add, value) in values.items():
        add(key, value)
    lists = lists_of_every_kind(rng)
    for key, (kind, value) in lists.items():
        writer.add_key_value(key, value, gguf.GGUFValueType.ARRAY, kind)
    tensors = {}
    for name, dtype in (("f32", np.float32), ("f16", np.float16), ("i8", np.int8), ("i32", np.int32), ("i64", np.int64)):
        for shape in [(1,), (7,), (3, 5), (2, 3, 4)]:
            array = rng.integers(-100, 100, shape).astype(dtype)
            tensors[f"{name}.{shape}"] = (name, list(shape), array.tobytes(), None)
            writer.add_tensor(f"{name}.{shape}", array)
    for kind in map(gguf.GGMLQuantizationType.__getitem__, PACKED):
        blocks = finite_blocks(rng, kind, 5, 512)
        tensors[kind.name] = (kind.name.lower(), [5, 512], blocks.tobytes(), gguf.quants.dequantize(blocks, kind))
        writer.add_tensor(kind.name, blocks, raw_dtype=kind)
    bf16 = rng.integers(0, 256, (4, 6 * 2), dtype=np.uint8)
    tensors["bf16"] = ("bf16", [4, 6], bf16.tobytes(), None)
    writer.add_tensor("bf16", bf16, raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
    return {key: value for key, (_, value) in (values | lists).items()}, tensors


def check_gguf(answer, metadata, tensors):
    for key, value in metadata.items():
        assert answer["metadata"][key] == value, key
    assert answer["metadata"]["general.architecture"] == "llama"
    assert answer["tensors"].keys() == tensors.keys()
    for name, (kind, shape, data, unpacked) in tensors.items():
        got = answer["tensors"][name]
        assert (got["type"], got["shape"]) == (kind, shape), name
        assert pathlib.Path(got["file"] + ".bin").read_bytes() == data, name
        if unpacked is not None:
            assert np.array_equal(np.load(got["file"] + ".npy").view(np.uint32), unpacked.astype(np.float32).view(np.uint32)), name


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_the_gguf_package_writes_is_read(tmp_path, seed):
    metadata, tensors = write_gguf(tmp_path / "m.gguf", np.random.default_rng(seed))
    check_gguf(driver("read", tmp_path / "m.gguf", tmp_path), metadata, tensors)
    # Version 2 has the same layout.
    content = bytearray((tmp_path / "m.gguf").read_bytes())
    content[4] = 2
    (tmp_path / "second.gguf").write_bytes(content)
    check_gguf(driver("read", tmp_path / "second.gguf", tmp_path), metadata, tensors)


def test_split_files_of_the_gguf_package_are_read_together(tmp_path):
    metadata, tensors = write_gguf(tmp_path / "m.gguf", np.random.default_rng(4), split_max_tensors=7)
    parts = sorted(tmp_path.glob("m-*.gguf"))
    assert len(parts) == -(-len(tensors) // 7)
    for part in (parts[0], parts[-1]):
        check_gguf(driver("read", part, tmp_path), metadata, tensors)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_both_ways(tmp_path, version):
    rng = np.random.default_rng(5)
    for dtype in (np.float32, np.float16, np.int8, np.int32, np.int64, np.uint8, np.bool_):
        for shape in [(), (1,), (0,), (3, 4), (0, 4), (2, 3, 4)]:
            for order in "CF":
                array = np.asarray(rng.integers(0, 2, shape)).astype(dtype, order=order)
                with open(tmp_path / "a.npy", "wb") as file:
                    np.lib.format.write_array(file, array, version)
                driver("npy", tmp_path / "a.npy", tmp_path / "b.npy")
                got = np.load(tmp_path / "b.npy")
                assert got.dtype == array.dtype and got.shape == array.shape and np.array_equal(got, array)
