"""The chat app as one Gradio page: threads at the left, conversation, documents, learning, sources at the right."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import gradio as gr
from fastapi import FastAPI, Request

from understudy.apps.api.ingesting import FOLDER as UPLOADS
from understudy.apps.chat import documents, learning, look, render
from understudy.apps.chat.calls import OwnCalls, fetch_nothing
from understudy.apps.chat.conversation import ALL_DOCUMENTS, QUIET, Page, connect
from understudy.apps.server.auth import session_of
from understudy.apps.server.served import Served
from understudy.apps.server.uploads import check_upload

CACHED_S = 3600
"""After which Gradio deletes uploads."""

__all__ = ["build_chat", "mount_chat"]


def build_chat(served: Served) -> Any:
    """The app of a served workspace, to be mounted."""
    with gr.Blocks(
        title="Understudy", analytics_enabled=False, fill_width=True, delete_cache=(CACHED_S, CACHED_S)
    ) as app:
        with gr.Sidebar(label="Questions", width=290, elem_id="u-left"):
            new = gr.Button("New question", variant="secondary", elem_id="u-new")
            threads = gr.HTML(js_on_load=look.ON_PRESS, elem_id="u-list")
        with gr.Sidebar(label="Source", position="right", open=False, width=420, elem_id="u-right") as source:
            excerpt = gr.HTML(
                '<p class="u-note">Press a source under an answer to read it here.</p>',
                js_on_load=look.TO_QUOTE,
                elem_id="u-excerpt",
            )
        with gr.Row(elem_id="u-head"):
            gr.HTML("<h1>Understudy</h1>")
            account = gr.HTML(elem_id="u-account")
            dark = gr.Button("Dark or light", size="sm", min_width=80, scale=0)
        with gr.Tabs(elem_id="u-tabs"):
            with gr.Tab("Ask") as asking:
                past = gr.HTML(js_on_load=look.ON_PRESS, elem_id="u-log")
                now = gr.HTML(js_on_load=look.FOLLOW, elem_id="u-now")
                with gr.Group(visible=False, elem_id="u-waiting") as waiting:
                    card = gr.HTML()
                    with gr.Accordion("Edit it first", open=False):
                        message = gr.Textbox(label="The message as it will be sent", lines=8, max_lines=20)
                    with gr.Row():
                        send = gr.Button("Send", variant="primary", elem_id="u-send")
                        refuse = gr.Button("Stay local", elem_id="u-refuse")
                error = gr.HTML(elem_id="u-error")
                with gr.Column(elem_id="u-ask"):
                    with gr.Row():
                        collection = gr.Dropdown(label="Collection", allow_custom_value=False, min_width=140)
                        document = gr.Dropdown([ALL_DOCUMENTS], value=ALL_DOCUMENTS, label="Document", min_width=180)
                    with gr.Row():
                        question = gr.Textbox(
                            label="Question",
                            placeholder="Ask your documents",
                            lines=1,
                            max_lines=8,
                            scale=8,
                            autofocus=True,
                        )
                        ask = gr.Button("Ask", variant="primary", scale=1, min_width=80, elem_id="u-go")
                        stop = gr.Button("Stop", variant="stop", scale=1, min_width=80, visible=False, elem_id="u-stop")
            with gr.Tab("Documents"):
                documents.build(served.agent, check_upload)
            with gr.Tab("Learning"):
                learning.build(served.agent)
        page = Page(
            thread=gr.State(),
            request=gr.State(),
            new=new,
            threads=threads,
            collection=collection,
            document=document,
            past=past,
            now=now,
            error=error,
            waiting=waiting,
            card=card,
            message=message,
            send=send,
            refuse=refuse,
            question=question,
            ask=ask,
            stop=stop,
            source=source,
            excerpt=excerpt,
        )
        connect(served, page, app, asking)
        dark.click(None, js=look.THEME_BUTTON)
        app.load(None, js=look.READY)
        app.load(account_of, None, [account], **QUIET)
    return app


def account_of(request: gr.Request) -> str:
    """Who is logged in, and the way out; nothing where nobody had to log in."""
    session = None if request.request is None else session_of(request.request)
    return "" if session is None else render.account(session.key.principal, session.csrf)


def mount_chat(server: FastAPI, served: Served, who: Callable[[Request], str]) -> None:
    """Put the page at the root of a server.

    Args:
        server: whose other routes stand before it.
        served: what it shows.
        who: the principal of a request.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_MCP_SERVER"] = "False"
    # What is dropped on the page and never added stays in the workspace, and goes when the server next starts.
    os.environ["GRADIO_TEMP_DIR"] = str(served.agent.workspace.root / UPLOADS / "page")
    fetch_nothing()
    app = build_chat(served)
    app.queue(default_concurrency_limit=None, max_size=None)
    # Or any file of the server's would pass for an upload: Gradio checks paths of apps alone that it launched itself.
    app.has_launched = True
    server.add_middleware(OwnCalls)
    gr.mount_gradio_app(
        server,
        app,
        path="/",
        auth_dependency=who,
        theme=look.theme(),
        css=look.CSS,
        head=look.HEAD,
        show_error=False,
        footer_links=[],
        run_history=False,
        max_file_size=served.settings.upload_mib * 2**20,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
    )
