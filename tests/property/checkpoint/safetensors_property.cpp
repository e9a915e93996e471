// SPDX-License-Identifier: Apache-2.0
// What is written to safetensors is read back the same, whatever the shapes, types, names and metadata.
#include "core/base/files.h"
#include "core/checkpoint/safetensors.h"

#include <cstdint>
#include <rapidcheck.h>
#include <unistd.h>

using namespace rankscope::checkpoint;

namespace
{

constexpr DType types[] = {DType::F64, DType::F32, DType::F16, DType::BF16, DType::I64,
                           DType::I32, DType::I16, DType::I8,  DType::U8,   DType::Bool};

struct Owned {
    TensorView view;
    std::vector<std::uint8_t> bytes;
};

/// Names as tensors have them, and some that JSON must escape.
std::string anyName()
{
    const auto characters =
        *rc::gen::container<std::string>(rc::gen::elementOf(std::string("abz019._-\"\\\n /{}[]")));
    return characters + *rc::gen::elementOf(std::vector<std::string>{"", "é", "日本", ".weight"});
}

std::vector<Owned> anyTensors()
{
    const auto names = *rc::gen::unique<std::vector<std::string>>(rc::gen::exec(anyName));
    std::vector<Owned> tensors;
    for (const auto& name : names) {
        Owned tensor;
        tensor.view.name = name;
        tensor.view.dtype = *rc::gen::elementOf(std::vector<DType>(std::begin(types), std::end(types)));
        const auto rank = *rc::gen::inRange(0, 5);
        for (int i = 0; i < rank; ++i)
            tensor.view.shape.push_back(*rc::gen::inRange<std::int64_t>(0, 6));
        const auto size = static_cast<std::size_t>(tensor.view.elements()) * blockBytes(tensor.view.dtype);
        tensor.bytes =
            *rc::gen::container<std::vector<std::uint8_t>>(size, rc::gen::arbitrary<std::uint8_t>());
        tensors.push_back(std::move(tensor));
    }
    return tensors;
}

} // namespace

int main()
{
    const auto path = std::filesystem::temp_directory_path() /
                      ("rankscope-property-" + std::to_string(::getpid()) + ".safetensors");
    const bool held = rc::check("safetensors round trip", [&] {
        const auto tensors = anyTensors();
        std::map<std::string, std::string> metadata;
        for (const auto& key : *rc::gen::container<std::vector<std::string>>(rc::gen::exec(anyName)))
            metadata[key] = anyName();
        std::vector<TensorView> views;
        for (const auto& tensor : tensors) {
            views.push_back(tensor.view);
            views.back().bytes = std::as_bytes(std::span(tensor.bytes));
        }
        const auto written = writeSafetensors(path, views, metadata);
        RC_ASSERT(written.has_value());
        const auto file = SafetensorsFile::open(path);
        RC_ASSERT(file.has_value());
        RC_ASSERT(file->metadata() == metadata);
        RC_ASSERT(file->tensors().size() == views.size());
        for (const TensorView& view : views) {
            const TensorView* read = file->find(view.name);
            RC_ASSERT(read != nullptr);
            RC_ASSERT(read->dtype == view.dtype);
            RC_ASSERT(read->shape == view.shape);
            RC_ASSERT(
                std::equal(read->bytes.begin(), read->bytes.end(), view.bytes.begin(), view.bytes.end()));
            // The order of types keeps every tensor aligned to its type, which readers without copies rely
            // on.
            RC_ASSERT(read->bytes.empty() ||
                      reinterpret_cast<std::uintptr_t>(read->bytes.data()) % blockBytes(read->dtype) == 0U);
        }
    });
    std::filesystem::remove(path);
    return held ? 0 : 1;
}
