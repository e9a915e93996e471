// SPDX-License-Identifier: Apache-2.0
#include "core/base/files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rankscope::base
{
namespace
{

/// Closes a descriptor at the end of the scope.
class Descriptor
{
public:
    explicit Descriptor(int descriptor) : m_descriptor(descriptor) {}
    ~Descriptor()
    {
        if (m_descriptor >= 0)
            ::close(m_descriptor);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return m_descriptor; }
    [[nodiscard]] bool valid() const { return m_descriptor >= 0; }

private:
    int m_descriptor;
};

std::string reason()
{
    return std::strerror(errno);
}

} // namespace

Result<std::string> readFile(const std::filesystem::path& path, std::uintmax_t limit)
{
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid())
        return fail("cannot read " + path.string() + ": " + reason());
    struct stat status {
    };
    if (::fstat(file.get(), &status) != 0)
        return fail("cannot read " + path.string() + ": " + reason());
    if (S_ISDIR(status.st_mode))
        return fail("cannot read " + path.string() + ": it is a folder, a file was expected");
    std::string text;
    char buffer[1 << 16];
    for (;;) {
        const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
        if (count < 0) {
            if (errno == EINTR)
                continue;
            return fail("cannot read " + path.string() + ": " + reason());
        }
        if (count == 0)
            return text;
        if (text.size() + static_cast<std::uintmax_t>(count) > limit)
            return fail(path.string() + " is larger than the " + std::to_string(limit) +
                        " bytes accepted here");
        text.append(buffer, static_cast<std::size_t>(count));
    }
}

Status syncPath(const std::filesystem::path& path)
{
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid() || (::fsync(file.get()) != 0 && errno != EINVAL))
        return fail("cannot flush " + path.string() + " to disk: " + reason());
    return {};
}

Status writeFileAtomically(const std::filesystem::path& path, std::string_view bytes)
{
    const std::filesystem::path beside = path.string() + ".part-" + std::to_string(::getpid());
    auto abandon = [&](std::string_view what) -> Status {
        const std::string why = reason();
        ::unlink(beside.c_str());
        return fail(std::string(what) + " " + path.string() + ": " + why);
    };
    {
        Descriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        if (!file.valid())
            return fail("cannot write " + path.string() + ": " + reason());
        std::size_t written = 0;
        while (written < bytes.size()) {
            const ssize_t count = ::write(file.get(), bytes.data() + written, bytes.size() - written);
            if (count < 0 && errno == EINTR)
                continue;
            if (count < 0)
                return abandon("cannot write");
            written += static_cast<std::size_t>(count);
        }
        if (::fsync(file.get()) != 0)
            return abandon("cannot flush");
    }
    if (::rename(beside.c_str(), path.c_str()) != 0)
        return abandon("cannot put in place");
    const auto folder = path.parent_path();
    return syncPath(folder.empty() ? std::filesystem::path(".") : folder);
}

Status ensureWritableFolder(const std::filesystem::path& folder)
{
    std::error_code code;
    std::filesystem::create_directories(folder, code);
    if (code)
        return fail("cannot create the folder " + folder.string() + ": " + code.message());
    if (!std::filesystem::is_directory(folder))
        return fail(folder.string() + " is not a folder");
    std::string probe = (folder / ".rankscope-XXXXXX").string();
    Descriptor file(::mkostemp(probe.data(), O_CLOEXEC));
    if (!file.valid())
        return fail("cannot write into the folder " + folder.string() + ": " + reason());
    ::unlink(probe.c_str());
    return {};
}

Result<std::uintmax_t> freeSpace(const std::filesystem::path& path)
{
    std::error_code code;
    std::filesystem::path folder = std::filesystem::absolute(path, code);
    while (!folder.empty() && !std::filesystem::exists(folder, code) && folder != folder.parent_path())
        folder = folder.parent_path();
    const auto space = std::filesystem::space(folder, code);
    if (code)
        return fail("cannot read the free space at " + folder.string() + ": " + code.message());
    return space.available;
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path)
{
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid())
        return fail("cannot open " + path.string() + ": " + reason());
    struct stat status {
    };
    if (::fstat(file.get(), &status) != 0)
        return fail("cannot open " + path.string() + ": " + reason());
    if (!S_ISREG(status.st_mode))
        return fail("cannot open " + path.string() + ": it is not a regular file");
    MappedFile mapped;
    mapped.m_path = path;
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0)
        return mapped;
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED)
        return fail("cannot map " + path.string() + " into memory: " + reason());
    mapped.m_owner = std::shared_ptr<const void>(
        address, [size](const void* start) { ::munmap(const_cast<void*>(start), size); });
    mapped.m_bytes = {static_cast<const std::byte*>(address), size};
    return mapped;
}

} // namespace rankscope::base
