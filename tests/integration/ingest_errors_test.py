"""Bad batches: each error names the batch, the row and what was wanted, and harms nothing else."""

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import Api, fails_with, ids, numbered, records, tensor
from testutil.vectors import random_vectors

INVALID = grpc.StatusCode.INVALID_ARGUMENT
SKIP = v1.ON_ERROR_SKIP

GOOD = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
NAN_ROW = [[1.0, 2.0, 3.0], [4.0, float("nan"), 6.0]]


def batch(keys=(8, 9), vectors=GOOD, **overrides) -> v1.RecordBatch:
    """A batch whose tensor's fields are overridden."""
    result = records(keys, vectors)
    dense = result.fields[0].dense
    for name, value in overrides.items():
        dense.ClearField(name)
        if name == "shape":
            dense.shape.extend(value)
        else:
            setattr(dense, name, value)
    return result


def without_ids() -> v1.RecordBatch:
    result = batch()
    result.ClearField("ids")
    return result


def in_field(name: str) -> v1.RecordBatch:
    result = batch()
    result.fields[0].field = name
    return result


def with_fields(count: int) -> v1.RecordBatch:
    return v1.RecordBatch(ids=ids([8, 9]), fields=[v1.FieldVectors(dense=tensor(GOOD))] * count)


# What is wrong with a batch -> the batch, words of the message, the field that BadRequest names.
BAD_BATCHES = {
    "dimension too small": (batch(vectors=[[1, 2], [3, 4]]), ("dimension 3", "2"), None),
    "dimension too large": (batch(vectors=[[1, 2, 3, 4]] * 2), ("dimension 3", "4"), None),
    "NaN": (batch(vectors=NAN_ROW), ("row 1", "element 1", "finite", "nan"), None),
    "infinity": (batch(vectors=[[1, 2, float("-inf")], GOOD[1]]), ("row 0", "-inf"), None),
    "NaN in float16": (batch(vectors=np.array(NAN_ROW, "<f2")), ("row 1", "finite"), None),
    "a length beyond float32": (batch(vectors=[[3e38] * 3, GOOD[1]]), ("row 0", "length"), None),
    "text ids among numbers": (batch(keys=("a", "b")), ("ids", "number", "text"), None),
    "fewer ids than vectors": (batch(keys=(8,)), ("2 vectors", "1 ids"), None),
    "more ids than vectors": (batch(keys=(7, 8, 9)), ("2 vectors", "3 ids"), None),
    "no ids": (without_ids(), ("ids",), "records.ids"),
    "an unknown field": (in_field("colour"), ('"colour"',), None),
    "no fields": (with_fields(0), ("at least one field",), None),
    "a field twice": (with_fields(2), ("in the batch twice",), None),
    "no dtype": (batch(dtype=0), ("F32",), "records.fields[0].dense.dtype"),
    "an unknown dtype": (batch(dtype=77), ("77",), "records.fields[0].dense.dtype"),
    "truncated data": (
        batch(data=bytes(23)),
        ("2 x 3 x 4", "holds 23"),
        "records.fields[0].dense.data",
    ),
    "no data": (batch(data=b""), ("holds 0",), "records.fields[0].dense.data"),
    "data too long": (batch(data=bytes(25)), ("25",), "records.fields[0].dense.data"),
    "a flat shape": (batch(shape=[6]), ("[6]",), "records.fields[0].dense.shape"),
    "no shape": (batch(shape=[]), ("[]",), "records.fields[0].dense.shape"),
    "a shape of three": (batch(shape=[1, 2, 3]), ("[1, 2, 3]",), "records.fields[0].dense.shape"),
    "a shape whose product overflows to the bytes there are": (
        batch(shape=[(1 << 62) + 2, 3]),
        (str((1 << 62) + 2),),
        "records.fields[0].dense.data",
    ),
    "a huge dimension": (
        batch(shape=[2, (1 << 63) + 3]),
        ("65535",),
        "records.fields[0].dense.shape",
    ),
    "a dimension of zero": (batch(shape=[2, 0], data=b""), ("65535",), None),
}


@pytest.fixture
def filled(api, ns) -> str:
    """A namespace of dimension 3 with two records of a first batch of producer p."""
    api.create(ns, 3)
    with api.open(ns, producer="p") as stream:
        stream.write(1, [1, 2], GOOD)
    return ns


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_a_bad_batch_is_named_and_leaves_the_earlier_ones_intact(api, filled, case):
    bad, words, field = BAD_BATCHES[case]
    with api.open(filled, producer="p") as stream:
        assert stream.write(2, [3], [[7, 8, 9]]).number == 2
        stream.send(numbered(3, bad), numbered(4, records([4], [[1, 1, 1]])))
        with fails_with(INVALID, "batch 3", *words) as caught:
            stream.receive()
    assert caught[0].error_info.metadata["batch"] == "3"
    row = next((word.removeprefix("row ") for word in words if word.startswith("row ")), None)
    assert caught[0].error_info.metadata.get("row") == row
    violation = caught[0].bad_request.field_violations[0]
    assert violation.description == caught[0].message
    assert field is None or violation.field == field
    assert api.everything(filled)[0] == [1, 2, 3]
    with api.open(filled, producer="p") as stream:
        assert stream.opened.last_batch == 2
        assert stream.write(3, [3], [[0, 0, 0]]).records_written == 1


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_a_unary_upsert_of_a_bad_batch_writes_nothing(api, filled, case):
    bad, words, _ = BAD_BATCHES[case]
    with fails_with(INVALID, *words):
        api.ingest.Upsert(v1.UpsertRequest(namespace=filled, records=bad), timeout=60)
    assert api.everything(filled)[0] == [1, 2]


def test_acknowledgements_of_batches_sent_with_a_bad_one_arrive_before_the_error(api, filled):
    with api.open(filled, producer="p", durability=v1.DURABILITY_SYNCED) as stream:
        for number in range(2, 12):
            stream.send(numbered(number, records([number * 10], [[1, 2, 3]])))
        stream.send(numbered(12, batch(vectors=NAN_ROW)))
        acks = []
        with fails_with(INVALID, "batch 12"):
            while True:
                acks.append(stream.receive().number)
    assert acks == list(range(2, 12))


def test_a_zero_vector_is_refused_under_cosine_with_its_row(api, ns):
    api.create(ns, 3, "cosine")
    with api.open(ns, producer="p") as stream, fails_with(INVALID, "batch 1", "row 2", "zero"):
        stream.write(1, [1, 2, 3], [*GOOD, [0, 0, 0]])
    with fails_with(INVALID, "zero"):
        api.search(ns, [0, 0, 0])


@pytest.mark.parametrize("metric", ["l2", "dot"])
def test_a_zero_vector_is_fine_under_other_metrics(api, ns, metric):
    api.create(ns, 3, metric)
    api.upsert(ns, [1], [[0, 0, 0]])
    assert api.search(ns, [0, 0, 0], k=1).hits[0].distance == 0


@pytest.mark.parametrize("key", ["", "x" * 513, "ü" * 257], ids=["empty", "513 bytes", "514 bytes"])
def test_a_text_id_that_is_empty_or_too_long_is_refused_with_its_row(api, ns, key):
    api.create(ns, 3)
    with api.open(ns, producer="p") as stream:
        stream.write(1, ["first"], [[1, 2, 3]])
        with fails_with(INVALID, "batch 2", "row 1", "1 to 512", str(len(key.encode()))):
            stream.write(2, ["good", key], GOOD)
    assert api.everything(ns)[0] == ["first"]


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_with_skip_the_good_rows_are_written_and_the_bad_ones_listed(api, ns, metric):
    api.create(ns, 3, metric)
    vectors = [GOOD[0], NAN_ROW[1], GOOD[1], [float("inf"), 0, 0], [1e30, 1e30, 0]]
    with api.open(ns, producer="p", on_error=SKIP) as stream:
        ack = stream.write(1, [0, 1, 2, 3, 4], vectors)
        assert [error.row for error in ack.row_errors] == [1, 3, 4]
        assert "nan" in ack.row_errors[0].message
        assert ack.records_written == 2
        assert stream.write(2, [5], [[7, 7, 7]]).records_written == 1
    assert api.everything(ns)[0] == [0, 2, 5]


def test_with_skip_bad_ids_are_listed_and_a_bad_row_supersedes_nothing(api, ns):
    api.create(ns, 1)
    reply = api.upsert(
        ns, ["a", "", "x" * 600, "a", "a"], [[1], [2], [3], [4], [float("nan")]], on_error=SKIP
    )
    assert [error.row for error in reply.row_errors] == [1, 2, 4]
    assert list(reply.superseded_rows) == [0]
    assert reply.records_written == 1
    assert api.get(ns, ["a"]).records.fields[0].dense == tensor([[4]])


def test_with_skip_a_batch_of_bad_rows_alone_still_counts_as_the_producers_batch(api, ns):
    api.create(ns, 1)
    with api.open(ns, producer="p", on_error=SKIP) as stream:
        assert stream.write(1, [1], [[float("nan")]]).records_written == 0
    with api.open(ns, producer="p") as stream:
        assert stream.opened.last_batch == 1
    assert api.count(ns) == 0


def test_with_skip_a_fault_of_the_whole_batch_is_still_an_error(api, filled):
    with api.open(filled, producer="p", on_error=SKIP) as stream, fails_with(INVALID, "dimension"):
        stream.write(2, [1], [[1, 2]])


@pytest.mark.parametrize("stored", [v1.DTYPE_F16, v1.DTYPE_BF16, v1.DTYPE_U8, v1.DTYPE_I8])
def test_a_narrow_field_takes_its_own_element_type_alone(api, ns, stored):
    api.create(ns, 4, element_type=stored)
    for element in ("f4", "f2", "bf16", "u1", "i1"):
        vectors = random_vectors(4, 2, 4, element)
        if tensor(vectors).dtype == stored:
            api.upsert(ns, [1, 2], vectors)
        else:
            with fails_with(INVALID, "element type"):
                api.upsert(ns, [1, 2], vectors)


def test_the_first_batch_decides_the_type_of_ids(api, ns):
    api.create(ns, 1)
    api.upsert(ns, ["7"], [[7]])
    for call in (
        lambda: api.upsert(ns, [7], [[7]]),
        lambda: api.get(ns, [7]),
        lambda: api.delete(ns, [7]),
    ):
        with fails_with(INVALID, "text", "number"):
            call()
    request = v1.GetNamespaceRequest(name=ns)
    described = api.namespaces.GetNamespace(request, timeout=60).namespace
    assert described.id_type == v1.ID_TYPE_TEXT


@pytest.mark.parametrize("option", ["durability", "on_error"])
def test_an_unknown_option_is_refused_by_name(api: Api, ns, option):
    api.create(ns, 1)
    with fails_with(INVALID, option, "9") as caught:
        api.upsert(ns, [1], [[1]], **{option: 9})
    assert caught[0].bad_request.field_violations[0].field == option
    with fails_with(INVALID, option, "9"):
        api.open(ns, **{option: 9})


def test_a_message_over_the_limit_is_refused_and_the_server_goes_on(api, ns):
    api.create(ns, 1)
    too_long = batch(data=bytes(65 << 20))
    with fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, str(64 << 20)):
        api.ingest.Upsert(v1.UpsertRequest(namespace=ns, records=too_long), timeout=60)
    assert api.upsert(ns, [1], [[1]]).records_written == 1
