#include "clients/cli/input/hdf5_file.h"

#include <hdf5/serial/hdf5.h>

#include <array>
#include <filesystem>
#include <system_error>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::cli {
namespace {

static_assert(std::is_same_v<hid_t, Hdf5Handle::Id> && std::is_same_v<herr_t, int>);

// The library reads a chunk as a whole.
constexpr uint64_t kChunkBytesMax = uint64_t{256} << 20;
constexpr size_t kNameBytesMax = 1024;

absl::Status Bad(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(StrCat(path, ": ", what));
}

absl::Status WriteFailed(const std::string& path) {
  return absl::UnavailableError(StrCat("cannot write ", path, ": is the disk full?"));
}

// The library prints its errors unless it is told not to; ours say what they mean.
void BeQuiet() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

// IEEE's half, which the library has no name for.
Hdf5Handle HalfType() {
  Hdf5Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  const bool made = H5Tset_fields(type.get(), 15, 10, 5, 0, 10) >= 0 &&
                    H5Tset_size(type.get(), 2) >= 0 && H5Tset_ebias(type.get(), 15) >= 0;
  return made ? std::move(type) : Hdf5Handle();
}

// Little-endian numbers of this type; none if no file of ours has it.
Hdf5Handle TypeOf(const NpyType& type) {
  const auto copy = [](hid_t known) { return Hdf5Handle(H5Tcopy(known), H5Tclose); };
  if (type == NpyType{'f', 2}) return HalfType();
  if (type == NpyType{'f', 4}) return copy(H5T_IEEE_F32LE);
  if (type == NpyType{'f', 8}) return copy(H5T_IEEE_F64LE);
  if (type == NpyType{'u', 1}) return copy(H5T_STD_U8LE);
  if (type == NpyType{'i', 1}) return copy(H5T_STD_I8LE);
  if (type == NpyType{'i', 4}) return copy(H5T_STD_I32LE);
  if (type == NpyType{'i', 8}) return copy(H5T_STD_I64LE);
  return Hdf5Handle();
}

// "f4"; what is no number has the kind '?'.
NpyType NpyTypeOf(hid_t type) {
  const size_t size = H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_FLOAT: {
      // bfloat16 has two bytes as well.
      const bool half = size != 2 || H5Tget_ebias(type) == 15;
      return {half ? 'f' : '?', size};
    }
    case H5T_INTEGER:
      return {H5Tget_sign(type) == H5T_SGN_NONE ? 'u' : 'i', size};
    default:
      return {'?', size};
  }
}

absl::StatusOr<Hdf5Handle> OpenFile(const std::string& path) {
  BeQuiet();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return absl::NotFoundError(StrCat(path, ": there is no such file"));
  }
  Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.valid()) return Bad(path, "is not an HDF5 file that can be read, or it is cut short");
  return file;
}

std::vector<std::string> NamesIn(const Hdf5Handle& file) {
  H5G_info_t info = {};
  if (H5Gget_info(file.get(), &info) < 0) return {};
  std::vector<std::string> names;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    std::array<char, kNameBytesMax> name = {};
    const ssize_t size = H5Lget_name_by_idx(file.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i,
                                            name.data(), name.size(), H5P_DEFAULT);
    if (size > 0 && size < static_cast<ssize_t>(name.size())) names.emplace_back(name.data());
  }
  return names;
}

// InvalidArgument says what is wrong with the space of a dataset.
absl::StatusOr<Hdf5Shape> ShapeOf(const std::string& path, const std::string& name, hid_t dataset) {
  const std::string what = StrCat("dataset ", name, " ");
  const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
  const Hdf5Handle type(H5Dget_type(dataset), H5Tclose);
  if (!space.valid() || !type.valid()) return Bad(path, what + "cannot be read");
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank != 2)
    return Bad(path, StrCat(what, "has ", rank, " dimensions, wanted rows and columns"));
  std::array<hsize_t, 2> extent = {};
  if (H5Sget_simple_extent_dims(space.get(), extent.data(), nullptr) != 2) {
    return Bad(path, what + "cannot be read");
  }
  Hdf5Shape shape{
      .name = name, .type = NpyTypeOf(type.get()), .rows = extent[0], .columns = extent[1]};
  if (!TypeOf(shape.type).valid()) {
    return Bad(path, StrCat(what, "holds elements of type ", TypeText(shape.type),
                            ", wanted f2, f4, f8, u1, i1, i4 or i8"));
  }
  constexpr uint64_t kColumnsMax = 65'535;
  if (shape.columns < 1 || shape.columns > kColumnsMax) {
    return Bad(path, StrCat(what, "has ", shape.columns, " columns, wanted 1 to ", kColumnsMax));
  }
  if (shape.rows > (uint64_t{1} << 40)) {
    return Bad(path, StrCat(what, "has ", shape.rows, " rows, wanted at most 2^40"));
  }
  return shape;
}

// Bytes of the chunks that a row lies in, which the library takes into memory as a whole; 0: not in
// chunks. InvalidArgument: they are too large, or in other files.
absl::StatusOr<uint64_t> ChunkBytes(const std::string& path, const Hdf5Shape& shape,
                                    hid_t dataset) {
  const std::string what = StrCat("dataset ", shape.name, " ");
  const Hdf5Handle list(H5Dget_create_plist(dataset), H5Pclose);
  if (!list.valid()) return Bad(path, what + "cannot be read");
  const H5D_layout_t layout = H5Pget_layout(list.get());
  if (layout == H5D_VIRTUAL || H5Pget_external_count(list.get()) != 0) {
    return Bad(path, what + "lies in other files");
  }
  if (layout != H5D_CHUNKED) return 0;
  std::array<hsize_t, 2> chunk = {};
  if (H5Pget_chunk(list.get(), 2, chunk.data()) != 2 || chunk[0] == 0 || chunk[1] == 0) {
    return Bad(path, what + "cannot be read");
  }
  const uint64_t across = (shape.columns - 1) / chunk[1] + 1;
  if (chunk[1] > kChunkBytesMax ||
      chunk[0] > kChunkBytesMax / shape.type.size / chunk[1] / across) {
    return Bad(path,
               StrCat(what, "is in chunks of ", chunk[0], " x ", chunk[1],
                      ", wanted rows whose chunks have at most ", kChunkBytesMax >> 20, " MiB"));
  }
  return chunk[0] * chunk[1] * across * shape.type.size;
}

}  // namespace

bool IsHdf5FileName(std::string_view path) {
  return path.ends_with(".hdf5") || path.ends_with(".h5");
}

absl::StatusOr<Hdf5Dataset> Hdf5Dataset::Open(const std::string& path, const std::string& name) {
  VARVE_ASSIGN_OR_RETURN(Hdf5Handle file, OpenFile(path));
  Hdf5Dataset dataset(path, std::move(file));
  VARVE_RETURN_IF_ERROR(dataset.OpenDataset(name));
  return dataset;
}

absl::Status Hdf5Dataset::OpenDataset(const std::string& name) {
  const auto open = [&](hid_t access) {
    return Hdf5Handle(H5Dopen2(file_.get(), name.c_str(), access), H5Dclose);
  };
  dataset_ = open(H5P_DEFAULT);
  if (!dataset_.valid()) {
    std::string names;
    for (const std::string& one : NamesIn(file_)) names += StrCat(names.empty() ? "" : ", ", one);
    return absl::NotFoundError(
        StrCat(path_, ": has no dataset ", name, "; there are: ", names.empty() ? "none" : names));
  }
  VARVE_ASSIGN_OR_RETURN(shape_, ShapeOf(path_, name, dataset_.get()));
  type_ = TypeOf(shape_.type);
  VARVE_ASSIGN_OR_RETURN(const uint64_t chunk_bytes, ChunkBytes(path_, shape_, dataset_.get()));
  if (chunk_bytes == 0) return absl::OkStatus();
  // They stay in memory, so that none is read again for the next rows.
  const Hdf5Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  H5Pset_chunk_cache(access.get(), H5D_CHUNK_CACHE_NSLOTS_DEFAULT, chunk_bytes,
                     H5D_CHUNK_CACHE_W0_DEFAULT);
  dataset_ = Hdf5Handle();
  dataset_ = open(access.get());
  if (!dataset_.valid()) return Bad(path_, StrCat("dataset ", name, " cannot be read"));
  return absl::OkStatus();
}

std::optional<uint64_t> Hdf5Dataset::Offset() const {
  const Hdf5Handle list(H5Dget_create_plist(dataset_.get()), H5Pclose);
  const Hdf5Handle stored(H5Dget_type(dataset_.get()), H5Tclose);
  if (!list.valid() || H5Pget_layout(list.get()) != H5D_CONTIGUOUS ||
      H5Tequal(stored.get(), type_.get()) <= 0) {
    return std::nullopt;
  }
  const haddr_t offset = H5Dget_offset(dataset_.get());
  if (offset == HADDR_UNDEF) return std::nullopt;
  return offset;
}

absl::Status Hdf5Dataset::Read(uint64_t first, uint64_t count, std::string* out) const {
  out->resize(count * shape_.columns * shape_.type.size);
  if (count == 0) return absl::OkStatus();
  const std::array<hsize_t, 2> begin = {first, 0}, extent = {count, shape_.columns};
  const Hdf5Handle memory(H5Screate_simple(2, extent.data(), nullptr), H5Sclose);
  const Hdf5Handle space(H5Dget_space(dataset_.get()), H5Sclose);
  const bool read = H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, begin.data(), nullptr,
                                        extent.data(), nullptr) >= 0 &&
                    H5Dread(dataset_.get(), type_.get(), memory.get(), space.get(), H5P_DEFAULT,
                            out->data()) >= 0;
  if (read) return absl::OkStatus();
  return absl::DataLossError(StrCat(path_, ": rows ", first, " to ", first + count - 1,
                                    " of dataset ", shape_.name, " cannot be read"));
}

absl::StatusOr<std::vector<Hdf5Shape>> ListHdf5(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const Hdf5Handle file, OpenFile(path));
  std::vector<Hdf5Shape> found;
  for (const std::string& name : NamesIn(file)) {
    const Hdf5Handle dataset(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
    if (!dataset.valid()) continue;  // a group
    auto shape = ShapeOf(path, name, dataset.get());
    if (shape.ok()) found.push_back(*std::move(shape));
  }
  return found;
}

absl::StatusOr<Hdf5Writer> Hdf5Writer::Open(const std::string& path, const Hdf5Shape& shape) {
  BeQuiet();
  if (shape.name.empty() || shape.name.find('/') != std::string::npos) {
    return Bad(path, StrCat("a dataset must have a name without '/', has '", shape.name, "'"));
  }
  Hdf5Writer writer(path, shape);
  std::error_code error;
  const bool exists = std::filesystem::exists(path, error);
  writer.file_ =
      exists
          ? Hdf5Handle(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose)
          : Hdf5Handle(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  if (!writer.file_.valid()) {
    return exists ? Bad(path, "is there and not an HDF5 file") : WriteFailed(path);
  }
  const hid_t file = writer.file_.get();
  const char* const name = shape.name.c_str();
  if (H5Lexists(file, name, H5P_DEFAULT) > 0 && H5Ldelete(file, name, H5P_DEFAULT) < 0) {
    return WriteFailed(path);
  }
  writer.type_ = TypeOf(shape.type);
  const std::array<hsize_t, 2> extent = {shape.rows, shape.columns};
  const Hdf5Handle space(H5Screate_simple(2, extent.data(), nullptr), H5Sclose);
  writer.dataset_ = Hdf5Handle(H5Dcreate2(file, name, writer.type_.get(), space.get(), H5P_DEFAULT,
                                          H5P_DEFAULT, H5P_DEFAULT),
                               H5Dclose);
  if (!writer.dataset_.valid()) return WriteFailed(path);
  return writer;
}

absl::Status Hdf5Writer::Write(std::string_view bytes) {
  const uint64_t count = bytes.size() / (shape_.columns * shape_.type.size);
  if (count == 0) return absl::OkStatus();
  const std::array<hsize_t, 2> begin = {written_, 0}, extent = {count, shape_.columns};
  const Hdf5Handle memory(H5Screate_simple(2, extent.data(), nullptr), H5Sclose);
  const Hdf5Handle space(H5Dget_space(dataset_.get()), H5Sclose);
  const bool written = H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, begin.data(), nullptr,
                                           extent.data(), nullptr) >= 0 &&
                       H5Dwrite(dataset_.get(), type_.get(), memory.get(), space.get(), H5P_DEFAULT,
                                bytes.data()) >= 0;
  written_ += count;
  return written ? absl::OkStatus() : WriteFailed(path_);
}

absl::Status Hdf5Writer::Close() {
  const bool closed = dataset_.CloseNow() && file_.CloseNow();
  return closed ? absl::OkStatus() : WriteFailed(path_);
}

}  // namespace varve::cli
