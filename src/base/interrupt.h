#pragma once

namespace martlet {

/// Set by a signal handler of the program, asked by long work between its steps. Lock-free and
/// async-signal-safe.
void request_interrupt() noexcept;
void clear_interrupt() noexcept;
bool interrupt_requested() noexcept;

/// Throws kInterrupted when a stop was requested.
void throw_if_interrupted();

}  // namespace martlet
