// SPDX-License-Identifier: Apache-2.0
// A plugin's library that is cut off or whose head is damaged is looked at without harm, and what passes lies
// within the file.
#include "core/adapter/shared_object.h"
#include "core/base/files.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <iostream>
#include <rapidcheck.h>
#include <vector>

using namespace rankscope;

namespace
{

using Bytes = std::vector<std::byte>;

Bytes readLibrary()
{
    const char* named = std::getenv("RANKSCOPE_TEST_PLUGIN");
    const auto text = base::readFile(named ? named : "");
    if (!text) {
        std::cerr << text.error().message << '\n';
        std::exit(1);
    }
    Bytes bytes(text->size());
    std::memcpy(bytes.data(), text->data(), bytes.size());
    return bytes;
}

/// The end of what the dynamic loader maps; a number too large for 64 bits is infinite.
long double endOfSegments(const Bytes& bytes)
{
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    long double end = 0;
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
        Elf64_Phdr segment;
        std::memcpy(&segment, bytes.data() + header.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type == PT_LOAD)
            end = std::max(end, static_cast<long double>(segment.p_offset) +
                                    static_cast<long double>(segment.p_filesz));
    }
    return end;
}

/// How many bytes the header and the list of segments take, at the start of what linkers write.
std::size_t headSize(const Bytes& bytes)
{
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    return std::min(bytes.size(), static_cast<std::size_t>(header.e_phoff) +
                                      std::size_t{header.e_phnum} * sizeof(Elf64_Phdr));
}

} // namespace

int main()
{
    const Bytes whole = readLibrary();
    bool held = rc::check("a whole library passes", [&] { RC_ASSERT(adapter::checkSharedObject(whole)); });
    held = rc::check("a library cut anywhere does not",
                     [&] {
                         const auto size = *rc::gen::inRange<std::size_t>(0, whole.size());
                         const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
                         RC_ASSERT(!adapter::checkSharedObject(cut));
                     }) &&
           held;
    held = rc::check("with its head damaged and cut anywhere, what passes is within the file",
                     [&] {
                         Bytes damaged = whole;
                         const auto changes = *rc::gen::inRange(1, 8);
                         for (int i = 0; i < changes; ++i) {
                             const auto place = *rc::gen::inRange<std::size_t>(0, headSize(whole));
                             damaged[place] = static_cast<std::byte>(*rc::gen::arbitrary<std::uint8_t>());
                         }
                         if (*rc::gen::arbitrary<bool>()) {
                             damaged.resize(*rc::gen::inRange<std::size_t>(0, whole.size()));
                             damaged.shrink_to_fit(); // so that a read past its end is one past the block's
                         }
                         if (adapter::checkSharedObject(damaged))
                             RC_ASSERT(endOfSegments(damaged) <= static_cast<long double>(damaged.size()));
                     }) &&
           held;
    held = rc::check("bytes of any kind are looked at without harm",
                     [&] {
                         auto bytes = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
                         if (*rc::gen::arbitrary<bool>())
                             bytes.insert(bytes.begin(), {0x7F, 'E', 'L', 'F', 2, 1, 1});
                         RC_ASSERT(!adapter::checkSharedObject(std::as_bytes(std::span(bytes))));
                     }) &&
           held;
    return held ? 0 : 1;
}
