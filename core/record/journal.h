// SPDX-License-Identifier: Apache-2.0
// journal.rec: what happened in a run, in order, append-only. Each protobuf JournalEvent stands in a TFRecord
// frame:
//   uint64 length (little-endian) | uint32 masked CRC-32C of the length | the bytes | uint32 masked CRC-32C
//   of the bytes
// (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details), so a tail that was torn
// by a crash is told from damage, and readers that exist can read it.
#pragma once

#include "core/base/result.h"
#include "core/protocol/journal.pb.h"
#include "core/record/run_record.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rankscope::record
{

/// The largest event accepted by writers and readers.
inline constexpr std::size_t maxEventBytes = std::size_t{64} << 20;
/// Bytes of a frame around its event.
inline constexpr std::size_t frameOverhead = 16;

/// An event in its frame.
[[nodiscard]] std::string frameEvent(const protocol::JournalEvent& event);

/// How many leading bytes are whole, undamaged frames. Damage is an error that names `position` plus the
/// offset.
[[nodiscard]] Result<std::size_t> wholeFrames(std::string_view bytes, std::int64_t position = 0);

/// The journal's one writer. Events go to the kernel at once (a reader on the same machine sees them, and a
/// crash of the program loses none); sync() takes them to the disk.
class JournalWriter
{
public:
    /// A new journal, or an existing one to be continued: a torn tail is cut off. An error if another process
    /// writes it, or if it is damaged before its end.
    static Result<JournalWriter> open(const std::filesystem::path& path);
    ~JournalWriter();
    JournalWriter(JournalWriter&& other) noexcept;
    JournalWriter& operator=(JournalWriter&& other) noexcept;
    JournalWriter(const JournalWriter&) = delete;
    JournalWriter& operator=(const JournalWriter&) = delete;

    /// An event without a time gets the present one. After an error (no space left) the journal ends with the
    /// last whole event, and a later append may succeed.
    Status append(protocol::JournalEvent event);
    /// Waits until everything appended is on the disk. Call it at checkpoints and changes of state.
    Status sync();
    /// Size of the journal in bytes: the position after the last event.
    [[nodiscard]] std::int64_t position() const { return m_position; }

private:
    JournalWriter(std::filesystem::path path, int descriptor, std::int64_t position);

    std::filesystem::path m_path;
    int m_descriptor = -1;
    std::int64_t m_position = 0;
};

/// Decodes a journal that arrives in pieces of any size.
class JournalReader
{
public:
    /// `position`: where in the journal the first byte fed stands; for position() and messages.
    explicit JournalReader(std::int64_t position = 0) : m_position(position) {}

    /// The events completed by these bytes. Damage is an error, now and for every later call.
    Result<std::vector<protocol::JournalEvent>> feed(std::string_view bytes);
    /// Byte position after the last whole event.
    [[nodiscard]] std::int64_t position() const { return m_position; }
    /// Bytes of an event that is not whole yet: at the end of a file, a torn tail.
    [[nodiscard]] std::size_t pendingBytes() const { return m_pending.size(); }

private:
    std::int64_t m_position;
    std::string m_pending;
    std::string m_damage;
};

/// Follows a journal file that is being written.
class JournalFollower
{
public:
    explicit JournalFollower(std::filesystem::path path, std::int64_t position = 0);

    /// Whole frames that have come since the last call, about `limit` bytes of them at most (a single longer
    /// frame comes whole). Empty: nothing new. A journal that does not exist yet is an empty one.
    Result<std::string> next(std::size_t limit = std::size_t{1} << 20);
    [[nodiscard]] std::int64_t position() const { return m_position; }
    [[nodiscard]] const std::filesystem::path& path() const { return m_path; }

private:
    std::filesystem::path m_path;
    std::int64_t m_position;
};

/// Adds one event to a run. An event that contradicts what came before it (values of a measure that was not
/// announced, of another size, or at a step that goes back) is an error and changes nothing.
Status applyEvent(RunRecord& run, const protocol::JournalEvent& event);

/// What one look at a journal brought.
struct JournalNews {
    bool any = false;
    bool rewound = false; ///< rows that were there have been superseded
};

/// Adds to the run what its journal has gained since the last call, about `limit` bytes of it at most. After
/// an error the run holds what came before the fault.
Result<JournalNews> readOn(RunRecord& run, JournalFollower& follower, JournalReader& reader,
                           std::size_t limit = std::size_t{1} << 20);

/// A whole journal. A torn tail is dropped; damage is an error.
Result<RunRecord> loadJournal(const std::filesystem::path& path);

} // namespace rankscope::record
