"""The garbage collector is paused while anybody needs that."""

from __future__ import annotations

import gc

from database.collector import without_collector


def test_collector_goes_on_after_the_last_large_value() -> None:
    with without_collector():
        with without_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collector_that_rests_already_is_left_alone() -> None:
    gc.disable()
    try:
        with without_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
