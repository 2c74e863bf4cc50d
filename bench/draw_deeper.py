#!/usr/bin/env python3
"""Makes a deeper model of one that is there, that says nearly the same: a target for the small one as a draft model, where no pair of one vocabulary is at hand.

    PYTHON bench/draw_deeper.py DIR OUT [--copies 9] [--damping 32]

DIR is a llama-like directory in bf16 (`martlet convert MODEL --dtype bf16 -o DIR`). Behind every block stand --copies more of it, whose last projections are divided by
--damping: each moves the residual stream a little, so that the larger it is, the more often the small model's guesses hold. The file is as large, and a token reads as much,
as a trained model of that depth; how often guesses hold is chosen by --damping and says nothing of trained pairs. Python needs numpy.
"""
import argparse
import json
import pathlib
import shutil
import struct

import numpy as np

LAST = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


def damped(data: np.ndarray, by: float) -> np.ndarray:
    """bf16 as u16: to f32, divided, and rounded to nearest again."""
    bits = ((data.astype(np.uint32) << 16).view(np.float32) / np.float32(by)).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path, metavar="DIR")
    parser.add_argument("out", type=pathlib.Path, metavar="OUT")
    parser.add_argument("--copies", type=int, default=9)
    parser.add_argument("--damping", type=float, default=32)
    options = parser.parse_args()
    weights = np.memmap(options.source / "model.safetensors", np.uint8, "r")
    start = 8 + int(weights[:8].view(np.uint64)[0])
    header = json.loads(bytes(weights[8:start]))
    config = json.loads((options.source / "config.json").read_text())
    wide = options.copies + 1
    tensors = []  # name, of which tensor, whether damped
    for name in header:
        if name == "__metadata__":
            continue
        if not name.startswith("model.layers."):
            tensors.append((name, name, False))
            continue
        layer, rest = name[len("model.layers."):].split(".", 1)
        tensors += [(f"model.layers.{int(layer) * wide + copy}.{rest}", name, copy > 0 and rest in LAST) for copy in range(wide)]
    options.out.mkdir(parents=True)
    for path in options.source.iterdir():
        if path.suffix == ".json" and path.name != "config.json":
            shutil.copy(path, options.out)
    config["num_hidden_layers"] *= wide
    (options.out / "config.json").write_text(json.dumps(config))
    table, offset = {}, 0
    for name, source, _ in tensors:
        begin, end = header[source]["data_offsets"]
        table[name] = header[source] | {"data_offsets": [offset, offset + end - begin]}
        offset += end - begin
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    with open(options.out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, source, is_damped in tensors:
            begin, end = header[source]["data_offsets"]
            data = weights[start + begin:start + end]
            file.write(damped(data.view(np.uint16), options.damping).tobytes() if is_damped else data.tobytes())


if __name__ == "__main__":
    main()
