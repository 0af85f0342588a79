"""The README's samples run, in order, as they stand."""

import pathlib
import re

import varve

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"


def test_the_samples_of_the_readme_run(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    samples = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(samples) >= 5
    names = {}
    for sample in samples:
        exec(sample.replace("127.0.0.1:7780", server.address), names)  # noqa: S102
    with varve.Client(server.address) as client:
        assert client.namespace("shoes").count() == 10_000
        assert names["best"].id == "emma#0"
        assert client.namespace("boots").count() == 5_000 == client.namespace("shoes").count(
            filter="price < 100"
        )
