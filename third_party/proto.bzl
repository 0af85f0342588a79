"""C++ code for a directory of .proto files, made by the system's protoc and gRPC plugin."""

def varve_cc_proto_library(name, srcs, services = [], visibility = None):
    """Generates messages for every file in srcs and gRPC code for those in services.

    Two libraries come out: `name` (messages, protobuf only) and `name_grpc` (services), so that code
    which needs the messages alone does not pay for gRPC's headers.
    """
    bases = [s[:-len(".proto")] for s in srcs]
    grpc_bases = [s[:-len(".proto")] for s in services]
    protoc = "protoc --proto_path=proto --proto_path=/usr/include "
    files = " $(SRCS)"
    native.genrule(
        name = name + "_gen",
        srcs = srcs,
        outs = [b + ext for b in bases for ext in (".pb.h", ".pb.cc")],
        cmd = protoc + "--cpp_out=$(GENDIR)/proto" + files,
    )
    native.cc_library(
        name = name,
        srcs = [b + ".pb.cc" for b in bases],
        hdrs = [b + ".pb.h" for b in bases],
        copts = ["-w"],
        features = ["-thread_safety"],
        strip_include_prefix = "/proto",
        visibility = visibility,
        deps = ["//third_party:protobuf"],
    )
    if not services:
        return
    native.genrule(
        name = name + "_grpc_gen",
        srcs = srcs,
        outs = [b + ext for b in grpc_bases for ext in (".grpc.pb.h", ".grpc.pb.cc")],
        cmd = protoc + "--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin --grpc_out=$(GENDIR)/proto " +
              " ".join(["$(location %s)" % s for s in services]),
    )
    native.cc_library(
        name = name + "_grpc",
        srcs = [b + ".grpc.pb.cc" for b in grpc_bases],
        hdrs = [b + ".grpc.pb.h" for b in grpc_bases],
        copts = ["-w"],
        strip_include_prefix = "/proto",
        visibility = visibility,
        deps = [
            ":" + name,
            "//third_party:grpc",
        ],
    )
