"""Rules between rooms, checked on the build graph."""

def build_graph_test(name, query, expected = []):
    """Fails unless the Bazel query gives just the targets expected.

    Everything is asked of what the two binaries are made of: a target that neither of them reaches does
    not ship, and the include test (includes_test.py) reads every file in any case.
    """
    native.genquery(
        name = name + "_query",
        testonly = True,
        expression = query,
        scope = [
            "//clients/cli:varve",
            "//server:varved",
        ],
    )
    native.sh_test(
        name = name,
        size = "small",
        srcs = ["same_lines.sh"],
        args = ["$(location :%s_query)" % name] + expected,
        data = [":%s_query" % name],
    )

def targets(room):
    """A query: the shipped targets of a room."""
    return "filter('^//%s[:/]', deps(//server:varved + //clients/cli:varve))" % room

def unreachable(name, room, forbidden, without = []):
    """Fails when a room's shipped targets, some left out, reach a target that the regular expression matches."""
    query = " except ".join([targets(room)] + without)
    build_graph_test(
        name = name,
        query = "filter('%s', kind(rule, deps(%s)))" % (forbidden, query),
    )
