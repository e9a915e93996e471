// SPDX-License-Identifier: Apache-2.0
// Against the example vectors that NIST publishes for FIPS 180-4.
#include "core/base/hash.h"

#include "tests/unit/record/temporary_folder.h"

#include <fstream>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace rankscope::base
{
namespace
{

struct Vector {
    std::string message;
    std::string digest;
};

const Vector vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrs"
     "mnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

TEST(Sha256, AgreesWithTheStandard)
{
    for (const Vector& vector : vectors)
        EXPECT_EQ(sha256(vector.message), vector.digest) << vector.message.size() << " bytes";
}

TEST(Sha256, OfAFileIsThatOfItsContent)
{
    const test::TemporaryFolder folder;
    for (const Vector& vector : vectors) {
        std::ofstream(folder / "a", std::ios::binary) << vector.message;
        EXPECT_EQ(sha256File(folder / "a").value_or("an error"), vector.digest);
    }
    EXPECT_FALSE(sha256File(folder / "missing"));
    EXPECT_FALSE(sha256File(folder.path()));
}

RC_GTEST_PROP(Sha256, FileAndContentAgreeOnAnyBytes, (const std::string& bytes))
{
    const test::TemporaryFolder folder;
    std::ofstream(folder / "a", std::ios::binary) << bytes;
    RC_ASSERT(sha256File(folder / "a").value_or("an error") == sha256(bytes));
}

} // namespace
} // namespace rankscope::base
