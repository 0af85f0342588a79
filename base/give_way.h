#ifndef VARVE_BASE_GIVE_WAY_H_
#define VARVE_BASE_GIVE_WAY_H_

#include <thread>

namespace varve {

// Background work calls this between pieces of about a tenth of a millisecond, so that a call which
// wakes up gets a core at once. Low priority alone does not do that: the system lets the running
// thread go on until its next tick, some milliseconds, which shows in the slowest searches.
inline void GiveWay() { std::this_thread::yield(); }

}  // namespace varve

#endif  // VARVE_BASE_GIVE_WAY_H_
