"""Optimisers and schedules, step by step, against PyTorch's own; Lion and Muon against their papers' updates in plain float64."""
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVER = os.environ.get("MARTLET_OPTIMIZERS", str(ROOT / "build/release/tests/optimizers_driver"))
STEPS = 20
SHAPES = {"layers.0.attention.q_proj.weight": (12, 20), "layers.0.feed_forward.down_proj.weight": (24, 10), "embed_tokens.weight": (17, 8),
          "layers.0.attention_norm.weight": (20,)}
OPTIONS = dict(beta1=0.9, beta2=0.98, epsilon=1e-7, weight_decay=0.2)
SCALE = 0.7  # what clipping multiplies gradients by


def drive(request, folder):
    case = folder / "case.json"
    case.write_text(json.dumps(request))
    return json.loads(subprocess.run([DRIVER, str(case)], check=True, capture_output=True, text=True).stdout)


class Case:
    def __init__(self, seed):
        random = np.random.default_rng(seed)
        self.values = {name: random.normal(size=shape).astype("float32") * 0.3 for name, shape in SHAPES.items()}
        self.gradients = [{name: (random.normal(size=shape) * 10.0 ** random.uniform(-3, 0)).astype("float32") for name, shape in SHAPES.items()}
                          for _ in range(STEPS)]
        self.rates = (0.02 * random.uniform(0.1, 1, STEPS)).tolist()

    def ours(self, optimizer, folder):
        """A dict of arrays a step."""
        parameters = [dict(path=name, shape=list(value.shape), values=value.ravel().tolist(),
                           gradients=[step[name].ravel().tolist() for step in self.gradients]) for name, value in self.values.items()]
        steps = drive(dict(optimizer=optimizer, options=OPTIONS, rates=self.rates, scale=SCALE, parameters=parameters), folder)
        return [{name: np.array(values).reshape(SHAPES[name]) for name, values in zip(self.values, step)} for step in steps]

    def torchs(self, make, decay_apart=False):
        """`make(groups, rate)` gives the optimiser; decay_apart: the weights are decayed here, before its step."""
        tensors = {name: torch.tensor(value, requires_grad=True) for name, value in self.values.items()}
        decay = 0.0 if decay_apart else OPTIONS["weight_decay"]
        optimizer = make([dict(params=[t for t in tensors.values() if t.ndim == 2], weight_decay=decay),
                          dict(params=[t for t in tensors.values() if t.ndim == 1], weight_decay=0.0)], self.rates[0])
        steps = []
        for rate, gradients in zip(self.rates, self.gradients):
            for group in optimizer.param_groups:
                group["lr"] = rate
            for name, tensor in tensors.items():
                tensor.grad = torch.tensor(gradients[name]) * SCALE
                if decay_apart and tensor.ndim == 2:
                    with torch.no_grad():
                        tensor.mul_(1 - rate * OPTIONS["weight_decay"])
            optimizer.step()
            steps.append({name: tensor.detach().numpy().copy() for name, tensor in tensors.items()})
        return steps

    def plain(self, update):
        """`update(name, gradient, state, step)` gives the direction that a rate multiplies, in float64."""
        values = {name: value.astype("float64") for name, value in self.values.items()}
        states = {name: {} for name in values}
        steps = []
        for step, (rate, gradients) in enumerate(zip(self.rates, self.gradients)):
            for name, value in values.items():
                direction = update(name, gradients[name].astype("float64") * SCALE, states[name], step + 1)
                decay = OPTIONS["weight_decay"] if value.ndim == 2 else 0
                values[name] = value * (1 - rate * decay) - rate * direction
            steps.append({name: value.copy() for name, value in values.items()})
        return steps


def assert_close(ours, theirs, tolerance):
    assert len(ours) == len(theirs) == STEPS
    for step, (mine, other) in enumerate(zip(ours, theirs)):
        for name in SHAPES:
            worst = np.abs(mine[name] - other[name]).max() / np.abs(other[name]).max()
            assert worst <= tolerance, f"{name} after step {step + 1}: {worst:.2e}"


def adamw(groups, rate):
    return torch.optim.AdamW(groups, lr=rate, betas=(OPTIONS["beta1"], OPTIONS["beta2"]), eps=OPTIONS["epsilon"])


def sgd(groups, rate):
    return torch.optim.SGD(groups, lr=rate, momentum=OPTIONS["beta1"])


def adafactor(groups, rate):
    # Its rate is relative to the parameter's root mean square, but for one below eps2: here that makes it absolute.
    return torch.optim.Adafactor(groups, lr=rate, beta2_decay=-0.8, eps=(1e-15, 1.0), d=1.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name,make,decay_apart", [("adamw", adamw, False), ("sgd", sgd, True), ("adafactor", adafactor, False)])
def test_torch_takes_the_same_steps(name, make, decay_apart, seed, tmp_path):
    case = Case(seed)
    assert_close(case.ours(name, tmp_path), case.torchs(make, decay_apart), 2e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lion_is_algorithm_2_of_its_paper(seed, tmp_path):
    def update(name, gradient, state, step):
        moment = state.get("m", np.zeros_like(gradient))
        state["m"] = OPTIONS["beta2"] * moment + (1 - OPTIONS["beta2"]) * gradient
        return np.sign(OPTIONS["beta1"] * moment + (1 - OPTIONS["beta1"]) * gradient)

    case = Case(seed)
    assert_close(case.ours("lion", tmp_path), case.plain(update), 2e-6)


def newton_schulz(matrix):
    x = matrix / (np.linalg.norm(matrix) + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_muon_is_its_papers_update_on_matrices_and_adamw_elsewhere(seed, tmp_path):
    def update(name, gradient, state, step):
        if name.startswith("layers.") and gradient.ndim == 2:
            momentum = state["m"] = 0.95 * state.get("m", 0) + gradient
            ahead = 0.95 * momentum + gradient  # Nesterov
            tall = ahead.shape[0] > ahead.shape[1]
            direction = newton_schulz(ahead.T).T if tall else newton_schulz(ahead)
            return 0.2 * np.sqrt(max(gradient.shape)) * direction
        beta1, beta2 = OPTIONS["beta1"], OPTIONS["beta2"]
        first = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * gradient
        second = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * gradient**2
        return first / (1 - beta1**step) / (np.sqrt(second / (1 - beta2**step)) + OPTIONS["epsilon"])

    case = Case(seed)
    assert_close(case.ours("muon", tmp_path), case.plain(update), 2e-5)


@pytest.mark.parametrize("warmup", [1, 7])
@pytest.mark.parametrize("shape", ["constant", "cosine", "linear", "wsd"])
@pytest.mark.parametrize("final_share", [0.0, 0.1])
def test_schedules_have_torchs_rates(shape, warmup, final_share, tmp_path):
    from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, SequentialLR
    steps, peak, decay_share = 83, 0.3, 0.25
    rates = drive(dict(schedule=dict(shape=shape, peak=peak, steps=steps, warmup=warmup, final_share=final_share, decay_share=decay_share)), tmp_path)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    rest = steps - 1 - warmup
    decay = round(decay_share * steps)
    parts = {"constant": [(ConstantLR(optimizer, factor=1), steps)],
             "cosine": [(CosineAnnealingLR(optimizer, rest, eta_min=peak * final_share), steps)],
             "linear": [(LinearLR(optimizer, 1, final_share, rest), steps)],
             "wsd": [(ConstantLR(optimizer, factor=1), rest - decay), (LinearLR(optimizer, 1, final_share, decay), steps)]}[shape]
    optimizer.param_groups[0]["lr"] = peak
    parts.insert(0, (LinearLR(optimizer, 1 / warmup, 1, max(1, warmup - 1)), warmup))
    scheduler = SequentialLR(optimizer, [part for part, _ in parts], milestones=list(np.cumsum([length for _, length in parts[:-1]])))
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(rates, expected, rtol=1e-9, atol=1e-12)
