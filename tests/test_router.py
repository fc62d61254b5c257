"""The entry: one list, in the order of a call's journey."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mitmproxy.io import FilteredFlowWriter, FlowWriter
from mitmproxy.test import taddons

import addons
from tests.rooms import mitmproxy_context

ROOT = Path(__file__).parent.parent
ENTRY = ROOT / "addons" / "router.py"
FIRST = ["HookDispatch", "ConnectClock", "Settings"]
JOURNEY = [*FIRST, "Scope", "Trust", "Gate", "Endpoints", "Router", "Redactor", "Failover", "Meter", "Recorder"]
BESIDE = ["Catalogue", "Probes", "Outbound", "Sharing", "Pulse", "Draining", "FlowFiles"]
"""No part of a call's journey: what is done beside it."""


def names(rooms: list[Any]) -> list[str]:
    return [type(room).__name__ for room in rooms]


@pytest.fixture
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("entry_under_test", ENTRY)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[taddons.context]:
    """As `mitmdump -s addons/router.py` has it, from another folder, with the shipped configuration (but for where the state is) and
    no option set."""
    shipped = (ROOT / "config" / "turnpike.yml").read_text()
    (tmp_path / "turnpike.yml").write_text(shipped.replace("sqlite:data/state.db", f"sqlite:{tmp_path / 'state.db'}"))
    monkeypatch.setenv("TURNPIKE_CONFIG", str(tmp_path / "turnpike.yml"))
    monkeypatch.setenv("TURNPIKE_DB", str(tmp_path / "turnpike.db"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for writer in (FlowWriter, FilteredFlowWriter):  # put back for other tests, whose flows are to be written as they are
        monkeypatch.setattr(writer, "add", writer.__dict__["add"])
    with mitmproxy_context() as context:
        context.script(str(ENTRY))
        yield context


def test_the_list_is_in_the_order_of_the_journey(module: ModuleType) -> None:
    """Settings before those that read what it sets; Redactor and Keys are asked by Failover, per attempt."""
    assert names(module.addons) == JOURNEY + BESIDE
    failover = module.addons[JOURNEY.index("Failover")]
    assert names([failover.router, failover.redactor, failover.keys]) == ["Router", "Redactor", "Keys"]
    assert failover.redactor is module.addons[JOURNEY.index("Redactor")]


def test_all_rooms_share_one_state_and_one_router(module: ModuleType) -> None:
    """What one learns the others know."""
    assert {id(room.state) for room in module.addons if hasattr(room, "state")} == {id(module.state)}
    assert module.addons[JOURNEY.index("Failover")].router is module.addons[JOURNEY.index("Router")]
    catalogue, probes, outbound, *_ = module.addons[-len(BESIDE) :]
    assert module.addons[JOURNEY.index("Endpoints")].catalogue is catalogue
    assert catalogue.outbound is probes.outbound is outbound


def test_the_description_of_the_journey_names_the_rooms_in_that_order() -> None:
    """The docstring of the package."""
    described = re.findall(r"^ +([A-Z][A-Za-z]+)  ", addons.__doc__ or "", re.MULTILINE)
    assert [name for name in described if name != "Keys"] == JOURNEY[len(FIRST) :] + BESIDE


def test_it_loads_as_a_script(loaded: taddons.context, tmp_path: Path) -> None:
    """With the shipped configuration: every known provider's host is opened, and there is no key."""
    gate = loaded.master.addons.get("gate")
    assert gate
    try:
        assert gate.state.config.upstream_for_host("api.openai.com").name == "openai"
        assert [name for name, pool in gate.state.pools.items() if pool.keys] == []
        assert loaded.options.connection_strategy == "lazy"
        assert (tmp_path / "turnpike.db").is_file()
        assert (tmp_path / "state.db").is_file()
    finally:
        gate.state.writer.stop()
        gate.state.statefile.stop()
