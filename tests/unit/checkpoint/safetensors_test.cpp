// SPDX-License-Identifier: Apache-2.0
// The reader against a file of the safetensors package; the writer against the bytes that the format
// prescribes.
#include "core/base/files.h"
#include "core/checkpoint/peft_adapter.h"
#include "core/checkpoint/safetensors.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

using namespace rankscope;
using namespace rankscope::checkpoint;

namespace
{

std::filesystem::path temporary(const std::string& name)
{
    return std::filesystem::path(testing::TempDir()) / ("rankscope-safetensors-" + name);
}

std::string fileOf(const std::string& header, const std::string& data)
{
    const std::uint64_t size = header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &size, 8);
    return bytes + header + data;
}

Result<SafetensorsFile> parse(const std::string& bytes)
{
    return SafetensorsFile::parse(std::as_bytes(std::span(bytes)), nullptr, "test");
}

std::string errorOf(const std::string& header, const std::string& data)
{
    const auto file = parse(fileOf(header, data));
    return file ? std::string("no error") : file.error().message;
}

std::vector<float> floatsOf(const SafetensorsFile& file, const std::string& name)
{
    const TensorView* tensor = file.find(name);
    if (!tensor)
        return {};
    std::vector<float> values(static_cast<std::size_t>(tensor->elements()));
    EXPECT_TRUE(decode(*tensor, values));
    return values;
}

} // namespace

TEST(Safetensors, ReadsAFileOfTheReferenceLibrary)
{
    const char* source = std::getenv("RANKSCOPE_SOURCE");
    ASSERT_TRUE(source) << "run this test with ctest";
    const auto file =
        SafetensorsFile::open(std::filesystem::path(source) / "tests/data/checkpoint/plain.safetensors");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->tensors().size(), 12U);
    EXPECT_EQ(file->metadata().at("note"), "größer");
    EXPECT_EQ(floatsOf(*file, "f64"), (std::vector<float>{1.5F, -2.25F}));
    EXPECT_EQ(floatsOf(*file, "f32")[0], 0.1F);
    EXPECT_TRUE(std::isinf(floatsOf(*file, "f32")[2]));
    EXPECT_EQ(floatsOf(*file, "f16"), (std::vector<float>{0.0999755859375F, 0x1p-24F, -65504.0F}));
    EXPECT_EQ(floatsOf(*file, "bf16")[0], 0.10009765625F);
    EXPECT_EQ(file->find("f64")->shape, (std::vector<std::int64_t>{1, 2}));
    EXPECT_TRUE(file->find("scalar")->shape.empty());
    EXPECT_EQ(floatsOf(*file, "scalar"), std::vector<float>{3.0F});
    EXPECT_EQ(file->find("empty")->shape, (std::vector<std::int64_t>{0, 4}));
    EXPECT_EQ(file->find("bool")->dtype, DType::Bool);
    EXPECT_EQ(std::to_integer<int>(file->find("u8")->bytes[0]), 250);
    EXPECT_EQ(file->find("nothing"), nullptr);
}

TEST(Safetensors, WritesTheBytesThatTheFormatPrescribes)
{
    const std::vector<float> values{1.0F, -2.0F};
    const std::vector<std::uint8_t> bytes{7, 8, 9};
    const std::vector<TensorView> tensors{
        {"small", DType::U8, {3}, std::as_bytes(std::span(bytes)), nullptr},
        {"b", DType::F32, {2, 1}, std::as_bytes(std::span(values)), nullptr},
    };
    const auto path = temporary("bytes.safetensors");
    const auto status = writeSafetensors(path, tensors, {{"format", "pt"}});
    ASSERT_TRUE(status) << status.error().message;
    // By hand from the format's description: header length, JSON padded with blanks to a multiple of 8, data.
    std::string header =
        R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
        R"("small":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    const std::string expected =
        fileOf(header, std::string("\x00\x00\x80\x3F\x00\x00\x00\xC0\x07\x08\x09", 11));
    EXPECT_EQ(base::readFile(path).value_or("unreadable"), expected);
    std::filesystem::remove(path);
}

TEST(Safetensors, RefusesToWriteWhatCannotBeRead)
{
    const std::vector<float> values{1.0F};
    const auto path = temporary("refused.safetensors");
    TensorView good{"a", DType::F32, {1}, std::as_bytes(std::span(values)), nullptr};
    EXPECT_FALSE(writeSafetensors(path, std::vector<TensorView>{good, good}));
    TensorView bad = good;
    bad.shape = {2};
    EXPECT_FALSE(writeSafetensors(path, std::vector<TensorView>{bad}));
    bad.shape = {-1, -1};
    EXPECT_FALSE(writeSafetensors(path, std::vector<TensorView>{bad}));
    bad = good;
    bad.name = "__metadata__";
    EXPECT_FALSE(writeSafetensors(path, std::vector<TensorView>{bad}));
    bad.name = "\xFF";
    EXPECT_FALSE(writeSafetensors(path, std::vector<TensorView>{bad}));
    bad = good;
    bad.dtype = DType::Q8_0;
    EXPECT_FALSE(writeSafetensors(path, std::vector<TensorView>{bad}));
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_FALSE(writeSafetensors("/no/such/folder/x.safetensors", std::vector<TensorView>{good}));
}

TEST(Safetensors, RefusesEveryFalseClaim)
{
    const auto entry = [](const std::string& name, const std::string& dtype, const std::string& shape,
                          const std::string& offsets) {
        return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
               ",\"data_offsets\":" + offsets + "}";
    };
    const std::string four(4, 'x');
    EXPECT_EQ(errorOf("{" + entry("a", "F32", "[1]", "[0,4]") + "}", four), "no error");
    EXPECT_NE(errorOf("{" + entry("a", "F32", "[2]", "[0,4]") + "}", four).find("need 8 bytes"),
              std::string::npos);
    EXPECT_NE(errorOf("{" + entry("a", "F32", "[2]", "[0,8]") + "}", four).find("outside"),
              std::string::npos);
    EXPECT_NE(errorOf("{" + entry("a", "F32", "[1]", "[4,0]") + "}", four).find("outside"),
              std::string::npos);
    EXPECT_NE(errorOf("{" + entry("a", "F33", "[1]", "[0,4]") + "}", four).find("F33"), std::string::npos);
    EXPECT_NE(errorOf("{" + entry("a", "F32", "[-1]", "[0,4]") + "}", four).find("shape"), std::string::npos);
    EXPECT_NE(errorOf("{" + entry("a", "F32", "[1.5]", "[0,4]") + "}", four).find("shape"),
              std::string::npos);
    EXPECT_NE(
        errorOf("{" + entry("a", "F32", "[4611686018427387905,4]", "[0,4]") + "}", four).find("too large"),
        std::string::npos);
    EXPECT_NE(
        errorOf("{" + entry("a", "U8", "[4]", "[0,4]") + "," + entry("b", "U8", "[2]", "[2,4]") + "}", four)
            .find("overlap"),
        std::string::npos);
    EXPECT_NE(errorOf("{" + entry("a", "U8", "[3]", "[0,3]") + "}", four).find("belong to no tensor"),
              std::string::npos);
    EXPECT_NE(errorOf("{" + entry("a", "U8", "[3]", "[1,4]") + "}", four).find("unclaimed"),
              std::string::npos);
    EXPECT_NE(
        errorOf("{" + entry("a", "U8", "[2]", "[0,2]") + "," + entry("a", "U8", "[2]", "[2,4]") + "}", four)
            .find("twice"),
        std::string::npos);
    EXPECT_NE(errorOf("{\"__metadata__\":{\"x\":1}}", "").find("metadata"), std::string::npos);
    EXPECT_NE(errorOf("[]", "").find("not a JSON object"), std::string::npos);
    EXPECT_FALSE(parse(""));
    EXPECT_FALSE(parse(std::string(8, '\xFF')));
    EXPECT_TRUE(parse(fileOf("{}", "")));
    EXPECT_FALSE(SafetensorsFile::open("/no/such/file"));
}

TEST(SafetensorsWriter, TakesTensorsOneByOneInTheOrderOfTheFile)
{
    const auto path = temporary("streamed.safetensors");
    std::filesystem::remove(path);
    const std::vector<TensorOutline> outlines{{"b", DType::F32, {2}},
                                              {"small", DType::U8, {3}},
                                              {"a", DType::F32, {}},
                                              {"none", DType::F32, {4, 0}}};
    const std::vector<float> b{1.0F, 2.0F};
    const std::vector<std::uint8_t> small{7, 8, 9};
    const std::vector<float> a{3.0F};
    const auto bytes = [](const auto& values) { return std::as_bytes(std::span(values)); };
    {
        auto writer = SafetensorsWriter::create(path, outlines);
        ASSERT_TRUE(writer) << writer.error().message;
        ASSERT_EQ(writer->order(), (std::vector<std::size_t>{2, 0, 3, 1}));
        ASSERT_TRUE(writer->append(bytes(a)));
        const auto wrong = writer->append(bytes(small));
        ASSERT_FALSE(wrong);
        EXPECT_NE(wrong.error().message.find("tensor b has 3 bytes, but its shape needs 8"),
                  std::string::npos);
        ASSERT_TRUE(writer->append(bytes(b)));
        ASSERT_TRUE(writer->append({}));
        EXPECT_NE(writer->commit().error().message.find("tensor small is missing"), std::string::npos);
        ASSERT_TRUE(writer->append(bytes(small)));
        EXPECT_FALSE(writer->append({}));
        EXPECT_FALSE(std::filesystem::exists(path)) << "not before it is complete";
        ASSERT_TRUE(writer->commit());
    }
    const auto file = SafetensorsFile::open(path);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(floatsOf(*file, "a"), a);
    EXPECT_EQ(floatsOf(*file, "b"), b);
    EXPECT_EQ(file->find("small")->bytes.back(), std::byte{9});
    EXPECT_EQ(file->find("none")->elements(), 0);
}

TEST(SafetensorsWriter, LeavesNothingWhereItIsAbandoned)
{
    const auto folder = temporary("abandoned");
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    const std::vector<TensorOutline> outlines{{"a", DType::F32, {1}}};
    ASSERT_TRUE(SafetensorsWriter::create(folder / "model.safetensors", outlines));
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    EXPECT_FALSE(SafetensorsWriter::create(folder / "no/model.safetensors", outlines));
    const std::vector<TensorOutline> twice{{"a", DType::F32, {1}}, {"a", DType::F32, {1}}};
    EXPECT_FALSE(SafetensorsWriter::create(folder / "model.safetensors", twice));
    const std::vector<TensorOutline> huge{{"a", DType::F32, {1LL << 61, 3}}};
    EXPECT_FALSE(SafetensorsWriter::create(folder / "model.safetensors", huge));
    std::filesystem::remove_all(folder);
}

TEST(PeftAdapter, WritesAndReadsAFolder)
{
    const auto folder = temporary("adapter");
    std::filesystem::remove_all(folder);
    const std::vector<float> values{1.0F, 2.0F};
    const std::string name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    const std::vector<TensorView> tensors{
        {name, DType::F32, {1, 2}, std::as_bytes(std::span(values)), nullptr}};
    const auto status = writePeftAdapter(folder, {{"peft_type", "LORA"}, {"r", 1}}, tensors);
    ASSERT_TRUE(status) << status.error().message;
    const auto adapter = PeftAdapter::open(folder);
    ASSERT_TRUE(adapter) << adapter.error().message;
    EXPECT_EQ(adapter->config["peft_type"], "LORA");
    EXPECT_EQ(floatsOf(adapter->weights, name), values);
    EXPECT_EQ(adapter->weights.metadata().at("format"), "pt");

    std::filesystem::remove(folder / "adapter_model.safetensors");
    EXPECT_FALSE(PeftAdapter::open(folder));
    ASSERT_TRUE(base::writeFileAtomically(folder / "adapter_model.bin", "x"));
    const auto pickle = PeftAdapter::open(folder);
    ASSERT_FALSE(pickle);
    EXPECT_NE(pickle.error().message.find("pickle"), std::string::npos);
    std::filesystem::remove_all(folder);
    EXPECT_FALSE(PeftAdapter::open(folder));
}
