"""The Live tab: the emotion of a voice while it speaks, and a report of the whole when it stops."""

from collections.abc import Iterator
from time import localtime, strftime
from typing import TYPE_CHECKING, Any

import gradio as gr

from emoscope.errors import Cancelled
from emoscope.live import Session
from emoscope.report import Report
from emoscope.results import Progress
from emoscope.settings import Options
from emoscope.studio import present
from emoscope.studio.desk import Desk
from emoscope.studio.handlers import Answered
from emoscope.studio.holdings import NOBODY, Page
from emoscope.studio.pace import Pace
from emoscope.studio.parts import QUIETLY, part
from emoscope.studio.plainly import plainly
from emoscope.studio.shelf import Shelf
from emoscope.studio.tabs.running import AT_ONCE
from emoscope.studio.words import Language, language_of
from emoscope.studio.work import Work

if TYPE_CHECKING:
    from emoscope.history import Kept

OPTIONS = Options(granularity="frame")  # who watched the frames wants to keep them


def build(desk: Desk) -> None:
    """Place the tab and connect its events: "begin" clears the last report, "finish" asks for the next."""
    rolling = part("rolling", emotions=present.legend())
    progress = part("progress", elem_id="live-progress")
    shown = [
        part("verdict", elem_id="live-verdict", emotions=present.legend()),
        part("timeline", elem_id="live-timeline", emotions=present.legend()),
        part("downloads", elem_id="live-downloads"),
    ]

    def finish(event: gr.EventData, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        token = str(getattr(event, "token", ""))
        page = desk.holdings.page(request.session_hash)
        for news in answer(desk, token, language_of(request), page):
            if isinstance(news, Answered):
                yield {"state": "done", "token": token}, None, news.verdict, news.timeline, news.downloads
            else:
                yield gr.skip(), news, gr.skip(), gr.skip(), gr.skip()

    def fail() -> tuple[present.View, None]:
        return {"state": "failed"}, None

    rolling.begin(lambda: (None,) * 4, None, [progress, *shown], **QUIETLY)
    running = rolling.finish(
        finish,
        None,
        [rolling, progress, *shown],
        trigger_mode="multiple",  # who cancels and speaks again must not wait for the first answer
        show_progress="hidden",
        concurrency_id="analysis",
        concurrency_limit=AT_ONCE,
        api_visibility="private",
    )
    running.failure(fail, None, [rolling, progress], **QUIETLY)


def answer(desk: Desk, token: str, language: Language, page: Page = NOBODY) -> Iterator[present.View | Answered | None]:
    """Yield how far the analysis of a session's whole recording is and, in the end, its answer, or None when cancelled.

    A session ends with its report; after an error it stays, so that its visitor can try again.
    """
    pace = Pace()
    with plainly(language):
        session = desk.live.find(token)
        work = Work(lambda tell: _analyze(desk, session, tell))
        for moment in work:
            pace.follow(moment)
            yield present.progress(moment.what, pace.done, pace.left, language)
        try:
            report, kept = work.result()
        except Cancelled:
            yield None
            return
        desk.live.end(token)
        shelf = Shelf()
        page.needs("live", shelf.folder)
        yield Answered(*present.answer(report, kept, shelf, language))


def _analyze(desk: Desk, session: Session, tell: Progress) -> "tuple[Report, Kept]":
    def progress(what: str, done: float) -> None:
        session.stay()
        tell(what, done)

    name = strftime("live-%Y%m%d-%H%M%S.wav", localtime(session.began))
    report = desk.line.analyze(session.stop(), OPTIONS, name=name, progress=progress)
    progress("Writing the files", 0.0)
    return report, desk.keep(report)
