"""Every operation's reference, and its cpu kernels, against PyTorch in double: the oracle of the oracle.

Inputs are drawn from a seed. The driver (ops_driver.cc) runs all cases of a test in one process; bf16 inputs are
f32 arrays already rounded to bf16, so both sides start from the same numbers.
"""
from __future__ import annotations

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import torch
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEVICES = ("reference", "cpu")
# Relative to the largest magnitude of the result's row block, before and after rounding to the dtype.
ROUNDING = {"f32": 0.0, "bf16": 2.0**-8, "f16": 2.0**-11}


def driver() -> str:
    path = pathlib.Path(os.environ.get("MARTLET_OPS_DRIVER", ROOT / "build/release/tests/ops_driver"))
    if not path.is_file():
        pytest.fail(f"build ops_driver first: {path} is not there")
    return str(path)


class Cases:
    """Collects cases, runs them in one process, and compares each result with what PyTorch gave."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.cases, self.checks = folder, [], []

    def add(self, operation, inputs, expected, *, dtype="f32", result=None, tolerance=2e-6, **arguments):
        """inputs: arrays or None; expected: one tensor or several, of the same inputs in double; result: its dtype."""
        expected = expected if isinstance(expected, (list, tuple)) else [expected]
        for device in DEVICES:
            number = len(self.cases)
            paths = []
            for i, array in enumerate(inputs):
                paths.append(None if array is None else str(self.folder / f"{number}-in{i}.npy"))
                if array is not None:
                    np.save(paths[-1], np.ascontiguousarray(array))
            outputs = [str(self.folder / f"{number}-out{i}.npy") for i in range(len(expected))]
            case = {"operation": operation, "device": device, "inputs": paths, "outputs": outputs, "arguments": arguments}
            if dtype != "f32":
                case["dtype"] = dtype
            self.cases.append(case)
            # The reference rounds once what PyTorch computes in double; kernels compute in f32.
            share = ROUNDING[result or dtype] + (1e-7 if device == "reference" else tolerance)
            self.checks.append((f"{operation} {arguments} {dtype} {device}", outputs, expected, share))

    def run(self):
        path = self.folder / "cases.json"
        path.write_text(json.dumps(self.cases))
        done = subprocess.run([driver(), str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for name, outputs, expected, share in self.checks:
            for output, wanted in zip(outputs, expected):
                got, want = np.load(output), wanted.numpy()
                assert got.shape == want.shape, f"{name}: shape {got.shape}, expected {want.shape}"
                if got.dtype != np.float32:
                    np.testing.assert_array_equal(got, want, err_msg=name)
                    continue
                np.testing.assert_allclose(got, want, rtol=share, atol=share * (1e-30 + np.abs(want).max(initial=0)), err_msg=name)


@pytest.fixture
def cases(tmp_path):
    return Cases(tmp_path)


@pytest.fixture
def random():
    return np.random.default_rng(20)


def drawn(random, *shape, dtype="f32", scale=1.0):
    """An f32 array whose numbers are numbers of `dtype`, and the same in double for PyTorch."""
    array = (scale * random.standard_normal(shape)).astype(np.float32)
    if dtype == "bf16":
        array = torch.from_numpy(array).bfloat16().float().numpy()
    elif dtype == "f16":
        array = array.astype(np.float16).astype(np.float32)
    return array, torch.from_numpy(array).double()


DTYPES = ("f32", "bf16", "f16")

UNARY = {
    "negate": torch.neg,
    "absolute": torch.abs,
    "square": torch.square,
    "reciprocal": torch.reciprocal,
    "exp": torch.exp,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_quick": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": F.relu,
    "relu_squared": lambda x: F.relu(x) ** 2,
    "scale": lambda x: 1.75 * x,
    "shift": lambda x: x + 1.75,
    "soft_cap": lambda x: 1.75 * torch.tanh(x / 1.75),
    "clamp": lambda x: torch.clamp(x, 1.75, 2.5),
}
POSITIVE = {
    "log": torch.log,
    "square_root": torch.sqrt,
    "reciprocal_square_root": torch.rsqrt,
    "power": lambda x: x**1.75,
}


def test_unary_functions(cases, random):
    for dtype in DTYPES:
        for name, function in {**UNARY, **POSITIVE}.items():
            array, _ = drawn(random, 7, 67, dtype=dtype, scale=3)
            if name in POSITIVE:
                array = np.abs(array)
            cases.add("unary", [array], function(torch.from_numpy(array).double()), dtype=dtype, function=name, a=1.75, b=2.5)
    cases.run()


def test_binary_functions(cases, random):
    functions = {
        "add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "divide": torch.div,
        "minimum": torch.minimum, "maximum": torch.maximum, "equal": torch.eq, "not_equal": torch.ne,
        "less": torch.lt, "less_or_equal": torch.le, "greater": torch.gt, "greater_or_equal": torch.ge,
    }
    for dtype in DTYPES:
        for name, function in functions.items():
            for a_shape, b_shape in (((5, 33), (5, 33)), ((5, 33), (33,)), ((4, 1, 7), (3, 1)), ((1,), (6, 5))):
                a, wide_a = drawn(random, *a_shape, dtype=dtype)
                b, wide_b = drawn(random, *b_shape, dtype=dtype)
                cases.add("binary", [a, b], function(wide_a, wide_b), dtype=dtype, function=name)
        a, b = np.abs(drawn(random, 9, 9, dtype=dtype)[0]), drawn(random, 9, 9, dtype=dtype)[0]
        cases.add("binary", [a, b], torch.from_numpy(a).double() ** torch.from_numpy(b).double(), dtype=dtype, function="power")
    a = random.integers(-100, 100, (6, 7))
    b = random.integers(-100, 100, (6, 7))
    for name in ("add", "subtract", "multiply", "minimum", "maximum", "less", "equal"):
        cases.add("binary", [a, b], functions[name](torch.from_numpy(a), torch.from_numpy(b)), function=name)
    cases.run()


def test_norms(cases, random):
    for dtype in DTYPES:
        for n in (1, 64, 577):
            x, wide = drawn(random, 5, n, dtype=dtype, scale=3)
            weight, wide_weight = drawn(random, n, dtype=dtype)
            bias, wide_bias = drawn(random, n, dtype=dtype)
            rms = F.rms_norm(wide, [n], eps=1e-5)
            cases.add("rms_norm", [x, weight], rms * (wide_weight + 1), dtype=dtype, eps=1e-5, offset=1)
            cases.add("rms_norm", [x, None], rms, dtype=dtype, eps=1e-5)
            if n > 1:
                cases.add("layer_norm", [x, weight, bias], F.layer_norm(wide, [n], wide_weight, wide_bias, 1e-5), dtype=dtype, eps=1e-5)
            if dtype == "f32":
                y, wide_y = drawn(random, 5, n)
                total = wide + wide_y
                cases.add("add_rms_norm", [x, y, weight], [total, F.rms_norm(total, [n], wide_weight, 1e-5)], eps=1e-5)
    cases.run()


def test_products(cases, random):
    for dtype in ("f32", "bf16"):
        for a_shape, b_shape in (((5, 33), (33, 7)), ((2, 3, 40), (40, 9)), ((2, 1, 6, 70), (3, 70, 4)), ((19, 1200), (1200, 3))):
            a, wide_a = drawn(random, *a_shape, dtype=dtype)
            b, wide_b = drawn(random, *b_shape, dtype=dtype)
            cases.add("matmul", [a, b], wide_a @ wide_b, dtype=dtype)
        for tokens, columns, rows in ((4, 100, 9), (70, 33, 40)):
            x, wide_x = drawn(random, tokens, columns, dtype=dtype)
            w, wide_w = drawn(random, rows, columns, dtype=dtype)
            dy, wide_dy = drawn(random, tokens, rows, dtype=dtype)
            wide_x.requires_grad_()
            wide_w.requires_grad_()
            y = F.linear(wide_x, wide_w)
            dx, dw = torch.autograd.grad(y, (wide_x, wide_w), wide_dy)
            cases.add("linear", [x, w, dy], [y.detach(), dx, dw], dtype=dtype)
    cases.run()


def test_gates(cases, random):
    functions = {"silu": F.silu, "gelu": F.gelu, "gelu_pytorch_tanh": UNARY["gelu_tanh"], "relu": F.relu}
    for dtype in DTYPES:
        for name, function in functions.items():
            both, wide = drawn(random, 6, 2 * 45, dtype=dtype, scale=2)
            expected = function(wide[:, :45]) * wide[:, 45:]
            cases.add("gated", [both], expected, dtype=dtype, activation=name)
            cases.add("gated", [both[:, :45], both[:, 45:]], expected, dtype=dtype, activation=name)
    cases.run()


def test_softmax_and_cross_entropy(cases, random):
    for dtype in DTYPES:
        x, wide = drawn(random, 4, 33, 300, dtype=dtype, scale=4)
        for dim in (0, 1, 2):
            cases.add("softmax", [x], torch.softmax(wide, dim), dtype=dtype, dim=dim)
            cases.add("log_softmax", [x], torch.log_softmax(wide, dim), dtype=dtype, dim=dim)
        logits, wide = drawn(random, 40, 5001, dtype=dtype, scale=4)
        targets = random.integers(0, 5001, 40)
        targets[::7] = -100
        for reduction in ("mean", "sum", "none"):
            # The loss is f32 whatever the logits are.
            expected = F.cross_entropy(wide, torch.from_numpy(targets), reduction=reduction)
            cases.add("cross_entropy", [logits, targets], expected, dtype=dtype, reduction=reduction)
    cases.run()


def test_reductions(cases, random):
    for dtype in DTYPES:
        x, wide = drawn(random, 5, 40, 130, dtype=dtype)
        for dims in ([0], [1], [2], [0, 2], [0, 1, 2]):
            for keep in (False, True):
                for name, expected in (
                    ("sum", wide.sum(dims, keepdim=keep)), ("mean", wide.mean(dims, keepdim=keep)),
                    ("maximum_of", wide.amax(dims, keepdim=keep)), ("minimum_of", wide.amin(dims, keepdim=keep)),
                ):
                    cases.add("reduce", [x], expected, dtype=dtype, function=name, dims=dims, keep=keep)
    whole = random.integers(-100, 100, (6, 7)).astype(np.int32)
    cases.add("reduce", [whole], torch.from_numpy(whole).sum(1), function="sum", dims=[1])
    cases.run()


def test_selection(cases, random):
    for dtype in DTYPES:
        x, wide = drawn(random, 6, 50, dtype=dtype)
        cases.add("argmax", [x], torch.argmax(wide, 1), dtype=dtype)
        values, indices = torch.sort(wide, dim=1, descending=True, stable=True)
        cases.add("top_k", [x], [values[:, :9], indices[:, :9]], dtype=dtype, k=9)
        cases.add("cumulative_sum", [x], torch.cumsum(wide, 1), dtype=dtype)
        y, wide_y = drawn(random, 6, 50, dtype=dtype)
        condition = random.integers(0, 2, (6, 50)).astype(bool)
        cases.add("where", [condition, x, y], torch.where(torch.from_numpy(condition), wide, wide_y), dtype=dtype)
        cases.add("concat", [x, y], torch.cat([wide, wide_y], 1), dtype=dtype, dim=1)
    cases.run()


def test_indexing(cases, random):
    for dtype in DTYPES:
        x, wide = drawn(random, 6, 50, dtype=dtype)
        for dim in (0, 1):
            index = random.integers(0, x.shape[dim], (5, 40))
            cases.add("gather", [x, index], torch.gather(wide, dim, torch.from_numpy(index)), dtype=dtype, dim=dim)
            source, wide_source = drawn(random, 5, 40, dtype=dtype)
            expected = wide.clone().scatter_add_(dim, torch.from_numpy(index), wide_source)
            cases.add("scatter_add", [x, index, source], expected, dtype=dtype, dim=dim)
            ids = random.integers(0, x.shape[dim], 30)
            cases.add("index_select", [x, ids], wide.index_select(dim, torch.from_numpy(ids)), dtype=dtype, dim=dim)
            shape = [30, 50] if dim == 0 else [6, 30]
            source, wide_source = drawn(random, *shape, dtype=dtype)
            expected = wide.clone().index_add_(dim, torch.from_numpy(ids), wide_source)
            cases.add("index_add", [x, ids, source], expected, dtype=dtype, dim=dim)
    cases.run()
