"""Where lines go: real files, pipes that stall, processes that end and fork."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from seawall.core import OptionError
from seawall.telemetry.sink import Descriptor, RotatedFile, Sink


def test_lines_are_written_in_order_by_a_thread(tmp_path):
    sink = Sink(RotatedFile(tmp_path / "logs" / "app.log"))
    for number in range(5000):
        sink.write(b"%d\n" % number)
    assert sink.flush()
    assert (tmp_path / "logs" / "app.log").read_bytes() == b"".join(b"%d\n" % number for number in range(5000))
    assert (sink.written, sink.dropped) == (5000, 0)
    sink.close()
    sink.write(b"after\n")
    assert sink.flush()
    assert (tmp_path / "logs" / "app.log").read_bytes().endswith(b"4999\nafter\n")
    sink.close()


def test_while_the_output_stalls_nobody_waits_and_what_is_too_much_is_counted():
    reading, writing = os.pipe()
    sink = Sink(Descriptor(writing), most=100)
    began = time.monotonic()
    for _ in range(2000):
        sink.write(b"x" * 1000 + b"\n")
    assert time.monotonic() - began < 0.5
    assert sink.dropped > 0
    dropped = sink.dropped
    read = 0
    while read < (2000 - dropped) * 1001:
        read += len(os.read(reading, 1 << 20))
    assert sink.flush()
    assert sink.written == 2000 - dropped
    sink.close()
    os.close(reading)
    os.close(writing)


def test_of_lines_that_come_at_once_those_are_kept_for_which_there_is_room():
    class Stalled:
        def __init__(self) -> None:
            self.begun, self.going = threading.Event(), threading.Event()
            self.data = b""

        def write(self, data: bytes) -> None:
            self.begun.set()
            assert self.going.wait(10)
            self.data += data

    output = Stalled()
    sink = Sink(output, most=5)
    sink.write(b"0\n")
    assert output.begun.wait(5)
    sink.write_all([b"1\n", b"2\n", b"3\n"])
    sink.write_all([b"4\n", b"5\n", b"6\n", b"7\n"])
    sink.write_all([b"8\n"])
    sink.write_all([])
    output.going.set()
    assert sink.flush()
    assert (output.data, sink.written, sink.dropped) == (b"0\n1\n2\n3\n4\n5\n", 6, 3)
    sink.close()


def test_a_flush_waits_for_the_lines_that_are_being_written():
    class Slow:
        def write(self, data: bytes) -> None:
            being_written.set()
            time.sleep(0.05)

    being_written = threading.Event()
    sink = Sink(Slow())
    sink.write(b"one\n")
    assert being_written.wait(5)
    assert sink.flush()
    assert sink.written == 1
    sink.close()


def test_a_line_after_a_close_that_took_too_long_is_written():
    class Stalled:
        def __init__(self) -> None:
            self.going = threading.Event()
            self.data = b""

        def write(self, data: bytes) -> None:
            assert self.going.wait(10)
            self.data += data

    output = Stalled()
    sink = Sink(output)
    sink.write(b"1\n")
    sink.close(timeout=0.05)
    sink.write(b"2\n")
    output.going.set()
    for number in range(3, 6):
        assert sink.flush()
        sink.write(b"%d\n" % number)
    sink.close()
    assert output.data == b"1\n2\n3\n4\n5\n"


def test_a_flush_waits_while_one_thread_takes_over_from_another():
    class Stalled:
        def __init__(self) -> None:
            self.begun, self.going = threading.Event(), threading.Event()

        def write(self, data: bytes) -> None:
            self.begun.set()
            assert self.going.wait(10)

    class SlowlyTakenOver(Sink):
        def _start(self) -> None:
            if threading.current_thread() is not threading.main_thread():
                going_on.set()
                time.sleep(0.05)
            super()._start()

    going_on = threading.Event()
    output = Stalled()
    sink = SlowlyTakenOver(output)
    sink.write(b"1\n")
    assert output.begun.wait(5)
    sink.close(timeout=0.0)
    sink.write(b"2\n")
    output.going.set()
    assert going_on.wait(5)
    assert sink.flush()
    sink.close()
    assert sink.written == 2


def test_a_thread_that_could_not_be_started_is_tried_again(monkeypatch):
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    reading, writing = os.pipe()
    sink = Sink(Descriptor(writing))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        sink.write(b"1\n")
        assert not sink.flush()
    sink.write(b"2\n")
    assert sink.flush()
    assert os.read(reading, 10) == b"1\n2\n"
    sink.close()
    os.close(reading)
    os.close(writing)


def test_a_pipe_that_nobody_reads_any_more_costs_the_lines_alone():
    reading, writing = os.pipe()
    os.close(reading)
    sink = Sink(Descriptor(writing))
    sink.write(b"lost\n")
    sink.close()
    assert (sink.written, sink.dropped) == (0, 1)
    os.close(writing)


def test_a_file_is_rotated_and_old_ones_go(tmp_path):
    file = RotatedFile(tmp_path / "app.log", most_bytes=100, keep=2)
    for number in range(10):
        file.write(b"%d" % number * 60 + b"\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.log", "app.log.1", "app.log.2"]
    assert (tmp_path / "app.log").read_bytes()[:1] == b"9"
    assert (tmp_path / "app.log.1").read_bytes()[:1] == b"8"
    assert (tmp_path / "app.log.2").read_bytes()[:1] == b"7"


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path):
    file = RotatedFile(tmp_path / "app.log")
    file.write(b"one\n")
    (tmp_path / "app.log").rename(tmp_path / "moved.log")
    file.write(b"two\n")
    assert (tmp_path / "app.log").read_bytes() == b"two\n"
    assert (tmp_path / "moved.log").read_bytes() == b"one\n"


def test_two_processes_lose_no_line_while_they_rotate_one_file(tmp_path):
    code = (
        "import sys; from pathlib import Path; from seawall.telemetry.sink import RotatedFile;"
        "file = RotatedFile(Path(sys.argv[1]), most_bytes=2000, keep=1000);"
        "[file.write(b'%s %d\\n' % (sys.argv[2].encode(), n)) for n in range(1000)]"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "app.log"), name]) for name in "ab"]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name} {number}" for name in "ab" for number in range(1000))


def test_a_file_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="a file one can write to"):
        RotatedFile(tmp_path / "file" / "app.log")


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "raise ValueError"])
def test_the_last_lines_of_a_process_are_written(end):
    code = f"import logging; from seawall.telemetry.logs import Logs; Logs(); logging.error('the end'); {end}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert '"message": "the end"' in ended.stderr


def test_a_forked_process_writes_its_own_lines_and_not_those_that_waited(tmp_path):
    path = tmp_path / "app.log"
    code = (
        "import os, sys; from pathlib import Path; from seawall.telemetry.sink import RotatedFile, Sink;"
        "sink = Sink(RotatedFile(Path(sys.argv[1]))); sink.write(b'before\\n'); child = os.fork();"
        "sink.write(b'child\\n' if child == 0 else b'parent\\n');"
        "child and os.waitpid(child, 0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=30)
    assert sorted(Path(path).read_text().splitlines()) == ["before", "child", "parent"]
