// SPDX-License-Identifier: Apache-2.0
#include "core/adapter/shared_object.h"

#include "core/base/files.h"

#include <cstdint>
#include <cstring>
#include <elf.h>
#include <vector>

namespace rankscope::adapter
{
namespace
{

using Bytes = std::span<const std::byte>;

/// Do `size` bytes at `offset` lie within `whole` of them? Without a sum that could overflow.
bool within(std::uint64_t offset, std::uint64_t size, std::uint64_t whole)
{
    return offset <= whole && size <= whole - offset;
}

/// A structure at an offset that was checked to lie within; no alignment is asked for.
template <typename T>
T structureAt(Bytes bytes, std::uint64_t offset)
{
    T value{};
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

tl::unexpected<Error> cut(const std::string& what)
{
    return fail("it is cut off or damaged: its " + what + " reaches past its end");
}

Result<Elf64_Ehdr> readHeader(Bytes bytes)
{
    if (bytes.size() < SELFMAG || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0)
        return fail("it is not a shared library");
    if (!within(0, sizeof(Elf64_Ehdr), bytes.size()))
        return cut("header");
    const auto header = structureAt<Elf64_Ehdr>(bytes, 0);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
        return fail("it is not a 64-bit little-endian library");
    if (header.e_ident[EI_VERSION] != EV_CURRENT || header.e_version != EV_CURRENT ||
        header.e_type != ET_DYN || header.e_ehsize < sizeof(Elf64_Ehdr))
        return fail("it is not a shared library, or its header is damaged");
    return header;
}

Status checkSegments(Bytes bytes, const Elf64_Ehdr& header)
{
    if (header.e_phnum == 0 || header.e_phentsize != sizeof(Elf64_Phdr))
        return fail("it has no segments to load, or its header is damaged");
    if (!within(header.e_phoff, std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr), bytes.size()))
        return cut("list of segments");
    std::vector<Elf64_Phdr> loaded;
    std::vector<Elf64_Phdr> dynamic;
    for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
        const auto segment = structureAt<Elf64_Phdr>(bytes, header.e_phoff + i * sizeof(Elf64_Phdr));
        if (!within(segment.p_offset, segment.p_filesz, bytes.size()))
            return cut("segment " + std::to_string(i));
        if (segment.p_type == PT_DYNAMIC)
            dynamic.push_back(segment);
        if (segment.p_type != PT_LOAD)
            continue;
        // The loader reserves one range from the first segment to the last and takes their order for granted.
        const std::uint64_t before = loaded.empty() ? 0 : loaded.back().p_vaddr + loaded.back().p_memsz;
        if (segment.p_filesz > segment.p_memsz || !within(segment.p_vaddr, segment.p_memsz, INT64_MAX) ||
            segment.p_vaddr < before)
            return fail("its segment " + std::to_string(i) + " has an impossible place in memory");
        loaded.push_back(segment);
    }
    if (loaded.empty() || dynamic.size() != 1)
        return fail("it has no segments to load, or not one dynamic section");
    for (const auto& segment : loaded) {
        if (dynamic.front().p_vaddr >= segment.p_vaddr &&
            within(dynamic.front().p_vaddr - segment.p_vaddr, dynamic.front().p_memsz, segment.p_filesz))
            return {};
    }
    return fail("its dynamic section lies outside its segments");
}

Status checkSections(Bytes bytes, const Elf64_Ehdr& header)
{
    if (header.e_shoff == 0 && header.e_shnum == 0)
        return {}; // they are not needed to load it, and may have been stripped
    if (header.e_shentsize != sizeof(Elf64_Shdr))
        return fail("its header is damaged: its list of sections has entries of another size");
    if (!within(header.e_shoff, sizeof(Elf64_Shdr), bytes.size()))
        return cut("list of sections");
    // From 65280 sections on the number stands in the first of them.
    const std::uint64_t count =
        header.e_shnum > 0 ? header.e_shnum : structureAt<Elf64_Shdr>(bytes, header.e_shoff).sh_size;
    if (count > bytes.size() / sizeof(Elf64_Shdr) ||
        !within(header.e_shoff, count * sizeof(Elf64_Shdr), bytes.size()))
        return cut("list of sections");
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto section = structureAt<Elf64_Shdr>(bytes, header.e_shoff + i * sizeof(Elf64_Shdr));
        if (section.sh_type != SHT_NULL && section.sh_type != SHT_NOBITS &&
            !within(section.sh_offset, section.sh_size, bytes.size()))
            return cut("section " + std::to_string(i));
    }
    return {};
}

} // namespace

Status checkSharedObject(Bytes bytes)
{
    RANKSCOPE_TRY(const Elf64_Ehdr header, readHeader(bytes));
    RANKSCOPE_CHECK(checkSegments(bytes, header));
    return checkSections(bytes, header);
}

Status checkSharedObject(const std::filesystem::path& file)
{
    RANKSCOPE_TRY(const auto mapped, base::MappedFile::open(file));
    if (const auto status = checkSharedObject(mapped.bytes()); !status)
        return fail(status.error().within(file.string()));
    return {};
}

} // namespace rankscope::adapter
