"""Models that are damaged, cut off, gone, or replaced under the running server: `python -m tests.faults.models`.

A server whose speech model cannot be opened starts all the same, says why, and is not ready; whatever needs no damaged
model is still answered. A model that is replaced while it answers goes on answering as it was.
"""

import shutil
import tempfile
from pathlib import Path

import httpx

from tests.faults import sounds
from tests.faults.servers import ROOT, serving

CLIP = "calm.flac"
TEXT = "The sun came out at last."
SPEECH, READER = "compact-speech", "compact-text"
WEIGHTS = "model.safetensors"


def flip(file):
    """Change a single bit in the middle of the weights."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file):
    """Lose the second half of a file."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def remove(file):
    """Lose a file."""
    file.unlink()


def store(home):
    """A folder of models of its own, with copies of those that come with the program."""
    for name in (SPEECH, READER):
        shutil.copytree(ROOT / "models" / name, home / "models" / name)
    return home / "models"


def damaged_speech(home, damage, file=WEIGHTS):
    """Damage the speech model before the start; return what /ready says."""
    folder = store(home) / SPEECH
    damage(folder / file)
    with serving(home, state="failed", EMOSCOPE_MODELS=folder.parent, EMOSCOPE_SPEECH_MODEL=folder) as server:
        answer = httpx.get(f"{server.address}/ready", timeout=30)
        assert answer.status_code == 503, answer.text
        sentence = answer.json()["sentence"]
        assert str(folder) in sentence, sentence
        refused = ask(server, "/speech")
        assert refused["status"] == 503 and refused["detail"] == sentence, refused
        assert ask(server, "/text")["emotion"]
        both = ask(server, "/multimodal")
        assert both["emotion"] and [each for each in both["warnings"] if sentence in each], both
        assert "Traceback" not in server.said(), server.said()
        return sentence


def damaged_text(home, damage, file=WEIGHTS):
    """Damage the text model before the start; return what somebody is told who sends a text."""
    folder = store(home) / READER
    damage(folder / file)
    with serving(home, EMOSCOPE_MODELS=folder.parent, EMOSCOPE_TEXT_MODEL=folder) as server:
        refused = ask(server, "/text")
        assert refused["status"] == 503 and str(folder) in refused["detail"], refused
        assert ask(server, "/speech")["emotion"]
        both = ask(server, "/multimodal")
        assert both["emotion"] and [each for each in both["warnings"] if str(folder) in each], both
        assert "Traceback" not in server.said(), server.said()
        return refused["detail"]


def replaced(home):
    """Write over both models, and cut them off, while they answer; return the hashes that the reports name."""
    folder = store(home)
    with serving(home, EMOSCOPE_MODELS=folder) as server:
        before = ask(server, "/multimodal")
        for damage in (flip, cut):
            for name in (SPEECH, READER):
                damage(folder / name / WEIGHTS)
            after = ask(server, "/multimodal")
            assert after["scores"] == before["scores"]
        assert server.process.poll() is None
        return before["model"]["weights"], after["model"]["weights"]


def ask(server, route):
    files = {"file": (CLIP, sounds.clips()[CLIP])}
    sent = {
        "/speech": {"files": files},
        "/text": {"json": {"text": TEXT}},
        "/multimodal": {"files": files, "data": {"text": TEXT}},
    }
    with server.client() as client:
        return client.post(route, **sent[route]).json()


def main():
    for fault, more in (
        (damaged_speech, (flip,)),
        (damaged_speech, (cut,)),
        (damaged_speech, (remove,)),
        (damaged_speech, (remove, "tokens.txt")),
        (damaged_text, (flip,)),
        (damaged_text, (cut,)),
        (damaged_text, (remove,)),
        (damaged_text, (cut, "tokenizer.json")),
        (replaced, ()),
    ):
        with tempfile.TemporaryDirectory() as home:
            found = fault(Path(home), *more)
            print(
                fault.__name__, *(each if isinstance(each, str) else each.__name__ for each in more), found, flush=True
            )


if __name__ == "__main__":
    main()
