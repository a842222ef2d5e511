"""What goes, what stays, and what is told of it: real files, and a clock that is moved."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from seawall.core import Events, Health, OptionError, Status
from seawall.files import FolderSwept, Retention, SweepReport
from seawall.files import entries as blocking
from seawall.testing import EventRecorder, FakeClock, virtual_time

HOUR = 3600.0
LONG_AGO = timedelta(hours=49)


@pytest.fixture
def clock() -> FakeClock:
    """All that is made now is 49 hours old on it."""
    return FakeClock(datetime.now(UTC) + LONG_AGO)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "uploads"
    made.mkdir()
    return made


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody can reach; pytest's own are for the user who runs it alone."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o755)
        folder = Path(made) / "uploads"
        folder.mkdir()
        yield folder


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """A block in which this process is nobody, who owns the folder; root may do everything."""
    if os.geteuid() != 0:
        yield
        return
    subprocess.run(["chown", "-R", "65534", folder], check=True)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def changed(path: Path, hours: float, clock: FakeClock) -> None:
    """Have `path` be changed so many hours ago."""
    at = clock.now().timestamp() - hours * HOUR
    os.utime(path, (at, at), follow_symlinks=False)


def sweep(retention: Retention, **options: bool) -> SweepReport:
    return asyncio.run(retention.sweep(**options))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_too_old_goes_and_the_rest_stays(folder, clock):
    (folder / "old.csv").write_bytes(b"x" * 100_000)
    (folder / "new.csv").write_bytes(b"x" * 10_000)
    changed(folder / "new.csv", 1, clock)
    report = sweep(Retention(folder, clock=clock))
    assert names(folder) == {"new.csv"}
    assert (report.removed, report.kept, report.failed) == (("old.csv",), 1, {})
    assert report.freed >= 100_000
    assert 10_000 <= report.held < 100_000


def test_the_age_is_exactly_what_is_allowed(folder, clock):
    for name, hours in (("just", 48.0), ("over", 48.001)):
        (folder / name).touch()
        changed(folder / name, hours, clock)
    retention = Retention(folder, max_age=48 * HOUR, clock=clock)
    assert sweep(retention).removed == ("over",)


def test_a_directory_is_as_old_as_the_newest_thing_in_it_and_goes_as_a_whole(folder, clock):
    for name in ("dead", "live"):
        deep = folder / name / "charts" / "2026"
        deep.mkdir(parents=True)
        (deep / "chart.png").write_bytes(b"x" * 50_000)
    changed(folder / "live" / "charts" / "2026" / "chart.png", 2, clock)
    report = sweep(Retention(folder, clock=clock))
    assert report.removed == ("dead",)
    assert report.freed >= 50_000
    assert (folder / "live" / "charts" / "2026" / "chart.png").exists()


def test_what_an_archive_brings_is_as_old_as_its_arrival(folder):
    for path, at in ((folder / "unpacked", 0), (folder / "of-a-day-to-come", 4e9)):
        path.touch()
        os.utime(path, (at, at))
    assert sweep(Retention(folder)).kept == 2
    later = FakeClock(datetime.now(UTC) + LONG_AGO)
    assert len(sweep(Retention(folder, clock=later)).removed) == 2


def test_what_comes_by_a_clock_that_is_ahead_of_ours_came_just_now(folder):
    (folder / "unpacked").touch()
    os.utime(folder / "unpacked", (1, 1))
    behind = FakeClock(datetime.now(UTC) - timedelta(seconds=2))
    assert sweep(Retention(folder, clock=behind)).kept == 1


def test_hidden_entries_stay(folder, clock):
    (folder / ".gitkeep").touch()
    (folder / ".cache").mkdir()
    assert sweep(Retention(folder, clock=clock)) == SweepReport()
    assert names(folder) == {".gitkeep", ".cache"}


def test_links_are_removed_and_never_followed(folder, tmp_path, clock):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("stays")
    (folder / "to-directory").symlink_to(precious)
    (folder / "to-file").symlink_to(precious / "file")
    (folder / "to-nothing").symlink_to(tmp_path / "nothing")
    (folder / "directory").mkdir()
    (folder / "directory" / "link").symlink_to(precious)
    report = sweep(Retention(folder, clock=clock))
    assert set(report.removed) == {"to-directory", "to-file", "to-nothing", "directory"}
    assert (precious / "file").read_text() == "stays"
    assert names(folder) == set()


def test_a_folder_that_becomes_a_link_is_left_alone(tmp_path, clock):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    retention = Retention(tmp_path / "later", clock=clock)
    (tmp_path / "later").symlink_to(precious)
    assert sweep(retention).failed == {".": "it has become a link to another folder"}
    assert names(precious) == {"file"}


def test_bytes_of_a_file_with_two_names_in_one_entry_are_counted_once(folder, clock):
    (folder / "entry").mkdir()
    (folder / "entry" / "file").write_bytes(b"x" * 1_000_000)
    (folder / "entry" / "other").hardlink_to(folder / "entry" / "file")
    assert 1_000_000 <= sweep(Retention(folder, clock=clock)).freed < 1_100_000


def test_a_file_with_another_name_elsewhere_frees_nothing(folder, tmp_path, clock):
    (folder / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "other").hardlink_to(folder / "file")
    report = sweep(Retention(folder, clock=clock))
    assert (report.removed, report.freed) == (("file",), 0)


@pytest.mark.parametrize("needed", [None, False])
def test_sockets_and_pipes_stay_and_so_do_directories_with_them(folder, clock, needed: bool | None):
    os.mkfifo(folder / "pipe")
    (folder / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(folder / "run", os.O_RDONLY)
        try:
            listening.bind(f"/proc/self/fd/{here}/socket")  # the path of a socket is short
        finally:
            os.close(here)
        (folder / "run" / "service.log").write_text("x")

        async def in_use(name: str) -> bool | None:
            return needed

        report = sweep(Retention(folder, clock=clock, in_use=in_use))
    assert report.kept == 2
    assert names(folder) == {"pipe", "run"}
    assert report.failed == {}


async def _sessions(name: str) -> bool | None:
    return None if name not in {"live", "ended"} else name == "live"


def test_the_directory_of_a_session_goes_with_the_session(folder, clock):
    for name in ("live", "ended", "orphan", "young-orphan"):
        (folder / name).mkdir()
    for name in ("ended", "young-orphan"):
        changed(folder / name, 1, clock)
    report = sweep(Retention(folder, clock=clock, in_use=_sessions))
    assert set(report.removed) == {"ended", "orphan"}
    assert names(folder) == {"live", "young-orphan"}


def test_what_was_made_just_now_stays_until_its_session_is_known(folder):
    (folder / "ended").mkdir()
    now = FakeClock(datetime.now(UTC) + timedelta(seconds=299))
    retention = Retention(folder, clock=now, in_use=_sessions)
    assert sweep(retention).kept == 1
    now.advance(2)
    assert sweep(retention).removed == ("ended",)


def test_what_nobody_can_tell_of_stays(folder, clock):
    (folder / "secret-session-id").mkdir()
    (folder / "other").mkdir()

    async def in_use(name: str) -> bool | None:
        if name == "other":
            return None
        raise ConnectionError(name)

    retention = Retention(folder, clock=clock, in_use=in_use)
    report = sweep(retention)
    assert report.removed == ("other",)
    assert report.failed == {"secret-session-id": "in_use raised ConnectionError"}
    assert "secret-session-id" not in str(report)
    health = asyncio.run(retention.check())
    assert health.status is Status.DEGRADED
    assert health.message.endswith("1 failed (in_use raised ConnectionError)")


def test_a_session_that_is_opened_again_while_others_are_asked_for_keeps_its_directory(folder, clock):
    for number in range(50):
        (folder / str(number)).mkdir()
    asked: list[str] = []

    async def in_use(name: str) -> bool | None:
        if asked:
            # What was asked for before is decided: it is gone, or was kept.
            assert not (folder / asked[-1]).exists()
        asked.append(name)
        return False

    assert len(sweep(Retention(folder, clock=clock, in_use=in_use)).removed) == 50


def test_a_dry_run_tells_and_removes_nothing(folder, clock):
    (folder / "old").touch()
    seen = EventRecorder(events := Events())
    retention = Retention(folder, clock=clock, events=events)
    assert sweep(retention, dry_run=True).removed == ("old",)
    assert (names(folder), retention.last, seen.events) == ({"old"}, None, [])


def test_an_event_tells_how_many_and_how_much_but_no_names(folder, clock):
    (folder / "secret-session-id").write_bytes(b"x" * 5_000)
    seen = EventRecorder(events := Events())
    sweep(Retention(folder, clock=clock, events=events, name="charts"))
    (event,) = seen.events
    assert isinstance(event, FolderSwept)
    assert (event.folder, event.removed, event.kept, event.failed, event.reason) == ("charts", 1, 0, 0, None)
    assert event.freed >= 5_000
    assert "secret" not in repr(event)


def test_a_folder_that_is_not_there_has_nothing_to_sweep(tmp_path):
    retention = Retention(tmp_path / "uploads")
    assert sweep(retention) == SweepReport()
    assert asyncio.run(retention.check()).status is Status.HEALTHY


def test_a_folder_that_is_a_file_is_told_of(tmp_path):
    (tmp_path / "uploads").touch()
    retention = Retention(tmp_path / "uploads")
    assert sweep(retention).failed == {".": "Not a directory"}
    assert asyncio.run(retention.check()) == Health(
        status=Status.DEGRADED, message="0 removed, 0 bytes freed; 0 kept, 0 bytes; 1 failed (Not a directory)"
    )


def test_what_cannot_be_removed_is_told_of_and_the_others_go(folder, clock, monkeypatch):
    # Root may remove everything: the kernel's refusal is made here, all else is real.
    for name in ("a", "b", "c"):
        (folder / name).mkdir()
    rename = os.rename

    def refuse(name: str, new: str, **where: int) -> None:
        if name == "b":
            raise PermissionError(1, "Operation not permitted", name)
        rename(name, new, **where)

    monkeypatch.setattr(os, "rename", refuse)
    report = sweep(Retention(folder, clock=clock))
    assert (set(report.removed), report.failed) == ({"a", "c"}, {"b": "Operation not permitted"})


def test_what_cannot_be_emptied_keeps_its_name_and_is_told_of_each_time(public_folder, clock):
    folder = public_folder
    (folder / "entry" / "sealed").mkdir(parents=True)
    for where in ("", "sealed"):
        (folder / "entry" / where / "file").touch()
    (folder / "entry" / "sealed").chmod(0o555)
    retention = Retention(folder, clock=clock)
    with unprivileged(folder):
        for _ in range(2):
            assert sweep(retention).failed == {"entry": "Permission denied"}
            assert names(folder / "entry") == {"sealed", "file"}
        assert asyncio.run(retention.check()).status is Status.DEGRADED
    (folder / "entry" / "sealed").chmod(0o755)


def test_what_fails_in_the_midst_is_tried_again_and_told_of_until_it_is_gone(folder, clock, monkeypatch):
    (folder / "entry").mkdir()
    (folder / "entry" / "file").touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    retention = Retention(folder, clock=clock)
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        assert sweep(retention).failed == {"entry": "Operation not permitted"}
        # It can't be emptied under its new name either, and no other process is at it.
        (failure,) = sweep(retention).failed.values()
        assert failure == "Operation not permitted"
    report = sweep(retention)
    assert (report.failed, names(folder)) == ({}, set())


def test_a_mount_of_the_same_disk_in_an_entry_keeps_it(folder, clock, monkeypatch):
    # To mount takes privileges; what the kernel would say of it is made here.
    (folder / "entry" / "with space").mkdir(parents=True)
    monkeypatch.setattr(blocking, "_mounted", lambda: frozenset({f"{folder}/entry/with space"}))
    assert sweep(Retention(folder, clock=clock)).kept == 1


def test_the_kernel_tells_where_something_is_mounted():
    assert {"/", "/proc"} <= blocking._mounted()


def test_a_path_longer_than_the_kernel_takes_goes(folder, clock, request):
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", folder], check=True))
    (folder / "entry").mkdir()
    here = os.open(folder / "entry", os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    before = len(os.listdir("/proc/self/fd"))
    report = sweep(Retention(folder, clock=clock))
    assert (report.removed, report.failed) == (("entry",), {})
    assert len(os.listdir("/proc/self/fd")) == before


def test_directories_deep_in_each_other_go_with_few_open_files(folder, clock, monkeypatch, request):
    # If it fails, pytest couldn't remove them.
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", folder], check=True))
    (folder / "deep").mkdir()
    here = os.open(folder / "deep", os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    before = len(os.listdir("/proc/self/fd"))
    most = before
    rmdir = os.rmdir

    def counted(path: str, *, dir_fd: int) -> None:
        nonlocal most
        most = max(most, len(os.listdir("/proc/self/fd")))
        rmdir(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", counted)
    report = sweep(Retention(folder, clock=clock))
    assert (report.removed, report.failed) == (("deep",), {})
    assert names(folder) == set()
    assert before < most < before + 20


def test_what_is_changed_between_the_look_and_the_removal_stays(folder, clock):
    (folder / "draft").write_text("old")

    async def in_use(name: str) -> bool | None:
        changed(folder / name, 0, clock)  # just when it is asked for
        return None

    report = sweep(Retention(folder, clock=clock, in_use=in_use))
    assert (report.removed, report.kept) == ((), 1)
    assert (folder / "draft").read_text() == "old"


def test_what_a_killed_process_left_is_removed_and_what_another_is_at_is_not(folder, clock, monkeypatch):
    (folder / "session").mkdir()
    (folder / "session" / "file").write_bytes(b"x" * 5_000)

    def killed(*_: object, **__: object) -> None:
        raise InterruptedError(4, "killed")

    monkeypatch.setattr(os, "unlink", killed)
    sweep(Retention(folder, clock=clock))
    monkeypatch.undo()
    (left,) = folder.iterdir()
    assert left.name.startswith(".seawall-removed-")
    # As long as somebody changes it, somebody is at it.
    changed(left, 0.01, clock)
    report = sweep(Retention(folder, clock=clock))
    assert (report.removed, report.kept, report.failed) == ((), 1, {})
    clock.advance(300)
    report = sweep(Retention(folder, clock=clock))
    assert (report.removed, report.failed) == ((), {})
    assert report.freed >= 5_000
    assert names(folder) == set()


def test_of_several_sweeps_at_once_one_removes_each(folder, clock):
    for number in range(300):
        (folder / f"{number}").mkdir()
        (folder / f"{number}" / "file").write_text("x")

    async def main() -> list[SweepReport]:
        return await asyncio.gather(*(Retention(folder, clock=clock).sweep() for _ in range(4)))

    reports = asyncio.run(main())
    removed = [name for report in reports for name in report.removed]
    assert sorted(removed, key=int) == [str(number) for number in range(300)]
    assert all(report.failed == {} for report in reports)
    assert names(folder) == set()


def test_it_may_be_used_in_one_event_loop_after_another(folder, clock):
    retention = Retention(folder, clock=clock, interval=HOUR)

    async def several() -> None:
        await asyncio.gather(*(retention.sweep() for _ in range(3)))

    async def never_left() -> None:
        await retention.__aenter__()

    asyncio.run(several())
    asyncio.run(never_left())
    asyncio.run(several())
    asyncio.run(never_left())


def test_as_a_part_it_sweeps_at_the_start_and_every_interval(folder, clock):
    (folder / "first").touch()

    async def main() -> None:
        seen = EventRecorder(events := Events())
        retention = Retention(folder, clock=clock, events=events, interval=HOUR)
        async with retention:
            await asyncio.sleep(60)
            assert names(folder) == set()
            (folder / "second").touch()
            assert len(seen.events) == 1
            await asyncio.sleep(1.1 * HOUR)
            assert names(folder) == set()
            assert len(seen.events) == 2
            assert (await retention.check()).message == "1 removed, 0 bytes freed; 0 kept, 0 bytes"
            with pytest.raises(RuntimeError, match="is running already"):
                await retention.__aenter__()
        await asyncio.sleep(5 * HOUR)
        assert len(seen.events) == 2

    virtual_time.run(main(), clock=clock)


def test_a_sweep_that_hangs_is_told_of(folder, clock):
    (folder / "entry").touch()

    async def in_use(name: str) -> bool | None:
        await asyncio.sleep(30 * HOUR)
        return True

    async def main() -> None:
        async with Retention(folder, clock=clock, interval=HOUR, in_use=in_use) as retention:
            await asyncio.sleep(2 * HOUR)
            assert (await retention.check()).status is Status.HEALTHY
            await asyncio.sleep(2 * HOUR)
            assert await retention.check() == Health(status=Status.DEGRADED, message="no sweep has ended for 14400 s")

    virtual_time.run(main(), clock=clock)


def test_a_cancelled_sweep_stops_its_thread(folder, clock, monkeypatch):
    for number in range(50):
        (folder / str(number)).touch()
    removing, go_on = threading.Event(), threading.Event()
    remove = blocking.Folder.remove

    def slowly(self: blocking.Folder, name: str) -> None:
        removing.set()
        assert go_on.wait(10)
        remove(self, name)

    monkeypatch.setattr(blocking.Folder, "remove", slowly)

    async def main() -> None:
        task = asyncio.create_task(Retention(folder, clock=clock).sweep())
        await asyncio.to_thread(removing.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(main())  # waits for the thread
    assert len(names(folder)) == 49


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "the home directory"),
        (str(Path.home()), "the home directory"),
        (".", "the working directory"),
        ("..", "the working directory"),
        (tempfile.gettempdir(), "the directory of all temporary files"),
        (sys.prefix, "Python itself"),
        ("", "nothing in it that must stay"),
        (None, "nothing in it that must stay"),
    ],
)
def test_a_folder_with_more_than_uploads_is_refused(folder, kind):
    with pytest.raises(OptionError, match="Retention: folder is") as refused:
        Retention(folder)
    assert kind in str(refused.value) or "is or holds" in str(refused.value)


@pytest.mark.parametrize("options", [{"max_age": 0}, {"interval": -1}, {"max_age": "48 h"}, {"in_use": "yes"}])
def test_impossible_options_are_refused(tmp_path, options):
    with pytest.raises(OptionError, match="Retention"):
        Retention(tmp_path, **options)
