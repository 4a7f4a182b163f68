"""Two languages: every string of the page has both, and so has every sentence of the core that reaches the page."""

import ast
import asyncio
import builtins
import errno
import gzip
import json
import os
import re
import time
from functools import cache
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import brotli
import pytest

from emoscope import audio, export
from emoscope.audio import Limits
from emoscope.audio.formats import OTHERS
from emoscope.errors import AudioError
from emoscope.labels import EMOTIONS
from emoscope.studio import words
from emoscope.studio.words import catalogue, sentences, visitor
from emoscope.studio.words.sentences import HOLE

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "emoscope"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
COMMAND = re.compile(r"\./run\.sh (?:[a-z]+ [a-z]+|train-fusion)|openssl rand -hex")
FILLING = re.compile(r"Q\d+")  # what stands in a hole while a test looks
SWITCH = {"header.other", "header.switch"}  # speak the other language

# What no visitor of the studio meets.
ELSEWHERE = {
    "verify.py": "only the command line analyses again",
    "history/migrations/": "SQL and names of columns",
    "cli/": "the terminal speaks English",
    "api/": "answers to programs",
    "labels.py": "names of emotions, for which the page has words of its own",
    "pairs.py": "only the command line trains",
    "heads/training.py": "only the command line trains",
    "plots.py": "pictures are files, the same whoever fetches them",
    "models/removal.py": "only the command line removes models",
    "speech/graph.py": "only the command line exports",
    "batch/cluster.py": "only the command line uses Ray",
    "batch/inputs.py": "only the command line reads lists of files",
    "batch/store.py": "only the command line keeps runs on disk",
    "studio/theme.py": "names of fonts",
    "studio/walls.py": "headers for browsers",
    "gate/gate.py": "headers for browsers, and answers to what no page of ours sends",
    "gate/page/": "a page with words of its own",
    "gate/strangers.py": "headers for browsers",
    "studio/words/visitor.py": "headers for browsers",
    "studio/rolling/routes.py": "answers to scripts",
}
# What looks like a sentence of the page and is none.
UNSPOKEN = {
    "names and licences": {
        "Hugging Face",
        "ModelScope Q1, Hugging Face Q3",
        "FunASR Model License 1.1",
        "the emotion2vec team: Ziyang Ma, Zhisheng Zheng, Jiaxin Ye, Jinchao Li, Zhifu Gao, Shiliang Zhang, Xie Chen",
        "Emoscope compact",
        "Emoscope compact text",
        "Emotion2Vec+ Q1",
        "SenseVoice Small",
        "FSMN VAD",
        "Emotion English DistilRoBERTa",
        "Xuyuan Sentiment BERT Chinese",
        "the Tongyi SpeechTeam, Alibaba Group",
        "the Speech Lab of DAMO Academy, Alibaba Group",
        "Jochen Hartmann",
        "Federico Bianchi, Debora Nozza, Dirk Hovy",
    },
    "commands, formats and patterns": {
        "./run.sh models download Q1",
        "./run.sh train-fusion",
        "SPEAKER Q1 1 Q3 Q5 <NA> <NA> Q7 Q9 <NA>\n",
        r"[^\S ]|[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]",
        r"\d+ h(?: \d+ min)?|\d+ min(?: \d+ s)?|\d+(?:\.\d+)? s",
        "FunASR Q1, PyTorch Q3",
    },
    "caught before anybody sees it": {"Nobody is waiting for this any more.", "The live session was left."},
    "values, shown by words of their own": {"close call"},
    "stages of an analysis, in its result.json": {"text model"},
    "compared with what a library says": {
        "Consistency check failed",
        "allocate memory",
        "graceful shutdown exceeded",
        "out of memory",
        "start new thread",
        "miss key",
        "is full",
        "not a database",
        "unable to open",
        "password authentication failed",
        "no pg_hba.conf entry",
        "does not exist",
    },
    "SQL": {
        "PRAGMA foreign_keys = ON",
        "PRAGMA synchronous = NORMAL",
        "PRAGMA journal_mode",
        "PRAGMA journal_mode = WAL",
        "BEGIN IMMEDIATE",
        "SELECT pg_advisory_xact_lock(:lock)",
    },
    "in files, the same whoever fetches them": {"English (eng)", "Emotions in Q1, heard by Q3"},
    "what the examples say": {"I saw it this morning, and I told them everything."},
    "the names of weights": {"Q0 is missing", "; and Q1 more", "Q0 is Q2 instead of Q4"},
    "told in the terminal": {
        "EMOSCOPE_KEEP is “everything”, “nothing”, a number of days such as 30d, a size such as 10GB, or both as "
        "30d,10GB; it cannot be “Q1”.",
        "EMOSCOPE_DATABASE_URL begins with sqlite:/// or postgresql://; this one does not.",
        "EMOSCOPE_DATABASE_URL is not the address of a database. It looks like postgresql://user:password@host/name.",
        "EMOSCOPE_DATABASE_URL names no file. Write it as sqlite:////folder/history.sqlite3.",
        "EMOSCOPE_QUEUE is the number of analyses that may wait: 1 or more, not 0.",
        "Embeddings and timelines go to columns or npy, not “Q1”.",
        "Q0 is 1 or 0, not “Q2”.",
        "Q0 is a number such as Q2, not “Q4”.",
        "Q0 is a number from 0 to Q2, but is Q4.",
        "Q0 names the home of a user who is not there: Q2.",
        "The studio cannot use port Q1 on Q3 (Q5). Stop what uses it, or set EMOSCOPE_PORT to another port.",
        "Emoscope is at http://Q1:Q3Q4\n",
        "\nSign in with your token, which is in EMOSCOPE_TOKEN.",
        "\nEverybody who can reach it may use it: EMOSCOPE_OPEN is 1.",
        "The decoding processes do not start. In a script of your own, call it under `if __name__ == '__main__':`, "
        "because every process reads the script again.",
        "do NOT agree",
        "Q0 cannot be written: Q2. Choose another --out.",
        " The published scores of Q1 Q3 (Q5 apart).",
        "Certified against Q1; the largest difference is Q3.Q5",
        "Refused against Q1: Q3, over Q5; FunASR's own network serves.Q7",
    },
}
UNREADABLE = "Q0 holds sound in {}, which Emoscope cannot read. Convert it to WAV, MP3 or FLAC."
APART = ("features", "frame logits", "frame probabilities", "utterance logits", "utterance probabilities")
# Sentences put together from pieces, as they come out: the pieces alone say nothing.
WHOLE = {
    "just over ": ["Q1 has just over Q2; the limit is Q3. Cut it, save it as MP3 or M4A, or set EMOSCOPE_MAX_MB.",
                   "Q1 is just over Q2 long; the limit is Q3."],
    "a video without sound": ["Q1 holds a video without sound. Give a file with a voice in it."],
    "no sound": ["Q1 holds no sound. Give a file with a voice in it."],
    "Q0 holds Q2. Give a file with a voice in it.": [],
    "an unknown codec": [UNREADABLE.format("an unknown codec")],
    "the codec Q1": [UNREADABLE.format("the codec Q1")],
    UNREADABLE.format("Q2"): [],
    "Q0 Cut it, or set EMOSCOPE_MAX_MINUTES.": [
        "Q0 is longer than the limit of Q1. Cut it, or set EMOSCOPE_MAX_MINUTES.",
        "Q0 is Q1 long; the limit is Q2. Cut it, or set EMOSCOPE_MAX_MINUTES.",
    ],
    "with another size or hash than it lists, so it was thrown away": [
        "Q0 sent Q1 with another size or hash than it lists, so it was thrown away"
    ],
    "The model cannot be writtenQ1: Q3. EMOSCOPE_MODELS can name another folder.": [
        "The model cannot be written: Q3. EMOSCOPE_MODELS can name another folder.",
        "The model cannot be written (Q1): Q3. EMOSCOPE_MODELS can name another folder.",
    ],
    " (Q1 of Q3 MB)": ["Listening (Q1 of Q3 MB)"],
    "does not offer Q1 with a size and a hash": ["Q0 does not offer Q1 with a size and a hash"],
    "an answer that is no number": ["an answer that is no number", *(f"Q1 in {kind}" for kind in APART)],
    "Q0 is Q2 or Q4, not “Q6”.": ["Precision is Q1, not “Q2”."],
    "Q0 gets it again": ["Q0 gets it again."],
    "Take it from its publisher again": ["Take it from its publisher again."],
    "not whole": ["Q1 is not whole. Get it with Q2, or choose “auto” or “compact”."],
    "only partly downloaded": ["Q1 is only partly downloaded. Get it with Q2, or choose “auto” or “compact”."],
    "not on disk": ["Q1 is not on disk. Get it with Q2, or choose “auto” or “compact”."],
}  # fmt: skip
HUB = "models/hubs.py"  # its texts go on after a hub's name


def package_files():
    for file in sorted(PACKAGE.rglob("*.py")):
        name = str(file.relative_to(PACKAGE))
        if not name.startswith(tuple(ELSEWHERE)):
            yield name, ast.parse(file.read_text("utf-8"))


def constants_of(tree):
    """The texts that a module gives names to."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = text_of(node.value, {})
            if text is not None:
                yield node.targets[0].id, text


def text_of(node, constants):
    """A literal text, with a filling in every hole that is not a named text; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return HOLE.sub("Q0", node.value)
    if not isinstance(node, ast.JoinedStr):
        return None
    pieces = []
    for number, piece in enumerate(node.values):
        named = constants.get(getattr(getattr(piece, "value", None), "id", ""))
        pieces.append(piece.value if isinstance(piece, ast.Constant) else named or f"Q{number}")
    return "".join(pieces)


def texts_of(node, constants):
    """Every text in the code but docstrings, annotations, log lines and programming errors."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and hasattr(builtins, ast.unparse(node.exc.func)):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "log":
        return
    text = text_of(node, constants)
    if text is not None:
        yield text
        return
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from texts_of(child, constants)


def is_said(text):
    """Say whether a text looks like words for people: two of them or more, with a space somewhere, and no type."""
    is_type = re.fullmatch(r"[\w., |\[\]]+", text) and re.search(r"[|\[]", text)
    is_code = is_type or re.match(r"\([\w, ]*\) =>", text)
    return " " in text.strip() and len(re.findall(r"[A-Za-z]{2,}", text)) > 1 and not is_code


@cache
def said():
    """Every text of the package that a visitor may read, whole, with the file that says it."""
    return tuple(find_said())


def find_said():
    silent = set().union(*UNSPOKEN.values())
    for name, tree in package_files():
        for text in texts_of(tree, dict(constants_of(tree))):
            if is_said(text) and text not in silent:
                for whole in WHOLE.get(text, [f"Q9 {text}" if name == HUB and text[0].islower() else text]):
                    yield name, whole


def test_every_sentence_of_the_core_is_there_in_chinese():
    assert len(said()) > 150
    for name, text in said():
        chinese = words.translate(text, "zh")
        assert CHINESE.search(chinese), f"{name} says “{text}”; give it an entry in studio/words/sentences.json"
        assert not re.search(r"\b[a-z]+,? [a-z]+\b", COMMAND.sub("", chinese)), f"only half of it is Chinese: {chinese}"
        assert set(FILLING.findall(chinese)) == set(FILLING.findall(text)), f"{text} -> {chinese}"


def test_no_entry_is_left_over():
    spoken = "\n".join([*(text for _, text in said()), *map(os.strerror, errno.errorcode), *chain(*WHOLE.values())])
    for english in sentences.catalogue():
        for piece in HOLE.split(english)[::2]:
            piece = piece.strip(" ().,:;“”")
            assert len(piece) < 12 or piece in spoken, f"nobody says “{english}” any more"


def areas():
    return {area: json.loads((catalogue.HERE / f"{area}.json").read_text("utf-8")) for area in words.AREAS}


@pytest.mark.parametrize("area", words.AREAS)
def test_every_string_of_the_page_has_two_languages_with_the_same_holes(area):
    for key, pair in areas()[area].items():
        assert re.fullmatch(r"[\w.]+", key)
        english, chinese = pair
        assert sorted(HOLE.findall(english)) == sorted(HOLE.findall(chinese)), f"{area}.{key}"
        assert not CHINESE.search(english) or f"{area}.{key}" in SWITCH, english
        if re.search(r"[a-z]{3}", HOLE.sub("", english)):
            assert CHINESE.search(chinese) or f"{area}.{key}" in SWITCH, f"{area}.{key}: {chinese}"


def test_the_catalogued_sentences_have_the_same_holes():
    for english, chinese in sentences.catalogue().items():
        assert set(HOLE.findall(english)) == set(HOLE.findall(chinese)), english
        assert re.search(r"[\u3000-\u9fff\uff00-\uffef]", chinese), english
        assert len(re.sub(r"\W", "", HOLE.sub("", english))) >= 2, f"“{english}” fits everything"


def test_chinese_strings_have_chinese_punctuation():
    pairs = [(f"{area}.{key}", pair[1]) for area, pairs in areas().items() for key, pair in pairs.items()]
    for name, chinese in [*pairs, *sentences.catalogue().items()]:
        assert not re.search(r"[\u4e00-\u9fff][,;:?!]|[\u4e00-\u9fff]\.(?![\w/])|\.\.\.", chinese), f"{name}: {chinese}"


def test_every_key_that_is_used_has_its_words():
    known = catalogue.words("en")
    used = set()
    for file in (PACKAGE / "studio").rglob("*.*"):
        if file.suffix in (".py", ".js", ".html"):
            text = file.read_text("utf-8")
            used |= set(re.findall(r"""\b(?:say|label)\(\s*["']([a-z_]+\.[a-z_.]+)["']\s*[,)]""", text))
            used |= set(re.findall(r'data-(?:say|label)="([^".]+\.[^"]+)"', text))
    assert len(used) > 20
    assert used <= set(known), used - set(known)


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("", ""),
        ("Nobody has catalogued this.  It stays.", "Nobody has catalogued this.  It stays."),
        ("The model is loading.", "模型正在加载。"),
        ("a. b.wav is empty (0 bytes). Save or send it again.", "a. b.wav 是空文件（0 字节）。请重新保存或发送。"),
        ("x.mp3 is 3 h 12 min long; the limit is 2 h. Cut it, or set EMOSCOPE_MAX_MINUTES.",
         "x.mp3 的时长是 3 小时 12 分钟，上限是 2 小时。请剪短，或调整 EMOSCOPE_MAX_MINUTES。"),
        ("The file ends early: 2 min 5 s could be read and were used.",
         "文件提前结束，只读取并使用了其中的 2 分 5 秒。"),
        ("The model is loading. Nobody knows this one.", "模型正在加载。Nobody knows this one."),
        ("This is the compact demonstration model; it is far below Emotion2Vec+ Large. Emotion2Vec+ Large in /a. b "
         "is not whole; ./run.sh models download large repairs it.",
         "这是精简的演示模型，效果远不如 Emotion2Vec+ Large。/a. b 中的 Emotion2Vec+ Large 不完整，"
         "运行 ./run.sh models download large 即可修复。"),
        ("Downloading model.pt from ModelScope (512 of 1,951 MB)", "正在从 ModelScope 下载 model.pt（512 / 1,951 MB）"),
        ("Emotion2Vec+ Large could not be downloaded: ModelScope did not answer in time; Hugging Face does not "
         "have a/b (404). What has arrived is kept, and ./run.sh models download large goes on from there.",
         "未能下载 Emotion2Vec+ Large：ModelScope 没有及时响应；Hugging Face 上没有 a/b（404）。已下载的部分会保留，"
         "运行 ./run.sh models download large 可从中断处继续。"),
        ("x is an image. Give a WAV, MP4 or MOV file.", "x 是图片。请选择 WAV、MP4 或 MOV 格式的文件。"),
        ("a{b}.wav is a folder. Give a file.", "a{b}.wav 是一个文件夹，请选择文件。"),
    ],
)  # fmt: skip
def test_sentences_in_chinese(english, chinese):
    assert words.translate(english, "zh") == chinese
    assert words.translate(english, "en") == english


@pytest.mark.parametrize(
    "name", ["a. " * 80, "x in features " * 16, "(1 of 2 MB) " * 20, "a or b, " * 30, " is a folder. " * 18]
)
def test_no_name_of_a_file_makes_it_slow(name):
    begun = time.process_time()
    assert words.translate(f"{name}.wav is empty (0 bytes). Save or send it again.", "zh").endswith(
        "请重新保存或发送。"
    )
    assert time.process_time() - begun < 2  # it takes a few milliseconds


def test_what_the_core_really_says_is_found(tmp_path):
    """Not templates but errors: every kind of file that is no recording."""
    for number, start in enumerate(sorted({start for start, _what in OTHERS})):
        file = tmp_path / f"{number}.wav"
        file.write_bytes(start + b"\0" * 100)
        with pytest.raises(AudioError) as caught:
            audio.load(file, limits=Limits(60, 10_000))
        chinese = words.translate(str(caught.value), "zh")
        assert chinese.startswith(f"{file.name} "), chinese
        assert not re.search(r"\b(is|a|an|the|Give|which)\b", chinese), chinese


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [(3.2, "3.2 s", "3.2 秒"), (0, "0 s", "0 秒"), (60, "1 min", "1 分钟"), (125, "2 min 5 s", "2 分 5 秒"),
     (11_520, "3 h 12 min", "3 小时 12 分钟"), (7200, "2 h", "2 小时")],
)  # fmt: skip
def test_lengths(seconds, english, chinese):
    assert words.length_in(seconds, "en") == english
    assert words.length_in(seconds, "zh") == chinese


def test_emotions_are_called_what_the_labels_call_them():
    for emotion in EMOTIONS:
        assert words.emotion_title(emotion.name, "en") == emotion.name
        assert words.emotion_title(emotion.name, "zh") == words.translate(emotion.name, "zh") == emotion.chinese
    assert words.emotion_title("silence", "zh") == "静音"


def test_downloads_are_described_in_chinese():
    for writer in export.WRITERS.values():
        assert CHINESE.search(words.translate(writer.what, "zh"))


def test_a_missing_key_or_value_is_loud():
    assert words.say("errors.unforeseen", "en", number="1a").endswith("number 1a.")
    for wrong in (
        lambda: words.say("errors.nothing", "en"),
        lambda: words.say("errors.unforeseen", "zh"),
        lambda: words.label("errors.nothing"),
    ):
        with pytest.raises(KeyError):
            wrong()


def test_a_label_is_found_by_gradio_in_both_languages():
    key = words.label("header.tagline").to_dict()["key"]
    found = words.translations()
    assert set(found) == {"en", "zh-CN"}
    assert [found[locale][key] for locale in ("en", "zh-CN")] == areas()["header"]["tagline"]


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "zh-TW", "zh"),
        (None, "en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        (None, "en;q=0.3, zh;q=0.7", "zh"),
        (None, "de-DE, zh;q=0.5", "zh"),
        (None, "fr, de;q=0.5, *;q=0.1", "en"),
        (None, "zh;q=much", "en"),
        (None, "zh;q=0, en;q=0.1", "en"),
        (None, ";;,,=", "en"),
        ("zh", "en-US", "zh"),
        ("en", "zh-CN", "en"),
        ("<script>", "zh-CN", "zh"),
    ],
)
def test_the_visitors_language(cookie, accepted, language):
    cookies = {words.COOKIE: cookie} if cookie else {}
    assert words.language_of(SimpleNamespace(cookies=cookies, headers={"accept-language": accepted})) == language


def test_without_a_request_it_is_english():
    assert words.language_of(None) == "en"


def served(page, path="/", headers=(), status=200):
    """What a browser gets when Gradio answers with this page, sent in two pieces."""
    content = page.encode()

    async def gradio(_scope, _receive, send):
        lengths = [(b"content-type", b"text/html"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": lengths})
        await send({"type": "http.response.body", "body": content[:50], "more_body": True})
        await send({"type": "http.response.body", "body": content[50:]})

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": list(headers)}
    asyncio.run(words.PageInLanguage(gradio)(scope, None, send))
    return dict(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:])


PAGE = '<!doctype html>\n<html\n\tlang="en"><head><meta charset="utf-8"></head><body>你好</body></html>'
IN_CHINESE = ((b"accept-language", b"zh-CN,zh;q=0.9"),)


def test_the_page_is_sent_in_the_visitors_language():
    headers, body = served(PAGE, headers=IN_CHINESE)
    page = body.decode()
    assert '<html\n\tlang="zh-CN">' in page
    assert page.index("window.emoscope") < page.index("</head>")
    assert "听出声音里的情绪" in page
    assert page.count("<title>") == 1
    assert int(headers[b"content-length"]) == len(body)
    assert headers[b"vary"] == b"Accept-Language, Cookie, Accept-Encoding"
    assert headers[b"content-language"] == b"zh-CN"
    english = served(PAGE)[1].decode()
    assert 'lang="en"' in english
    assert "Hear what emotion" in english
    assert "听出" not in english


@pytest.mark.parametrize(
    ("accepted", "encoding", "unpack"),
    [(b"gzip, deflate, br, zstd", b"br", brotli.decompress), (b"gzip, deflate", b"gzip", gzip.decompress)],
)
def test_a_page_is_packed_as_the_browser_can_read_it(accepted, encoding, unpack):
    headers, body = served(PAGE, headers=(*IN_CHINESE, (b"accept-encoding", accepted)))
    assert headers[b"content-encoding"] == encoding
    assert int(headers[b"content-length"]) == len(body)
    assert unpack(body) == served(PAGE, headers=IN_CHINESE)[1]


def test_everything_else_passes_untouched():
    assert served(PAGE, path="/config", headers=IN_CHINESE)[1].decode() == PAGE
    assert served(PAGE, headers=IN_CHINESE, status=500)[1].decode() == PAGE


def test_gradios_page_is_still_written_as_it_is_changed_here():
    import gradio

    page = (Path(gradio.__file__).parent / "templates" / "frontend" / "index.html").read_text("utf-8")
    before = page.split("</head>")[0]
    for mark in visitor.AS_GRADIO_WRITES_IT:
        assert page.count(mark) == 1
    assert "window.gradio_config =" in before
    assert "<title>" not in before


def test_no_string_can_end_the_script(monkeypatch):
    monkeypatch.setattr(visitor, "words", lambda _language: {"a.b": "</script><!--", "gradio.b": "</script>"})
    assert visitor.script.__wrapped__("en").count("</") == 1


def test_what_goes_wrong_is_one_sentence_in_the_visitors_language(caplog):
    import gradio

    from emoscope.studio.plainly import plainly

    with pytest.raises(gradio.Error) as caught, plainly("zh"):
        raise AudioError("<b>.wav is empty (0 bytes). Save or send it again.")
    assert caught.value.message == "&lt;b&gt;.wav 是空文件（0 字节）。请重新保存或发送。"
    with pytest.raises(gradio.Error) as caught, plainly("zh"):
        _ = 1 / 0
    number = re.fullmatch(r"Emoscope 内部出了问题，详情已记入日志，编号 ([0-9a-f]{6})。", caught.value.message)[1]
    assert f"unforeseen error {number}" in caplog.text
    assert "division" in caplog.text
