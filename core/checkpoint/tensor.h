// SPDX-License-Identifier: Apache-2.0
// A tensor as it lies in a file: name, type, shape and bytes. No arithmetic, no LibTorch.
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace rankscope::checkpoint
{

enum class DType { F64, F32, F16, BF16, I64, I32, I16, I8, U8, Bool, Q8_0, Q4_0, Q4_1, Q4_K, Q6_K };

/// "F32", "BF16", "Q4_1", ...: the names of safetensors and GGUF.
std::string name(DType dtype);
/// Elements in one block (1 for plain types) and its size in bytes.
std::size_t blockElements(DType dtype);
std::size_t blockBytes(DType dtype);

/// Does decode() make numbers of it? Integers and truth values are none: where they stand for weights, only
/// the program that quantised them knows how.
bool isDecodable(DType dtype);

/// Bytes of a mapped file seen as a tensor; row-major, the first dimension slowest.
struct TensorView {
    std::string name;
    DType dtype = DType::F32;
    std::vector<std::int64_t> shape;
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> owner; ///< keeps the bytes mapped

    [[nodiscard]] std::int64_t elements() const;
};

/// Writes the tensor's values as float32 (quantised blocks decoded). `out` must have elements() places.
/// Errors: an integer or boolean type, a wrong size.
Status decode(const TensorView& tensor, std::span<float> out);

} // namespace rankscope::checkpoint
