"""Rotary positions against transformers: frequencies of every scaling over random configurations, tables, rotations."""
from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
import torch
from test_ops import Cases, cases, driver, drawn, random  # noqa: F401 (fixtures)
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb


def random_parameters(random, kind, dimensions):
    """(rope_parameters, max_position_embeddings) as a config.json might have them."""
    maximum = int(2 ** random.integers(6, 18))
    parameters = {"rope_type": kind, "rope_theta": float(random.choice([1e4, 5e5, 1e6, 1e7, 123456.7]))}
    if kind == "default":
        return parameters, maximum
    parameters["factor"] = float(random.choice([1.0, 2.0, 4.0, 8.0, 32.0, 1.7, 3.3]))
    if kind in ("yarn", "longrope", "llama3"):
        parameters["original_max_position_embeddings"] = max(32, maximum // int(random.choice([1, 2, 4, 8])))
    if kind == "llama3":
        parameters["low_freq_factor"] = float(random.choice([1.0, 1.5]))
        parameters["high_freq_factor"] = float(random.choice([4.0, 8.0]))
    if kind == "yarn":
        for name, values in (("beta_fast", [32.0, 16.0]), ("beta_slow", [1.0, 2.0]), ("mscale", [1.0, 0.7]), ("mscale_all_dim", [1.0, 0.8]), ("attention_factor", [1.2])):
            if random.random() < 0.4:
                parameters[name] = float(random.choice(values))
        if random.random() < 0.4:
            parameters["truncate"] = False
    if kind == "longrope":
        if random.random() < 0.5:
            del parameters["factor"]
        if random.random() < 0.3:
            parameters["attention_factor"] = 1.25
        for name in ("short_factor", "long_factor"):
            parameters[name] = [round(float(x), 4) for x in random.uniform(1, 60, dimensions // 2)]
    return parameters, maximum


def config_of(parameters, maximum, dimensions):
    return LlamaConfig(
        hidden_size=4 * dimensions, num_attention_heads=4, head_dim=dimensions, max_position_embeddings=maximum, rope_parameters=dict(parameters))


@pytest.mark.parametrize("kind", ["default", "linear", "dynamic", "yarn", "longrope", "llama3"])
def test_frequencies(tmp_path, random, kind):
    wanted, commands = [], []
    for number in range(60):
        dimensions = int(random.choice([8, 24, 64, 80, 96, 128, 256]))
        parameters, maximum = random_parameters(random, kind, dimensions)
        length = int(random.choice([1, maximum // 2, maximum, maximum + 1, 3 * maximum]))
        config = config_of(parameters, maximum, dimensions)
        if kind == "default":
            inverse, scale = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
        else:
            # Up to the trained length a forward of transformers keeps what it made without a length.
            known = length > maximum if kind == "dynamic" else True
            inverse, scale = ROPE_INIT_FUNCTIONS[kind](config, None, seq_len=torch.tensor(length) if known else None)
        wanted.append((parameters, inverse.numpy(), scale))
        outputs = [str(tmp_path / f"{number}-{name}.npy") for name in ("inverse", "scale")]
        arguments = {**parameters, "dimensions": dimensions, "max_position_embeddings": maximum, "sequence_length": length}
        arguments["truncate"] = int(arguments.get("truncate", True))
        commands.append({"operation": "rope_frequencies", "device": "cpu", "inputs": [], "outputs": outputs, "arguments": arguments})
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(commands))
    done = subprocess.run([driver(), str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    same = count = 0
    for command, (parameters, inverse, scale) in zip(commands, wanted):
        got = np.load(command["outputs"][0])
        # Powers may differ by an ulp between libraries; everything after them may not add to that.
        np.testing.assert_allclose(got, inverse, rtol=2.4e-7, err_msg=str(command["arguments"]))
        assert np.load(command["outputs"][1])[0] == np.float32(scale), command["arguments"]
        same += int((got == inverse).sum())
        count += inverse.size
    print(f"{kind}: {same} of {count} frequencies have the same bits")
    assert same >= 0.97 * count


def test_tables_and_rotations(cases, random):
    for dimensions, head_dim in ((64, 64), (24, 40), (128, 128)):
        embedding = LlamaRotaryEmbedding(config_of({"rope_type": "default", "rope_theta": 1e4}, 4096, dimensions))
        positions = np.concatenate([np.arange(20), random.integers(0, 1_000_000, 20)]).astype(np.int32)
        x, _ = drawn(random, len(positions), 3, head_dim)
        inverse = embedding.inv_freq
        angles = torch.from_numpy(positions).float()[:, None] * inverse
        cosine, sine = angles.double().cos().float(), angles.double().sin().float()
        both = torch.cat([cosine, cosine], -1)[:, None], torch.cat([sine, sine], -1)[:, None]
        turned, _ = apply_rotary_pos_emb(*(torch.from_numpy(x[..., :dimensions]),) * 2, *(t[:, 0] for t in both), unsqueeze_dim=1)
        expected = torch.cat([turned, torch.from_numpy(x[..., dimensions:])], -1)
        cases.add("rope", [x, positions, inverse.numpy()], [expected, cosine, sine], tolerance=0.0)
        # What transformers tabulates itself differs only by the accuracy of its own cosine.
        theirs, _ = embedding(torch.zeros(1), torch.from_numpy(positions)[None])
        np.testing.assert_allclose(theirs[0, :, : dimensions // 2].numpy(), cosine.numpy(), atol=3e-7)
    cases.run()
