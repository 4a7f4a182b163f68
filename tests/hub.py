"""A web server on this machine that speaks what ModelScope's and Hugging Face's clients use of their protocols."""

import hashlib
import json
import random
import re
import socket
import struct
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c" * 40
WEIGHTS = random.Random(1).randbytes(3_000_000)
FILES = {  # what a repository holds; the last three are not wanted
    "config.yaml": b"model: Emotion2vec\nmodel_conf: {}\n",
    "configuration.json": b'{"framework": "pytorch"}\n',
    "model.pt": WEIGHTS,
    "tokens.txt": "生气/angry\n开心/happy\n".encode(),
    "example/test.wav": random.Random(2).randbytes(50_000),
    "README.md": b"# Emotion2Vec+\n",
    ".gitattributes": b"*.pt filter=lfs\n",
    "logo.png": b"x" * 1000,
    "../outside.txt": b"must never be written",
}
IN_LFS = {"model.pt", "example/test.wav", "pytorch_model.bin", "model.safetensors"}
EMOTION2VEC = re.compile(r"(?:iic|emotion2vec)/emotion2vec_plus_\w+")  # the repositories that hold `FILES`

KNOWN = {  # what the published text models call the emotions
    "english": ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
    "multilingual": ("anger", "fear", "joy", "sadness"),
    "chinese": ("none", "disgust", "happiness", "like", "fear", "sadness", "anger", "surprise"),
}
SENSEVOICE = {
    "config.yaml": b"model: SenseVoiceSmall\n",
    "configuration.json": b'{"file_path_metas": {"init_param": "model.pt"}}\n',
    "am.mvn": b"<Nnet>\n",
    "model.pt": random.Random(3).randbytes(100_000),
    "chn_jpn_yue_eng_ko_spectok.bpe.model": random.Random(4).randbytes(2000),
    "README.md": b"# SenseVoice\n",
    "requirements.txt": b"nothing-that-is-wanted\n",
    "demo.py": b"raise SystemExit\n",
}
VAD = {**SENSEVOICE, "config.yaml": b"model: FsmnVADStreaming\n", "model.pt": b"v" * 3000}
del VAD["chn_jpn_yue_eng_ko_spectok.bpe.model"]
TEXT = {  # as most older repositories of transformers
    "config.json": json.dumps({"id2label": dict(enumerate(KNOWN["english"]))}).encode(),
    "pytorch_model.bin": random.Random(5).randbytes(100_000),
    "tf_model.h5": b"x" * 1000,
    "training_args.bin": b"x" * 100,
    "tokenizer.json": b"{}\n",
    "tokenizer_config.json": b"{}\n",
    "vocab.json": b"{ }\n",
    "merges.txt": b"a b\n",
    "README.md": b"# A model\n",
}
OTHERS = {
    "iic/SenseVoiceSmall": SENSEVOICE,
    "FunAudioLLM/SenseVoiceSmall": SENSEVOICE,
    "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch": VAD,
    "funasr/fsmn-vad": VAD,
    "j-hartmann/emotion-english-distilroberta-base": TEXT,
    "MilaNLProc/xlm-emo-t": {**TEXT, "model.safetensors": random.Random(6).randbytes(90_000)},
}


class Hub(ThreadingHTTPServer):
    """One hub; set its faults, then look at what was asked of it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.reset()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def reset(self):
        """Forget every fault and all that was asked."""
        self.files = dict(FILES)
        self.truth = dict(FILES)  # what the listing tells; change `files` to serve something else
        self.others = dict(OTHERS)  # repositories whose listing is true
        self.asked = []  # (method, path with its query), in order
        self.sent = {}  # path -> bytes of it that left
        self.ranges = []  # the Range headers
        self.headers_seen = []  # every header of every request, in lower case
        self.status = {}  # "modelscope" or "huggingface" for its listing, or a path -> HTTP status to answer with
        self.resets = {}  # path -> list of byte counts; each request takes one and breaks off there
        self.pace = None  # seconds to wait after each 64 kB of the weights
        self.hang = False  # take the request and say nothing
        self.page = None  # an HTML page instead of every answer, as a sign-in page does
        self.keeps_ranges = True

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request, client_address):
        """A client that leaves early is part of the tests."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        hub, url = self.server, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        hub.asked.append((self.command, self.path))
        hub.headers_seen += [(name.lower(), value) for name, value in self.headers.items()]
        path = unquote(url.path)
        if hub.hang:
            time.sleep(5)
        elif hub.page:
            self._whole(200, hub.page, "text/html")
        elif found := re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo/files", path):
            self._listing("modelscope", self._modelscope, found[1])
        elif found := re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo", path):
            self._file(found[1], query["FilePath"])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)", path):
            self._listing("huggingface", self._huggingface, found[1])
        elif found := re.fullmatch(rf"/([^/]+/[^/]+)/resolve/{COMMIT}/(.+)", path):
            self._file(found[1], found[2])
        elif path.startswith("/storage/"):
            owner, name, file = path.removeprefix("/storage/").split("/", 2)
            self._bytes(f"{owner}/{name}", file)
        else:
            self._whole(404, b"{}")

    do_HEAD = do_CONNECT = do_GET  # noqa: N815

    def _listing(self, name, make, repo):
        hub = self.server
        files = hub.truth if EMOTION2VEC.fullmatch(repo) else hub.others.get(repo)
        status = 404 if files is None else hub.status.get(name, 200)
        self._whole(status, json.dumps(make(files) if status == 200 else {"Message": "no", "error": "no"}).encode())

    def _modelscope(self, truth):
        files = [
            {"Path": path, "Name": path, "Type": "blob", "Size": len(data), "Sha256": hashlib.sha256(data).hexdigest()}
            for path, data in truth.items()
        ]
        return {
            "Code": 200,
            "Success": True,
            "Data": {"Files": [{"Path": "example", "Type": "tree", "Size": 0}, *files]},
        }

    def _huggingface(self, truth):
        siblings = []
        for path, data in truth.items():
            git = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
            sibling = {"rfilename": path, "size": len(data), "blobId": git}
            if path in IN_LFS:
                sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(sibling)
        return {"_id": "1", "id": "emotion2vec/emotion2vec_plus_large", "sha": COMMIT, "siblings": siblings}

    def _file(self, repo, path):
        status = self.server.status.get(path, 200)
        if status != 200:
            self.send_response(status)
            if "/resolve/" in self.path:  # whoever waits for that long does not pass the tests
                self.send_header("Retry-After", "60")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
        elif path in IN_LFS:  # both hubs keep large files elsewhere
            self.send_response(302)
            self.send_header("Location", f"/storage/{repo}/{path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._bytes(repo, path)

    def _bytes(self, repo, path):
        hub, start = self.server, 0
        data = (hub.files if EMOTION2VEC.fullmatch(repo) else hub.others[repo])[path]
        asked = self.headers.get("Range")
        if asked:
            hub.ranges.append(asked)
        if asked and hub.keeps_ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(data):
                self._whole(416, b"")
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        breaks = hub.resets.get(path) or []
        end = min(len(data), start + breaks.pop(0)) if breaks else len(data)
        with suppress(OSError):
            self._pour(path, data[start:end])
        if end < len(data):
            self._break_off()

    def _pour(self, path, data):
        for offset in range(0, len(data), 65536):
            block = data[offset : offset + 65536]
            self.wfile.write(block)
            self.server.sent[path] = self.server.sent.get(path, 0) + len(block)
            if self.server.pace and path == "model.pt":
                time.sleep(self.server.pace)

    def _break_off(self):
        """End the connection with a reset, not politely."""
        self.wfile.flush()
        time.sleep(0.05)  # a reset overtakes bytes that the other side has not read
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True

    def _whole(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
