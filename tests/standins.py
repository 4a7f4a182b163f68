"""Model folders as FunASR publishes them, with random weights in FunASR's own network class."""

import contextlib
import functools
import io
import json
import logging
import warnings

import numpy as np
import torch
import yaml

from emoscope.results import ModelInfo
from emoscope.speech.architecture import Architecture
from emoscope.speech.emotion2vec import Emotion2vec
from emoscope.speech.listen import SpeechModel

TOKENS = (
    "生气/angry",
    "厌恶/disgusted",
    "恐惧/fearful",
    "开心/happy",
    "中立/neutral",
    "其他/other",
    "难过/sad",
    "吃惊/surprised",
    "<unk>",
)
SMALL = {"dim": 64, "heads": 4, "depth": 2, "prenet": 2, "channels": 32}
LARGE = {"dim": 1024, "heads": 16, "depth": 8, "prenet": 4, "channels": 512}
LARGE_PARAMETERS = 162_140_185


def model_conf(*, dim, heads, depth, prenet, channels, **changed):
    """FunASR's settings of an Emotion2vec network; `changed` goes into the audio part."""
    audio = {
        "type": "AUDIO",
        "prenet_depth": prenet,
        "prenet_layerdrop": 0,
        "prenet_dropout": 0.1,
        "start_drop_path_rate": 0,
        "end_drop_path_rate": 0,
        "num_extra_tokens": 10,
        "init_extra_token_zero": True,
        "mask_prob": 0.5,
        "mask_length": 5,
        "local_grad_mult": 1,
        "use_alibi_encoder": True,
        "alibi_scale": 1,
        "learned_alibi": False,
        "alibi_max_pos": None,
        "learned_alibi_scale": True,
        "learned_alibi_scale_per_head": True,
        "learned_alibi_scale_per_layer": False,
        "num_alibi_heads": heads,
        "model_depth": depth,
        "decoder": None,
        "extractor_mode": "layer_norm",
        "feature_encoder_spec": "[(C, 10, 5)] + [(C, 3, 2)] * 4 + [(C,2,2)] + [(C,2,2)]".replace("C", str(channels)),
        "conv_pos_width": 95,
        "conv_pos_groups": 16,
        "conv_pos_depth": 5,
        "conv_pos_pre_ln": False,
    }
    return {
        "loss_beta": 0,
        "loss_scale": None,
        "depth": depth,
        "start_drop_path_rate": 0,
        "end_drop_path_rate": 0,
        "num_heads": heads,
        "norm_eps": 1e-5,
        "norm_affine": True,
        "encoder_dropout": 0.1,
        "post_mlp_drop": 0.1,
        "attention_dropout": 0.1,
        "activation_dropout": 0,
        "dropout_input": 0,
        "layerdrop": 0,
        "embed_dim": dim,
        "mlp_ratio": 4,
        "layer_norm_first": False,
        "average_top_k_layers": 2 * depth,
        "end_of_block_targets": False,
        "clone_batch": 12,
        "normalize": True,
        "modalities": {"audio": {**audio, **changed}},
    }


@contextlib.contextmanager
def third_party():
    """Keep FunASR's notices, warnings and logging set-up to itself."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    state = torch.random.get_rng_state()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
    torch.random.set_rng_state(state)
    root.handlers[:], root.level = handlers, level


@contextlib.contextmanager
def one_thread():
    """Small networks are quickest on one thread, most of all when something else is using the other cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def oracle_network(conf, *, classes=9, seed=0):
    """FunASR's own network with random weights: none is 0 or 1, as in a fresh one, which hides mistakes."""
    with third_party():
        from funasr.models.emotion2vec.model import Emotion2vec

        torch.manual_seed(seed)
        network = Emotion2vec(model_conf=conf, vocab_size=classes)
    return randomise(network, seed)


def randomise(network, seed=0):
    """Give a network of FunASR's class or ours random weights everywhere, and scores that tell the classes apart."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("alibi_scale"):
                weight.uniform_(-0.2, 1.5, generator=random)  # a negative scale counts as 0
            elif name.endswith("bias"):
                weight.normal_(0, 0.2, generator=random)
            elif weight.dim() == 1:
                weight.normal_(1, 0.2, generator=random)
            elif name.endswith("extra_tokens"):
                weight.normal_(0, 1, generator=random)
        network.proj.weight.mul_(4)
    return network.eval()


@functools.cache
def small_oracle():
    """FunASR's class at a small size, made once for all tests: (its settings, the network)."""
    conf = model_conf(**SMALL)
    return conf, oracle_network(conf)


def our_network(conf, *, classes=9, seed=0):
    """Our network with random weights; FunASR is not needed for it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Emotion2vec(Architecture.from_config(conf), classes)
    return randomise(network, seed).requires_grad_(False)


def speech_model(network, **changed):
    """A SpeechModel around a network that has our nine outputs in our order."""
    info = ModelInfo("stand-in", type(network).__name__, "0" * 64, "fp32", "cpu")
    return SpeechModel(info, network, tuple(range(9)), **changed)


def write_folder(folder, conf, state, *, tokens=TOKENS, model="Emotion2vec"):
    """Write config.yaml, tokens.txt, configuration.json and model.pt as the published folders have them."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model": model,
        "model_conf": conf,
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
        "scope_map": ["d2v_model.", "none"],
    }
    # the published files write 1e-05, which YAML 1.1 reads as a text
    text = yaml.safe_dump(config, allow_unicode=True).replace("1.0e-05", "1e-05")
    (folder / "config.yaml").write_text(text, "utf-8")
    (folder / "tokens.txt").write_text("\n".join(tokens) + "\n", "utf-8")
    meta = {"init_param": "model.pt", "tokenizer_conf": {"token_list": "tokens.txt"}, "config": "config.yaml"}
    (folder / "configuration.json").write_text(json.dumps({"file_path_metas": meta}), "utf-8")
    if state is not None:
        torch.save({"model": state}, folder / "model.pt")
    return folder


def oracle(folder):
    """FunASR's own way to use a model folder."""
    with third_party():
        from funasr import AutoModel

        return AutoModel(model=str(folder), device="cpu", disable_update=True, disable_pbar=True, log_level="ERROR")


def oracle_answer(model, samples):
    """What FunASR says of 16 kHz mono samples: features (T, D), scores by token."""
    with third_party():
        [found] = model.generate(samples, granularity="frame", extract_embedding=True)
    return found["feats"], dict(zip(found["labels"], found["scores"], strict=True))


def clip(seconds, seed=0):
    """Something like speech to a network: a gliding tone with a pulse, and noise; (N,) float32."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16_000)) / 16_000
    pitch = 120 + 60 * np.sin(2 * np.pi * 0.37 * time + seed)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / 16_000) * (0.5 + 0.5 * np.sin(2 * np.pi * 3.1 * time))
    return (0.3 * tone + 0.02 * random.standard_normal(len(time)) + 0.01).astype(np.float32)
