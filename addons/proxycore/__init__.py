"""The only place that touches mitmproxy's inner layers."""
