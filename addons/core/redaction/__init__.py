"""Redaction of what is stored: `Redactor` over rules (data), exact strings and names.

names ── headers, cookies, query parameters ─┐
rules ── scanner: shapes in bytes ───────────┼── redactor: masks, notes
exact ── configured keys in every escaping ──┤
streams: secrets cut over the events ────────┤
bodies ── parts (JSON, text, forms) ── gathering: all decoded strings in one text ── back to the bytes as written (located)
            memory: a history is read once      opaque: what is left alone      keyvalues: `{"password": "…"}`
"""
