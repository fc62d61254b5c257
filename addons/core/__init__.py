"""Pure logic: no mitmproxy, no sqlite, no clock, no environment, no files. A lint rule holds it."""
