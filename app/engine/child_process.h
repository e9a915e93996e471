// SPDX-License-Identifier: Apache-2.0
// Processes this program starts or finds again.
#pragma once

#include "core/base/result.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace rankscope::engine
{

/// Owns a file descriptor.
class Descriptor
{
public:
    Descriptor() = default;
    explicit Descriptor(int descriptor) : m_descriptor(descriptor) {}
    ~Descriptor() { reset(); }
    Descriptor(Descriptor&& other) noexcept;
    Descriptor& operator=(Descriptor&& other) noexcept;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    [[nodiscard]] int get() const { return m_descriptor; }
    [[nodiscard]] bool valid() const { return m_descriptor >= 0; }
    void reset();

private:
    int m_descriptor = -1;
};

/// A process that can be told from a later one of the same number: across restarts of this program and of the
/// machine.
struct ProcessIdentity {
    std::int64_t pid = 0;
    std::uint64_t startTicks = 0; ///< since boot
    std::string boot;             ///< identifier of the machine's present boot

    bool operator==(const ProcessIdentity&) const = default;
};

/// The identity of a living process; nothing if there is none of that number (one that ended but was not
/// waited for counts as none).
std::optional<ProcessIdentity> identify(std::int64_t pid);
/// Is this very process still living?
bool isAlive(const ProcessIdentity& process);

struct SpawnOptions {
    std::filesystem::path program;
    std::vector<std::string> arguments; ///< without the program's own name
    int input = -1;                     ///< -1: /dev/null
    int output = -1;
    int error = -1;
    /// In a session of its own, a process outlives the terminal and this program, and does not see the
    /// keyboard's ^C.
    bool ownSession = false;
    /// SIGINT and SIGTERM wait until the program unblocks them: one that comes before its handlers stand is
    /// neither lost nor deadly.
    bool blockStop = false;
};

/// Starts a program. It inherits no descriptor but the three named, and default signal handling.
Result<pid_t> spawn(const SpawnOptions& options);

/// A descriptor that becomes readable when the process ends, whoever its parent is.
Descriptor watchProcess(pid_t pid);
/// Sends a signal to a watched process: never to a later one of the same number. False if it has ended.
bool signalProcess(const Descriptor& process, int signal);

/// "was killed by signal 9 (Killed); out of memory?", "ended with exit status 1": a wait status in words.
std::string describeExit(int waitStatus);

/// What a program printed and how it ended.
struct Captured {
    int waitStatus = 0;
    std::string output;
    std::string error;

    /// Exit status, or -1 if a signal ended it.
    [[nodiscard]] int exitStatus() const;
};

/// Runs a program to its end and takes what it prints. It is killed when `patience` is over.
Result<Captured> capture(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                         std::chrono::milliseconds patience);

/// The last line with something in it.
std::string lastLine(const std::string& text);
/// The last line of a (possibly long) file; empty if there is none.
std::string lastLineOf(const std::filesystem::path& file);

} // namespace rankscope::engine
