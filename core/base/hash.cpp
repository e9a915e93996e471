// SPDX-License-Identifier: Apache-2.0
#include "core/base/hash.h"

#include "core/base/files.h"

#include <array>
#include <openssl/evp.h>

namespace rankscope::base
{
namespace
{

std::string digest(const void* data, std::size_t size)
{
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned int length = 0;
    EVP_Digest(data, size, bytes.data(), &length, EVP_sha256(), nullptr);
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (unsigned int i = 0; i < length; ++i) {
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 15];
    }
    return text;
}

} // namespace

std::string sha256(std::string_view bytes)
{
    return digest(bytes.data(), bytes.size());
}

Result<std::string> sha256File(const std::filesystem::path& path)
{
    RANKSCOPE_TRY(const MappedFile file, MappedFile::open(path));
    return digest(file.bytes().data(), file.bytes().size());
}

} // namespace rankscope::base
