#ifndef VARVE_BASE_PAGE_ARRAY_H_
#define VARVE_BASE_PAGE_ARRAY_H_

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <type_traits>

namespace varve {

// A large array of zeros straight from the system: memory is taken where it is first touched, in large
// pages where the system has them, which random access to many megabytes needs to be fast. Its elements
// must be in order as zeros and need no destructor.
template <typename T>
class PageArray {
 public:
  explicit PageArray(size_t size) : bytes_(size * sizeof(T)) {
    static_assert(std::is_trivially_destructible_v<T>);
    if (bytes_ == 0) return;
    void* const memory =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    madvise(memory, bytes_, MADV_HUGEPAGE);  // not everywhere; slower without
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
