"""Fifty texts that a page must show as the text that they are, and calls that have one of them in every field that is shown.

What runs sets `window.owned` or opens a dialog; elements that are made bear `data-evil`; addresses lead to `evil.example`.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from addons.core.call import AttemptRecord, Message, Part, RedactionNote, SqlValue, StoredBody, StoredCall
from addons.storage.store import Store
from tests.views.samples import call_id

RUN = "window.owned=1"
LONG, LONG_NAME = 1_000_000, 100_000
HOSTILE: dict[str, str] = {
    "script": f"<script data-evil>{RUN}</script>",
    "end of script": f"</script><script data-evil>{RUN}</script>",
    "end of JSON": f'"}}]</script><script data-evil>{RUN};alert(1)</script>',
    "image": f'"><img data-evil src=x onerror="{RUN}">',
    "image, single quotes": f"'><img data-evil src='x' onerror='{RUN}'>",
    "image, slashes": f"<img/data-evil/src/onerror={RUN}>",
    "svg": f"<svg data-evil onload={RUN}><script>{RUN}</script></svg>",
    "math": f"<math data-evil><mtext><style><img src onerror={RUN}></style></mtext></math>",
    "handler in an attribute": f'" onmouseover="{RUN}" autofocus onfocus="{RUN}" data-evil="',
    "handler, no quotes": f"x onfocus={RUN} autofocus data-evil tabindex=0",
    "handler, backticks": f"`><img data-evil src onerror=`{RUN}`>",
    "iframe": f'<iframe data-evil srcdoc="<script>parent.{RUN.removeprefix("window.")}</script>"></iframe>',
    "object": f"<object data-evil data=\"javascript:{RUN}\"></object><embed data-evil src='https://evil.example/'>",
    "base": "<base data-evil href='https://evil.example/'><a data-evil href=x>x</a>",
    "meta": f'<meta data-evil http-equiv="refresh" content="0;url=javascript:{RUN}">',
    "style": "<style data-evil>@import 'https://evil.example/a.css';*{display:none}</style>",
    "style sheet": "<link data-evil rel=stylesheet href=https://evil.example/a.css>",
    "form": f"<form data-evil action='https://evil.example/'><input data-evil autofocus onfocus={RUN}><button formaction=javascript:{RUN}>",
    "end of textarea": f"</textarea></title></select></option></datalist><img data-evil src onerror={RUN}>",
    "end of pre": f"</pre></code></bdi></details></td></tr></table><img data-evil src onerror={RUN}>",
    "comment": f"--><!--><img data-evil src onerror={RUN}>-->",
    "CDATA": f"]]><img data-evil src onerror={RUN}><![CDATA[",
    "noscript": f'<noscript><p title="</noscript><img data-evil src onerror={RUN}>">',
    "template element": f"<template data-evil><script>{RUN}</script></template>",
    "javascript link": f"javascript:{RUN}",
    "javascript link, disguised": f"\x01 JaVa\tScRiPt\n:{RUN}//https://example.org",
    "javascript link in markdown": f"[click](javascript:{RUN}) ![x](https://evil.example/a.png)",
    "data link": f"data:text/html,<script data-evil>opener.{RUN.removeprefix('window.')}</script>",
    "vbscript link": f"vbscript:{RUN}",
    "link to elsewhere": "//evil.example/a.js",
    "backslashes": "\\\\evil.example\\share\\..\\..\\",
    "path": "../../../../etc/passwd?a=b&c=d#e%2F%00",
    "entities": "&lt;img src=x&gt; &amp;amp; &#60;b data-evil&#62; &notit; &copy",
    "double encoded": f"%3Cscript%20data-evil%3E{RUN}%3C/script%3E %253C",
    "template": "{{7*7}} {% raw %} ${7*7} #{7*7} <%= 7*7 %> {{''.__class__.__mro__}} {# x",
    "format": "%s%n%x {0} {} {name!r} %(name)s %",
    "SQL": "'; DROP TABLE calls; -- \" OR 1=1 /* [x] `y` ESCAPE '\\'",
    "full text": 'NEAR(a b) AND * OR "x NOT ^prefix: col:',
    "formula": '=HYPERLINK("https://evil.example/","x")\t+1-1@SUM(A1)',
    "shell": f"$(touch evil) `id` ; rm -rf ~ && echo \\' \" | {RUN}",
    "NUL": f"a\x00b<\x00script data-evil>{RUN}</script>",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f\x80\x85\x9f\u2028\u2029",
    "ANSI": "\x1b[31mred\x1b[0m\x1b]8;;https://evil.example\x07link\x1b]8;;\x07\x1b[2J\r\noverwritten\r",
    "right to left": "\u202egnp.exe\u202c \u2067\u05e9\u05dc\u05d5\u05dd \u0639\u0631\u0628\u064a\u2069 \u200f\u061c",
    "half surrogates": "a\ud83d b\ude00 c\udcff<b data-evil>",
    "invalid UTF-8": b"\xff\xfe\xc0\xafa\xed\xa0\x80<b data-evil>\xf5".decode("utf-8", "surrogateescape"),
    "stacked marks": "Z" + "\u0301\u0338\u0489" * 60 + "\u200b\u200d\ufeff",
    "emoji": "👩‍👩‍👧‍👦👍🏿🏳️‍🌈🇯🇵 東京都 한국어 ไทย \U0001f9ff\U000e0041",
    "a long word": "W" * 5000,
    "a long line": "<b data-evil>" + "long line " * (LONG // 10),
}
assert len(HOSTILE) == 50

NAMED = (
    *("client", "project", "tag", "user_agent", "method", "host", "path", "provider", "upstream", "api", "model", "served_model"),
    *("response_model", "route", "outcome", "error_type", "error", "finish_reason", "key_hint", "tokens_source", "cost_source"),
    *("prompt", "response"),
)
"""Columns of `calls` that hold text of others."""

MEDIA = ("image", "audio", "file")
KINDS = ("text", "reasoning", "tool_call", "tool_result", "image", "audio", "file", "refusal", "other")
START_MS = 1_765_000_000_000


def plain(text: str) -> str:
    """As the store writes it: "?" for what is no character."""
    return text.encode("utf-8", "replace").decode()


def own_word(text: str) -> str:
    """The beginning of a text: what stands there is a word of ours in whole databases, and something short in damaged ones."""
    return text[:60]


def number_of(name: str) -> int:
    return 500 + list(HOSTILE).index(name)


def evil_call(name: str, started_ms: int) -> StoredCall:
    """A call with the text `name`, and the name of the field behind it, in every field."""
    evil = HOSTILE[name]

    def at(field: str) -> str:
        return f"{evil}¦{field}"

    shortened: dict[str, SqlValue] = {
        "outcome": own_word(at("outcome")),
        "prompt": at("prompt")[:300],
        "response": at("response")[:300],
    }
    columns: dict[str, SqlValue] = {**{column: at(column) for column in NAMED}, **shortened}
    row: dict[str, SqlValue] = {
        "id": call_id(number_of(name)),
        "started_at": "2025-12-06T05:46:40.000Z",
        "ts_ms": started_ms,
        "conversation_id": evil,
        "decision": json.dumps([{name: at(f"d-{name}") for name in ("upstream", "model", "passed_over")} | {"unknown": [at("d-unknown")]}]),
        "stream": 1, "status": 500, "input_tokens": 10, "output_tokens": 5, "cost_usd": 0.01, "attempts": 1, "n_messages": 2,
        "ttft_ms": 20.0, "duration_ms": 40.0,
    }  # fmt: skip
    attempt: Any = AttemptRecord(1, at("a-upstream"), at("a-host"), at("a-model"), at("a-key"), 500, None, 1.0, 2.0)
    attempt.failure = own_word(at("a-failure"))
    note: Any = RedactionNote(at("r-rule"), at("r-where"), plain(own_word(at("r-action"))))  # type: ignore[arg-type] # what a damaged row may hold
    return StoredCall(
        row=row | columns,
        attempts=(attempt,),
        bodies=(_request(at), _response(at)),
        messages=(Message(at("role"), _parts(at)), Message("assistant", _parts(at))),
        answers=1,
        deltas_ms=(20.0, 5.0),
        redactions=(note,),
    )


def shown_on_call(name: str) -> dict[str, str]:
    """Field → what a call's page must show of it. Of a long text the beginning."""
    evil = HOSTILE[name]
    if len(evil) > 1500:
        return {"the beginning": evil[:1000]}
    fields = [
        *(column for column in NAMED if column not in ("outcome", "prompt", "response")),
        "d-upstream",
        "d-model",
        "d-passed_over",
        "d-unknown",
    ]
    fields += ["a-upstream", "a-host", "a-model", "a-key", "r-rule", "r-where", "encoding", "h-name", "h-value"]
    fields += [f"{kind}-text" for kind in KINDS] + ["tool_call-name", "tool_result-name", "reasoning-name", "other-type"]
    fields += [f"{kind}-{named}" for kind in MEDIA for named in ("name", "media_type", "id")]
    wanted = {field: plain(f"{evil}¦{field}") for field in fields}
    wanted |= {field: json.dumps(f"{evil}¦{field}")[1:-1] for field in ("body", "body-key")}  # as the body is written
    if plain(evil) == evil and "\0" not in evil:
        wanted |= {field: f"{evil}¦{field}" for field in ("event", "event-data")}  # else the body is no text
    return wanted


def _parts(at: Any) -> tuple[Part, ...]:
    def data(kind: str) -> dict[str, str]:
        names = ("id", "name", "type", "media_type", "filename")
        return {name: at(f"{kind}-{name}")[:LONG_NAME] for name in names} | {"url": at("").removesuffix("¦")}

    return tuple(Part(kind, at(f"{kind}-text"), data(kind)) for kind in KINDS)  # type: ignore[arg-type] # of KINDS


def _request(at: Any) -> StoredBody:
    content = json.dumps({"messages": [at("body")], at("body-key"): 1}).encode()  # in JSON, half surrogates are escapes
    headers = ((at("h-name"), at("h-value")), ("Content-Type", "application/json"))
    return StoredBody("request", headers, content, at("encoding"), len(content), False, False)


def _response(at: Any) -> StoredBody:
    events = "".join(f"event: {at('event')}\ndata: {at('event-data')}\n\n" for _ in range(2))
    content = events.encode("utf-8", "surrogatepass" if "\ud83d" in events else "surrogateescape")  # the first is no UTF-8 either
    return StoredBody("response", (("Content-Type", "text/event-stream"),), content, None, len(content), True, True)


def fill_hostile(path: Path, first_ms: int) -> None:
    """A call for each text into the database at `path`, the first at `first_ms`, a second apart; in one, columns are no UTF-8 at all."""
    with closing(Store(path)) as store:
        for place, name in enumerate(HOSTILE):
            store.write([evil_call(name, first_ms + 1000 * place)])
    with closing(sqlite3.connect(path)) as connection, connection:
        for column in ("client", "model", "error", "prompt", "tag"):
            connection.execute(
                f"UPDATE calls SET {column} = CAST(x'fffe3c6220646174612d6576696c3e' || {column} AS TEXT) WHERE id = ?", (call_id(545),)
            )
