"""The report in a real browser: hostile text stays text, nothing is fetched, nothing overflows.

A small server holds the report and a page that shows it in a frame of a phone's width, looks into
the frame and writes down what it finds. A text in the data that managed to run as a script would
change the title; one that managed to load something would show up in the server's log.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from programs import missing_program

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "reporting"))

from sample_run import make_run

from daftt_core.reporting import collect, render

PROBE = """<!DOCTYPE html><body>
<iframe id="report" src="/report.html" style="width:{width}px;height:900px;border:0"></iframe>
<script>
document.getElementById("report").onload = (event) => {{
  const page = event.target.contentDocument, view = event.target.contentWindow;
  for (const fold of page.querySelectorAll("details")) fold.open = true;
  page.documentElement.style.scrollBehavior = "auto";
  setTimeout(() => {{
    const cut = Array.from(page.querySelectorAll(".scroll"))
      .filter((box) => box.scrollWidth > box.clientWidth)
      .map((box) => box.getAttribute("aria-label"));
    const captions = Array.from(page.querySelectorAll(".scroll caption span"));
    page.documentElement.scrollTop = page.documentElement.scrollHeight / 2;
    const contents = page.querySelector(".contents");
    const found = {{
      cut: cut,
      cues: captions
        .filter((caption) => view.getComputedStyle(caption, "::after").content != "none")
        .map((caption) => caption.closest(".scroll").getAttribute("aria-label")),
      contents: contents ? contents.getBoundingClientRect().top : null,
      title: page.title,
      text: page.body.innerText,
      width: page.documentElement.scrollWidth,
      loaded: view.performance.getEntriesByType("resource").map((entry) => entry.name),
      scripts: page.querySelectorAll("body script, body img, body iframe").length,
      quotes: Array.from(page.querySelectorAll("blockquote"), (quote) => quote.textContent),
      background: view.getComputedStyle(page.body).backgroundColor,
    }};
    document.body.textContent = JSON.stringify(found);
  }}, 300);
}};
</script>"""


class Server:
    """Serves pages on this machine and remembers what was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                page = outer.pages.get(self.path)
                self.send_response(404 if page is None else 200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write((page or "").encode())

            def log_message(self, *args: object) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(server: Server, tmp_path: Path) -> Look:
    """Show a page in Chromium and tell what is found in it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        missing_program("no Chromium; install it with: apt-get install chromium")

    def work(html: str, width: int = 390, *options: str) -> dict[str, Any]:
        server.pages = {"/report.html": html, "/probe": PROBE.format(width=width)}
        command = [
            *(browser, "--headless", "--no-sandbox", "--hide-scrollbars", "--no-first-run"),
            *("--disable-background-networking", "--disable-extensions", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={tmp_path / 'browser'}", "--window-size=1400,1000"),
            *("--virtual-time-budget=10000", *options, "--dump-dom", f"{server.url}/probe"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        body = re.search(r"<body>(\{.*\})</body>", done.stdout, flags=re.DOTALL)
        assert body, done.stdout[-2000:]
        found: dict[str, Any] = json.loads(unescape(body[1]))
        return found

    return work


def _hostile(url: str) -> list[str]:
    return [
        "<script>document.title='pwned'</script>",
        f"<img src='{url}/stolen' onerror=\"document.title='pwned'\">",
        f"</blockquote></style><link rel=stylesheet href={url}/stolen><svg onload=alert(1)>",
        "\"><iframe srcdoc='x'></iframe> &lt;b&gt; {{ 7 * 7 }} {% raw %}",
        "מימין לשמאל \u202e reversed",
        "w" * 3000,
        "first line\nsecond line\x00\x1b[31m\x85end",
        "javascript:alert(1)//https://example.org/?q=" + "a" * 300,
    ]


def test_hostile_text_is_shown_as_text(server: Server, look: Look, tmp_path: Path) -> None:
    texts = _hostile(server.url)
    html = render(collect(make_run(tmp_path / "run", hostile=texts)))
    found = look(html)
    assert found["title"] == "run · DAFTT report"
    assert found["scripts"] == 0
    for text in texts[:4]:
        assert text in found["quotes"]  # of the kept examples, to the letter
        assert text in found["text"]  # and on the screen
    assert "first line\nsecond line\u2400\u241b[31m\ufffdend" in found["quotes"]
    assert "מימין לשמאל \ufffd reversed" in found["quotes"]
    assert found["loaded"] == []
    assert [path for path in server.asked if path not in ("/probe", "/favicon.ico")] == [
        "/report.html"
    ]


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(
    server: Server, look: Look, tmp_path: Path, width: int
) -> None:
    run = make_run(tmp_path / ("long-name-" * 20), hostile=_hostile(server.url))
    assert look(render(collect(run)), width)["width"] == width


def test_at_the_width_of_a_desk_nothing_is_cut_and_the_contents_stay_in_sight(
    look: Look, tmp_path: Path
) -> None:
    html = render(collect(make_run(tmp_path / "run")))
    found = look(html, 1280)
    assert (found["cut"], found["contents"]) == ([], 0)
    assert look(html, 390)["cut"]  # the probe sees what does not fit


def test_a_table_that_does_not_fit_says_that_it_scrolls(look: Look, tmp_path: Path) -> None:
    html = render(collect(make_run(tmp_path / "run")))
    narrow, wide = look(html, 390), look(html, 1280)
    assert {"Table of arms", "Data sources"} <= set(narrow["cues"]) <= set(narrow["cut"])
    assert wide["cues"] == []


def test_a_real_report_fits_a_phone_and_follows_the_theme(look: Look, tmp_path: Path) -> None:
    html = render(collect(make_run(tmp_path / "run")))
    light = look(html, 390, "--blink-settings=preferredColorScheme=1")
    dark = look(html, 390, "--blink-settings=preferredColorScheme=0")
    assert light["width"] == dark["width"] == 390
    assert light["background"] == "rgb(252, 252, 250)"
    assert dark["background"] == "rgb(20, 23, 27)"


def test_the_policy_holds_even_where_escaping_would_fail(
    server: Server, look: Look, tmp_path: Path
) -> None:
    html = render(collect(make_run(tmp_path / "run")))
    raw = html.replace("</main>", "".join(_hostile(server.url)[:2]) + "</main>")
    found = look(raw)
    assert found["scripts"] == 2
    assert found["title"] == "run · DAFTT report"
    assert "/stolen" not in server.asked


def test_the_probe_sees_a_script_that_runs(server: Server, look: Look) -> None:
    """Without this the tests above would prove nothing."""
    found = look("<body>" + "".join(_hostile(server.url)[:2]))
    assert found["title"] == "pwned"
    assert "/stolen" in server.asked
