"""The compact network: frames, padding, heads, silence; and the weights that ship."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from emoscope.speech.compact import HOP, SAMPLE_RATE, WINDOW, CompactSpeech, describe, frame_count

FOLDER = Path(__file__).parent.parent / "models" / "compact-speech"
LABELS = ["angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "unknown"]


def small() -> CompactSpeech:
    torch.manual_seed(0)
    return CompactSpeech(members=2, hidden=32, width=12).eval()


@pytest.fixture(scope="module")
def shipped() -> CompactSpeech:
    config = yaml.safe_load((FOLDER / "config.yaml").read_text(encoding="utf-8"))
    model = CompactSpeech(**config["model_conf"])
    model.load_state_dict(load_file(FOLDER / "model.safetensors"))
    return model.eval()


def hear(model: CompactSpeech, wave: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.inference_mode():
        features, logits = model(wave[None], torch.tensor([len(wave)]), model.statistics(wave)[None])
    return features[0], logits[0]


@pytest.mark.parametrize("samples", [400, 401, 719, 720, 16_000, 16_001, 160_000])
def test_one_frame_every_20_ms(samples: int) -> None:
    model = small()
    features, logits = hear(model, 0.1 * torch.randn(samples))
    assert len(features) == len(logits) == frame_count(samples) == (samples - WINDOW) // HOP + 1
    assert features.shape[1] == model.dim and logits.shape[1] == 9


def test_ten_seconds_are_499_frames() -> None:
    assert frame_count(10 * SAMPLE_RATE) == 499


def check_padding(model: CompactSpeech) -> None:
    torch.manual_seed(1)
    waves = [0.1 * torch.randn(n) for n in (400, 720, 8_000, 16_001, 33_333)] + [torch.zeros(5_000)]
    lengths = torch.tensor([len(wave) for wave in waves])
    statistics = torch.stack([model.statistics(wave) for wave in waves])
    with torch.inference_mode():
        features, logits = model(torch.nn.utils.rnn.pad_sequence(waves, True), lengths, statistics)
    for row, wave in enumerate(waves):
        alone_features, alone_logits = hear(model, wave)
        frames = frame_count(len(wave))
        assert torch.allclose(features[row, :frames], alone_features, atol=1e-4)
        assert torch.allclose(logits[row, :frames], alone_logits, atol=1e-4)


def test_a_padded_batch_equals_its_clips() -> None:
    check_padding(small())


def test_the_shipped_model_batches_too(shipped: CompactSpeech) -> None:
    check_padding(shipped)


def test_the_mean_of_the_frames_is_the_verdict() -> None:
    model = small()
    features, logits = hear(model, 0.1 * torch.randn(48_000))
    assert torch.allclose(logits.mean(0), model.proj(features.mean(0)), atol=1e-5)


@pytest.mark.parametrize("wave", [torch.zeros(16_000), torch.full((16_000,), 1e-9), torch.ones(16_000)])
def test_silence_is_finite(wave: torch.Tensor) -> None:
    model = small()
    assert torch.isfinite(model.statistics(wave)).all()
    assert all(torch.isfinite(x).all() for x in hear(model, wave))


def test_statistics_of_a_long_file_do_not_depend_on_the_chunks() -> None:
    model, wave = small(), 0.1 * torch.randn(61 * SAMPLE_RATE)
    sound = model.log_mel(wave[None])
    whole = describe(sound, torch.ones(sound.shape[:2], dtype=torch.bool))[0]
    assert torch.allclose(model.statistics(wave), whole, atol=1e-4)


def test_loudness_does_not_matter() -> None:
    model, wave = small(), 0.1 * torch.randn(16_000)
    assert torch.allclose(hear(model, wave)[1], hear(model, 0.2 * wave)[1], atol=1e-2)


@pytest.mark.parametrize("hertz", [80.0, 150.0, 240.0, 400.0])
def test_the_front_end_hears_pitch(hertz: float) -> None:
    time = torch.arange(16_000) / SAMPLE_RATE
    voice = sum(torch.sin(2 * torch.pi * hertz * k * time) / k for k in range(1, 8))
    sound = small().log_mel(0.1 * voice[None])[0]
    assert sound[:, 64].mean() > 0.95
    assert 200 * 2 ** sound[:, 65].median() == pytest.approx(hertz, rel=0.01)


def test_the_folder_is_complete_and_small(shipped: CompactSpeech) -> None:
    tokens = (FOLDER / "tokens.txt").read_text(encoding="utf-8").split()
    assert [token.split("/")[-1] for token in tokens] == [*LABELS[:-1], "<unk>"]
    assert (FOLDER / "MODEL_CARD.md").exists() and (FOLDER / "metrics.json").exists()
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 12e6
    assert shipped.proj.out_features == 9


def syllables(seconds: float = 3.0, pitch: float = 160.0) -> torch.Tensor:
    """Something like speech: a gliding voice through moving formants, four syllables a second."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    track = pitch * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * time) + 0.02 * np.sin(2 * np.pi * 5 * time))
    phase, wave = 2 * np.pi * np.cumsum(track) / SAMPLE_RATE, np.zeros(len(time))
    first, second = 500 + 250 * np.sin(2 * np.pi * 2.1 * time), 1500 + 500 * np.sin(2 * np.pi * 1.3 * time)
    for k in range(1, 40):
        near = sum(
            a / (1 + ((k * track - f) / w) ** 2) for a, f, w in ((1, first, 90), (0.5, second, 120), (0.2, 2600, 200))
        )
        wave += near * np.sin(k * phase) * (k * track < 7000)
    envelope = np.clip(np.sin(2 * np.pi * 2 * time) ** 2 * 1.3, 0, 1) * (np.sin(2 * np.pi * 0.4 * time) > -0.9)
    return torch.from_numpy((0.1 * wave * envelope).astype(np.float32))


def sounds_without_a_voice() -> dict[str, torch.Tensor]:
    random, time = torch.Generator().manual_seed(0), torch.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    return {
        "silence": torch.zeros(3 * SAMPLE_RATE),
        "noise": 0.05 * torch.randn(3 * SAMPLE_RATE, generator=random),
        "tone": 0.1 * torch.sin(2 * torch.pi * 440 * time),
    }


@pytest.mark.parametrize("name", ["silence", "noise", "tone"])
def test_no_voice_is_unknown(shipped: CompactSpeech, name: str) -> None:
    verdict = hear(shipped, sounds_without_a_voice()[name])[1].mean(0).softmax(0)
    assert LABELS[int(verdict.argmax())] == "unknown"


def test_something_like_a_voice_is_not_unknown(shipped: CompactSpeech) -> None:
    verdict = hear(shipped, syllables())[1].mean(0).softmax(0)
    assert LABELS[int(verdict.argmax())] not in ("unknown", "other")
