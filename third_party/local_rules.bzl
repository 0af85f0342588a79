"""Small local repositories that stand in for ones Bazel would otherwise download."""

_CC_DEFS = """
cc_binary = native.cc_binary
cc_import = native.cc_import
cc_library = native.cc_library
cc_proto_library = native.cc_proto_library
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
fdo_prefetch_hints = native.fdo_prefetch_hints
fdo_profile = native.fdo_profile
objc_import = native.objc_import
objc_library = native.objc_library
"""

_COVERAGE_BUILD = """
filegroup(name = "coverage_report_generator", visibility = ["//visibility:public"])
filegroup(name = "lcov_merger", visibility = ["//visibility:public"])
"""

def _local_rules_repository_impl(ctx):
    ctx.file("WORKSPACE", "")
    ctx.file("BUILD", _COVERAGE_BUILD)
    ctx.file("cc/BUILD", "")
    ctx.file("cc/defs.bzl", _CC_DEFS)

local_rules_repository = repository_rule(
    implementation = _local_rules_repository_impl,
    doc = "rules_cc (re-exporting the native rules) and coverage tools (none), made on the spot.",
)
