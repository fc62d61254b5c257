"""`turnpike bench`: load, an upstream that answers it, and what is between them, measured side by side.

shapes      what is measured: a cell of the table (way in, streamed or not, prompt, concurrency), the load of one measurement
prompts, answers    the bytes that are sent and given back
http1       an answer, read as it comes
upstream    a process of its own: fixed bytes, as fast as asyncio goes
load        a process of its own: the client's side, closed or open loop
processes   CPU time and memory of what is measured
targets     what is measured: turnpike, mitmdump, any other proxy or gateway; started, found, waited for
rounds      the run: each cell, each round, each target in turn
figures     percentiles, medians, ratios with their spread
tables, files, plot, comparing    what is shown of it
"""
