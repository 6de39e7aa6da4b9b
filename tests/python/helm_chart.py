"""Renders the Helm chart with Helm's own engine, checks what comes out against the schemas of Kubernetes' API, and prints it.

python helm_chart.py CHART RELEASE VALUES

VALUES is JSON. Beside latchd's own kinds the chart may ask for one of the Prometheus operator, which no schema here describes.
"""

import functools
import importlib.util
import json
import pathlib
import sys

import helm_python
import jsonschema_rs
import yaml

# The oldest version that the chart admits, and the newest that is known here.
VERSIONS = ["v1.31.0", "v1.37.0"]
FOREIGN = {"PodMonitor"}


@functools.cache
def definitions(version):
    package = importlib.util.find_spec("kubernetes_validate").submodule_search_locations[0]
    # "strict": a field that the API does not know is an error, as it is for `kubectl apply`.
    folder = pathlib.Path(package) / "kubernetes-json-schema" / f"{version}-local-strict"
    return json.loads((folder / "_definitions.json").read_text())


def check(document, version):
    schemas = definitions(version)
    group, _, api = document["apiVersion"].rpartition("/")
    kind = {"group": group, "version": api, "kind": document["kind"]}
    name = next(name for name, schema in schemas["$defs"].items() if kind in schema.get("x-kubernetes-group-version-kind", []))
    schema = {**schemas, "$ref": f"#/$defs/{name}"}
    errors = list(jsonschema_rs.validator_for(schema).iter_errors(document))
    if errors:
        sys.exit("\n".join(f"{kind}, {version}: {error}" for error in errors))


def main():
    chart, release, values = sys.argv[1:]
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(json.loads(values))
        manifests = loaded.render(json.loads(values), name=release, namespace="locks")
    texts = [text for name, text in sorted(manifests.items()) if name.endswith(".yaml")]
    documents = [document for text in texts for document in yaml.safe_load_all(text) if document]
    for document in documents:
        if document["kind"] not in FOREIGN:
            for version in VERSIONS:
                check(document, version)
    json.dump(documents, sys.stdout)


main()
