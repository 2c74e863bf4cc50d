"""Attention against PyTorch in double: an eager softmax with every option, and scaled_dot_product_attention."""
from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from test_ops import Cases, cases, drawn, random  # noqa: F401 (fixtures)


def eager(q, k, v, *, scale, causal, window, soft_cap, sinks, bias):
    """q: [queries, heads, head_dim]; k, v: [keys, key/value heads, size]; bias: [heads, queries, keys]."""
    queries, heads, _ = q.shape
    keys, key_value_heads, _ = k.shape
    k = k.repeat_interleave(heads // key_value_heads, 1)
    v = v.repeat_interleave(heads // key_value_heads, 1)
    scores = torch.einsum("qhd,khd->hqk", q, k) * scale
    if soft_cap:
        scores = torch.tanh(scores / soft_cap) * soft_cap
    if bias is not None:
        scores = scores + bias
    distance = (keys - queries + torch.arange(queries))[:, None] - torch.arange(keys)
    hidden = torch.zeros_like(distance, dtype=torch.bool)
    if causal:
        hidden |= distance < 0
    if window:
        hidden |= distance.abs() >= window
    scores = scores.masked_fill(hidden, -math.inf)
    if sinks is not None:
        scores = torch.cat([scores, sinks[:, None, None].expand(heads, queries, 1)], -1)
    log_sum = torch.logsumexp(scores, -1)
    weights = torch.softmax(scores, -1)[..., :keys].nan_to_num(0.0)
    return torch.einsum("hqk,khd->qhd", weights, v), log_sum.transpose(0, 1)


def add_case(cases, random, *, lengths, heads, key_value_heads, head_dim, value_dim, q_dtype="f32", cache="f32", causal=True, window=0, soft_cap=0.0, sinks=False, bias=None):
    tokens = sum(queries for queries, _ in lengths)
    longest = max(keys for _, keys in lengths)
    q, wide_q = drawn(random, tokens, heads, head_dim, dtype=q_dtype)
    sink, wide_sink = drawn(random, heads) if sinks else (None, None)
    wide_bias = None
    if bias:
        bias, wide_bias = drawn(random, bias, tokens, longest)
        bias[random.random(bias.shape) < 0.1] = -np.inf
        wide_bias = torch.from_numpy(bias).double()
    scale = float(np.float32(head_dim**-0.5))
    inputs, results, log_sums, begin = [q, sink, bias], [], [], 0
    for queries, keys in lengths:
        k, wide_k = drawn(random, keys, key_value_heads, head_dim, dtype=cache)
        v, wide_v = drawn(random, keys, key_value_heads, value_dim, dtype=cache)
        inputs += [k, v]
        rows = slice(begin, begin + queries)
        result, log_sum = eager(
            wide_q[rows], wide_k, wide_v, scale=scale, causal=causal, window=window, soft_cap=soft_cap, sinks=wide_sink,
            bias=None if wide_bias is None else wide_bias[:, rows, :keys])
        results.append(result)
        log_sums.append(log_sum)
        begin += queries
    cases.add(
        "attention", inputs, [torch.cat(results), torch.cat(log_sums)], result=q_dtype, tolerance=4e-6, queries=[queries for queries, _ in lengths], scale=scale, causal=causal,
        window=window, soft_cap=soft_cap, q=q_dtype, cache=cache)


SHAPES = [
    dict(heads=9, key_value_heads=3, head_dim=64, value_dim=64),
    dict(heads=4, key_value_heads=1, head_dim=256, value_dim=256),
    dict(heads=4, key_value_heads=4, head_dim=24, value_dim=40),
    dict(heads=6, key_value_heads=2, head_dim=80, value_dim=17),
]
LENGTHS = [[(33, 33)], [(1, 700), (1, 1), (5, 300)], [(130, 130), (7, 64)]]


def test_options(cases, random):
    options = [{}, dict(causal=False), dict(window=20), dict(window=20, causal=False), dict(soft_cap=5.0), dict(sinks=True), dict(bias=1)]
    for shape in SHAPES:
        for option in options:
            for lengths in LENGTHS:
                add_case(cases, random, lengths=lengths, **shape, **option)
        add_case(cases, random, lengths=LENGTHS[1], **shape, window=100, soft_cap=3.0, sinks=True, bias=shape["heads"])
    cases.run()


def test_dtypes(cases, random):
    for cache in ("f32", "bf16", "f16"):
        for q_dtype in ("f32", "bf16"):
            for shape in SHAPES:
                add_case(cases, random, lengths=LENGTHS[1], cache=cache, q_dtype=q_dtype, **shape)
    cases.run()


def test_scaled_dot_product_attention(cases, random):
    q, wide_q = drawn(random, 40, 8, 64)
    k, wide_k = drawn(random, 40, 2, 64)
    v, wide_v = drawn(random, 40, 2, 64)
    for causal in (True, False):
        expected = F.scaled_dot_product_attention(
            *(x.transpose(0, 1)[None] for x in (wide_q, wide_k, wide_v)), is_causal=causal, enable_gqa=True)[0].transpose(0, 1)
        cases.add("attention", [q, None, None, k, v], [expected], tolerance=4e-6, queries=[40], scale=0.125, causal=causal, q="f32", cache="f32")
    cases.run()
