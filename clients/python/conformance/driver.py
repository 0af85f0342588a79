"""The conformance suite's hand on the Python client; tests/conformance/README.md says what it speaks."""

import base64
import json
import sys

import numpy as np

import varve

_TYPES = {"f32": "<f4", "f16": "<f2", "bf16": "<u2", "u8": "u1", "i8": "i1"}
_ELEMENT_TYPES = {
    "f32": "float32", "f16": "float16", "bf16": "bfloat16", "u8": "uint8", "i8": "int8",
}  # fmt: skip
_NAMES = {"<f4": "f32", "<f2": "f16", "|u1": "u8", "|i1": "i8"}


def array(tensor):
    data = np.frombuffer(base64.b64decode(tensor["data"]), _TYPES[tensor["dtype"]])
    if tensor["dtype"] == "bf16":
        import ml_dtypes

        data = data.view(ml_dtypes.bfloat16)
    return data.reshape(tensor["shape"])


def tensor(vectors):
    vectors = np.ascontiguousarray(vectors)
    data = base64.b64encode(vectors.tobytes()).decode()
    return {"dtype": _NAMES[vectors.dtype.str], "shape": list(vectors.shape), "data": data}


def ids(given):
    return given["texts"] if "texts" in given else [int(one) for one in given["numbers"]]


def listed(found):
    found = list(found)
    if found and isinstance(found[0], str):
        return {"texts": found}
    return {"numbers": [str(one) for one in found]}


class Driver:
    """Each method is an operation: its arguments are the request's, what it returns is `ok`."""

    def __init__(self):
        self.client = None

    def connect(self, address):
        if self.client is not None:
            self.client.close()
        self.client = varve.Client(address)
        return {}

    def create_namespace(self, name, dimension, metric=None, element_type=None, id_type=None):
        self.client.create_namespace(
            name,
            dimension,
            metric=metric or "l2",
            element_type=_ELEMENT_TYPES[element_type or "f32"],
            id_type=id_type,
        )
        return {}

    def list_namespaces(self):
        return {"names": [one.name for one in self.client.list_namespaces()]}

    def delete_namespace(self, name):
        self.client.delete_namespace(name)
        return {}

    def ingest(self, namespace, **request):
        options = _ingest_options(request)
        done = self.client.namespace(namespace).ingest(
            ids(request["ids"]),
            array(request["vectors"]),
            request.get("metadata"),
            progress=False,
            **options,
        )
        return _ingested(done)

    def ingest_many(self, namespace, repeat, **request):
        vectors = array(request["vectors"])
        numbers = np.array(ids(request["ids"]), np.uint64)
        with self.client.namespace(namespace).writer(**_ingest_options(request)) as writer:
            for round in range(repeat):
                writer.add(
                    numbers + np.uint64(round * len(numbers)), vectors, request.get("metadata")
                )
        return _ingested(writer.result)

    def search(self, namespace, query, k, include_vectors=False, include_metadata=False, **options):
        found = self.client.namespace(namespace).search(
            array(query),
            k,
            include_vectors=bool(include_vectors),
            include_metadata=bool(include_metadata),
            **_given(options),
        )
        result = {"ids": listed(found.ids), "distances": found.distances.tolist()}
        if include_vectors:
            result["vectors"] = [tensor(hit.vector[None]) for hit in found]
        if include_metadata:
            result["metadata"] = [hit.metadata for hit in found]
        return result

    def search_batch(self, namespace, queries, k, **options):
        found = self.client.namespace(namespace).search_batch(
            array(queries), k, **_given(options)
        )
        there = np.arange(k) < found.counts[:, None]
        return {
            "counts": found.counts.tolist(),
            "ids": listed(found.ids[there].tolist()),
            "distances": found.distances[there].tolist(),
        }

    def get(self, namespace, include_vectors=False, include_metadata=False, **request):
        records = self.client.namespace(namespace).get(
            ids(request["ids"]),
            include_vectors=bool(include_vectors),
            include_metadata=bool(include_metadata),
        )
        return {**_listed_records([records]), "missing": listed(records.missing)}

    def scan(self, namespace, include_vectors=False, include_metadata=False, filter=None):
        return _listed_records(
            self.client.namespace(namespace).scan(
                filter=filter,
                include_vectors=bool(include_vectors),
                include_metadata=bool(include_metadata),
            )
        )

    def delete(self, namespace, filter=None, dry_run=False, **request):
        given = ids(request["ids"]) if request.get("ids") else None
        done = self.client.namespace(namespace).delete(
            given, filter=filter, dry_run=bool(dry_run)
        )
        return {"deleted": done.records_deleted}

    def update_metadata(self, namespace, patches, **request):
        patches = patches[0] if len(patches) == 1 else patches
        done = self.client.namespace(namespace).update_metadata(ids(request["ids"]), patches)
        return {"updated": done.records_updated, "missing": listed(done.missing)}

    def count(self, namespace, filter=None):
        return {"count": self.client.namespace(namespace).count(filter=filter)}

    def flush(self, namespace):
        self.client.namespace(namespace).flush()
        return {}


def _given(options):
    return {name: value for name, value in options.items() if value is not None}


def _ingest_options(request):
    names = {
        "producer": "producer",
        "batch_rows": "batch_size",
        "durability": "durability",
        "on_error": "on_error",
    }
    return {ours: request[theirs] for theirs, ours in names.items() if request.get(theirs)}


def _ingested(done):
    errors = [{"row": error.row, "message": error.message} for error in done.row_errors]
    return {"rows_written": done.records_written, "row_errors": errors}


def _listed_records(parts):
    all_ids, vectors, metadata = [], [], []
    for records in parts:
        all_ids += list(records.ids)
        if records.fields:
            vectors.append(records.vectors)
        metadata += records.metadata or []
    result = {"ids": listed(all_ids), "metadata": metadata}
    if vectors:
        result["vectors"] = tensor(np.concatenate(vectors))
    return result


def answer(driver, request):
    operation = getattr(driver, request.pop("op"), None)
    if operation is None:
        return {"error": {"code": "UNIMPLEMENTED", "message": "no such operation"}}
    try:
        return {"ok": operation(**request)}
    except varve.Error as error:
        return {"error": {"code": error.code, "message": error.message}}


def main():
    driver = Driver()
    for line in sys.stdin:
        print(json.dumps(answer(driver, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
