from __future__ import annotations

from pathlib import Path

import pytest

from identity import watched_file
from identity.hosts_file import HostsFile
from identity.watched_file import WatchedFile


def read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def test_a_file_is_read_anew_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_file, "LOOK_S", 0)
    path = tmp_path / "file"
    watched = WatchedFile(path, read)
    assert watched.content() is None
    path.write_text("one")
    assert watched.content() == "one"
    path.write_text("three")
    assert watched.content() == "three"
    path.unlink()
    assert watched.content() is None


def test_a_file_that_has_not_changed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_file, "LOOK_S", 0)
    times: list[Path] = []
    watched = WatchedFile(tmp_path / "file", times.append)
    for _ in range(3):
        watched.content()
    assert len(times) == 1


def test_names_of_the_machine_are_found_without_asking(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(
        "# names\n127.0.0.1 localhost\n192.0.2.1\tInner.Example www # 192.0.2.9 no\n"
        "2001:db8::1 inner.example\nnonsense inner.example\n\n192.0.2.3\n"
    )
    hosts = HostsFile(path)
    assert hosts.find("INNER.example.") == ("192.0.2.1", "2001:db8::1")
    assert hosts.find("www") == ("192.0.2.1",)
    assert hosts.find("localhost") == ("127.0.0.1",)
    assert hosts.find("no") == hosts.find("example.com") == ()


def test_localhost_is_this_machine_even_without_a_file(tmp_path: Path) -> None:
    hosts = HostsFile(tmp_path / "nothing")
    assert hosts.find("localhost") == hosts.find("a.localhost") == ("127.0.0.1", "::1")
    assert hosts.find("nolocalhost") == ()
