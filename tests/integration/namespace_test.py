"""NamespaceService: create, get, list, update, delete, and their errors."""

import time

import grpc
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, Api, fails_with
from testutil.varved import Varved

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


def get(api: Api, name: str) -> v1.Namespace:
    request = v1.GetNamespaceRequest(name=name)
    return api.namespaces.GetNamespace(request, timeout=CALL_SECONDS).namespace


def delete(api: Api, name: str) -> None:
    api.namespaces.DeleteNamespace(v1.DeleteNamespaceRequest(name=name), timeout=CALL_SECONDS)


def update(api: Api, name: str, **index) -> v1.Namespace:
    request = v1.UpdateNamespaceRequest(name=name, index=v1.IndexOptions(**index))
    return api.namespaces.UpdateNamespace(request, timeout=CALL_SECONDS).namespace


def names(api: Api, page_size=0) -> list[list[str]]:
    """The names on every page."""
    pages, token = [], ""
    while True:
        request = v1.ListNamespacesRequest(page_size=page_size, page_token=token)
        response = api.namespaces.ListNamespaces(request, timeout=CALL_SECONDS)
        pages.append([namespace.name for namespace in response.namespaces])
        token = response.next_page_token
        if not token:
            return pages


def test_a_created_namespace_has_every_default_filled_in(api, ns):
    created = api.create(ns, 8)
    field = created.fields[0]
    assert (field.name, field.dimension, field.metric) == ("", 8, v1.METRIC_L2)
    assert field.element_type == v1.DTYPE_F32
    assert (field.index.m, field.index.ef_construction, field.index.ef_search) == (16, 200, 64)
    assert field.index.segment_size_threshold == 50_000
    assert created.id_type == v1.ID_TYPE_UNSPECIFIED
    assert abs(created.create_time.seconds - time.time()) < 600
    assert get(api, ns) == created


def test_a_created_namespace_is_as_it_was_asked_for(api, ns):
    created = api.create(
        ns, 3, "cosine", v1.DTYPE_I8, v1.ID_TYPE_TEXT, m=32, ef_search=500, max_unindexed_rows=2000
    )
    field = created.fields[0]
    assert (field.metric, field.element_type) == (v1.METRIC_COSINE, v1.DTYPE_I8)
    assert (field.index.m, field.index.ef_search) == (32, 500)
    assert field.index.max_unindexed_rows == 2000
    assert created.id_type == v1.ID_TYPE_TEXT
    assert get(api, ns) == created


def test_a_name_that_exists_is_refused_and_the_namespace_stays_as_it_is(api, ns):
    created = api.create(ns, 4)
    with fails_with(grpc.StatusCode.ALREADY_EXISTS, ns) as caught:
        api.create(ns, 5)
    assert caught[0].error_info.domain == "varve.dev"
    assert get(api, ns) == created


@pytest.mark.parametrize("name", ["", "-begins", ".begins", "has space", "a/b", "ü", "x" * 129])
def test_a_bad_name_is_refused(api, name):
    with fails_with(INVALID, "name must be 1 to 128 characters"):
        api.create(name, 4)


def test_the_longest_name_is_taken(api):
    name = "N" * 128
    assert api.create(name, 4).name == name


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"dimension": 0}, ("dimension", "65535", "is 0")),
        ({"dimension": 65_536}, ("dimension", "65535", "is 65536")),
        ({"m": 3}, ("m must be 4 to 128", "is 3")),
        ({"m": 129}, ("m must be 4 to 128", "is 129")),
        ({"ef_construction": 15}, ("ef_construction", "16", "is 15")),
        ({"ef_search": 0}, ("ef_search", "is 0")),
        ({"ef_search": 10_001}, ("ef_search", "10000", "is 10001")),
        ({"segment_size_threshold": 999}, ("segment_size_threshold", "1000", "is 999")),
        ({"max_unindexed_rows": 999}, ("max_unindexed_rows", "1000", "is 999")),
    ],
    ids=lambda value: (
        "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else ""
    ),
)
def test_an_option_out_of_range_is_refused_with_the_range_and_the_value(api, ns, wrong, words):
    with fails_with(INVALID, *words):
        api.create(ns, **({"dimension": 4} | wrong))
    with fails_with(NOT_FOUND):
        get(api, ns)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "1 to 32 vector fields, has 0"),
        ([str(i) for i in range(33)], "1 to 32 vector fields, has 33"),
        (["a", "a"], 'field "a" is there twice'),
        (["a b"], 'field "a b"'),
    ],
)
def test_a_namespace_has_some_fields_of_different_names(api, ns, names, words):
    fields = [v1.VectorField(name=name, dimension=4) for name in names]
    request = v1.CreateNamespaceRequest(namespace=v1.Namespace(name=ns, fields=fields))
    with fails_with(INVALID, words):
        api.namespaces.CreateNamespace(request, timeout=CALL_SECONDS)


def test_an_unknown_metric_is_refused_with_the_field_at_fault(api, ns):
    field = v1.VectorField(dimension=4, metric=9)
    request = v1.CreateNamespaceRequest(namespace=v1.Namespace(name=ns, fields=[field]))
    with fails_with(INVALID, "metric") as caught:
        api.namespaces.CreateNamespace(request, timeout=CALL_SECONDS)
    assert caught[0].bad_request.field_violations[0].field == "namespace.fields[0].metric"


def test_namespaces_are_listed_in_order_of_name_page_by_page(tmp_path):
    with Varved(tmp_path) as server, Api(server.address) as api:
        assert names(api) == [[]]
        for name in ("c", "a", "B", "e", "d"):
            api.create(name, 1)
        assert names(api) == [["B", "a", "c", "d", "e"]]
        assert names(api, page_size=2) == [["B", "a"], ["c", "d"], ["e"]]
        assert names(api, page_size=5) == [["B", "a", "c", "d", "e"]]
        assert names(api, page_size=4_000_000_000) == [["B", "a", "c", "d", "e"]]


def test_an_update_changes_what_it_names_and_nothing_else(api, ns):
    created = api.create(ns, 4, m=20)
    updated = update(api, ns, ef_search=300)
    assert updated.fields[0].index.ef_search == 300
    updated.fields[0].index.ef_search = created.fields[0].index.ef_search
    assert updated == created
    assert get(api, ns).fields[0].index.ef_search == 300


def test_a_bad_update_changes_nothing(api, ns):
    created = api.create(ns, 4)
    with fails_with(INVALID, "m must be 4 to 128", "is 1000"):
        update(api, ns, ef_search=300, m=1000)
    assert get(api, ns) == created


def test_an_update_of_a_field_that_is_not_there_is_refused(api, ns):
    api.create(ns, 4)
    with fails_with(INVALID, '"colour"'):
        api.namespaces.UpdateNamespace(
            v1.UpdateNamespaceRequest(name=ns, field="colour"), timeout=CALL_SECONDS
        )


def test_a_deleted_namespace_is_gone_and_its_name_is_free(api, ns):
    api.create(ns, 4)
    api.upsert(ns, [1], [[1, 2, 3, 4]])
    delete(api, ns)
    with fails_with(NOT_FOUND, ns):
        get(api, ns)
    with fails_with(NOT_FOUND, ns):
        api.search(ns, [1, 2, 3, 4])
    api.create(ns, 2, id_type=v1.ID_TYPE_TEXT)
    assert api.count(ns) == 0
    api.upsert(ns, ["a"], [[5, 6]])
    assert api.everything(ns)[0] == ["a"]


def test_a_stream_into_a_namespace_that_is_deleted_ends_with_not_found(api, ns):
    api.create(ns, 1)
    with api.open(ns, producer="p") as stream:
        stream.write(1, [1], [[1]])
        delete(api, ns)
        with fails_with(NOT_FOUND, ns):
            stream.write(2, [2], [[2]])


def test_a_new_namespace_of_an_old_name_remembers_no_producer(api, ns):
    api.create(ns, 1)
    with api.open(ns, producer="p") as stream:
        stream.write(1, [1], [[1]])
    delete(api, ns)
    api.create(ns, 1)
    with api.open(ns, producer="p") as stream:
        assert stream.opened.last_batch == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda api: get(api, "nowhere"),
        lambda api: delete(api, "nowhere"),
        lambda api: update(api, "nowhere", m=8),
        lambda api: api.open("nowhere"),
        lambda api: api.upsert("nowhere", [1], [[1]]),
        lambda api: api.delete("nowhere", [1]),
        lambda api: api.search("nowhere", [1]),
        lambda api: api.search_batch("nowhere", [[1]]),
        lambda api: api.get("nowhere", [1]),
        lambda api: api.count("nowhere"),
        lambda api: list(api.scan("nowhere")),
        lambda api: api.segments("nowhere"),
        lambda api: api.wait_indexed("nowhere"),
        lambda api: api.stats("nowhere"),
    ],
)
def test_every_call_on_a_namespace_that_does_not_exist_says_so(api, call):
    with fails_with(NOT_FOUND, '"nowhere"') as caught:
        call(api)
    assert caught[0].error_info.reason == "NOT_FOUND"
