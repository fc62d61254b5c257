"""Captures into files (`turnpike export`): calls are chosen and read one at a time, masked once more, and written by one of the formats.

selection: which calls ──► captures: read, masked ── jsonl | har | csv | html: pieces of bytes ──► target: a new file, or stdout
                                                  └─ llm: a database of its own ───────────────────┘
"""
