"""Reading recorded traffic (`turnpike import`): each format cuts a file into entries and reads one entry at a time.

file ── source ──► plain bytes, mapped ── har | flows | jsonl: cut ──► one entry's bytes ── read ──► Entry
                                                          records ──► CallRecord ── digest ──► store
"""
