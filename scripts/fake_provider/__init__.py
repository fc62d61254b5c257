"""A provider of our own, for tests, the demo and benchmarks: it speaks every dialect and fails on demand.

    bytes ── http1.py (RequestReader) ──► Request ── answers.py ──► Answer ── http1.py (frame) ──► bytes
             http2.py (h2)                         knobs.py: how this one answer is to behave
                                                   prompt.py, speech.py: what was asked, what is said
                                                   openai_*.py anthropic.py gemini.py ollama.py errors.py: how it is worded

The answers know nothing of the wire. connection.py has what both wires share (the pace of an answer, cuts, resets), and
http1_connection.py and http2.py how each of them writes it; server.py listens, log.py knows what came and how it ended.

Usage is predictable from the request. A token is a word (`len(text.split())`):
- input total  = words of every text in the prompt: system or instructions, messages, tool results (not tool definitions);
- output total = words of the answer (of the JSON arguments, when it is a tool call), at least 1, plus the knob `reasoning`;
- cache reads and writes = the knobs `cached` and `cache_write`, and are part of the input total, as each provider reports it.

A tool is called when the request forces one, or when it offers tools and its last message is the user's and says "use the tool".
"""
