"""SenseVoice and the FSMN VAD as FunASR publishes them, small and with random weights, in FunASR's own classes."""

import json

import torch
import yaml

from tests.standins import third_party

TAGS = (
    "<|zh|>", "<|en|>", "<|yue|>", "<|ja|>", "<|ko|>", "<|nospeech|>", "<|HAPPY|>", "<|SAD|>", "<|ANGRY|>",
    "<|NEUTRAL|>", "<|EMO_UNKNOWN|>", "<|Speech|>", "<|BGM|>", "<|Laughter|>", "<|withitn|>", "<|woitn|>",
)  # fmt: skip
BPE = "chn_jpn_yue_eng_ko_spectok.bpe.model"
LINES = (
    "hello there my friend.",
    "how are you today?",
    "I am so happy, thank you!",
    "the day is fine.",
    "你好，今天很好。",
)

VOICE = {
    "model": "SenseVoiceSmall",
    "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
    "encoder": "SenseVoiceEncoderSmall",
    "encoder_conf": {
        "output_size": 32, "attention_heads": 4, "linear_units": 64, "num_blocks": 3, "tp_blocks": 1,
        "dropout_rate": 0.1, "positional_dropout_rate": 0.1, "attention_dropout_rate": 0.1, "input_layer": "pe",
        "pos_enc_class": "SinusoidalPositionEncoder", "normalize_before": True, "kernel_size": 11, "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
    },
    "tokenizer": "SentencepiecesTokenizer",
    "tokenizer_conf": {"bpemodel": None, "unk_symbol": "<unk>", "split_with_space": True},
    "frontend": "WavFrontend",
    "frontend_conf": {
        "fs": 16000, "window": "hamming", "n_mels": 80, "frame_length": 25, "frame_shift": 10, "lfr_m": 7, "lfr_n": 6,
        "cmvn_file": None, "dither": 0.0,
    },
    "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True, "ignore_nan_grad": True},
    "normalize": None,
}  # fmt: skip
VAD = {
    "model": "FsmnVADStreaming",
    # Unlike the published model, it goes by loudness alone: 25 ms below -40 dB are silence.
    "model_conf": {"decibel_thres": -40.0, "max_end_silence_time": 800, "max_single_segment_time": 60000},
    "encoder": "FSMN",
    "encoder_conf": {
        "input_dim": 400, "input_affine_dim": 14, "fsmn_layers": 2, "linear_dim": 25, "proj_dim": 12, "lorder": 20,
        "rorder": 0, "lstride": 1, "rstride": 0, "output_affine_dim": 14, "output_dim": 24,
    },
    "frontend": "WavFrontendOnline",
    "frontend_conf": {
        "fs": 16000, "window": "hamming", "n_mels": 80, "frame_length": 25, "frame_shift": 10, "lfr_m": 5, "lfr_n": 1,
        "cmvn_file": None, "dither": 0.0,
    },
}  # fmt: skip


def write_voice(folder, *, prefix=False):
    """Write a SenseVoice folder, and return it; with `prefix` its tokenizer cuts a token that stands alone anew."""
    folder.mkdir(parents=True)
    _train_tokenizer(folder, prefix)
    with third_party():
        from funasr.models.sense_voice.model import SenseVoiceSmall

        torch.manual_seed(0)
        conf = VOICE["model_conf"] | {"encoder": VOICE["encoder"], "encoder_conf": VOICE["encoder_conf"]}
        network = SenseVoiceSmall(**conf, ctc_conf=VOICE["ctc_conf"], input_size=560, vocab_size=_size_of(folder))
    with torch.no_grad():
        network.ctc.ctc_lo.weight.mul_(30)  # so that the tokens differ from each other
    return _write(folder, VOICE, network, 560, tokenizer_conf={"bpemodel": BPE})


def write_vad(folder):
    """Write an FSMN VAD folder, and return it."""
    folder.mkdir(parents=True)
    with third_party():
        from funasr.models.fsmn_vad_streaming.model import FsmnVADStreaming

        torch.manual_seed(0)
        network = FsmnVADStreaming(encoder=VAD["encoder"], encoder_conf=VAD["encoder_conf"], **VAD["model_conf"])
    with torch.no_grad():
        network.encoder.out_linear2.linear.bias[0] = -50.0  # of silence
    return _write(folder, VAD, network, 400)


def _train_tokenizer(folder, prefix):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 20),
        model_prefix=str(folder / "tokens"),
        vocab_size=90,
        user_defined_symbols=list(TAGS),
        hard_vocab_limit=False,
        add_dummy_prefix=prefix,
        minloglevel=2,
    )
    (folder / "tokens.model").rename(folder / BPE)
    (folder / "tokens.vocab").unlink()


def _size_of(folder):
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(folder / BPE)).GetPieceSize()


def _write(folder, config, network, width, **paths):
    (folder / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    paths |= {"init_param": "model.pt", "config": "config.yaml", "frontend_conf": {"cmvn_file": "am.mvn"}}
    (folder / "configuration.json").write_text(json.dumps({"framework": "pytorch", "file_path_metas": paths}), "utf-8")
    (folder / "am.mvn").write_text(_moments(width), "utf-8")
    torch.save(network.state_dict(), folder / "model.pt")
    return folder


def _moments(width):
    """Kaldi's file of the means and deviations of features."""
    rows = "".join(
        f"<{name}> {width} {width}\n<LearnRateCoef> 0 [ {' '.join([value] * width)} ]\n"
        for name, value in (("AddShift", "-12.0"), ("Rescale", "0.25"))
    )
    return f"<Nnet>\n<Splice> {width} {width}\n[ 0 ]\n{rows}</Nnet>\n"
