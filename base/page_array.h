#ifndef VARVE_BASE_PAGE_ARRAY_H_
#define VARVE_BASE_PAGE_ARRAY_H_

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <type_traits>

namespace varve {

// A large array of zeros straight from the system: memory is taken where it is first touched, and none is
// promised before, so an array may have room for far more than it comes to hold. Its elements must be in
// order as zeros and need no destructor.
template <typename T>
class PageArray {
 public:
  // NOLINTNEXTLINE(bugprone-sizeof-expression): T may well be a pointer.
  explicit PageArray(size_t size) : bytes_(size * sizeof(T)) {
    static_assert(std::is_trivially_destructible_v<T>);
    if (bytes_ == 0) return;
    void* const memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(memory);
  }
  ~PageArray() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }
  PageArray(const PageArray&) = delete;
  PageArray& operator=(const PageArray&) = delete;

  T* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  const size_t bytes_;
  T* data_ = nullptr;
};

}  // namespace varve

#endif  // VARVE_BASE_PAGE_ARRAY_H_
