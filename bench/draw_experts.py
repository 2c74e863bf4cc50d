#!/usr/bin/env python3
"""Writes a GGUF file of random weights in the shape of a small qwen3moe, for speeds: bench/compare_llama.py reads it.

    PYTHON bench/draw_experts.py OUT.gguf [--to q4_0] [--experts 32] [--chosen 4]

Hidden 1024, 12 layers, 16 heads on 4 of 64, experts of 512, vocabulary 32,000. Python needs gguf, numpy and llama-cpp-python,
whose quantiser makes OUT of an F16 file written beside it for the time. 605 million parameters in 32 experts, of which a token reads 76.
"""
import argparse
import importlib.util
import pathlib

import gguf
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILE_TYPES = {"q4_0": 2, "q8_0": 7, "q4_k_m": 15}
HIDDEN, LAYERS, HEADS, KEY_VALUE_HEADS, WIDTH, INTERMEDIATE, VOCABULARY = 1024, 12, 16, 4, 64, 512, 32000


def write(path: pathlib.Path, experts: int, chosen: int):
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "qwen3moe")
    writer.add_context_length(4096), writer.add_embedding_length(HIDDEN), writer.add_block_count(LAYERS), writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(HEADS), writer.add_head_count_kv(KEY_VALUE_HEADS), writer.add_key_length(WIDTH), writer.add_value_length(WIDTH)
    writer.add_layer_norm_rms_eps(1e-6), writer.add_rope_freq_base(1e6), writer.add_rope_dimension_count(WIDTH), writer.add_vocab_size(VOCABULARY)
    writer.add_expert_count(experts), writer.add_expert_used_count(chosen), writer.add_expert_feed_forward_length(INTERMEDIATE), writer.add_file_type(1)
    words = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{i:02X}>".encode() for i in range(256)] + [f"t{i}".encode() for i in range(VOCABULARY - 259)]
    writer.add_tokenizer_model("llama"), writer.add_token_list(words), writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (VOCABULARY - 259)), writer.add_bos_token_id(1), writer.add_eos_token_id(2)

    def drawn(*shape, dtype=np.float16):
        return (random.standard_normal(shape, dtype=np.float32) * 0.03).astype(dtype)

    writer.add_tensor("token_embd.weight", drawn(VOCABULARY, HIDDEN)), writer.add_tensor("output.weight", drawn(VOCABULARY, HIDDEN))
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
    for layer in range(LAYERS):
        for name, shape in dict(attn_q=(HEADS * WIDTH, HIDDEN), attn_k=(KEY_VALUE_HEADS * WIDTH, HIDDEN), attn_v=(KEY_VALUE_HEADS * WIDTH, HIDDEN),
                                attn_output=(HIDDEN, HEADS * WIDTH), ffn_gate_exps=(experts, INTERMEDIATE, HIDDEN),
                                ffn_up_exps=(experts, INTERMEDIATE, HIDDEN), ffn_down_exps=(experts, HIDDEN, INTERMEDIATE)).items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", drawn(*shape))
        writer.add_tensor(f"blk.{layer}.ffn_gate_inp.weight", drawn(experts, HIDDEN, dtype=np.float32))
        for name, size in (("attn_norm", HIDDEN), ("ffn_norm", HIDDEN), ("attn_q_norm", WIDTH), ("attn_k_norm", WIDTH)):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(size, np.float32))
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, metavar="OUT.gguf")
    parser.add_argument("--to", choices=FILE_TYPES, default="q4_0")
    parser.add_argument("--experts", type=int, default=32)
    parser.add_argument("--chosen", type=int, default=4)
    options = parser.parse_args()
    spec = importlib.util.spec_from_file_location("llama_peer", ROOT / "tests/oracle/llama_peer.py")
    llama_peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(llama_peer)
    whole = options.out.with_suffix(".f16")
    write(whole, options.experts, options.chosen)
    llama_peer.quantise(whole, options.out, FILE_TYPES[options.to])
    whole.unlink()


if __name__ == "__main__":
    main()
