// What the Verilated runtime calls instead of ending the process, and where $display goes. This is part of the runtime,
// which serves many models: the model that is being evaluated on this thread is found through `cosim_sink`.
#include "verilated.h"
#include <cstdarg>
#include <cstdio>
#include <string>

thread_local CosimSink* cosim_sink = nullptr;

static void stop(const char* file, int line, const char* what) {
    VerilatedContext* const context = Verilated::threadContextp();
    context->gotError(true);
    context->gotFinish(true);
    const std::string text = std::string{file ? file : ""} + ":" + std::to_string(line) + ": " + what;
    if (!cosim_sink) {
        std::fprintf(stderr, "%s\n", text.c_str());
    } else {
        if (!cosim_sink->stopped.empty()) cosim_sink->stopped += '\n';
        cosim_sink->stopped += text;
    }
}
void vl_finish(const char* file, int line, const char*) { stop(file, line, "$finish"); }
void vl_stop(const char* file, int line, const char*) { stop(file, line, "$stop or a failed assertion"); }
void vl_fatal(const char* file, int line, const char*, const char* message) {
    stop(file, line, message && *message ? message : "$fatal");
    throw 1;  // the caller counts on no return; caught in the shim
}

extern "C" int cosim_printf(const char* format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int size = std::vsnprintf(nullptr, 0, format, arguments);
    va_end(arguments);
    std::string text(size > 0 ? size : 0, '\0');
    if (size > 0) std::vsnprintf(&text[0], size + 1, format, again);
    va_end(again);
    if (cosim_sink) cosim_sink->log += text;
    else std::fputs(text.c_str(), stderr);
    return size;
}
