// Forced into every translation unit of a model and of the Verilated runtime.
#include <string>

// Where the runtime's messages go: the model that is being evaluated on this thread, so `cargo test` stays readable.
struct CosimSink {
    std::string log;      // $display, texts of assertions, warnings of the runtime
    std::string stopped;  // why the model stopped; empty while it runs
};
extern thread_local CosimSink* cosim_sink;
extern "C" int cosim_printf(const char*, ...);
#define VL_PRINTF cosim_printf
