"""`pds sequencer raise`, beside the server and on its files."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from database.opening import open_database
from pds.cli import main
from sequencer.run_state import MAX_RAISED_SEQ
from tests.pds.cli.conftest import OperatedServer, Operator


def newest_seq(operator: Operator) -> int:
    """The highest seq that the log counts as given out."""
    with closing(open_database(operator.data / "sequencer.sqlite", read_only=True)) as db:
        return int(db.value("SELECT seq FROM sqlite_sequence") or 0)


def seqs_of(operator: Operator, did: str) -> list[int]:
    with closing(open_database(operator.data / "sequencer.sqlite", read_only=True)) as db:
        return [seq for (seq,) in db.all("SELECT seq FROM repo_seq WHERE did = ?", (did,))]


def test_the_next_event_comes_after_the_number(operator: Operator) -> None:
    wanted = newest_seq(operator) + 10**12
    told = operator.run("sequencer", "raise", str(wanted))
    assert told.startswith(f"The event log continues after {wanted}; it was at ")
    assert newest_seq(operator) == wanted
    made = operator.create("after-raising")
    first = min(seqs_of(operator, made["did"]))
    # A command that works on files is a short run of the server, which goes by the clock.
    assert wanted < first < wanted + 10**9


def test_a_number_that_the_log_has_passed_changes_nothing(operator: Operator) -> None:
    operator.create("before-raising")
    told = operator.run_json("sequencer", "raise", "1")
    assert told["seq"] == told["before"] == newest_seq(operator)
    told_again = operator.run("sequencer", "raise", "1")
    assert told_again.endswith("already: nothing had to be raised.\n")


def test_no_number_is_taken_that_events_to_come_could_run_out_of(operator: Operator) -> None:
    before = newest_seq(operator)
    for seq in (MAX_RAISED_SEQ + 1, 2**70):
        message = operator.refuse("sequencer", "raise", str(seq))
        assert message == "Error: No server gets to seqs above 4,503,599,627,370,496.\n"
    assert newest_seq(operator) == before


@pytest.mark.parametrize("seq", ["0", "-5", "many", "1.5", ""])
def test_what_is_no_seq_is_a_usage_error(stopped: OperatedServer, seq: str) -> None:
    words = ["sequencer", "raise", "--env-file", str(stopped.server.env_file)]
    done = CliRunner().invoke(main, [*words, "--", seq])
    assert done.exit_code == 2
    assert "Invalid value for 'N'" in done.output


def test_a_log_that_is_raised_while_it_stands_still_was_still_stopped_in_order(
    files: Operator, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(files.data, data)
    copy = Operator(
        files.server,
        {
            **files.environ,
            "PDS_DATA_DIRECTORY": str(data),
            "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
        },
        data,
    )
    copy.run("sequencer", "raise", str(newest_seq(copy) + 10**12))
    with closing(open_database(data / "sequencer.sqlite", read_only=True)) as db:
        assert db.one("SELECT running, latestSeq FROM holdfast_run") == (0, newest_seq(copy))
