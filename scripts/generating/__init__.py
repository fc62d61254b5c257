"""Made-up traffic for measuring: what `scripts/generate_captures.py` writes."""
