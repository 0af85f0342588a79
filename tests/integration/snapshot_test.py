"""Snapshots and `varved adopt`: what is in them, what they refuse, what a crash leaves of them."""

import contextlib
import json
import pathlib
import random
import subprocess
import threading

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, Api, fails_with
from testutil.varved import VARVE, VARVED, Varved
from testutil.vectors import random_vectors

DIMENSION = 8
BATCH_ROWS = 20
ALREADY_EXISTS = grpc.StatusCode.ALREADY_EXISTS
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


def create(api: Api, name: str, namespace="") -> v1.Snapshot:
    request = v1.CreateSnapshotRequest(name=name, namespace=namespace)
    return api.admin.CreateSnapshot(request, timeout=CALL_SECONDS).snapshot


def restore(api: Api, name: str, namespace="", to="") -> v1.RestoreSnapshotResponse:
    request = v1.RestoreSnapshotRequest(name=name, namespace=namespace, **{"as": to})
    return api.admin.RestoreSnapshot(request, timeout=CALL_SECONDS)


def verify(api: Api, name: str) -> v1.VerifySnapshotResponse:
    return api.admin.VerifySnapshot(v1.VerifySnapshotRequest(name=name), timeout=CALL_SECONDS)


def delete(api: Api, name: str) -> None:
    api.admin.DeleteSnapshot(v1.DeleteSnapshotRequest(name=name), timeout=CALL_SECONDS)


def names(api: Api) -> list[str]:
    found = api.admin.ListSnapshots(v1.ListSnapshotsRequest(), timeout=CALL_SECONDS).snapshots
    return [one.name for one in found]


def namespaces(api: Api) -> list[str]:
    request = v1.ListNamespacesRequest()
    found = api.namespaces.ListNamespaces(request, timeout=CALL_SECONDS).namespaces
    return [one.name for one in found]


def run(*arguments, code=0) -> subprocess.CompletedProcess:
    """Runs `varved` with these arguments."""
    command = [VARVED, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CALL_SECONDS)
    assert done.returncode == code, done
    return done


def is_clean(report: v1.VerifySnapshotResponse) -> bool:
    return not report.record_damage and not report.index_damage


def vectors_of(batches: int) -> np.ndarray:
    """What the first batches of every load hold; record i has id i."""
    every = [random_vectors(number, BATCH_ROWS, DIMENSION) for number in range(1, batches + 1)]
    return np.concatenate(every)


def fill(api: Api, namespace: str, batches: int) -> None:
    """Small segments, several of them sealed, and a tail."""
    api.create(namespace, DIMENSION, segment_size_threshold=1000)
    api.upsert(namespace, range(batches * BATCH_ROWS), vectors_of(batches))


def assert_holds(api: Api, namespace: str, batches: int) -> None:
    """Exactly the first batches, and a search finds some that are spread over them."""
    keys, vectors = api.everything(namespace)
    wanted = vectors_of(batches)
    assert keys == list(range(len(wanted)))
    assert vectors.tobytes() == wanted.tobytes()
    some = range(0, len(wanted), max(1, len(wanted) // 50))
    found = api.search_batch(namespace, wanted[some], k=1, exact=True)
    assert list(found.ids.numbers.values) == list(some)


class Load(threading.Thread):
    """Writes batch 1, 2 ... to `first`, each then to `second`, until told to stop; commits are
    numbered as the batches are."""

    def __init__(self, address: str, first: str, second: str):
        super().__init__()
        self._address = address
        self._names = (first, second)
        self._ending = threading.Event()
        self._moved = threading.Condition()
        self.acknowledged = [0, 0]
        self.failure: Exception | None = None

    def __enter__(self) -> "Load":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self._ending.set()
        self.join(CALL_SECONDS)

    def wait_for(self, batches: int) -> None:
        """Returns when so many are acknowledged in both."""
        with self._moved:
            done = lambda: self.acknowledged[1] >= batches or self.failure  # noqa: E731
            assert self._moved.wait_for(done, CALL_SECONDS) and self.failure is None, self.failure

    def run(self) -> None:
        try:
            with Api(self._address) as api, contextlib.ExitStack() as stack:
                streams = [stack.enter_context(api.open(name, "load")) for name in self._names]
                number = 0
                while not self._ending.is_set():
                    number += 1
                    keys = range((number - 1) * BATCH_ROWS, number * BATCH_ROWS)
                    vectors = random_vectors(number, BATCH_ROWS, DIMENSION)
                    for i, stream in enumerate(streams):
                        assert stream.write(number, keys, vectors).sequence == number
                        self._tell(i, number)
        except Exception as error:  # noqa: BLE001
            self.failure = error
            self._tell(0, self.acknowledged[0])

    def _tell(self, i: int, number: int) -> None:
        with self._moved:
            self.acknowledged[i] = number
            self._moved.notify_all()


@pytest.mark.parametrize("of_one", [False, True], ids=["all namespaces", "one namespace"])
def test_a_snapshot_amid_ingest_holds_whole_batches_up_to_its_commit(varved, of_one):
    """All that was acknowledged before the call, nothing after one moment."""
    with Api(varved.address) as api:
        for name in ("a", "b"):
            api.create(name, DIMENSION, segment_size_threshold=1000)
        taken = []
        with Load(varved.address, "a", "b") as load:
            for i in range(3):
                load.wait_for(60 * (i + 1))
                before = list(load.acknowledged)
                made = create(api, f"s{i}", "a" if of_one else "")
                taken.append((before, made, load.acknowledged[0]))
        assert load.failure is None
        for before, made, after in taken:
            sequences = {one.namespace: one.sequence for one in made.namespaces}
            assert list(sequences) == (["a"] if of_one else ["a", "b"])
            assert before[0] <= sequences["a"] <= after + 1
            if not of_one:  # a batch is written to b once it is acknowledged in a
                assert before[1] <= sequences["b"] <= sequences["a"] <= sequences["b"] + 1
            report = verify(api, made.name)
            assert is_clean(report) and report.records == sum(sequences.values()) * BATCH_ROWS
            for name, sequence in sequences.items():
                restored = f"{name}-{made.name}"
                answer = restore(api, made.name, name, restored)
                assert (answer.namespace, answer.sequence) == (restored, sequence)
                assert_holds(api, restored, sequence)
                with api.open(restored, "load") as stream:  # the producer goes on where it was
                    assert stream.opened.last_batch == sequence
                assert not api.upsert(restored, [0], vectors_of(1)[:1]).row_errors


def test_a_restored_namespace_has_its_index_without_building_it(varved):
    with Api(varved.address) as api:
        fill(api, "n", 200)
        api.flush("n")
        create(api, "s")
        restore(api, "s", "n", "again")
        sealed = api.segments("again")
        assert [one.rows for one in sealed] == [one.rows for one in api.segments("n")]
        assert all(one.file_bytes and one.indexed_rows == one.rows for one in sealed)


def flip_a_byte(path: pathlib.Path) -> None:
    """In its middle. Only of a file that nobody else has."""
    assert path.stat().st_nlink == 1, path
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0x40]))


def test_verify_names_a_damaged_segment_and_restore_makes_it_anew(varved):
    with Api(varved.address) as api:
        fill(api, "n", 200)
        api.flush("n")
        create(api, "s")
        api.compact("n")  # what the snapshot shared with the data is the snapshot's alone
        assert_holds(api, "n", 200)
        path = sorted((varved.directory / "data/snapshots/s/segments").rglob("*.segment"))[0]
        flip_a_byte(path)
        report = verify(api, "s")
        assert not report.record_damage
        assert path.name in "".join(report.index_damage)
        done = varved.run("snapshot", "verify", "s")
        assert "INDEX" in done.stdout and "DAMAGED" in done.stdout
        restore(api, "s", "n", "again")
        assert_holds(api, "again", 200)


def test_verify_finds_damaged_records(varved):
    with Api(varved.address) as api:
        fill(api, "n", 200)
        create(api, "s", "n")
        files = (varved.directory / "data/snapshots/s/records").glob("*.sst")
        flip_a_byte(max(files, key=lambda path: path.stat().st_size))
        assert verify(api, "s").record_damage
        done = varved.run("snapshot", "verify", "s", check=False)
        assert done.returncode == 1
        assert "RECORDS" in done.stdout and "damaged records" in done.stderr
        assert_holds(api, "n", 200)


@pytest.mark.parametrize("name", [".", "..", ".s", "a/b", "../data", "-s", "a b", "ä", "x" * 129])
def test_names_that_could_be_no_file_are_refused(api, shared_varved, name):
    for call in (create, restore, verify, delete):
        with fails_with(INVALID_ARGUMENT, "snapshot name must be 1 to 128"):
            call(api, name)
    assert names(api) == []


def test_what_is_not_there_and_what_is_there_is_named(varved):
    with Api(varved.address) as api:
        fill(api, "a", 10)
        fill(api, "b", 5)
        with fails_with(NOT_FOUND, '"nothing"'):
            create(api, "s", "nothing")
        assert names(api) == []
        create(api, "s")
        with fails_with(ALREADY_EXISTS, '"s"'):
            create(api, "s", "a")
        for call in (restore, verify, delete):
            with fails_with(NOT_FOUND, '"t"'):
                call(api, "t")
        with fails_with(INVALID_ARGUMENT, "namespace: must be named"):
            restore(api, "s")
        with fails_with(NOT_FOUND, '"nothing"'):
            restore(api, "s", "nothing")
        with fails_with(ALREADY_EXISTS, '"a"'):
            restore(api, "s", "a")
        with fails_with(INVALID_ARGUMENT):
            restore(api, "s", "a", "no name")
        assert namespaces(api) == ["a", "b"]
        api.namespaces.DeleteNamespace(v1.DeleteNamespaceRequest(name="a"), timeout=CALL_SECONDS)
        restore(api, "s", "a")
        assert_holds(api, "a", 10)
        delete(api, "s")
        assert names(api) == []
        assert not list((varved.directory / "data/snapshots").iterdir())
        create(api, "s")


def test_keep_deletes_the_oldest_of_the_same_kind(varved):
    with Api(varved.address) as api:
        fill(api, "a", 1)
        create(api, "of-a", "a")
        for i in range(3):
            create(api, f"all-{i}")
        done = varved.json("snapshot", "create", "all-3", "--keep", "2")
        assert done["deleted"] == ["all-0", "all-1"]
        assert names(api) == ["of-a", "all-2", "all-3"]
        done = varved.json("snapshot", "create", "--namespace", "a", "--keep", "1")
        assert done["deleted"] == ["of-a"]
        # A snapshot that could not be made deletes nothing.
        assert varved.run("snapshot", "create", "all-3", "--keep", "1", check=False).returncode == 1
        assert names(api)[:2] == ["all-2", "all-3"]


def test_every_verb_of_the_command_line_tells_what_it_did(varved):
    with Api(varved.address) as api:
        fill(api, "a", 10)
        fill(api, "b", 5)
    made = varved.json("snapshot", "create", "s")
    assert (made["name"], made["only_namespace"], made["bytes"] > 0) == ("s", "", True)
    assert made["namespaces"] == [
        {"namespace": "a", "sequence": 1},
        {"namespace": "b", "sequence": 1},
    ]
    assert "snapshot of-a of 1 namespace, " in varved.run(
        *("snapshot", "create", "of-a", "--namespace", "a")
    ).stdout
    listed = varved.json("snapshot", "list")["snapshots"]
    assert [one["name"] for one in listed] == ["s", "of-a"]
    head, *lines = varved.run("snapshot", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["s", "of-a"] and "NAMESPACES" in head
    found = varved.json("snapshot", "verify", "s")
    assert (found["clean"], found["records"]) == (True, 15 * BATCH_ROWS)
    assert "clean: 2 namespaces, 300 records" in varved.run("snapshot", "verify", "s").stdout
    # One namespace need not be named.
    done = varved.json("snapshot", "restore", "of-a", "--as", "c")
    assert done == {"restored": "c", "sequence": 1}
    done = varved.run("snapshot", "restore", "s", "--namespace", "b", "--as", "d")
    assert "restored namespace d as of commit 1" in done.stdout
    assert varved.json("snapshot", "delete", "s") == {"deleted": "s"}
    assert "deleted snapshot of-a" in varved.run("snapshot", "delete", "of-a").stdout
    assert varved.json("snapshot", "list") == {"snapshots": []}
    with Api(varved.address) as api:
        assert_holds(api, "c", 10)
        assert_holds(api, "d", 5)


def test_a_server_starts_on_a_copy_of_a_snapshot(varved, tmp_path):
    with Api(varved.address) as api:
        fill(api, "a", 120)
        create(api, "s")
        api.delete("a", range(1000))
    copy = tmp_path / "copy"
    copy.mkdir()
    snapshot = varved.directory / "data/snapshots/s"
    subprocess.run(["cp", "-a", snapshot, copy / "data"], check=True)
    with Varved(copy) as other, Api(other.address) as api:
        assert_holds(api, "a", 120)
        assert api.upsert("a", [10**6], vectors_of(1)[:1]).sequence == 2
    with Api(varved.address) as api:
        assert is_clean(verify(api, "s"))


def change_snapshots(dice: random.Random, address: str) -> None:
    """One call after the other until the server is gone."""
    with Api(address) as api, contextlib.suppress(grpc.RpcError):
        while True:
            there = names(api)
            spaces = namespaces(api)
            what = dice.random()
            if not there or what < 0.4:
                create(api, f"s{dice.randrange(10**9)}", dice.choice(["", "n"]))
            elif what < 0.7 and len(spaces) < 20:
                restore(api, dice.choice(there), "n", f"r{dice.randrange(10**9)}")
            elif what < 0.85:
                delete(api, dice.choice(there))
            elif len(spaces) > 1:
                request = v1.DeleteNamespaceRequest(name=dice.choice(spaces[1:]))
                api.namespaces.DeleteNamespace(request, timeout=CALL_SECONDS)


def test_a_killed_server_leaves_no_half_snapshot_and_no_half_namespace(tmp_path, pytestconfig):
    seed, kills = pytestconfig.getoption("--seed"), pytestconfig.getoption("--kills")
    print(f"again: pytest {__file__} --kills {kills} --seed {seed}")
    dice = random.Random(seed)
    batches = 150
    # An address from which no client connects, so that nobody takes its port while it is away.
    with Varved(tmp_path, "--log-level=warning", host="127.0.0.2") as server:
        with Api(server.address) as api:
            fill(api, "n", batches)
            api.flush("n")
        for _ in range(kills):
            thread = threading.Thread(
                target=change_snapshots, args=(random.Random(dice.random()), server.address)
            )
            thread.start()
            thread.join(dice.uniform(0.05, 0.6))
            server.kill()
            thread.join(CALL_SECONDS)
            server.start()
            with Api(server.address) as api:
                on_disk = list((tmp_path / "data").glob("snapshots/*"))
                assert sorted(path.name for path in on_disk) == sorted(names(api))
                for name in names(api):
                    report = verify(api, name)
                    assert is_clean(report), report
                for name in namespaces(api):
                    assert_holds(api, name, batches)
        with Api(server.address) as api:
            wanted = len(namespaces(api))
        assert server.stop() == 0
        assert len(list((tmp_path / "data/segments").iterdir())) == wanted
        done = run("check", "--data-dir", tmp_path / "data", "--json")
        assert json.loads(done.stdout)["clean"], done.stdout


# --- varved adopt ---


def adopt(into: Varved, source, *flags, code=0) -> subprocess.CompletedProcess:
    place = ("--data-dir", into.directory / "data")
    return run("adopt", *place, "--from", source, *flags, code=code)


def listing(directory: pathlib.Path) -> dict:
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*")}


@pytest.fixture
def source(tmp_path):
    """The data directory of a server that has stopped, with namespaces a and b."""
    folder = tmp_path / "source"
    folder.mkdir()
    with Varved(folder) as server, Api(server.address) as api:
        fill(api, "a", 120)
        fill(api, "b", 5)
        api.flush("a")
    return folder / "data"


@pytest.fixture
def target(tmp_path):
    """A server that does not run, with a namespace of its own."""
    folder = tmp_path / "target"
    folder.mkdir()
    with Varved(folder) as server, Api(server.address) as api:
        fill(api, "own", 3)
    return server


def test_adopt_takes_every_namespace_and_leaves_the_source_as_it_was(source, target):
    before = listing(source)
    done = adopt(target, source)
    assert done.stdout == "adopted namespace a: 2400 records\nadopted namespace b: 100 records\n"
    assert listing(source) == before
    with target, Api(target.address) as api:
        assert namespaces(api) == ["a", "b", "own"]
        # Rows of the source's files are not indexed again.
        assert sum(one.indexed_rows for one in api.segments("a") if one.file_bytes) == 2400
        for name, batches in (("a", 120), ("b", 5), ("own", 3)):
            assert_holds(api, name, batches)
        api.delete("a", [0])
    with Varved(source.parent) as server, Api(server.address) as api:
        assert_holds(api, "a", 120)  # what they share, neither changes


def test_adopt_takes_one_under_another_name_and_tells_in_json(source, target):
    done = adopt(target, source, "--namespace", "a", "--as", "c", "--json")
    assert json.loads(done.stdout) == {"adopted": [{"namespace": "c", "records": 2400}]}
    with target, Api(target.address) as api:
        assert namespaces(api) == ["c", "own"]
        assert_holds(api, "c", 120)


def test_adopt_makes_a_directory_out_of_a_snapshot(varved, tmp_path):
    with Api(varved.address) as api:
        fill(api, "a", 20)
        create(api, "s")
    folder = tmp_path / "new"
    folder.mkdir()
    adopt(Varved(folder), varved.directory / "data/snapshots/s")
    with Varved(folder) as server, Api(server.address) as api:
        assert_holds(api, "a", 20)


def test_adopt_takes_what_build_index_made_without_building_it_again(target, tmp_path):
    np.save(tmp_path / "v.npy", vectors_of(120))
    command = [VARVE, "build-index", tmp_path / "built", "--input", tmp_path / "v.npy"]
    subprocess.run(command, check=True, capture_output=True, timeout=CALL_SECONDS)
    adopt(target, tmp_path / "built", "--as", "adopted")
    with target, Api(target.address) as api:
        (segment,) = api.segments("adopted")
        assert segment.file_bytes and segment.indexed_rows == segment.rows == 2400
        assert_holds(api, "adopted", 120)


def test_adopt_refuses_and_changes_nothing(source, target, tmp_path):
    refused = [
        (("--namespace", "nothing"), 1, 'there is no namespace "nothing"'),
        (("--namespace", "a", "--as", "own"), 1, 'namespace "own" exists already'),
        (("--as", "c"), 2, "--as renames one namespace"),
        (("--namespace", "a", "--as", "no name"), 2, "name"),
        (("--frm", "x"), 2, "--frm"),
    ]
    for flags, code, why in refused:
        assert why in adopt(target, source, *flags, code=code).stderr, flags
    assert "data directory" in adopt(target, tmp_path / "none", code=1).stderr
    assert "--from" in run("adopt", "--data-dir", tmp_path / "x", code=2).stderr
    assert "none" in adopt(Varved(tmp_path / "y"), tmp_path / "none", code=1).stderr
    assert not (tmp_path / "none").exists() and not (tmp_path / "y").exists()
    with Varved(source.parent) as server:
        assert f"process {server.process.pid}" in adopt(target, source, code=1).stderr
    with target, Api(target.address) as api:
        assert f"process {target.process.pid}" in adopt(target, source, code=1).stderr
        assert namespaces(api) == ["own"]


def test_adopt_that_fails_half_way_keeps_what_was_adopted_before(source, target):
    """Namespaces are adopted one by one: those before the one that is there already are whole."""
    adopt(target, source, "--namespace", "b")
    done = adopt(target, source, code=1)
    assert done.stdout == "adopted namespace a: 2400 records\n"
    assert 'namespace "b" exists already' in done.stderr
    with target, Api(target.address) as api:
        assert_holds(api, "a", 120)
