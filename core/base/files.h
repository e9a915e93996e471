// SPDX-License-Identifier: Apache-2.0
// Files: reading with a limit, writing so that a crash never leaves half a file, and read-only memory maps.
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace rankscope::base
{

/// The whole of a text file; an error if it is missing, unreadable or larger than `limit` bytes.
Result<std::string> readFile(const std::filesystem::path& path,
                             std::uintmax_t limit = std::uintmax_t{1} << 30);

/// The name beside its target under which this process writes a file that is renamed at the end: it ends in
/// ".part-" and the process's number.
[[nodiscard]] std::filesystem::path partBeside(const std::filesystem::path& target);

/// Removes the files of that form in the folder whose process is gone: it was killed while it wrote them.
/// Looks for the process on this machine only, so call it where no other machine writes.
void removeAbandonedParts(const std::filesystem::path& folder);

/// A file written piece by piece beside its target, synced and renamed at the end: the target is either the
/// old file or the new one, never a part. Goes away if it is not committed.
class AtomicFile
{
public:
    static Result<AtomicFile> create(const std::filesystem::path& path);
    ~AtomicFile();
    AtomicFile(AtomicFile&& other) noexcept;
    AtomicFile& operator=(AtomicFile&& other) = delete;
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    Status write(std::span<const std::byte> bytes);
    Status commit();

private:
    explicit AtomicFile(const std::filesystem::path& path);
    /// The last system call's error, as "what path: why".
    [[nodiscard]] Error failed(std::string_view what) const;

    std::filesystem::path m_path;
    std::filesystem::path m_beside; ///< empty once committed or moved from
    int m_descriptor = -1;
};

/// The same with all of its bytes at once.
Status writeFileAtomically(const std::filesystem::path& path, std::string_view bytes);

/// Flushes a file or folder to the disk.
Status syncPath(const std::filesystem::path& path);

/// Creates the folder (and its parents) and proves that a file can be made in it.
Status ensureWritableFolder(const std::filesystem::path& folder);

/// Free bytes on the file system that holds `path` (or its nearest existing parent).
Result<std::uintmax_t> freeSpace(const std::filesystem::path& path);

/// A file mapped read-only. The bytes live as long as the object; copies share the map.
class MappedFile
{
public:
    static Result<MappedFile> open(const std::filesystem::path& path);

    [[nodiscard]] std::span<const std::byte> bytes() const { return m_bytes; }
    [[nodiscard]] const std::filesystem::path& path() const { return m_path; }
    /// Keeps the map alive for as long as any copy of this pointer exists.
    [[nodiscard]] std::shared_ptr<const void> owner() const { return m_owner; }

private:
    std::filesystem::path m_path;
    std::shared_ptr<const void> m_owner;
    std::span<const std::byte> m_bytes;
};

} // namespace rankscope::base
