"""addons/storage/m003_redacted.py: what was found, beside its calls."""

from __future__ import annotations

from addons.core.call import RedactionNote
from addons.storage.store import Store
from tests.storage.support import rows, stored_call


def test_each_finding_stands_beside_its_call(store: Store) -> None:
    """Once per rule, place and action, with how often."""
    notes = (
        RedactionNote("github-pat", "request.body.messages[0].content", "placeholder"),
        RedactionNote("github-pat", "request.body", "mask"),
        RedactionNote("github-pat", "request.body", "mask"),
    )
    store.write([stored_call(columns={"id": "a", "client": "me"}, redactions=notes), stored_call(columns={"id": "b"})])
    found = rows(store, "SELECT id, client, rule, found_in, action, times FROM redacted ORDER BY found_in")
    assert found == [
        ("a", "me", "github-pat", "request.body", "mask", 2),
        ("a", "me", "github-pat", "request.body.messages[0].content", "placeholder", 1),
    ]
